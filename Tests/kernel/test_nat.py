"""Translation on the wire: what a server sees as the source, where a packet arrives, and that answers come back.

Three machines: outside, a router under test, inside. Plain UDP sockets ask and answer.
"""

import socket

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

POLICY = """\
policy: nat
language: 1
target:
  kernel: "6.1"
management: none
define:
  published: { map: { 8080: "10.2.0.1:53", 8081: "10.2.0.1:54" } }
firewall:
  nat:
%s
"""


class Translation(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.outside, self.router, self.inside = self.namespace(), self.namespace(), self.namespace()
        self.wan = self.link(self.outside, self.router, 1, "near0", "wan0")
        self.lan = self.link(self.inside, self.router, 2, "near0", "lan0")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        for key in ("all", "wan0", "lan0"):
            self.router.sysctl("net.ipv4.conf.%s.rp_filter" % key, 0)
        for machine, link in ((self.outside, self.wan), (self.inside, self.lan)):
            machine.ip("route add default via %s\nroute add default via %s" % (link.far4, link.far6))

    def load(self, **chains):
        text = ""
        for hook, rules in chains.items():
            text += "    %s:\n" % hook + "".join("      - '%s'\n" % rule for rule in rules)
        support.compile_policy(POLICY % text).apply(self.router)

    def socket(self, machine, family, port=0):
        made = machine.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.settimeout(0.4)
        made.bind(("", port))
        return made

    def ask(self, client, target, port, server, listening, answers=True):
        """Sends a question; the source that the server sees, or None. The answer must come from `target`."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        asking, serving = self.socket(client, family), self.socket(server, family, listening)
        asking.sendto(b"question", (target, port))
        try:
            data, source = serving.recvfrom(100)
        except TimeoutError:
            return None
        finally:
            if not answers:
                serving.close()
        self.assertEqual(data, b"question")
        if answers:
            serving.sendto(b"answer", source)
            data, answering = asking.recvfrom(100)
            self.assertEqual((data, answering[:2]), (b"answer", (target, port)))
            serving.close()
        return source[0], source[1], asking.getsockname()[1]

    def test_control(self):
        """Without a policy nothing is translated."""
        self.assertIsNone(self.ask(self.outside, self.wan.far4, 5300, self.inside, 53))
        self.assertEqual(self.ask(self.inside, self.wan.near4, 53, self.outside, 53)[0], self.lan.near4)

    def test_dnat(self):
        self.load(prerouting=["dnat to 10.2.0.1:53 udp 5300 in wan0", "dnat to 10.2.0.1 udp 54 in wan0",
                              "dnat to [2001:db8:2::1]:53 udp 5300 in wan0"])
        self.assertEqual(self.ask(self.outside, self.wan.far4, 5300, self.inside, 53)[0], self.wan.near4)
        self.assertEqual(self.ask(self.outside, self.wan.far4, 54, self.inside, 54)[0], self.wan.near4)
        self.assertEqual(self.ask(self.outside, self.wan.far6, 5300, self.inside, 53)[0], self.wan.near6)
        self.assertIsNone(self.ask(self.outside, self.wan.far6, 54, self.inside, 54))
        self.assertIsNone(self.ask(self.outside, self.wan.far4, 5301, self.inside, 53))

    def test_dnat_to_a_range_of_ports(self):
        self.load(prerouting=["dnat to 10.2.0.1:6000-6001 udp 5300 in wan0"])
        family = socket.AF_INET
        servers = [self.socket(self.inside, family, port) for port in (6000, 6001, 6002)]
        for _ in range(20):
            self.socket(self.outside, family).sendto(b"x", (self.wan.far4, 5300))
        counts = []
        for server in servers:
            server.settimeout(0.2)
            counts.append(0)
            try:
                while server.recv(10):
                    counts[-1] += 1
            except TimeoutError:
                pass
        self.assertEqual((counts[0] + counts[1], counts[2]), (20, 0), counts)

    def test_map(self):
        self.load(prerouting=["dnat to $published udp in wan0 count"])
        self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 8080, self.inside, 53))
        self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 8081, self.inside, 54))
        self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 8082, self.router, 8082))

    def test_redirect(self):
        self.load(prerouting=["redirect to 53 ipv4 udp 5300", "redirect ipv4 udp 54", "redirect to 53 ipv6 udp 5300"])
        self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 5300, self.router, 53))
        # To another machine, which the redirect takes for itself.
        self.assertIsNotNone(self.ask(self.outside, self.lan.near4, 54, self.router, 54))
        self.assertIsNotNone(self.ask(self.outside, self.lan.near6, 5300, self.router, 53))
        self.assertIsNone(self.ask(self.outside, self.wan.far6, 54, self.inside, 54))

    def test_masquerade(self):
        self.load(postrouting=["masquerade ipv4 out wan0"])
        self.assertEqual(self.ask(self.inside, self.wan.near4, 53, self.outside, 53)[0], self.wan.far4)
        self.assertEqual(self.ask(self.inside, self.wan.near6, 53, self.outside, 53)[0], self.lan.near6)
        self.load(postrouting=["masquerade ipv6 out wan0"])
        self.assertEqual(self.ask(self.inside, self.wan.near6, 53, self.outside, 53)[0], self.wan.far6)
        self.assertEqual(self.ask(self.outside, self.lan.near6, 53, self.inside, 53)[0], self.wan.near6)

    def test_snat(self):
        self.load(postrouting=["snat to 10.1.0.9-10.1.0.10:2000-2100 udp 53 out wan0", "snat to 10.1.0.11 udp out wan0"])
        address, port, _ = self.ask(self.inside, self.wan.near4, 53, self.outside, 53, answers=False)
        self.assertIn(address, ("10.1.0.9", "10.1.0.10"))
        self.assertTrue(2000 <= port <= 2100, port)
        address, port, sent = self.ask(self.inside, self.wan.near4, 54, self.outside, 54, answers=False)
        self.assertEqual((address, port), ("10.1.0.11", sent))

    def test_prefix(self):
        """A prefix as target keeps the bits behind it: NPTv6, and the same for IPv4, in both directions."""
        self.load(postrouting=["snat to [2001:db8:ffff::]/48 from 2001:db8:2::/48 out wan0",
                               "snat to 10.77.0.0/16 from 10.2.0.0/16 out wan0"],
                  prerouting=["dnat to 10.2.0.0/24 ipv4 to 10.99.0.0/24 in wan0"])
        self.outside.ip("route add 2001:db8:ffff::/48 via %s\nroute add 10.77.0.0/16 via %s" % (
            self.wan.far6, self.wan.far4))
        self.assertEqual(self.ask(self.inside, self.wan.near6, 53, self.outside, 53)[0], "2001:db8:ffff::1")
        self.assertEqual(self.ask(self.inside, self.wan.near4, 53, self.outside, 53)[0], "10.77.0.1")
        self.assertEqual(self.ask(self.outside, "10.99.0.1", 53, self.inside, 53)[0], self.wan.near4)

    def test_own_packets(self):
        """`output` translates what the machine itself sends, `input` the source of what it gets."""
        self.load(output=["dnat to 10.1.0.1:53 udp 5300 to 192.0.2.1"], input=["snat to 10.2.0.77 udp 53 in wan0"])
        self.router.ip("route add 192.0.2.1 via %s" % self.wan.near4)
        self.assertEqual(self.ask(self.router, "192.0.2.1", 5300, self.outside, 53)[0], self.wan.far4)
        self.assertEqual(self.ask(self.outside, self.wan.far4, 53, self.router, 53, answers=False)[0], "10.2.0.77")

    def test_negation_and_chains(self):
        """A negation becomes a chain below; there the target still has its family and its protocol."""
        self.load(prerouting=["dnat to 10.2.0.1:53 udp not 54 in wan0 ipv4"])
        self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 5300, self.inside, 53))
        self.assertIsNone(self.ask(self.outside, self.wan.far4, 54, self.inside, 53))

    def test_replace(self):
        """A nat chain comes, changes its rules and goes, by re-applies."""
        for target in ("10.2.0.1:53", "10.2.0.1:54"):
            self.load(prerouting=["dnat to %s udp 5300 in wan0" % target])
            port = int(target.split(":")[1])
            self.assertIsNotNone(self.ask(self.outside, self.wan.far4, 5300, self.inside, port))
        support.compile_policy(support.small(["accept udp"])).apply(self.router)
        self.assertNotIn("nat", self.router.listing())
