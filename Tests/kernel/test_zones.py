"""Zones on the wire: a router between three machines, every pair, several ports, both families.

What must arrive is a second reading of LANGUAGE.md §4.13, in `passes`.
"""

import socket
import time

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

POLICY = """\
policy: zones
language: 1
target:
  kernel: "6.1"
management: none
zones:
  wan: [wan0]
  lan: [lan0, "vlan*"]
  dmz: { interfaces: [dmz0], addresses: [10.3.0.0/24, "2001:db8:3::/64"] }
firewall:
  between:
    any to any:
      rules:
        - accept established, related
        - drop invalid
        - drop udp 666
    any to host:
      rules:
        - accept icmpv6 neighbour-discovery
        - accept udp 5300
    lan to any:
      rules:
        - accept udp 54
    lan to host:
      policy: reject
      rules:
        - accept udp 22
        - return udp not 25
        - accept udp 25
    lan to wan:
      policy: accept
      rules:
        - reject udp 25
    wan to dmz:
      - accept udp 53 to 10.3.0.1
    dmz to host:
      policy: drop
      rules:
        - jump shared
    host to any: { policy: accept }
  chains:
    shared:
      - accept udp 22
"""
PORTS = (22, 25, 53, 54, 99, 666, 5300)


def passes(source, target, port, family):
    """Whether a new flow of that pair passes."""
    if port == 666:
        return False
    if source == "lan" and port == 54 or target == "host" and port == 5300:
        return True
    own = {
        ("lan", "host"): port in (22, 25),
        ("lan", "wan"): port != 25,
        ("wan", "dmz"): port == 53 and family == socket.AF_INET,
        ("dmz", "host"): port == 22,
    }
    return own.get((source, target), source == "host")


class Zones(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.router = self.namespace()
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.machines, self.links = {"host": self.router}, {}
        for number, name in enumerate(("wan", "lan", "dmz"), 1):
            machine = self.namespace()
            self.links[name] = self.link(machine, self.router, number, "near0", name + "0")
            self.machines[name] = machine
            machine.ip("route add default via %s\nroute add default via %s" % (
                self.links[name].far4, self.links[name].far6))
        for key in ("all", "wan0", "lan0", "dmz0"):
            self.router.sysctl("net.ipv4.conf.%s.rp_filter" % key, 0)

    def address(self, machine, family, other):
        """Where `other` reaches a machine."""
        link = self.links[other if machine == "host" else machine]
        near, far = (link.near4, link.far4) if family == socket.AF_INET else (link.near6, link.far6)
        return far if machine == "host" else near

    def arriving(self, source, target, family, address=None):
        """The ports whose packets arrive."""
        found = set()
        listeners = {}
        for port in PORTS:
            made = self.machines[target].socket(family, socket.SOCK_DGRAM)
            self.addCleanup(made.close)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setblocking(False)
            made.bind(("", port))
            listeners[port] = made
        with self.machines[source].socket(family, socket.SOCK_DGRAM) as sending:
            if address:
                sending.bind((address, 0))
            for port in PORTS:
                try:
                    sending.sendto(b"x", (self.address(target, family, source), port))
                except OSError:
                    pass  # the refusal of the packet before
        time.sleep(0.05)
        for port, listener in listeners.items():
            try:
                listener.recv(10)
                found.add(port)
            except BlockingIOError:
                pass
            listener.close()
        return found

    def test_every_pair(self):
        support.compile_policy(POLICY).apply(self.router)
        judged = 0
        for family in (socket.AF_INET, socket.AF_INET6):
            for source in self.machines:
                for target in self.machines:
                    if source == target:
                        continue
                    expected = {port for port in PORTS if passes(source, target, port, family)}
                    with self.subTest(pair="%s to %s" % (source, target), family=family):
                        self.assertEqual(self.arriving(source, target, family), expected)
                    judged += len(PORTS)
        support.note("%d verdicts" % judged)

    def test_loopback(self):
        """`host to host` is `lo`, in both hooks; here `host to any` accepts it."""
        support.compile_policy(POLICY).apply(self.router)
        with self.router.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 5400))
            one.settimeout(0.3)
            with self.router.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"x", ("127.0.0.1", 5400))
                self.assertEqual(one.recv(10), b"x")

    def test_addresses_of_a_zone(self):
        """A packet of the zone's interface with another source is of no pair: the chain's policy drops it."""
        self.machines["dmz"].ip("addr add 10.33.0.1/24 dev near0")
        support.compile_policy(POLICY).apply(self.router)
        self.assertEqual(self.arriving("dmz", "host", socket.AF_INET), {22, 5300})
        self.assertEqual(self.arriving("dmz", "host", socket.AF_INET, "10.33.0.1"), set())
