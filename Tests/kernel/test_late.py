"""What waits for a device: an ingress chain is bound by the file for later, and decides before all else."""

import struct

import support
from packets import TCP, UDP, ip, mark, tcp, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)

POLICY = """\
policy: edge
language: 1
target:
  kernel: "6.1"
management: none
define:
  blocked: [10.0.0.0/8, "2001:db8::/32"]
firewall:
  ingress:
    devices: [%s]
    policy: %s
    rules:
      - blocked: drop udp from $blocked count
      - knock: continue tcp 7 set mark 7
      - fragments: drop fragment
  input:
    policy: drop
    rules:
      - marked: accept tcp 7 mark 7
      - open: accept udp 53
"""


class Ingress(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.first = self.link(self.outside, self.host, 1, "near0", "eth0")
        self.second = self.link(self.outside, self.host, 2, "near1", "eth1")
        self.receiver = self.delivered(self.host, [TCP, UDP], [TCP, UDP])

    def load(self, devices="eth0", policy="accept", late=True):
        compiled = support.compile_policy(POLICY % (devices, policy))
        compiled.apply(self.host)
        if late:
            with self.host:
                # Twice: the second time nothing changes.
                for _ in range(2):
                    support.run(["nft", "-f", compiled.directory / "nftables-late.nft"])
        return compiled

    def arrives(self, link, source, target, protocol, build, port):
        link.wire.send(ip(source, target, protocol, build(source, target, 20000, port, payload=mark(1))))
        link.wire.fence()
        return len(self.receiver.packets())

    def udp(self, link):
        return [self.arrives(link, near, far, UDP, udp, 53)
                for near, far in ((link.near4, link.far4), (link.near6, link.far6))]

    def test_only_the_devices_named(self):
        self.load(late=False)
        self.assertEqual(self.udp(self.first), [1, 1], "nothing is bound before")
        self.load()
        self.assertEqual(self.udp(self.first), [0, 0])
        self.assertEqual(self.udp(self.second), [1, 1])

    def test_what_it_changes_is_seen_behind_it(self):
        self.load()
        for link, expected in ((self.first, 1), (self.second, 0)):
            for near, far in ((link.near4, link.far4), (link.near6, link.far6)):
                self.assertEqual(self.arrives(link, near, far, TCP, tcp, 7), expected, link)

    def test_policy(self):
        """What no rule decides is the policy's, also neighbour discovery: only IPv4 and IPv6 come to the chain."""
        self.load(policy="drop")
        link = self.first
        self.assertEqual(self.arrives(link, link.near4, link.far4, TCP, tcp, 7), 0)

    def test_fragments_are_not_put_together_yet(self):
        """Of two fragments only the first passes, so that the whole never arrives."""
        self.load("eth0, eth1", late=False)
        self.assertEqual(self.fragmented(self.second), 1)
        self.load("eth0, eth1")
        self.assertEqual(self.fragmented(self.second), 0)

    def fragmented(self, link):
        self.host.ip("route replace 192.0.2.0/24 via %s dev %s" % (link.near4, link.far_name))
        source, target = "192.0.2.200", link.far4
        data = udp(source, target, 20000, 53, payload=mark(2) + bytes(24))
        for offset, part, more in ((0, data[:16], 1), (2, data[16:], 0)):
            packet = bytearray(ip(source, target, UDP, part))
            packet[4:8] = struct.pack(">HH", 77, more << 13 | offset)
            packet[10:12] = b"\0\0"
            total = sum(struct.unpack(">10H", packet[:20]))
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            packet[10:12] = struct.pack(">H", ~total & 0xffff)
            link.wire.send(bytes(packet))
        link.wire.fence()
        return len(self.receiver.packets())

    def test_an_apply_takes_the_binding_out(self):
        """The applier knows no late chains yet: it says that it takes them out, and the file binds them again."""
        compiled = self.load()
        again = compiled.apply(self.host)
        self.assertIn("chain `ingress_eth0`", again.stdout + again.stderr)
        self.assertEqual(self.udp(self.first), [1, 1])
        self.load()
        self.assertEqual(self.udp(self.first), [0, 0])

    def test_a_missing_device_keeps_the_rest_out_of_it(self):
        """The bundle applies without the device. The file for later is refused whole, or waits for it."""
        compiled = self.load("eth7", late=False)
        self.assertEqual(self.udp(self.first), [1, 1])
        with self.host:
            before = support.run(["nft", "-s", "list", "ruleset"]).stdout
            loaded = support.run(["nft", "-f", compiled.directory / "nftables-late.nft"], check=False)
            if loaded.status != 0:
                self.assertEqual(support.run(["nft", "-s", "list", "ruleset"]).stdout, before)
                return
        # Newer kernels take the name, and bind when the device comes.
        self.assertEqual(self.udp(self.link(self.outside, self.host, 7, "near7", "eth7")), [0, 0])
