"""Many packets against many policies: what the analyser says of a packet is what the kernel does with it.

For each policy the sampler (Tests/PacketSampler) takes every edge of the policy's decision diagrams and makes packets of
the values at both sides of it, within what a world here can send: a place, a family, a protocol and a state of connection
tracking, with real flows behind the states. The kernel is judged by who receives the packet.

`LOCKDOWN_CAMPAIGN_POLICIES=300 LOCKDOWN_CAMPAIGN_PACKETS=40 python3 -m unittest test_campaign` is the long run: over a
million packets.
"""

import collections
import ctypes
import datetime
import hashlib
import ipaddress
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import unittest

import nftables
import packets
import support
from packets import ACK, FIN, GRE, ICMP, ICMPV6, PSH, RST, SCTP, SYN, TCP, UDP, URG, icmp, ip, mark, sctp_init, tcp, udp
from random_rules import RandomRules
from support import setUpModule  # noqa: F401 (unittest finds it here)

# Policies at random, beside those of the repository, and packets of each kind for each policy.
POLICIES = int(os.environ.get("LOCKDOWN_CAMPAIGN_POLICIES", "24"))
PACKETS = int(os.environ.get("LOCKDOWN_CAMPAIGN_PACKETS", "8"))
# Packets of each policy whose way the kernel tells.
TRACED = 24
# The sampler takes dynamic sets for empty.
DYNAMIC = re.compile(r"^  (\w+): *\{ *dynamic:", re.M)
LIMITERS = re.compile(r"\b(limit|quota|connections)\b")
SEED = int(os.environ.get("LOCKDOWN_CAMPAIGN_SEED", "1"))

SAMPLER = support.program("LOCKDOWN_PACKET_SAMPLER", ".build/debug/packet-sampler")

# As the analyser numbers them. Parts of packets have none: they are sent where no rule asks for one.
STATES = ["invalid", "established", "related", "new", "untracked"]
LOCAL, ELSEWHERE = 0, 2
NEVER, SOMETIMES, ALWAYS = 1, 2, 4
ABSENT_PORT, ABSENT_FLAGS = 0x10000, 0x100

# A protocol that nobody knows (IANA: private encryption).
UNKNOWN = 99
ECE, CWR = 64, 128
#: The source of frames that are taken out of connection tracking, and the mark of packets of our own that are.
UNTRACKED_MAC = "02:00:00:00:00:99"
UNTRACKED_MARK = 0x7fff0001

# Addresses beside those of the links that are the host's own, and one that flows go to.
LOCAL4, LOCAL6 = "198.51.100.0/25", "2001:db8:ff::/64"
FAR4, FAR6 = "198.18.0.77", "2001:db8:77::77"

libc = ctypes.CDLL(None, use_errno=True)

FOREIGN = """
table inet campaign {
  chain arrival { type filter hook prerouting priority -300;
    ether saddr %s notrack
  }
  chain departure { type filter hook output priority -300;
    meta mark %#x notrack meta mark set 0 accept
    meta skuid 0-4294967295 accept
    # What the host answers by itself would change the states of its flows.
    drop
  }
}
""" % (UNTRACKED_MAC, UNTRACKED_MARK)
# Connections are tracked where somebody asks for them.
TRACKING = """
table inet tracking {
  chain arrival { type filter hook prerouting priority 300;
    ct state new accept
  }
  chain departure { type filter hook output priority 300;
    ct state new accept
  }
}
"""


def ranges(*parts, without=()):
    """Numbers of networks and addresses as ranges, without those of others."""
    found = [bounds(part) for part in parts]
    for first, last in map(bounds, without):
        found = [piece for low, high in found
                 for piece in ((low, min(high, first - 1)), (max(low, last + 1), high)) if piece[0] <= piece[1]]
    return found


def bounds(part):
    if isinstance(part, tuple):
        return tuple(int(ipaddress.ip_address(one)) for one in part)
    network = ipaddress.ip_network(part)
    return int(network.network_address), int(network.broadcast_address)


def points(values):
    return [(value, value) for value in values]


# The first address of a route is its routers' (RFC 4291 §2.6.1), and none of the host's by the routing table.
OWN = {4: ["10.1.0.2/32", "10.2.0.2/32", LOCAL4],
       6: ["2001:db8:1::2/128", "2001:db8:2::2/128", ("2001:db8:ff::1", "2001:db8:ff:0:ffff:ffff:ffff:ffff")]}
# What a router may send on, and a host take as a source. Broadcasts of the links are no sources, and the first address of
# a link is a router's own (RFC 4291 §2.6.1).
UNICAST = {
    4: ranges(("1.0.0.0", "223.255.255.255"), without=OWN[4] + [
        "127.0.0.0/8", "10.1.0.0/32", "10.1.0.255/32", "10.2.0.0/32", "10.2.0.255/32"]),
    6: ranges(("2000::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), without=OWN[6] + [
        "2001:db8:1::/128", "2001:db8:2::/128", "2001:db8:ff::/128"]),
}
WAN = {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}


def cut(of, network, inside):
    """The part of some ranges that is in a network, or that is not."""
    first, last = bounds(network)
    if inside:
        return [(max(low, first), min(high, last)) for low, high in of if low <= last and high >= first]
    return [piece for low, high in of
            for piece in ((low, min(high, first - 1)), (max(low, last + 1), high)) if piece[0] <= piece[1]]


# Of TCP's flags, those that open a connection, those of one that is open, and the rest, which the kernel calls invalid
# where it knows no connection and does not guess (nf_conntrack_proto_tcp.c; tcp_loose is 0 here).
OPENING = [flags for flags in range(256) if flags & (FIN | SYN | RST | ACK) == SYN]
OPEN = [ACK | extra for extra in (0, PSH, URG, ECE, CWR, PSH | CWR, URG | PSH, ECE | URG)]
STRAY = [flags for flags in range(256) if flags not in OPENING]
# ICMP: what opens a flow, and what belongs to none (icmp_pkt_to_tuple, noct_valid_new).
QUERIES = {4: [8, 13], 6: [128]}
ERRORS = {4: [3, 11, 12], 6: [1, 2, 3, 4]}
ORPHANS = {4: [0, 14, 200, 255], 6: [129, 200, 255]}


def utc():
    return datetime.datetime.now(datetime.timezone.utc)


class Kind:
    """A protocol in a state of connection tracking, or a part of a packet where nothing is tracked."""

    def __init__(self, protocol, state, **regions):
        self.protocol, self.state, self.regions = protocol, state, regions

    @property
    def needs_flows(self):
        return self.state in ("established", "related")

    @property
    def is_fragment(self):
        return self.state in ("first", "later")


def kinds(family, place):
    message = ICMP if family == 4 else ICMPV6
    yield Kind(TCP, "new", tcpFlags=points(OPENING))
    yield Kind(TCP, "invalid", tcpFlags=points(STRAY))
    yield Kind(TCP, "established", tcpFlags=points(OPEN))
    yield Kind(TCP, "untracked", tcpFlags=[(0, 255)])
    for state in ("new", "established", "untracked"):
        yield Kind(UDP, state)
    yield Kind(message, "new", icmp=points(kind << 8 for kind in QUERIES[family]))
    yield Kind(message, "invalid", icmp=points(kind << 8 for kind in ORPHANS[family]))
    yield Kind(message, "related", icmp=[(kind << 8, kind << 8 | 15) for kind in ERRORS[family]])
    yield Kind(message, "untracked",
               icmp=points(kind << 8 for kind in QUERIES[family] + ORPHANS[family]))
    yield Kind(GRE, "new")
    yield Kind(SCTP, "new")
    yield Kind(UNKNOWN, "new")
    yield Kind(UNKNOWN, "untracked")
    if place == "forward":
        # Whoever receives them puts them together first.
        yield Kind(TCP, "first", tcpFlags=[(0, 255)])
        yield Kind(UDP, "first")
        for protocol in (TCP, UDP, message, UNKNOWN):
            yield Kind(protocol, "later", fragment=points([1]), sourcePort=points([ABSENT_PORT]),
                       destinationPort=points([ABSENT_PORT]))


class World:
    """A place, and the links that packets of it come and go by."""

    def __init__(self, place, family, arrival, departure, source, destination, **regions):
        self.place, self.family = place, family
        self.arrival, self.departure = arrival, departure
        self.regions = dict(sourceAddress=source, destinationAddress=destination, **regions)


def worlds(family):
    own = [bounds(part) for part in OWN[family]]
    unicast, wan = UNICAST[family], WAN[family]
    outside, inside = cut(unicast, wan, False), cut(unicast, wan, True)
    elsewhere, local = points([ELSEWHERE]), points([LOCAL])
    # Which link leads back to a source decides what is spoofed: the default route goes by eth0.
    yield World("input", family, "eth0", None, outside, own, sourceType=elsewhere, destinationType=local,
                spoofed=points([0]))
    yield World("input", family, "wan0", None, inside, own, sourceType=elsewhere, destinationType=local,
                spoofed=points([0]))
    yield World("input", family, "wan0", None, outside, own, sourceType=elsewhere, destinationType=local,
                spoofed=points([1]))
    yield World("forward", family, "eth0", "wan0", outside, unicast, sourceType=elsewhere, destinationType=elsewhere,
                spoofed=points([0]))
    yield World("forward", family, "wan0", "eth0", inside, outside, sourceType=elsewhere, destinationType=elsewhere,
                spoofed=points([0]))
    yield World("output", family, None, "eth0", own, outside, sourceType=local, destinationType=elsewhere)
    yield World("output", family, None, "wan0", unicast, inside, sourceType=elsewhere, destinationType=elsewhere)


class Case:
    """A kind of packets in a world: what the sampler is asked for, and how it is sent."""

    def __init__(self, tag, world, kind):
        self.tag, self.world, self.kind = tag, world, kind

    @property
    def name(self):
        return self.world.place, "IPv%d" % self.world.family, self.kind.state

    def request(self, count, now):
        world, kind = self.world, self.kind
        has_ports = kind.protocol in (TCP, UDP, SCTP)
        is_tracked = kind.state in ("new", "established", "related")
        header = 20 if world.family == 4 else 40
        fields = dict(
            transportProtocol=points([kind.protocol]),
            state=points([STATES.index("invalid" if kind.is_fragment else kind.state)]),
            sourcePort=[(1, 65535)] if has_ports else points([ABSENT_PORT]),
            destinationPort=[(1, 65535)] if has_ports else points([ABSENT_PORT]),
            icmp=points([ABSENT_PORT]), tcpFlags=points([ABSENT_FLAGS]), fragment=points([0]), ipsec=points([0]),
            packetType=points([0]), dscp=[(0, 63)], timeToLive=[(2, 255)], length=[(header + 80, header + 600)],
            user=[(0, 0xfffffffe)], group=[(0, 0xfffffffe)], status=points([0]),
            # The kernel's clock cannot be set for one namespace. Sunday is 0 here, 6 in Python.
            hour=points([now.hour * 3600 + now.minute * 60 + now.second]), day=points([(now.weekday() + 1) % 7]),
            sourceLink=points([int(self.mac.replace(":", ""), 16)]) if world.arrival else points([1 << 48]),
            destinationLink=points([int(FAR_MAC[world.arrival].replace(":", ""), 16)])
            if world.arrival else points([1 << 48]))
        if kind.protocol == SCTP:
            fields["length"] = points([header + 80])
        fields.update(world.regions)
        fields.update(kind.regions)
        return {
            "tag": self.tag, "hook": world.place, "family": world.family, "count": count, "input": world.arrival,
            "output": world.departure, "mark": 0, "connectionMark": 0 if is_tracked else None,
            "fields": {name: [[str(low), str(high)] for low, high in found] for name, found in fields.items()}}

    @property
    def mac(self):
        return UNTRACKED_MAC if self.kind.state == "untracked" else NEAR_MAC[self.world.arrival]


NEAR_MAC = {"eth0": "02:00:00:00:01:01", "wan0": "02:00:00:00:02:01"}
FAR_MAC = {"eth0": "02:00:00:00:01:02", "wan0": "02:00:00:00:02:02"}


def cases():
    found = []
    for family in (4, 6):
        for world in worlds(family):
            for kind in kinds(family, world.place):
                found.append(Case(len(found), world, kind))
    return found


class Sampler:
    """The sampler as a child that answers requests."""

    def __init__(self):
        self.child = subprocess.Popen([SAMPLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.fields = json.loads(self.child.stdout.readline())

    def ask(self, policy, seed, requests):
        """The packets, as (tag, acceptances, is rejected, rule, values by field), and the counts."""
        request = json.dumps({"policy": str(policy), "seed": seed, "cases": requests})
        self.child.stdin.write(request.encode() + b"\n")
        self.child.stdin.flush()
        found = []
        while True:
            line = self.child.stdout.readline()
            if not line:
                raise AssertionError("the sampler ended at %s" % policy)
            answer = json.loads(line)
            if isinstance(answer, dict):
                return found, answer
            found.append((*answer[:4], dict(zip(self.fields, answer[4:]))))

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


class Sent:
    """One packet of a case."""

    #: Of later fragments, in bytes.
    OFFSET = 1480

    def __init__(self, number, case, answer):
        self.number, self.case = number, case
        _, self.acceptances, self.is_rejected, self.rule, self.values = answer
        family = socket.AF_INET if case.world.family == 4 else socket.AF_INET6
        size = 4 if case.world.family == 4 else 16
        self.source, self.destination = (
            socket.inet_ntop(family, self.values[name].to_bytes(size, "big"))
            for name in ("sourceAddress", "destinationAddress"))
        self.ports = self.values["sourcePort"], self.values["destinationPort"]

    @property
    def flow(self):
        """What the flow of the packet is known by."""
        return self.source, self.destination, self.ports

    def segment(self, space):
        """What stands behind the IP header, `space` bytes of it: its last bytes are the packet's number."""
        values, protocol = self.values, self.case.kind.protocol
        source, destination = self.source, self.destination
        if protocol == TCP:
            return tcp(source, destination, *self.ports, flags=values["tcpFlags"], sequence=1001, acknowledgement=2001,
                       payload=mark(self.number).rjust(space - 20, b"."))
        if protocol == UDP:
            return udp(source, destination, *self.ports, mark(self.number).rjust(space - 8, b"."))
        if protocol in (ICMP, ICMPV6):
            kind, code = values["icmp"] >> 8, values["icmp"] & 0xff
            body = struct.pack(">I", self.number)
            if self.case.kind.state == "related":
                far = FAR4 if self.case.world.family == 4 else FAR6
                body = b"\0\0\0\0" + ip(destination, far, UDP, udp(destination, far, 40001, 9, b"flow"))
            return icmp(source, destination, kind, code, body + mark(self.number).rjust(space - 4 - len(body), b"."))
        if protocol == SCTP:
            return sctp_init(*self.ports, mark(self.number).rjust(space - 36, b"."))
        if protocol == GRE:
            # Without flags, of a protocol that is none (RFC 2784).
            return struct.pack(">HH", 0, 0x88b5) + mark(self.number).rjust(space - 4, b".")
        return mark(self.number).rjust(space, b".")

    def packet(self):
        values = self.values
        space = values["length"] - (20 if self.case.world.family == 4 else 40)
        kind, options = self.case.kind, dict(
            ttl=values["timeToLive"], dscp=values["dscp"], identification=self.number & 0xffff or 1)
        protocol = kind.protocol
        if kind.is_fragment and self.case.world.family == 6:
            # RFC 8200 §4.5.
            offset = self.OFFSET if kind.state == "later" else 1
            header = struct.pack(">BBHI", protocol, 0, offset, self.number)
            space -= len(header)
        content = mark(self.number).rjust(space, b".") if kind.state == "later" else self.segment(space)
        if kind.is_fragment:
            if self.case.world.family == 6:
                protocol, content = 44, header + content
            elif kind.state == "later":
                options["offset"] = self.OFFSET
            else:
                options["more"] = True
        packet = ip(self.source, self.destination, protocol, content, **options)
        assert len(packet) == values["length"], (self.case.kind.protocol, len(packet), values["length"])
        return packet

    def __str__(self):
        names = ("timeToLive", "dscp", "length", "user", "group", "tcpFlags", "icmp")
        return "%s protocol %d from %s to %s ports %s by %s and %s, %s, %s: said %d by %s" % (
            self.case.world.place, self.case.kind.protocol, self.source, self.destination, self.ports,
            self.case.world.arrival, self.case.world.departure, self.case.kind.state,
            {name: self.values[name] for name in names}, self.acceptances, self.rule)


class Campaign(support.KernelTestCase):
    """A host between two links; every policy is loaded into it in turn."""

    def setUp(self):
        super().setUp()
        self.host, self.left, self.right = self.namespace(), self.namespace(), self.namespace()
        self.links = {"eth0": self.link(self.left, self.host, 1),
                      "wan0": self.link(self.right, self.host, 2, "near0", "wan0")}
        for name, link in self.links.items():
            self.assertEqual((link.near_mac, link.far_mac), (NEAR_MAC[name], FAR_MAC[name]))
        self.routes()
        self.host.nft(FOREIGN)
        for peer in (self.left, self.right):
            # They only look: a reset of theirs would end the flow that a test has opened.
            peer.nft("add table inet quiet; "
                     "add chain inet quiet arrival { type filter hook input priority 0; policy drop; }\n")
        self.receiver = self.delivered(
            self.host, [ICMP, TCP, UDP, GRE, SCTP, UNKNOWN], [ICMPV6, TCP, UDP, GRE, SCTP, UNKNOWN])
        self.captures = {"eth0": self.capture(self.left, "near0"), "wan0": self.capture(self.right, "near0")}
        self.senders = {}
        self.addCleanup(self.forget_senders)
        self.sampler = Sampler()
        self.addCleanup(self.sampler.close)
        self.cases = cases()
        self.number = 0
        self.table = collections.Counter()
        self.rules = set()

    def routes(self):
        """Everything has a way: from eth0 by wan0, else by eth0; nobody is asked for a link address."""
        host, eth0, wan0 = self.host, self.links["eth0"], self.links["wan0"]
        for key, value in (("net.ipv4.ip_forward", 1), ("net.ipv6.conf.all.forwarding", 1),
                           ("net.ipv4.conf.all.rp_filter", 0), ("net.ipv4.conf.eth0.rp_filter", 0),
                           ("net.ipv4.conf.wan0.rp_filter", 0), ("net.netfilter.nf_conntrack_tcp_loose", 0),
                           ("net.netfilter.nf_conntrack_tcp_be_liberal", 1)):
            host.sysctl(key, value)
        lines = []
        for name, link in (("eth0", eth0), ("wan0", wan0)):
            for network, gateway in ((link.near4.rsplit(".", 1)[0] + ".0/24", link.near4),
                                     (link.near6.split("::")[0] + "::/64", link.near6)):
                lines += ["route del %s dev %s" % (network, name),
                          "route add %s via %s dev %s onlink" % (network, gateway, name)]
        lines += ["route add default via %s dev eth0 onlink" % eth0.near4,
                  "route add default via %s dev eth0 onlink" % eth0.near6,
                  "route add local %s dev lo" % LOCAL4, "route add local %s dev lo" % LOCAL6,
                  "route add default via %s dev wan0 onlink table 100" % wan0.near4,
                  "route add default via %s dev wan0 onlink table 100" % wan0.near6]
        host.ip("\n".join(lines))
        host.ip("rule add iif eth0 lookup 100")
        host.run(["ip", "-6", "rule", "add", "iif", "eth0", "lookup", "100"])

    def forget_senders(self):
        for opened in self.senders.values():
            opened.close()
        self.senders.clear()

    # Sending

    def sender(self, family, user, group, mark):
        """A raw socket of a user."""
        key = family, user, group, mark
        if key not in self.senders:
            if len(self.senders) > 400:
                self.forget_senders()
            libc.setfsgid(ctypes.c_uint(group))
            libc.setfsuid(ctypes.c_uint(user))
            try:
                opened = self.host.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW,
                                          socket.IPPROTO_RAW)
            finally:
                libc.setfsuid(0)
                libc.setfsgid(0)
            if mark:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            self.senders[key] = opened
        return self.senders[key]

    def send_from_host(self, packet, destination, user=0, group=0, mark=0):
        sender = self.sender(6 if ":" in destination else 4, user, group, mark)
        try:
            sender.sendto(packet, (destination, 0))
        except PermissionError:
            pass  # The kernel tells the sender of a packet that it was dropped.

    def send_from_wire(self, interface, packet, source=None):
        wire = self.links[interface].wire
        kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
        prefix = packets.hardware(FAR_MAC[interface]) + packets.hardware(source or NEAR_MAC[interface])
        wire.socket.send(prefix + kind + packet)

    def send(self, sent):
        case = sent.case
        if case.world.arrival:
            self.send_from_wire(case.world.arrival, sent.packet(), case.mac)
        else:
            self.send_from_host(sent.packet(), sent.destination, sent.values["user"], sent.values["group"],
                                UNTRACKED_MARK if case.kind.state == "untracked" else 0)

    def fence(self):
        for link in self.links.values():
            link.wire.fence()

    def arrived(self):
        """The numbers of all packets that came through since the last call, by where."""
        found = {"input": self.receiver.marks()}
        for name, link in self.links.items():
            found[name] = packets.marks_until_fence(self.host, name, self.captures[name])
        return found

    # Flows

    def open_flows(self, packets_of_flows):
        """Before there is a policy: what established packets belong to, and related ones speak of."""
        seen = set()
        for sent in packets_of_flows:
            case, there, back = sent.case, (sent.source, sent.destination), (sent.destination, sent.source)
            key = (case.kind.protocol, case.world.place, case.world.arrival, sent.flow)
            if case.kind.state == "related":
                key = (case.kind.protocol, case.world.place, case.world.arrival, sent.destination)
            if key in seen:
                continue
            seen.add(key)
            ahead, behind = sent.ports, sent.ports[::-1]
            if case.kind.state == "related":
                far = FAR4 if case.world.family == 4 else FAR6
                self.pass_on(case.world, False, ip(
                    sent.destination, far, UDP, udp(sent.destination, far, 40001, 9, b"flow")), far)
            elif case.kind.protocol == UDP:
                self.pass_on(case.world, True, ip(*there, UDP, udp(*there, *ahead, b"there")), there[1])
                self.pass_on(case.world, False, ip(*back, UDP, udp(*back, *behind, b"back")), back[1])
            else:
                for forth, pair, ports, flags, numbers in (
                        (True, there, ahead, SYN, (1000, 0)), (False, back, behind, SYN | ACK, (2000, 1001)),
                        (True, there, ahead, ACK, (1001, 2001))):
                    segment = tcp(*pair, *ports, flags=flags, sequence=numbers[0], acknowledgement=numbers[1])
                    self.pass_on(case.world, forth, ip(*pair, TCP, segment), pair[1])
        self.fence()

    def pass_on(self, world, is_forth, packet, destination):
        """Sends a packet of a flow through a world: the way of its own packets, or the way back."""
        interface = world.arrival if is_forth else world.departure
        if interface:
            self.send_from_wire(interface, packet)
        else:
            self.send_from_host(packet, destination)
        # What was sent by one link must be through before the answer comes by the other.
        self.fence()

    # Judging

    def run_policy(self, path, seed, count, is_stateless=False):
        while True:
            begun = utc()
            wrong = self.run_once(path, seed, count, is_stateless, begun)
            # `hours` may have begun or ended meanwhile.
            if not wrong or utc().hour == begun.hour:
                return wrong

    def run_once(self, path, seed, count, is_stateless, now):
        # Where the compiler warns of it, the kernel takes data for ports.
        has_fragments = is_stateless and "[firewall/not-reassembled]" not in support.run(
            [support.LOCKDOWN, "check", path], check=False).stderr
        chosen = [case for case in self.cases if has_fragments or not case.kind.is_fragment]
        requests = [case.request(count, now) for case in chosen]
        answers, counts = self.sampler.ask(path, seed, requests)
        self.assertEqual(counts["disagreements"], [], "%s: explain and the diagrams" % path)
        self.assertEqual(counts["taken"], counts["edges"], "%s: edges of the diagrams" % path)
        self.table.update({name: counts[name] for name in ("edges", "taken", "unknown")})
        by_case, flows = collections.defaultdict(list), set()
        for answer in answers:
            self.number += 1
            sent = Sent(self.number, self.cases[answer[0]], answer)
            # Who sends to himself through a router is no peer whose answers could be told from what they answer.
            if sent.source == sent.destination:
                self.table["unsent"] += 1
                continue
            # Nor is a packet new that goes the way back of another.
            if (answer[0], sent.destination, sent.source, sent.ports[::-1]) in flows and sent.case.kind.state == "new":
                self.table["unsent"] += 1
                continue
            flows.add((answer[0], *sent.flow))
            by_case[answer[0]].append(sent)
        self.host.run(["nft", "delete", "table", "inet", "lockdown"], check=False)
        self.host.nft(TRACKING)
        nftables.forget_connections(self.host)
        flowing = [case for case in self.cases if case.kind.needs_flows]
        self.open_flows([sent for case in flowing for sent in by_case[case.tag]])
        self.arrived()
        self.host.run(["nft", "delete", "table", "inet", "tracking"])
        compiled = support.compile_policy(path)
        compiled.apply(self.host, "--force")
        if (compiled.directory / "nftables-late.nft").exists():
            self.host.nft(compiled.text("nftables-late.nft"))
        wrong = []
        filled = [name + family for name in DYNAMIC.findall(path.read_text()) for family in ("_4", "_6")]
        for case in flowing:
            wrong += self.judge(case, by_case[case.tag], filled)
        for case in chosen:
            if not case.kind.needs_flows:
                nftables.forget_connections(self.host)
                wrong += self.judge(case, by_case[case.tag], filled)
        if LIMITERS.search(path.read_text()):
            # Where a limiter drops first, another rule than the named one may have done what that would.
            return wrong
        return wrong + self.attribute([sent for case in chosen for sent in by_case[case.tag]], seed)

    def attribute(self, sent, seed):
        """For a few packets, the rule that the kernel's own trace ends at is the one that was named."""
        judged = [one for one in sent if one.rule is not None and one.acceptances in (NEVER, ALWAYS)
                  and not one.case.kind.needs_flows and not one.case.kind.is_fragment
                  # What is traced is traced from prerouting on.
                  and not one.rule.startswith("ingress/")]
        chosen = random.Random(seed).sample(judged, min(TRACED, len(judged)))
        if not chosen:
            return []
        with nftables.Netlink(self.host) as netlink:
            # NFTA_RULE_HANDLE, USERDATA.
            labels = {struct.unpack(">Q", rule[3])[0]: rule.get(nftables.RULE_USERDATA, b"")
                      for rule in netlink.rules(nftables.INET_LOCKDOWN)}
        self.host.nft("".join("insert rule inet campaign %s meta nftrace set 1\n" % name for name in ("arrival", "departure")))
        traces = nftables.Traces(self.host)
        wrong = []
        try:
            for one in chosen:
                nftables.forget_connections(self.host)
                traces.steps(nftables.INET_LOCKDOWN)
                self.send(one)
                self.fence()
                steps = traces.steps(nftables.INET_LOCKDOWN)
                # NF_DROP and NF_ACCEPT; what is rejected ends in a verdict of the stack's own, which is neither jump nor goto.
                ends = [labels.get(handle, b"") for kind, handle, verdict in steps if kind == traces.RULE and verdict >= 0]
                if one.acceptances == NEVER:
                    ends = ends[-1:]
                # The first seven bytes of the id's digest (KernelRule.label).
                if not any(hashlib.sha256(one.rule.encode()).digest()[:7] in label for label in ends):
                    wrong.append("%s; the kernel's trace ends elsewhere: %s" % (one, steps))
                self.table["traced"] += 1
        finally:
            traces.close()
            for name in ("arrival", "departure"):
                rules = self.host.run(["nft", "-a", "list", "chain", "inet", "campaign", name]).stdout
                handle = re.search(r"nftrace set 1 # handle (\d+)", rules).group(1)
                self.host.nft("delete rule inet campaign %s handle %s\n" % (name, handle))
            self.arrived()
        return wrong

    def judge(self, case, sent, filled):
        """What is not as it was said. Between any two packets the sets that packets fill are emptied."""
        if not sent:
            return []
        with nftables.Netlink(self.host) as netlink:
            for one in sent:
                self.send(one)
                if filled:
                    self.fence()
                    netlink.empty(nftables.INET_LOCKDOWN, filled)
        self.fence()
        arrived = self.arrived()
        expected = arrived["input" if case.world.place == "input" else case.world.departure]
        anywhere = set().union(*arrived.values())
        wrong = []
        for one in sent:
            # Where a translation may lead is not said.
            is_through = one.number in (expected if one.acceptances in (NEVER, SOMETIMES, ALWAYS) else anywhere)
            holds = one.acceptances & ((ALWAYS if is_through else NEVER) | SOMETIMES)
            self.table[case.name] += 1
            self.table["through" if is_through else "stopped"] += 1
            self.table["sometimes"] += one.acceptances & SOMETIMES != 0
            if not holds:
                wrong.append("%s; the kernel let it %s" % (one, "through" if is_through else "not through"))
        return wrong

    def report(self, policies):
        table = self.table
        total = table["through"] + table["stopped"]
        lines = ["%d packets of %d policies, %d through, %d stopped, %d with a limiter to decide, %d not sent; "
                 "%d of %d edges taken; %d rules in the kernel's traces" % (
                     total, policies, table["through"], table["stopped"], table["sometimes"], table["unsent"],
                     table["taken"], table["edges"], table["traced"])]
        for place in ("input", "forward", "output"):
            for family in ("IPv4", "IPv6"):
                lines.append("%-8s %s  %s" % (place, family, "  ".join(
                    "%s %7d" % (state, table[place, family, state])
                    for state in STATES + ["first", "later"] * (place == "forward"))))
        print("\n  " + "\n  ".join(lines), file=sys.stderr, flush=True)

    def test_random_policies(self):
        wrong = []
        for seed in range(SEED, SEED + POLICIES):
            path = support.scratch() / ("random-%d.cos" % seed)
            rules = RandomRules(seed)
            path.write_text(rules.text())
            wrong += ["%s: %s" % (path.name, one)
                      for one in self.run_policy(path, seed, PACKETS, rules.is_stateless)]
        self.report(POLICIES)
        self.assertEqual(wrong[:20], [], "%d packets" % len(wrong))

    def test_policies_of_the_repository(self):
        wrong = []
        policies = [path for path in sorted(support.REPOSITORY.glob("policies/**/*.cos"))
                    if path.parent.name != "benchmarks"]
        for path in policies:
            wrong += ["%s: %s" % (path.name, one) for one in self.run_policy(path, SEED, PACKETS)]
        self.report(len(policies))
        self.assertEqual(wrong[:20], [], "%d packets" % len(wrong))


if __name__ == "__main__":
    unittest.main()
