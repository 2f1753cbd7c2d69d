/* The least a C program can do: send a finished nf_tables batch and hear that it was taken.
 *
 *   replay BATCH          sends the file as one datagram, waits for the acknowledgement
 *   replay BATCH --dump   then also dumps the table `inet lockdown` as the applier does: its chains, objects,
 *                         sets, the elements of each set, and rules; the answers are walked and thrown away
 *
 * Built static against musl, as the applier is. Netlink: linux/netlink.h, linux/netfilter/nf_tables.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char table[] = "lockdown";
static char buffer[65536];
static int netlink;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static size_t attribute(char *place, unsigned short type, const char *text)
{
	struct nlattr *head = (struct nlattr *)place;

	head->nla_type = type;
	head->nla_len = NLA_HDRLEN + strlen(text) + 1;
	memset(place + NLA_HDRLEN, 0, NLA_ALIGN(head->nla_len) - NLA_HDRLEN);
	memcpy(place + NLA_HDRLEN, text, strlen(text));
	return NLA_ALIGN(head->nla_len);
}

static void ask(int type, int flags, unsigned char family, const char *set)
{
	char request[512] = {0};
	struct nlmsghdr *head = (struct nlmsghdr *)request;
	struct nfgenmsg *about = NLMSG_DATA(head);
	size_t length = NLMSG_LENGTH(sizeof(*about));

	about->nfgen_family = family;
	if (family == NFPROTO_INET)
		length += attribute(request + length, 1, table);
	if (set)
		length += attribute(request + length, NFTA_SET_ELEM_LIST_SET, set);
	head->nlmsg_len = length;
	head->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	if (send(netlink, request, length, 0) != (ssize_t)length)
		fail("request");
}

/* Calls `each` for every message of a dump. */
static void walk(int type, unsigned char family, const char *set, void (*each)(struct nlmsghdr *))
{
	ask(type, NLM_F_DUMP, family, set);
	for (;;) {
		ssize_t count = recv(netlink, buffer, sizeof(buffer), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)buffer;

		if (count < 0)
			fail("dump");
		for (; NLMSG_OK(head, count); head = NLMSG_NEXT(head, count)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return;
			if (head->nlmsg_type == NLMSG_ERROR) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
				fail("dump");
			}
			if (each)
				each(head);
		}
	}
}

static void one(int type, unsigned char family)
{
	ask(type, 0, family, NULL);
	if (recv(netlink, buffer, sizeof(buffer), 0) < 0)
		fail("answer");
}

static char names[256][64];
static int named;

static void take_name(struct nlmsghdr *head)
{
	struct nlattr *item = (struct nlattr *)((char *)NLMSG_DATA(head) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	char *end = (char *)head + head->nlmsg_len;

	for (; (char *)item + NLA_HDRLEN <= end && item->nla_len >= NLA_HDRLEN;
	     item = (struct nlattr *)((char *)item + NLA_ALIGN(item->nla_len)))
		if ((item->nla_type & NLA_TYPE_MASK) == NFTA_SET_NAME && named < 256)
			snprintf(names[named++], sizeof(names[0]), "%s", (char *)item + NLA_HDRLEN);
}

int main(int count, char **arguments)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct stat status;
	int file, room;
	char *batch;

	if (count < 2 || (file = open(arguments[1], O_RDONLY)) < 0 || fstat(file, &status))
		fail("batch");
	batch = malloc(status.st_size);
	if (!batch || read(file, batch, status.st_size) != status.st_size)
		fail("read");
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	room = status.st_size + 32;
	if (netlink < 0 || connect(netlink, (struct sockaddr *)&kernel, sizeof(kernel)))
		fail("socket");
	if (setsockopt(netlink, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		setsockopt(netlink, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (send(netlink, batch, status.st_size, 0) != status.st_size)
		fail("send");
	for (;;) {
		ssize_t got = recv(netlink, buffer, sizeof(buffer), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)buffer;
		int error;

		if (got < 0 || !NLMSG_OK(head, got) || head->nlmsg_type != NLMSG_ERROR)
			fail("acknowledgement");
		error = ((struct nlmsgerr *)NLMSG_DATA(head))->error;
		if (error) {
			errno = -error;
			fail("refused");
		}
		break;
	}
	if (count > 2) {
		one(NFT_MSG_GETGEN, NFPROTO_UNSPEC);
		one(NFT_MSG_GETTABLE, NFPROTO_INET);
		walk(NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NULL, NULL);
		walk(NFT_MSG_GETOBJ, NFPROTO_INET, NULL, NULL);
		walk(NFT_MSG_GETSET, NFPROTO_INET, NULL, take_name);
		for (int index = 0; index < named; index++)
			walk(NFT_MSG_GETSETELEM, NFPROTO_INET, names[index], NULL);
		walk(NFT_MSG_GETRULE, NFPROTO_INET, NULL, NULL);
		one(NFT_MSG_GETGEN, NFPROTO_UNSPEC);
	}
	return 0;
}
