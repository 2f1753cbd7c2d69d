"""A universe of packets for one host: what a host firewall decides about, and what is true of each packet.

Small enough to send a hundred times, and chosen for the corners: both families, five states, translated and
untracked packets, protocols without ports, and values on both sides of the bounds that rules are written with.
"""

import dataclasses
import socket
import struct

import nftables
import packets
import support
from packets import ACK, GRE, ICMP, ICMPV6, NO_NEXT_HEADER, SCTP, SYN, TCP, UDP, icmp, ip, mark, sctp_init, tcp, udp

# A source port that the foreign table takes out of connection tracking, and a port that it redirects.
UNTRACKED_PORT, REDIRECTED_PORT = 33333, 8080
FLOW_PORT, SERVER_PORT = 6000, 53

# Sources on both sides of the bounds that address lists are written with.
SOURCES = ("10.0.255.255", "10.1.0.127", "10.1.0.128", "10.1.255.254", "10.2.0.1", "172.16.0.1", "192.0.2.77",
          "203.0.113.1", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8:1::8000", "2001:db8:1:8000::1",
          "2001:db8:2::1", "2001:db9::1", "fd00::1")


@dataclasses.dataclass
class Probe:
    """One packet and what is true of it where the rule is, in the words of the language."""

    number: int
    packet: bytes = dataclasses.field(repr=False)
    interface: str
    family: int = None
    protocol: int = None
    source: str = None
    target: str = None
    #: None: the packet has none.
    source_port: int = None
    port: int = None
    kind: str = None
    state: str = None
    is_translated: bool = False
    user: int = None
    group: int = None
    part: str = "whole"


class ProbeTestCase(support.KernelTestCase):
    """A test with `self.universe`, a list of probes."""

    def assert_probes(self, found, expected, what):
        if found != expected:
            by_number = {probe.number: probe for probe in self.universe}
            self.fail("`%s`\nwrongly through: %s\nwrongly not: %s" % (
                what, [by_number.get(n, n) for n in sorted(found - expected)],
                [by_number.get(n, n) for n in sorted(expected - found)]))


class HostUniverse:
    """A mix-in for test cases: a host with two links, a flow of its own to reply to, and a foreign table that
    translates and untracks. `self.universe` are the probes, `self.send()` the numbers of those that arrive."""

    FOREIGN = """
        table inet other {
          chain raw { type filter hook prerouting priority -300;
            udp sport %(untracked)d notrack
            tcp sport %(untracked)d notrack
            icmp id %(untracked)d notrack
            icmpv6 id %(untracked)d notrack
          }
          chain nat { type nat hook prerouting priority dstnat;
            tcp dport %(redirected)d redirect to :80
            udp dport %(redirected)d redirect to :54
          }
        }
        """ % {"untracked": UNTRACKED_PORT, "redirected": REDIRECTED_PORT}

    def setUp(self):
        super().setUp()
        self.host, self.left, self.right = self.namespace(), self.namespace(), self.namespace()
        self.links = {"eth0": self.link(self.left, self.host, 1),
                      "wan0": self.link(self.right, self.host, 2, "near0", "wan0")}
        for key in ("all", "eth0", "wan0"):
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % key, 0)
        self.host.nft(self.FOREIGN)
        # Somebody must listen at the far end of the host's own flow, or an ICMP error comes back that is no probe.
        for family in (socket.AF_INET, socket.AF_INET6):
            listener = self.left.socket(family, socket.SOCK_DGRAM)
            self.addCleanup(listener.close)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("", SERVER_PORT))
        self.receiver = self.delivered(
            self.host, [TCP, UDP, ICMP, SCTP, GRE], [TCP, UDP, ICMPV6, SCTP, GRE])
        self.universe = list(self.probes())
        self.assert_probes(self.send(), {probe.number for probe in self.universe}, "control: no policy")

    def probes(self):
        number = 0
        for source in SOURCES:
            number += 1
            target = self.links["eth0"].far6 if ":" in source else self.links["eth0"].far4
            packet = ip(source, target, UDP, udp(source, target, 40000, 123, mark(number)))
            yield Probe(number, packet, "eth0", family=6 if ":" in source else 4, protocol=UDP, source=source,
                        target=target, source_port=40000, port=123, state="new")
        link = self.links["eth0"]
        for source, target in ((link.near4, "10.1.0.255"), (link.near4, "255.255.255.255"), (link.near4, "224.0.0.1"),
                               (link.near6, "ff02::1")):
            number += 1
            packet = ip(source, target, UDP, udp(source, target, 40000, 5353, mark(number)))
            yield Probe(number, packet, "eth0", family=6 if ":" in source else 4, protocol=UDP, source=source,
                        target=target, source_port=40000, port=5353, state="new")
        for interface, link in self.links.items():
            for source, target in ((link.near4, link.far4), (link.near6, link.far6)):
                for protocol, kind, state, facts in self.kinds(interface == "eth0"):
                    number += 1
                    family = 6 if ":" in source else 4
                    packet = self.build(number, source, target, protocol, kind, facts)
                    port = facts.get("port")
                    is_translated = port == REDIRECTED_PORT and state != "untracked"
                    if is_translated:
                        port = 80 if protocol == TCP else 54
                    yield Probe(number, packet, interface, family=family, protocol=self.protocol(protocol, family),
                                source=source, target=target, source_port=facts.get("source_port"), port=port,
                                kind=facts.get("kind"), state=state, is_translated=is_translated)

    @staticmethod
    def protocol(protocol, family):
        return ICMPV6 if protocol == ICMP and family == 6 else protocol

    def kinds(self, with_flow):
        """(protocol, form, state, facts) of the packets sent over each link in each family."""
        for port in (21, 22, 23, 80, 85, 90, 91, 443, 65535, REDIRECTED_PORT):
            yield TCP, "plain", "new", {"port": port, "source_port": 40000}
        for port in (22, 53, 67, 80, 546, REDIRECTED_PORT):
            yield UDP, "plain", "new", {"port": port, "source_port": 40000}
            yield UDP, "plain", "new", {"port": port, "source_port": 53}
        for port in (22, 80):
            yield TCP, "plain", "untracked", {"port": port, "source_port": UNTRACKED_PORT}
            yield UDP, "plain", "untracked", {"port": port, "source_port": UNTRACKED_PORT}
            yield TCP, "answer", "invalid", {"port": port, "source_port": 41000}
        for kind in ("echo", "echo reply", "other", "untracked echo", "error"):
            state = {"echo": "new", "untracked echo": "untracked"}.get(kind, "invalid")
            yield ICMP, kind, state, {"kind": kind.replace("untracked ", "")}
        yield GRE, "plain", "new", {}
        yield SCTP, "plain", "new", {"port": 22, "source_port": 40000}
        if with_flow:
            yield UDP, "plain", "established", {"port": FLOW_PORT, "source_port": SERVER_PORT}
            yield ICMP, "related", "related", {"kind": "error"}

    def build(self, number, source, target, protocol, form, facts):
        tail = mark(number)
        if protocol == TCP:
            segment = tcp(source, target, facts["source_port"], facts["port"],
                          flags=SYN | ACK if form == "answer" else SYN, acknowledgement=5, payload=tail)
            return ip(source, target, TCP, segment)
        if protocol == UDP:
            return ip(source, target, UDP, udp(source, target, facts["source_port"], facts["port"], tail))
        if protocol == ICMP:
            six = ":" in source
            kind, code, body = {
                "echo": (128 if six else 8, 0, struct.pack(">HH", number, 1)),
                "untracked echo": (128 if six else 8, 0, struct.pack(">HH", UNTRACKED_PORT, number)),
                "echo reply": (129 if six else 0, 0, struct.pack(">HH", 9, number)),
                # A router solicitation, which IPv4 has as well; tracked as nothing in both.
                "other": (200, 0, b"\0\0\0\0"),
                "error": (1 if six else 3, 4 if six else 3, b"\0\0\0\0" + ip(
                    target, source, UDP, udp(target, source, 1, 2, b"never sent"))),
                "related": (1 if six else 3, 4 if six else 3, b"\0\0\0\0" + ip(
                    target, source, UDP, udp(target, source, FLOW_PORT, SERVER_PORT, b"hello"))),
            }[form]
            return ip(source, target, ICMPV6 if six else ICMP, icmp(source, target, kind, code, body + tail), ttl=255)
        if protocol == SCTP:
            return ip(source, target, SCTP, sctp_init(facts["source_port"], facts["port"], tail))
        return ip(source, target, protocol, b"\0" * 8 + tail)

    def send(self):
        """Sends the universe over fresh connection tracking in which the host has one flow of its own per family."""
        nftables.forget_connections(self.host)
        link = self.links["eth0"]
        for family, address in ((socket.AF_INET, link.near4), (socket.AF_INET6, link.near6)):
            with self.host.socket(family, socket.SOCK_DGRAM) as flow:
                flow.bind(("", FLOW_PORT))
                flow.sendto(b"hello", (address, SERVER_PORT))
        for probe in self.universe:
            self.links[probe.interface].wire.send(probe.packet)
        for link in self.links.values():
            link.wire.fence()
        return self.receiver.marks()


class RouterUniverse:
    """A mix-in for test cases: a router between two links, and packets in whole and in fragments on their way.

    Nothing here starts connection tracking, which would put fragments together before any rule sees them.
    """

    def setUp(self):
        super().setUp()
        self.host, self.left, self.right = self.namespace(), self.namespace(), self.namespace()
        self.link0 = self.link(self.left, self.host, 1)
        self.link1 = self.link(self.right, self.host, 2, "near0", "eth1")
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 1)
        for key in ("all", "eth0", "eth1"):
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % key, 0)
        self.seen = self.capture(self.right, "near0")
        self.universe = list(self.probes())
        self.assert_probes(self.send(), {probe.number for probe in self.universe}, "control: no policy")

    def probes(self):
        number = 0
        for source in SOURCES:
            number += 1
            six = ":" in source
            target = self.link1.near6 if six else self.link1.near4
            if source == target:
                continue  # A packet from its own target is no packet of a router's.
            yield Probe(number, ip(source, target, UDP, udp(source, target, 40000, 123, mark(number))), "eth0",
                        family=6 if six else 4, protocol=UDP, source=source, target=target, source_port=40000, port=123)
        for source, target in ((self.link0.near4, self.link1.near4), (self.link0.near6, self.link1.near6)):
            family = 6 if ":" in source else 4
            for protocol, port in ((TCP, 22), (TCP, 80), (UDP, 22), (UDP, 53), (ICMP, "echo"), (ICMP, "other")):
                kind = None
                if protocol == ICMP:
                    protocol, kind, port = (ICMPV6 if family == 6 else ICMP), port, None
                for part in ("whole", "first", "later"):
                    number += 1
                    has_header = part != "later"
                    yield Probe(
                        number, self.build(number, source, target, protocol, port, kind, part), "eth0", family=family,
                        protocol=protocol, source=source, target=target, part=part, kind=kind if has_header else None,
                        source_port=40000 if port and has_header else None, port=port if has_header else None)
        source, target = self.link0.near6, self.link1.near6
        # A later fragment that goes on with destination options: what protocol it belongs to is not in it.
        number += 1
        yield Probe(number, ip(source, target, 44, struct.pack(">BBHI", 60, 0, 64, number) + mark(number)), "eth0",
                    family=6, source=source, target=target, part="later")
        number += 1
        yield Probe(number, ip(source, target, NO_NEXT_HEADER, mark(number)), "eth0", family=6,
                    protocol=NO_NEXT_HEADER, source=source, target=target)

    def build(self, number, source, target, protocol, port, kind, part):
        tail = mark(number)
        # The mark must be in the part that is sent.
        rest = b"x" * 12 + tail if part == "first" else b"x" * 40 + tail
        if protocol == TCP:
            payload = tcp(source, target, 40000, port, payload=rest)
        elif protocol == UDP:
            payload = udp(source, target, 40000, port, rest)
        else:
            number_of = {(ICMP, "echo"): 8, (ICMP, "other"): 200, (ICMPV6, "echo"): 128, (ICMPV6, "other"): 200}
            payload = icmp(source, target, number_of[protocol, kind], 0, struct.pack(">HH", number, 1) + rest)
        if part == "whole":
            return ip(source, target, protocol, payload)
        if part == "first":
            payload = payload.ljust(64, b"y")
        first, later = packets.fragments(source, target, protocol, payload, 40, number)
        return first if part == "first" else later

    def send(self):
        """Sends the universe; the numbers of the probes that come out at the other side."""
        self.seen.frames()
        for probe in self.universe:
            self.link0.wire.send(probe.packet)
        self.link0.wire.fence()
        return packets.marks_until_fence(self.host, "eth1", self.seen)
