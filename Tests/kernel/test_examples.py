"""The examples in `policies/examples`: what each rule is for happens on the wire, and beside it the opposite.

The tables are written by hand from the policies, a packet for each rule and one that just misses it.
"""

import errno
import os
import re
import socket
import struct
import time

import packets
import support
from packets import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, URG, icmp, ip, mark, tcp, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)

EXAMPLES = support.REPOSITORY / "policies/examples"


class Every(support.KernelTestCase):
    def test_applied_twice_it_is_unchanged(self):
        """Each example applies to an empty machine, and then nothing is to be done; what comes late loads behind it."""
        for policy in sorted(EXAMPLES.glob("*.cos")):
            with self.subTest(policy=policy.name):
                compiled, machine = support.compile_policy(policy), self.namespace()
                compiled.apply(machine)
                before = machine.listing()
                self.assertIn("policy_digest", before)
                again = compiled.apply(machine)
                self.assertIn("unchanged", again.stdout + again.stderr)
                self.assertEqual(machine.listing(), before)
                for device in ("eth0", "eth1"):
                    machine.ip("link add %s type veth peer name p%s" % (device, device))
                machine.run(["nft", "-f", compiled.directory / "nftables-late.nft"])


class OfficeRouter(support.KernelTestCase):
    # Addresses of the machines behind each link beside those that links have.
    SERVER4, SERVER6 = "192.168.30.80", "2001:db8:30::80"
    OUTSIDE4, OUTSIDE6, UPLINK4 = "198.51.100.7", "2001:db8:1::77", "203.0.113.2"

    def setUp(self):
        super().setUp()
        self.router = self.namespace()
        self.links, self.captures = {}, {}
        for number, (place, interface) in enumerate(
                (("wan", "ppp0"), ("lan", "lan0"), ("guest", "vlan20"), ("office", "vlan10"), ("other", "eth9")), 1):
            self.links[place] = self.link(self.namespace(), self.router, number, "near0", interface)
        self.links["dmz"] = self.link(self.namespace(), self.router, 30, "near0", "dmz0")
        for place, link in self.links.items():
            self.captures[place] = self.capture(link.near, "near0")
        for key, value in (("ipv4.ip_forward", 1), ("ipv6.conf.all.forwarding", 1), ("ipv4.icmp_ratelimit", 0),
                           ("ipv6.icmp.ratelimit", 0), ("ipv4.conf.all.rp_filter", 0)):
            self.router.sysctl("net." + key, value)
        for link in self.links.values():
            self.router.sysctl("net.ipv4.conf.%s.rp_filter" % link.far_name, 0)
        wan, dmz, lan = self.links["wan"], self.links["dmz"], self.links["lan"]
        self.router.ip(
            "addr add %s/24 dev ppp0\nneigh replace 203.0.113.1 lladdr %s nud permanent dev ppp0\n"
            "route add default via 203.0.113.1 dev ppp0\nroute add default via %s dev ppp0\n"
            "addr add 192.168.30.2/24 dev dmz0\nneigh replace %s lladdr %s nud permanent dev dmz0\n"
            "neigh replace %s lladdr %s nud permanent dev dmz0\nroute add 192.168.5.0/24 via %s dev lan0\n"
            "neigh replace %s lladdr %s nud permanent dev ppp0\nlink set ppp0 mtu 1400" % (
                self.UPLINK4, wan.near_mac, wan.near6, self.SERVER4, dmz.near_mac, self.SERVER6, dmz.near_mac,
                lan.near4, self.OUTSIDE6, wan.near_mac))
        self.receiver = self.delivered(self.router, [TCP, UDP, ICMP], [TCP, UDP, ICMPV6])
        support.compile_policy(EXAMPLES / "office-router.cos").apply(self.router)
        self.number = 0

    def sent(self, place, source, target, protocol, build, *arguments, **options):
        """Sends one packet and says where it comes out: `(place, source, destination, payload behind IP)`."""
        self.number += 1
        if protocol in (ICMP, ICMPV6):
            payload = build(source, target, *arguments, body=b"\0\0\0\0" + mark(self.number))
        else:
            payload = build(source, target, *arguments, payload=mark(self.number), **options)
        link = self.links[place]
        for capture in self.captures.values():
            capture.frames()
        link.wire.send(ip(source, target, protocol, payload))
        link.wire.fence()
        if self.number in self.receiver.marks():
            return ("host",)
        for other, capture in self.captures.items():
            for data in packets.frames_until_fence(self.router, self.links[other].far_name, capture):
                if packets.marks_in(data) != self.number:
                    continue
                if other == place:
                    return ("rejected",)
                if data[12:14] == b"\x86\xdd":
                    family, at, end = socket.AF_INET6, 22, 54
                else:
                    family, at, end = socket.AF_INET, 26, 34
                size = (end - at) // 2
                return (other, socket.inet_ntop(family, data[at:at + size]),
                        socket.inet_ntop(family, data[at + size:end]), data[end:])
        return ("dropped",)

    def judge(self, rows):
        for place, source, target, protocol, arguments, expected in rows:
            build = {TCP: tcp, UDP: udp}.get(protocol, icmp)
            found = self.sent(place, source, target, protocol, build, *arguments)
            self.assertEqual(found[0], expected, (place, source, target, protocol, arguments))

    def test_from_the_wan(self):
        wan, lan = self.links["wan"], self.links["lan"]
        four, six = (self.OUTSIDE4, self.UPLINK4), (self.OUTSIDE6, wan.far6)
        self.judge([
            ("wan", *four, UDP, (4000, 51820), "host"), ("wan", *six, UDP, (4000, 51820), "host"),
            ("wan", *four, UDP, (4000, 51821), "dropped"), ("wan", *four, TCP, (4000, 22), "dropped"),
            ("wan", "172.16.5.5", self.UPLINK4, UDP, (4000, 51820), "dropped"),  # bogons
            ("wan", "172.15.5.5", self.UPLINK4, UDP, (4000, 51820), "host"),
            ("wan", lan.near6, wan.far6, UDP, (4000, 51820), "dropped"),  # spoofed
            ("wan", "fe80::1", wan.far6, UDP, (547, 546), "host"), ("wan", *six, UDP, (547, 546), "dropped"),
            ("wan", *four, ICMP, (8,), "host"), ("wan", *four, ICMP, (13,), "dropped"),
            ("wan", *six, ICMPV6, (128,), "dropped"),
            ("wan", self.OUTSIDE4, lan.near4, TCP, (4000, 81), "dropped"),
            ("wan", self.OUTSIDE6, lan.near6, TCP, (4000, 80), "dropped"),
            ("wan", self.OUTSIDE6, self.SERVER6, TCP, (4000, 443), "dmz"),
            ("wan", self.OUTSIDE6, self.SERVER6, TCP, (4000, 444), "dropped"),
        ])

    def test_published_servers(self):
        for port, there in ((80, 80), (443, 443), (8443, 443)):
            found = self.sent("wan", self.OUTSIDE4, self.UPLINK4, TCP, tcp, 5000, port)
            self.assertEqual(found[:3], ("dmz", self.OUTSIDE4, self.SERVER4), port)
            self.assertEqual(struct.unpack_from(">H", found[3], 2)[0], there)
        self.judge([("wan", self.OUTSIDE4, self.UPLINK4, TCP, (5000, 444), "dropped"),
                    ("wan", self.OUTSIDE4, self.UPLINK4, UDP, (5000, 443), "dropped")])

    def test_from_the_lan(self):
        lan, dmz, guest = self.links["lan"], self.links["dmz"], self.links["guest"]
        self.judge([
            ("lan", lan.near4, lan.far4, TCP, (4000, 22), "host"), ("lan", lan.near6, lan.far6, TCP, (4000, 22), "host"),
            ("lan", lan.near4, lan.far4, TCP, (4000, 23), "rejected"),
            ("lan", lan.near4, lan.far4, UDP, (4000, 53), "host"), ("lan", lan.near4, lan.far4, TCP, (4000, 53), "host"),
            ("lan", lan.near4, lan.far4, UDP, (68, 67), "host"), ("lan", lan.near6, lan.far6, UDP, (68, 67), "rejected"),
            ("lan", lan.near4, lan.far4, ICMP, (8,), "host"), ("lan", lan.near6, lan.far6, ICMPV6, (128,), "host"),
            ("lan", lan.near4, self.SERVER4, TCP, (4000, 5432), "dmz"),
            ("lan", lan.near4, dmz.near4, TCP, (4000, 5432), "dropped"),  # on the link, and not of the zone
            ("lan", lan.near4, guest.near4, TCP, (4000, 80), "dropped"),
            ("lan", lan.near4, self.links["other"].near4, TCP, (4000, 80), "dropped"),  # no zone
            ("lan", lan.near6, self.OUTSIDE6, TCP, (4000, 80), "wan"),
            ("office", self.links["office"].near4, self.OUTSIDE4, UDP, (4000, 5000), "wan"),  # vlan1*
        ])
        found = self.sent("lan", lan.near4, self.OUTSIDE4, TCP, tcp, 4001, 5000)
        self.assertEqual(found[:3], ("wan", self.UPLINK4, self.OUTSIDE4), "masquerade")
        # Only from 192.168.0.0/16 a server sees the router.
        self.assertEqual(self.sent("lan", "192.168.5.5", self.SERVER4, TCP, tcp, 4002, 443)[:2], ("dmz", "192.168.30.2"))
        self.assertEqual(self.sent("lan", "192.168.5.5", self.SERVER4, TCP, tcp, 4003, 25)[:2], ("dmz", "192.168.5.5"))
        self.assertEqual(self.sent("lan", lan.near4, self.SERVER4, TCP, tcp, 4004, 443)[:2], ("dmz", lan.near4))

    def test_states(self):
        """Replies come back to where the question was; what belongs to no connection does not pass."""
        lan = self.links["lan"]
        found = self.sent("lan", lan.near4, self.OUTSIDE4, UDP, udp, 6000, 7000)
        self.assertEqual(found[:2], ("wan", self.UPLINK4))
        port = struct.unpack_from(">H", found[3])[0]
        answer = self.sent("wan", self.OUTSIDE4, self.UPLINK4, UDP, udp, 7000, port)
        self.assertEqual(answer[:3], ("lan", self.OUTSIDE4, lan.near4))
        self.assertEqual(self.sent("wan", self.OUTSIDE4, self.UPLINK4, UDP, udp, 7001, port), ("dropped",))
        self.assertEqual(
            self.sent("lan", lan.near4, self.OUTSIDE4, TCP, tcp, 6001, 7000, flags=RST | ACK), ("dropped",))

    def test_from_the_guests(self):
        guest, lan = self.links["guest"], self.links["lan"]
        self.judge([
            ("guest", guest.near4, guest.far4, UDP, (4000, 53), "host"),
            ("guest", guest.near4, guest.far4, UDP, (68, 67), "host"),
            ("guest", guest.near4, guest.far4, TCP, (4000, 22), "dropped"),
            ("guest", guest.near4, self.OUTSIDE4, TCP, (4000, 25), "rejected"),
            ("guest", guest.near6, self.OUTSIDE6, TCP, (4000, 25), "rejected"),
            ("guest", guest.near4, self.OUTSIDE4, TCP, (4000, 26), "wan"),
            ("guest", guest.near4, self.OUTSIDE4, UDP, (4000, 25), "wan"),
            ("guest", guest.near4, lan.near4, TCP, (4000, 80), "dropped"),
            ("guest", guest.near4, self.SERVER4, TCP, (4000, 443), "dropped"),
        ])

    def test_from_the_dmz(self):
        dmz, lan = self.links["dmz"], self.links["lan"]
        self.judge([
            ("dmz", self.SERVER4, self.OUTSIDE4, TCP, (4000, 443), "wan"),
            ("dmz", self.SERVER4, self.OUTSIDE4, TCP, (4000, 22), "rejected"),
            ("dmz", self.SERVER4, "9.9.9.9", UDP, (4000, 53), "wan"),
            ("dmz", self.SERVER4, "9.9.9.10", UDP, (4000, 53), "rejected"),
            ("dmz", self.SERVER4, lan.near4, TCP, (4000, 443), "dropped"),
            ("dmz", self.SERVER4, "192.168.30.2", TCP, (4000, 22), "dropped"),
            ("dmz", dmz.near4, self.OUTSIDE4, TCP, (4000, 443), "dropped"),  # not an address of the zone
        ])
        found = self.sent("dmz", self.SERVER6, self.OUTSIDE6, TCP, tcp, 4000, 443)
        self.assertEqual(found[:3], ("wan", "2001:db8:ffff::80", self.OUTSIDE6), "the prefix is translated")

    def test_segments_fit_the_uplink(self):
        """A SYN out of ppp0, whose MTU is 1400, offers no more than 1360; one elsewhere keeps what it said."""
        lan = self.links["lan"]

        def offer(source, target, source_port, port, payload=b""):
            head = struct.pack(">HHIIBBHHH", source_port, port, 1000, 0, 6 << 4, packets.SYN, 65535, 0, 0)
            data = head + struct.pack(">BBH", 2, 4, 1460) + payload
            total = packets.checksum(packets.pseudo_header(source, target, TCP, len(data)) + data)
            return data[:16] + struct.pack(">H", total) + data[18:]

        for target, place, size in ((self.OUTSIDE4, "wan", 1360), (self.SERVER4, "dmz", 1460)):
            found = self.sent("lan", lan.near4, target, TCP, offer, 4100, 8000)
            self.assertEqual(found[0], place)
            self.assertEqual(struct.unpack_from(">BBH", found[3], 20), (2, 4, size))


class HostTestCase(support.KernelTestCase):
    """A host under one of the policies, with machines around it that send whatever they like."""

    POLICY = ""
    # Names of the host's interfaces.
    INTERFACES = ("eth0",)

    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.links, self.captures = {}, {}
        for number, name in enumerate(self.INTERFACES, 1):
            self.links[name] = self.link(self.outside, self.host, number, "near%d" % number, name)
            self.captures[name] = self.capture(self.outside, "near%d" % number)
        first = self.links[self.INTERFACES[0]]
        # Whoever sends comes from behind the first link.
        self.host.ip("route add default via %s dev %s\nroute add default via %s dev %s" % (
            first.near4, first.far_name, first.near6, first.far_name))
        for key, value in (("ipv4.icmp_ratelimit", 0), ("ipv6.icmp.ratelimit", 0), ("ipv4.conf.all.rp_filter", 0)):
            self.host.sysctl("net." + key, value)
        for link in self.links.values():
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % link.far_name, 0)
        self.receiver = self.delivered(self.host, [TCP, UDP, ICMP], [TCP, UDP, ICMPV6])
        self.compiled = support.compile_policy(EXAMPLES / self.POLICY)
        self.compiled.apply(self.host)
        self.number = 0

    def sent(self, interface, source, protocol, arguments, target=None, **options):
        """What becomes of one packet: "host", "dropped", "rejected" or "reset"."""
        link = self.links[interface]
        target = target or (link.far6 if ":" in source else link.far4)
        self.number += 1
        if protocol in (ICMP, ICMPV6):
            payload = icmp(source, target, *arguments, body=b"\0\0\0\0" + mark(self.number))
        else:
            build = {TCP: tcp, UDP: udp}[protocol]
            payload = build(source, target, *arguments, payload=mark(self.number), **options)
        for capture in self.captures.values():
            capture.frames()
        link.wire.send(ip(source, target, protocol, payload))
        link.wire.fence()
        if self.number in self.receiver.marks():
            return "host"
        for name, capture in self.captures.items():
            for data in packets.frames_until_fence(self.host, name, capture):
                if packets.marks_in(data) == self.number:
                    return "rejected"
                if protocol == TCP and self.is_reset(data, arguments):
                    return "reset"
        return "dropped"

    @staticmethod
    def is_reset(data, arguments):
        start = 54 if data[12:14] == b"\x86\xdd" else 34
        if data[start - (34 if start == 54 else 11)] != TCP:
            return False
        source, target = struct.unpack_from(">HH", data, start)
        return (target, source) == tuple(arguments[:2]) and data[start + 13] & RST != 0

    def judge(self, rows):
        for interface, source, protocol, arguments, expected, *rest in rows:
            options = rest[0] if rest else {}
            self.assertEqual(
                self.sent(interface, source, protocol, arguments, **options), expected,
                (interface, source, protocol, arguments, options))

    def listen(self, port):
        """Answers connections, which are otherwise refused and then count no more."""
        listening = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(listening.close)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("", port))
        listening.listen(1024)

    def leaves(self, target, port, *, user=0, kind=socket.SOCK_STREAM, interface=None, group=None, source=None):
        """What becomes of what a process of the host sends: "sent", "rejected" or "dropped"."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        for capture in self.captures.values():
            capture.frames()
        process = os.fork()
        if process == 0:
            status = 9
            try:
                # A socket is of the group and user of the process that makes it.
                if group is not None:
                    (group / "cgroup.procs").write_text("0")
                self.host.__enter__()
                os.setuid(user)
                sending = socket.socket(family, kind)
                if source is not None:
                    sending.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
                    sending.bind((source, 0))
                sending.setblocking(False)
                status = self.send_from(sending, kind, target, port)
            finally:
                os._exit(status)
        _, status = os.waitpid(process, 0)
        word = {0: "open", 1: "rejected", 2: "dropped"}[os.waitstatus_to_exitcode(status)]
        left = False
        for name, capture in self.captures.items():
            for data in packets.frames_until_fence(self.host, name, capture):
                start = 54 if data[12:14] == b"\x86\xdd" else 34
                if len(data) >= start + 4 and struct.unpack_from(">H", data, start + 2)[0] == port:
                    left = True
        if left:
            return "sent"
        return "rejected" if word == "rejected" else "dropped"

    @staticmethod
    def send_from(sending, kind, target, port):
        try:
            if kind == socket.SOCK_STREAM:
                code = sending.connect_ex((target, port))
                if code == errno.EINPROGRESS:
                    code = sending.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            else:
                code = 0
                sending.connect((target, port))
                try:
                    sending.send(b"x")
                except OSError as error:
                    code = error.errno
                if code:
                    # Dropped by a rule is EPERM; a refusal leaves its error behind it.
                    try:
                        sending.recv(1)
                    except OSError as error:
                        code = error.errno if error.errno != errno.EAGAIN else code
        except OSError as error:
            code = error.errno
        if code in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES):
            return 1
        return 2 if code == errno.EPERM else 0


class Cos(HostTestCase):
    POLICY = "cos.cos"

    def test_input(self):
        link = self.links["eth0"]
        for source in (link.near4, link.near6):
            ping = (ICMPV6, (128,)) if ":" in source else (ICMP, (8,))
            self.judge([
                ("eth0", source, TCP, (4000, 22), "host"), ("eth0", source, TCP, (4000, 23), "dropped"),
                ("eth0", source, UDP, (4000, 22), "dropped"), ("eth0", source, *ping, "host"),
                ("eth0", source, TCP, (4002, 2222), "dropped"),
            ])
        self.judge([("eth0", "fe80::1", UDP, (547, 546), "host"), ("eth0", "fe80::1", UDP, (547, 547), "dropped"),
                    ("eth0", link.near4, UDP, (67, 546), "dropped")])

    def test_replies_come_in(self):
        link = self.links["eth0"]
        with self.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((link.far4, 5000))
            asking.sendto(b"x", (link.near4, 6000))
            self.judge([("eth0", link.near4, UDP, (6000, 5000), "host"),
                        ("eth0", link.near4, UDP, (6001, 5000), "dropped")])

    def test_output(self):
        link = self.links["eth0"]
        for target in (link.near4, link.near6):
            self.assertEqual(self.leaves(target, 443), "sent")
            self.assertEqual(self.leaves(target, 53, kind=socket.SOCK_DGRAM), "sent")
        self.assertEqual(self.forged(link), 0, "what no connection explains")

    def forged(self, link):
        """TCP packets of no connection that leave the host, of one sent from a raw socket."""
        capture = self.captures["eth0"]
        capture.frames()
        with self.host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            data = tcp(link.far4, link.near4, 7000, 7001, flags=RST | ACK, payload=mark(77))
            try:
                raw.sendto(ip(link.far4, link.near4, TCP, data), (link.near4, 0))
            except PermissionError:
                pass
        return len([data for data in packets.frames_until_fence(self.host, "eth0", capture) if packets.marks_in(data) == 77])


class Bastion(HostTestCase):
    POLICY = "bastion.cos"
    OFFICE4, OFFICE6 = "198.51.100.4", "2001:db8:a::4"

    def test_what_comes_in(self):
        link = self.links["eth0"]
        self.judge([
            ("eth0", self.OFFICE4, TCP, (4000, 22), "host"), ("eth0", self.OFFICE6, TCP, (4000, 22), "host"),
            ("eth0", "198.51.101.4", TCP, (4000, 22), "dropped"), ("eth0", "2001:db8:b::4", TCP, (4000, 22), "dropped"),
            ("eth0", self.OFFICE4, TCP, (4000, 23), "dropped"), ("eth0", self.OFFICE4, UDP, (4000, 22), "dropped"),
            ("eth0", self.OFFICE4, TCP, (4009, 22), "dropped", {"flags": RST | ACK}),  # invalid
            ("eth0", link.near6, ICMPV6, (128,), "dropped"),
            ("eth0", link.near4, ICMP, (13,), "dropped"),
        ])
        self.assertEqual(
            [self.sent("eth0", link.near4, ICMP, (8,)) for _ in range(12)].count("host") // 10, 1, "ten at once")

    def test_neighbours_are_found(self):
        link = self.links["eth0"]
        self.outside.ip("neigh flush dev near1")
        self.outside.ip("addr add 2001:db8:1::99/64 dev near1 nodad")
        with self.outside.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"x", (link.far6, 9))
        support.await_true(
            lambda: link.far_mac in self.outside.run(["ip", "-6", "neigh", "show", "dev", "near1"]).stdout,
            "no answer to a neighbour solicitation")

    def test_connections_of_one_source(self):
        """A fifth connection of one source is dropped, whoever it is; another source has its own."""
        self.listen(22)
        self.judge([("eth0", self.OFFICE4, TCP, (4000 + number, 22), "host") for number in range(4)])
        self.judge([("eth0", self.OFFICE4, TCP, (4100, 22), "dropped"),
                    ("eth0", "198.51.100.5", TCP, (4100, 22), "host")])

    def test_a_rate_of_each_source(self):
        """Five at once; what was closed counts for the rate and not for the connections."""
        # Nobody listens, so that each is closed at once; the kernel forgets it after a tick or two.
        for number in range(5):
            self.judge([("eth0", self.OFFICE4, TCP, (4000 + number, 22), "host")])
            time.sleep(0.05)
        self.judge([("eth0", self.OFFICE4, TCP, (4200, 22), "dropped"),
                    ("eth0", "198.51.100.6", TCP, (4200, 22), "host")])

    def test_knocking(self):
        knocker, other = "192.0.2.50", "192.0.2.51"
        steps = [("eth0", knocker, TCP, (4000, port), "dropped") for port in (8002, 9003, 22)]
        self.judge(steps)
        self.judge([("eth0", knocker, TCP, (4001, port), "dropped") for port in (7001, 9003)])
        self.judge([("eth0", knocker, TCP, (4002, 22), "dropped")])  # the second knock was left out
        self.judge([("eth0", knocker, TCP, (4003, port), "dropped") for port in (7001, 8002, 9003)])
        self.judge([("eth0", knocker, TCP, (4004, 22), "host"), ("eth0", other, TCP, (4004, 22), "dropped"),
                    ("eth0", knocker, TCP, (4005, 23), "dropped")])

    def test_what_goes_out(self):
        udp_kind = socket.SOCK_DGRAM
        for target, port, options, expected in [
                ("10.0.0.53", 53, {}, "sent"), ("10.0.1.53", 53, {"kind": udp_kind}, "sent"),
                ("10.0.2.53", 53, {"kind": udp_kind}, "rejected"), ("10.0.0.53", 54, {"kind": udp_kind}, "rejected"),
                ("10.9.9.9", 22, {}, "sent"), ("11.0.0.1", 22, {}, "rejected"),
                ("10.9.9.9", 443, {"user": 4001}, "sent"), ("10.9.9.9", 443, {"user": 4002}, "rejected"),
                ("10.9.9.9", 443, {}, "rejected"),
                ("10.0.0.25", 25, {"user": 8}, "sent"), ("10.0.0.25", 25, {"user": 9}, "rejected"),
                ("10.0.0.26", 25, {"user": 8}, "rejected"),
                ("169.254.169.254", 80, {"user": 1000}, "rejected"), ("169.254.169.254", 80, {}, "rejected"),
                ("2001:db8::1", 22, {}, "rejected")]:
            self.assertEqual(self.leaves(target, port, **options), expected, (target, port, options))


class Edge(HostTestCase):
    POLICY = "edge.cos"
    INTERFACES = ("eth0", "eth1", "eth2")
    ADMIN, VISITOR = "192.0.2.7", "198.18.5.5"
    # In a list; in a list and a partner's; in the geographic one.
    BLOCKED, PARTNER, FAR = "203.0.113.70", "203.0.113.80", "192.88.99.9"

    def setUp(self):
        super().setUp()
        self.host.run(["nft", "-f", self.compiled.directory / "nftables-late.nft"])

    def test_before_anything_else(self):
        self.judge([
            ("eth0", self.BLOCKED, TCP, (4000, 443), "dropped"), ("eth1", self.FAR, TCP, (4000, 443), "dropped"),
            ("eth0", "2001:db8:bad::5", TCP, (4000, 443), "dropped"),
            ("eth0", self.PARTNER, TCP, (4000, 443), "host"), ("eth0", "2001:db8:bad:1::5", TCP, (4000, 443), "host"),
            ("eth0", self.VISITOR, TCP, (4000, 443), "host"),
            ("eth2", self.BLOCKED, TCP, (4001, 443), "host"),  # not a device of the chain
        ])
        self.assertIn("counter packets 2 ", self.host.run(
            ["nft", "list", "chain", "inet", "lockdown", "ingress"]).stdout, "of IPv4")

    def test_fragments(self):
        """The second part of a datagram is dropped at the device, so that it never comes together."""
        def arrives(interface):
            link, source = self.links[interface], self.VISITOR
            data = udp(source, link.far4, 5000, 443, payload=bytes(24) + mark(900))
            for part in packets.fragments(source, link.far4, UDP, data, 16, 77):
                link.wire.send(part)
            link.wire.fence()
            return 900 in self.receiver.marks()
        self.assertFalse(arrives("eth0"))
        self.assertTrue(arrives("eth2"))

    def test_banned(self):
        """Another program fills the set; an administrator stays reachable."""
        self.judge([("eth0", self.VISITOR, TCP, (4000, 80), "host"), ("eth0", self.ADMIN, TCP, (4000, 80), "host")])
        self.host.nft("add element inet lockdown banned_4 { %s, %s }" % (self.VISITOR, self.ADMIN))
        self.judge([("eth0", self.VISITOR, TCP, (4001, 80), "dropped"), ("eth0", self.ADMIN, TCP, (4001, 80), "host"),
                    ("eth0", "198.18.5.6", TCP, (4001, 80), "host")])

    def test_flags(self):
        for flags, expected in ((FIN | PSH | URG, "dropped"), (0, "dropped"), (SYN, "host")):
            self.judge([("eth0", self.VISITOR, TCP, (4000 + flags, 80), expected, {"flags": flags})])

    def test_services(self):
        visitor = self.VISITOR
        self.judge([
            ("eth0", visitor, TCP, (4000, 80), "host"), ("eth0", visitor, TCP, (4000, 443), "host"),
            ("eth0", visitor, UDP, (4000, 443), "host"), ("eth0", visitor, UDP, (4000, 80), "dropped"),
            ("eth0", visitor, TCP, (4000, 81), "dropped"), ("eth0", "2001:db8:5::5", TCP, (4000, 80), "host"),
            ("eth0", visitor, ICMP, (8,), "host"), ("eth0", visitor, ICMP, (13,), "dropped"),
            ("eth0", "2001:db8:5::5", ICMPV6, (128,), "host"), ("eth0", "2001:db8:5::5", ICMPV6, (130,), "dropped"),
        ])

    def test_a_flood_from_one_network(self):
        """A hundred at once from a /24, and the next are dropped; another network has its own rate."""
        found = [self.sent("eth0", "198.18.7.%d" % (number % 200), UDP, (3000 + number, 443)) for number in range(130)]
        self.assertEqual(set(found), {"host", "dropped"})
        self.assertTrue(found.index("dropped") >= 100)
        self.judge([("eth0", "198.18.8.1", UDP, (3000, 443), "host")])

    def test_ports(self):
        self.judge([
            ("eth0", self.ADMIN, TCP, (4000, 22), "host"), ("eth0", "192.0.3.7", TCP, (4000, 22), "dropped"),
            ("eth0", "10.8.8.8", TCP, (4000, 9100), "host"), ("eth0", "10.8.8.8", TCP, (4000, 9187), "host"),
            ("eth0", self.VISITOR, TCP, (4000, 9100), "rejected"), ("eth0", "10.8.8.8", TCP, (4000, 9101), "dropped"),
            ("eth0", "10.8.8.8", TCP, (4000, 22), "dropped"), ("eth0", "2001:db8:5::5", TCP, (4000, 9187), "rejected"),
        ])

    def test_output(self):
        for target, expected in ((self.BLOCKED, "dropped"), (self.PARTNER, "sent"), ("2001:db8:bad::5", "dropped"),
                                 ("2001:db8:bad:1::5", "sent"), (self.VISITOR, "sent"), ("10.9.9.9", "sent")):
            self.assertEqual(self.leaves(target, 443), expected, target)

    def test_a_quota(self):
        """500 gigabytes are not sent here; the rule counts those that it is about, and those alone."""
        def used():
            text = self.host.run(["nft", "list", "chain", "inet", "lockdown", "output"]).stdout
            return re.search(r"quota over 500000 mbytes used (\d+) bytes|quota over (\d+ \w+)( used (\d+) \w+)?", text).group(0)
        before = used()
        self.leaves("10.9.9.9", 443)
        self.leaves(self.VISITOR, 53, kind=socket.SOCK_DGRAM)
        self.leaves("2001:db8:5::5", 443)
        self.assertEqual(used(), before)
        self.leaves(self.VISITOR, 443)
        self.assertNotEqual(used(), before)


class Database(HostTestCase):
    POLICY = "database.cos"
    INTERFACES = ("eth0", "in", "inn")
    ADMIN = "10.20.7.7"

    def test_input(self):
        hour = time.gmtime().tm_hour
        scraped = "host" if 6 <= hour < 22 else "dropped"
        self.judge([
            ("eth0", self.ADMIN, TCP, (4000, 22), "host"), ("eth0", "10.21.0.1", TCP, (4000, 22), "dropped"),
            ("eth0", "2001:db8::7", TCP, (4000, 22), "dropped"),
            ("eth0", "10.30.0.5", TCP, (4000, 5432), "host"), ("eth0", "10.30.4.5", TCP, (4000, 5432), "host"),
            ("eth0", "10.30.1.5", TCP, (4000, 5432), "dropped"), ("eth0", "10.30.0.5", TCP, (4000, 5433), "dropped"),
            ("eth0", "10.40.0.11", TCP, (4000, 5432), "host"), ("eth0", "10.40.0.13", TCP, (4000, 5432), "dropped"),
            ("eth0", "10.60.0.9", TCP, (4000, 9187), scraped), ("eth0", "10.60.1.9", TCP, (4000, 9187), "dropped"),
            ("in", "10.99.0.1", TCP, (4000, 5433), "host"), ("inn", "10.99.0.1", TCP, (4001, 5433), "dropped"),
            ("in", "10.99.0.1", TCP, (4000, 5434), "dropped"), ("eth0", "10.1.0.1", ICMP, (8,), "host"),
        ])

    def test_many_connections(self):
        """The 201st connection of one source is reset."""
        self.listen(5432)
        for number in range(200):
            self.assertEqual(self.sent("eth0", "10.30.0.9", TCP, (2000 + number, 5432)), "host", number)
        self.judge([("eth0", "10.30.0.9", TCP, (3000, 5432), "reset"), ("eth0", "10.30.0.10", TCP, (3000, 5432), "host")])

    def test_output(self):
        postgres = {"user": 999}
        for target, port, options, expected in [
                ("10.40.0.11", 5432, postgres, "sent"), ("10.40.0.13", 5432, postgres, "rejected"),
                ("10.40.0.11", 5433, postgres, "rejected"), ("10.40.0.13", 5432, {"user": 998}, "sent"),
                ("10.50.0.5", 443, postgres, "rejected"), ("10.50.0.5", 443, {}, "sent"),
                ("2001:db8:1::1", 5432, postgres, "rejected")]:
            self.assertEqual(self.leaves(target, port, **options), expected, (target, port, options))

    def test_the_backup_of_the_service(self):
        """Of user postgres only its backup service gets out, once the number of its control group is in the set."""
        root = support.control_groups()
        made = []
        for name in ("system.slice", "system.slice/pgbackrest.service"):
            path = root / name
            if not path.exists():
                path.mkdir()
                made.append(path)
                self.addCleanup(path.rmdir)
        if root / "system.slice/pgbackrest.service" not in made:
            self.fail("this machine runs a service of that name")
        group = made[-1]
        self.assertEqual(self.leaves("10.50.0.5", 443, user=999, group=group), "rejected", "not known yet")
        line = next(line for line in self.compiled.text("nftables-late.nft").splitlines() if line.startswith("#add "))
        self.host.run(["unshare", "-m", "sh", "-c", "mount -t cgroup2 none /sys/fs/cgroup && nft -f -"], input=line[1:] + "\n")
        self.assertEqual(self.leaves("10.50.0.5", 443, user=999, group=group), "sent")
        self.assertEqual(self.leaves("10.50.0.5", 443, user=999), "rejected", "no process of the group")
        self.assertEqual(self.leaves("10.50.0.6", 443, user=999, group=group), "rejected")


class Kubernetes(HostTestCase):
    """A node: what comes to it, what passes it, and what its pods may."""

    POLICY = "cos-k8s.cos"
    INTERFACES = ("eth0", "cali1", "cni0", "other")
    NODE, POD, PLANE, BALANCER = "10.0.1.9", "10.129.0.9", "10.0.0.2", "130.211.1.1"

    def setUp(self):
        super().setUp()
        self.host.sysctl("net.ipv4.ip_forward", 1)
        for name in ("cali1", "cni0"):
            link = self.links[name]
            self.host.ip("route add 10.%d.0.0/16 via %s dev %s" % (128 if name == "cali1" else 130, link.near4, name))

    def test_node_ports(self):
        link = self.links["eth0"]
        self.judge([
            # What prerouting lets pass comes to input, which knows no such port.
            ("eth0", "198.51.100.7", TCP, (4000, 30000), "dropped"), ("eth0", "198.51.100.7", UDP, (4000, 32767), "dropped"),
        ])
        self.host.nft("table ip probe {\nchain c {\ntype filter hook input priority -300;\ncounter;\n}\n}\n")

        def seen():
            text = self.host.run(["nft", "list", "table", "ip", "probe"]).stdout
            return int(re.search(r"packets (\d+)", text).group(1))
        for source, protocol, port, passes in [
                (self.BALANCER, TCP, 30000, True), (self.BALANCER, UDP, 30000, False), (self.NODE, UDP, 30001, True),
                (self.POD, TCP, 32767, True), ("198.51.100.7", TCP, 30000, False), ("198.51.100.7", TCP, 29999, True),
                ("198.51.100.7", TCP, 32768, True), ("198.51.100.7", UDP, 31000, False)]:
            before = seen()
            self.sent("eth0", source, protocol, (4100, port))
            self.assertEqual(seen() - before, 1 if passes else 0, (source, protocol, port))
        self.assertIsNotNone(link)

    def test_input(self):
        self.judge([
            ("eth0", self.NODE, TCP, (4000, 22), "host"), ("eth0", "10.1.0.9", TCP, (4000, 22), "dropped"),
            ("eth0", "2001:db8:2::9", TCP, (4000, 22), "host"), ("eth0", "2001:db8:3::9", TCP, (4000, 22), "dropped"),
            ("eth0", self.PLANE, TCP, (4000, 10250), "host"), ("eth0", "10.0.0.5", TCP, (4000, 10250), "dropped"),
            ("eth0", "2001:db8:1::5", TCP, (4000, 10250), "host"),
            ("eth0", self.NODE, UDP, (4000, 4789), "host"), ("eth0", self.NODE, UDP, (4000, 8472), "host"),
            ("eth0", "10.1.0.9", UDP, (4000, 4789), "dropped"), ("eth0", self.NODE, UDP, (4000, 4790), "dropped"),
            ("eth0", self.NODE, TCP, (4000, 179), "host"), ("eth0", self.POD, TCP, (4000, 179), "dropped"),
            ("cali1", self.POD, TCP, (4000, 8080), "host"), ("eth0", self.POD, TCP, (4000, 8080), "dropped"),
            ("cni0", self.POD, UDP, (4000, 9), "host"), ("cali1", "10.64.0.9", TCP, (4000, 8080), "dropped"),
            ("eth0", self.BALANCER, TCP, (4000, 10256), "host"), ("eth0", self.NODE, TCP, (4001, 10256), "dropped"),
        ])
        found = [self.sent("eth0", "10.0.2.1", TCP, (5000 + number, 22)) for number in range(7)]
        self.assertEqual(found, ["host"] * 5 + ["dropped"] * 2, "ten a minute of each source, five at once")

    def passes(self, interface, source, target, protocol, arguments):
        """The interface a packet leaves by; None: by none."""
        self.number += 1
        build = {TCP: tcp, UDP: udp}[protocol]
        data = build(source, target, *arguments, payload=mark(self.number))
        for capture in self.captures.values():
            capture.frames()
        link = self.links[interface]
        link.wire.send(ip(source, target, protocol, data))
        link.wire.fence()
        for name, capture in self.captures.items():
            found = packets.frames_until_fence(self.host, name, capture)
            if self.number in {packets.marks_in(data) for data in found}:
                return name
        return None

    def test_forward(self):
        outside, pod, other_pod = "198.51.100.7", "10.128.0.9", "10.130.0.9"
        self.assertEqual(self.passes("cali1", pod, outside, TCP, (4000, 443)), "eth0", "out of a pod")
        self.assertEqual(self.passes("eth0", outside, pod, TCP, (443, 4000)), "cali1", "the reply")
        self.assertEqual(self.passes("eth0", outside, pod, TCP, (443, 4001)), None, "no reply")
        self.assertEqual(self.passes("other", "10.64.0.9", outside, TCP, (4000, 443)), None, "no pod")
        self.assertEqual(self.passes("other", other_pod, pod, UDP, (4000, 53)), "cali1", "of pods to pods, wherever they come in")
        self.assertEqual(self.passes("other", "10.132.0.9", pod, UDP, (4000, 53)), None, "just no pod")
        # A service: translated to a pod by another table.
        self.host.nft("table ip kube {\nchain c {\ntype nat hook prerouting priority -100;\n"
                      "tcp dport 80 dnat to %s:8080;\n}\n}\n" % pod)
        self.assertEqual(self.passes("eth0", outside, self.links["eth0"].far4, TCP, (4002, 80)), "cali1")
        self.assertEqual(self.passes("eth0", outside, pod, TCP, (4003, 8080)), None, "not translated")

    def test_output(self):
        link = self.links["eth0"]
        self.host.ip("addr add 169.254.169.254/32 dev lo\naddr add 169.254.169.253/32 dev lo")
        for source, expected in ((None, "sent"), ("169.254.169.254", "dropped"), ("169.254.169.253", "sent")):
            self.assertEqual(self.leaves(link.near4, 443, source=source), expected, source)
