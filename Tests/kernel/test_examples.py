"""The examples in `policies/examples`: what each rule is for happens on the wire, and beside it the opposite.

The tables are written by hand from the policies, a packet for each rule and one that just misses it.
"""

import socket
import struct

import packets
import support
from packets import ACK, ICMP, ICMPV6, RST, TCP, UDP, icmp, ip, mark, tcp, udp
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
