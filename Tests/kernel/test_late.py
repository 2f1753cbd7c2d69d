"""What waits: an ingress chain for its device, and a set for the numbers of control groups.

Both are done by the file for later, or by what the bundle holds for it.
"""

import os
import socket
import struct

import nftables
import support
from packets import TCP, UDP, ip, mark, marks_in, tcp, udp
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

    def load(self, devices="eth0", policy="accept", text=False):
        """By the applier, or by nft and its two files."""
        compiled = support.compile_policy(POLICY % (devices, policy))
        if not text:
            compiled.apply(self.host)
            return compiled
        with self.host:
            support.run(["nft", "-f", compiled.directory / "nftables.nft"])
            self.assertEqual(self.udp(self.first), [1, 1], "nothing is bound before")
            # Twice: the second time nothing changes.
            for _ in range(2):
                support.run(["nft", "-f", compiled.directory / "nftables-late.nft"])
        return compiled

    def apply(self, compiled, *options, status=0):
        with self.host:
            done = support.run([support.LOCKDOWN_APPLY, compiled.bundle, "--only", "firewall", "--status",
                                support.scratch() / "late.json", *options], check=False)
        self.assertEqual(done.status, status, done)
        return done.stderr

    def chains(self):
        """As nft prints them, without their order: the applier's are hooked before its rules."""
        text = self.host.listing("table", "inet", "lockdown")
        return sorted(block for block in text.split("\n\n") if "hook" in block or "chain" in block)

    def arrives(self, link, source, target, protocol, build, port):
        link.wire.send(ip(source, target, protocol, build(source, target, 20000, port, payload=mark(1))))
        link.wire.fence()
        return len(self.receiver.packets())

    def udp(self, link):
        return [self.arrives(link, near, far, UDP, udp, 53)
                for near, far in ((link.near4, link.far4), (link.near6, link.far6))]

    def test_only_the_devices_named(self):
        self.assertEqual(self.udp(self.first), [1, 1], "nothing is bound before")
        for text in (False, True):
            with self.subTest(text=text):
                self.load(text=text)
                self.assertEqual(self.udp(self.first), [0, 0])
                self.assertEqual(self.udp(self.second), [1, 1])
                self.host.run(["nft", "flush", "ruleset"])

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

    def test_both_routes_bind_the_same(self):
        """What the applier loads is what nft does of our two files."""
        self.load("eth0, eth1")
        held = self.chains()
        self.host.run(["nft", "flush", "ruleset"])
        self.load("eth0, eth1", text=True)
        self.assertEqual(self.chains(), held)

    def test_a_device_that_comes_and_goes(self):
        """Each run binds the chains of the devices that are there, and nothing else changes."""
        compiled = self.load("eth0, eth7")
        text = self.apply(compiled)
        self.assertIn("firewall: unchanged", text)
        self.assertIn("until the next run waits the chain of device eth7", text)
        link = self.link(self.outside, self.host, 7, "near7", "eth7")
        self.assertEqual(self.udp(link), [1, 1])
        self.assertIn("missing: chain `ingress_eth7`", self.apply(compiled, "--check", status=1))
        self.assertIn("firewall: replaced", self.apply(compiled))
        self.assertEqual(self.udp(link), [0, 0])
        self.assertNotIn("eth7", self.apply(compiled))
        self.host.ip("link del eth7")
        # Some kernels take the chain with the device.
        text = self.apply(compiled)
        self.assertIn("waits the chain of device eth7", text)
        self.assertNotIn("ingress_eth7", self.host.listing())
        self.assertIn("firewall: unchanged", self.apply(compiled, "--check"))
        link = self.link(self.outside, self.host, 8, "near7", "eth7")
        self.apply(compiled)
        self.assertEqual(self.udp(link), [0, 0])
        self.assertEqual(self.udp(self.first), [0, 0])

    def test_another_policy_keeps_the_chain(self):
        """The base chain of a device stays hooked while the rules behind it change: nothing comes through meanwhile."""
        self.load("eth0")
        text = self.apply(support.compile_policy((POLICY % ("eth0", "accept")).replace("udp 53", "udp 54")))
        self.assertIn("firewall: replaced", text)
        self.assertNotIn("chain `ingress_eth0`", text)
        self.assertEqual(self.udp(self.first), [0, 0])

    def test_a_try(self):
        """The tried table has its own chains of devices, and they go with it."""
        compiled = self.load("eth0")
        other = support.compile_policy((POLICY % ("eth0", "accept")).replace("policy: edge", "policy: other"))
        self.apply(other, "--try", "60", "--force")
        self.assertEqual(self.udp(self.first), [0, 0])
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--revert"])
        self.assertEqual(self.udp(self.first), [0, 0])
        self.assertIn("firewall: unchanged", self.apply(compiled))


def late_items(bundle):
    """(kind, name, messages) of a bundle's section `late`: docs/bundle-format.md."""
    data = bundle.read_bytes()
    count, at = struct.unpack_from("<IQ", data, 96 + 9 * 24 + 4)
    items = []
    for _ in range(count):
        kind, _, name, length = struct.unpack_from("<IIII", data, at)
        at += 16
        items.append((kind, data[at:at + name].decode(), data[at + (name + 3 & ~3):][:length]))
        at += (name + 3 & ~3) + length
    return items


class ControlGroups(support.KernelTestCase):
    """`cgroup`: a process of the group is told from others once the number of the group is in the set."""

    RULES = """\
policy: groups
language: 1
target:
  kernel: "6.1"
management: none
firewall:
  output:
    policy: drop
    rules:
      - unit: accept udp 53 cgroup %(top)s/a.service
      - slice: accept udp 54 cgroup %(top)s
      - several: accept udp 55 cgroup %(top)s/b.service, %(top)s/a.service, other-%(top)s
"""

    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.wire = self.link(self.outside, self.host, 1)
        self.receiver = self.delivered(self.outside, [UDP], [UDP])
        self.top = "lockdown-test-%d" % os.getpid()
        self.root = support.control_groups()
        for name in ("", "/a.service", "/b.service", "/a.service/below"):
            path = self.root / (self.top + name)
            path.mkdir()
            self.addCleanup(path.rmdir)
        self.compiled = support.compile_policy(self.RULES % {"top": self.top})
        # Where the sets are empty.
        self.host.run(["nft", "-f", self.compiled.directory / "nftables.nft"])

    def passes(self, group, port):
        """Whether a datagram of a process of a group gets out, in both families."""
        found = []
        for family, target in ((socket.AF_INET, self.wire.near4), (socket.AF_INET6, self.wire.near6)):
            process = os.fork()
            if process == 0:
                # The group of the process that makes a socket is the socket's.
                try:
                    if group is not None:
                        (self.root / (self.top + group) / "cgroup.procs").write_text("0")
                    with self.host.socket(family, socket.SOCK_DGRAM) as sending:
                        sending.sendto(mark(port), (target, port))
                except OSError:
                    os._exit(1)  # EPERM: the packet was dropped in `output`
                os._exit(0)
            _, status = os.waitpid(process, 0)
            found.append(status == 0)
        got = [number for number in map(marks_in, (data for _, _, data in self.receiver.packets()))]
        self.assertEqual(found[0], found[1], (group, port))
        self.assertEqual(len(got), sum(found), (group, port))
        return found[0]

    def apply(self, *options, status=3):
        """Where the hierarchy is where systemd has it. 3: a group that is made again wants another run."""
        with self.host:
            done = support.run(["unshare", "-m", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh",
                                support.LOCKDOWN_APPLY, self.compiled.bundle, "--status", support.scratch() / "groups.json",
                                *options], check=False)
        self.assertEqual(done.status, status, done)
        return done.stderr

    def test_each_run_lets_in_the_groups_that_are_there(self):
        """A group is known by its number, and another one when it is made again."""
        self.assertFalse(self.passes("/a.service", 53))
        self.assertIn("waits cgroup other-" + self.top, self.apply())
        table = {None: (), "": (54,), "/a.service": (53, 54, 55), "/a.service/below": (53, 54, 55), "/b.service": (54, 55)}
        for group, ports in table.items():
            for port in (53, 54, 55):
                self.assertEqual(self.passes(group, port), port in ports, (group, port))
        # The same groups: nothing is sent.
        before = nftables.generation(self.host)
        self.assertIn("firewall: unchanged", self.apply())
        self.apply("--check")
        self.assertEqual(nftables.generation(self.host), before)
        for _ in range(6):
            (self.root / self.top / "b.service").rmdir()
            (self.root / self.top / "b.service").mkdir()
            self.assertFalse(self.passes("/b.service", 55), "another number")
            self.assertIn("control groups are others", self.apply("--check", status=1))
            self.apply()
            self.assertTrue(self.passes("/b.service", 55))
            self.assertTrue(self.passes("/a.service", 53))
        (self.root / self.top / "b.service").rmdir()
        self.assertIn("waits cgroup %s/b.service" % self.top, self.apply())
        (self.root / self.top / "b.service").mkdir()

    def fill(self, lines):
        """Loads lines of nftables-late.nft where the hierarchy is where nft looks for it."""
        text = "\n".join(lines)
        with self.host:
            support.run(["unshare", "-m", "sh", "-c", "mount -t cgroup2 none /sys/fs/cgroup && nft -f -"], input=text + "\n")

    def test_only_processes_of_the_group_and_only_when_it_is_known(self):
        for group in (None, "", "/a.service", "/b.service"):
            for port in (53, 54, 55):
                self.assertFalse(self.passes(group, port), "the sets are empty")
        lines = [line[1:] for line in self.compiled.text("nftables-late.nft").splitlines() if line.startswith("#add ")]
        self.assertEqual(len(lines), 5)
        there = [line for line in lines if '"other-' not in line]
        self.fill(there)
        table = {None: (), "": (54,), "/a.service": (53, 54, 55), "/a.service/below": (53, 54, 55), "/b.service": (54, 55)}
        for group, ports in table.items():
            for port in (53, 54, 55):
                self.assertEqual(self.passes(group, port), port in ports, (group, port))

    def test_a_replace_keeps_the_numbers(self):
        lines = [line[1:] for line in self.compiled.text("nftables-late.nft").splitlines() if line.startswith("#add ")]
        self.fill(line for line in lines if '"other-' not in line)
        self.compiled.apply(self.host)
        again = self.compiled.apply(self.host)
        self.assertIn("unchanged", again.stdout + again.stderr)
        support.compile_policy(self.RULES % {"top": self.top} + "      - more: accept udp 56\n").apply(self.host)
        self.assertTrue(self.passes("/a.service", 53))
        self.assertTrue(self.passes(None, 56))
        self.assertFalse(self.passes("/b.service", 53))

    def test_the_messages_of_the_bundle(self):
        """Each is right once the number of the group's directory stands in its last 8 bytes."""
        items = late_items(self.compiled.bundle)
        self.assertEqual([kind for kind, _, _ in items], [2] * 5)
        self.assertFalse(self.passes("/b.service", 55))
        with nftables.Netlink(self.host) as netlink:
            for _, name, message in items:
                path = self.root / name
                if path.exists():
                    # linux/netfilter/nfnetlink.h: NFNL_MSG_BATCH_BEGIN, _END; res_id is the subsystem.
                    begin = struct.pack("<IHHIIBBH", 20, 16, 1, 0, 0, 0, 0, 10 << 8)
                    end = struct.pack("<IHHIIBBH", 20, 17, 1, 0, 0, 0, 0, 10 << 8)
                    netlink.socket.send(begin + message[:-8] + struct.pack("=Q", path.stat().st_ino) + end)
        self.assertTrue(self.passes("/b.service", 55))
        self.assertTrue(self.passes("/a.service/below", 53))
        self.assertFalse(self.passes("/b.service", 53))
        self.assertFalse(self.passes(None, 54))
