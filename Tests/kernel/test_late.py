"""What waits: an ingress chain for its device, and a set for the numbers of control groups.

Both are done by the file for later, or by what the bundle holds for it.
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

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
        self.assertIn("until it is there waits the chain of device eth7", text)
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


    # The stage `late`

    def late(self, compiled, *options, status=0):
        return self.apply(compiled, "--stage", "late", *options, status=status)

    def drops(self):
        """What the anonymous counter of `blocked` has counted: a replace would make it anew."""
        with self.host:
            text = support.run(["nft", "list", "chain", "inet", "lockdown", "ingress"]).stdout
        return sum(map(int, re.findall(r"counter packets (\d+)", text)))

    def test_the_late_stage(self):
        """A device comes, gets another name and the old one again, goes and comes: after each run of the stage its chain is
        as it should be, and nothing else of the table has changed."""
        compiled = self.load("eth0, eth7")
        before = nftables.generation(self.host)
        text = self.late(compiled)
        self.assertIn("waits the chain of device eth7", text)
        self.assertIn("what has come is in place", text)
        self.assertEqual(nftables.generation(self.host), before, "nothing has come")
        self.assertEqual(self.udp(self.first), [0, 0])
        counted = self.drops()
        self.assertEqual(counted, 2)
        for number in (7, 8):
            link = self.link(self.outside, self.host, number, "near7", "eth7")
            self.assertEqual(self.udp(link), [1, 1])
            self.assertIn("firewall: completed", self.late(compiled))
            self.assertEqual(self.udp(link), [0, 0])
            self.assertGreater(self.drops(), counted)
            counted = self.drops()
            before = nftables.generation(self.host)
            self.assertIn("firewall: unchanged", self.late(compiled))
            self.assertIn("firewall: unchanged", self.apply(compiled, "--check"))
            self.assertEqual(nftables.generation(self.host), before)
            self.host.ip("link set eth7 down\nlink set eth7 name eth9\nlink set eth9 up")
            self.assertIn("waits the chain of device eth7", self.late(compiled))
            self.assertNotIn("ingress_eth7", self.host.listing())
            self.assertIn("firewall: unchanged", self.apply(compiled, "--check"))
            self.host.ip("link set eth9 name eth7")
            self.assertIn("firewall: completed", self.late(compiled))
            self.assertIn("ingress_eth7", self.host.listing())
            self.host.ip("link del eth7")
            self.assertIn("waits the chain of device eth7", self.late(compiled))
            self.assertNotIn("ingress_eth7", self.host.listing())
            self.assertIn("firewall: unchanged", self.apply(compiled, "--check"))

    def test_another_device_with_the_name(self):
        compiled = self.load("eth0, eth7")
        self.link(self.outside, self.host, 7, "near7", "eth7")
        self.late(compiled)
        self.host.ip("link set eth7 down\nlink set eth7 name eth9\nlink set eth9 up")
        other = self.link(self.outside, self.host, 8, "near8", "eth7")
        self.late(compiled)
        self.assertEqual(self.udp(other), [0, 0])
        self.assertNotIn("eth9", self.host.listing())

    def test_late_of_another_policy(self):
        """Nothing comes into a table that another policy has made, and none of its keys are written."""
        self.load("eth0")
        other = support.compile_policy((POLICY % ("eth1", "accept")).replace("policy: edge", "policy: other"))
        before = nftables.generation(self.host)
        self.assertIn("no table of this policy is live", self.late(other, status=1))
        self.host.run(["nft", "delete", "table", "inet", "lockdown"])
        self.assertIn("no table of this policy is live", self.late(other, status=1))
        self.assertEqual(nftables.generation(self.host), before + 1)

    def test_late_in_a_try(self):
        """It is done for the table that rules and for the one that will again; a chain of the silent one is silent."""
        compiled = self.load("eth0, eth7")
        tried = support.compile_policy((POLICY % ("eth7", "accept")).replace("policy: edge", "policy: other")
                                       .replace("10.0.0.0/8", "192.168.0.0/16").replace('"2001:db8::/32"', "fc00::/7"))
        self.apply(tried, "--try", "60", "--force")
        link = self.link(self.outside, self.host, 7, "near7", "eth7")
        self.assertIn("busy: a policy is tried", self.apply(compiled, status=75))
        for _ in range(2):
            self.late(compiled)
            listing = self.host.listing()
            self.assertEqual(listing.count("chain ingress_eth7 {"), 2)
            self.assertEqual(self.udp(link), [1, 1], "the old one drops it, and is silent")
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--revert"])
        self.assertEqual(self.udp(link), [0, 0])
        self.assertIn("firewall: unchanged", self.apply(compiled, "--check"))

    def test_usage(self):
        compiled = self.load("eth0")
        for options in (["--check"], ["--try", "5"], ["--no-read-back"]):
            self.late(compiled, *options, status=64)
        self.apply(compiled, "--follow", status=64)

    # --follow

    @contextlib.contextmanager
    def follower(self, compiled, *before):
        with self.host:
            process = subprocess.Popen([*before, support.LOCKDOWN_APPLY, compiled.bundle, "--only", "firewall", "--stage", "late",
                                        "--follow", "--status", support.scratch() / "follow.json"],
                                       stderr=subprocess.DEVNULL)
        try:
            yield process
            self.assertIsNone(process.poll(), "it stays")
        finally:
            process.kill()
            process.wait()

    def becomes(self, wanted, question):
        """Within some seconds."""
        end = time.monotonic() + 10
        while question() != wanted and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(question(), wanted)

    def bound(self):
        return re.findall(r"chain ingress_(\w+) {", self.host.listing())

    def test_a_follower(self):
        compiled = self.load("eth0, eth7")
        with self.follower(compiled) as process:
            link = self.link(self.outside, self.host, 7, "near7", "eth7")
            self.becomes(["eth0", "eth7"], lambda: sorted(self.bound()))
            self.assertEqual(self.udp(link), [0, 0])
            self.host.ip("link set eth7 down\nlink set eth7 name eth9")
            self.becomes(["eth0"], self.bound)
            # More events than its sockets hold, and among those that are lost the one that matters.
            os.kill(process.pid, signal.SIGSTOP)
            self.host.ip("link set eth9 name eth7")
            self.host.ip("\n".join("link add name x%d type bridge\nlink del x%d" % (n, n) for n in range(150)))
            with open("/proc/%d/net/netlink" % process.pid) as file:
                # Of the sockets that get link and device events.
                dropped = [int(line.split()[8]) for line in file.read().splitlines()[1:]
                           if line.split()[1] in ("0", "15") and line.split()[3] == "00000001"]
            self.assertEqual([drops > 0 for drops in dropped], [True, True], dropped)
            os.kill(process.pid, signal.SIGCONT)
            self.becomes(["eth0", "eth7"], lambda: sorted(self.bound()))
            with open("/proc/%d/status" % process.pid) as file:
                resident = int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1))
            support.note("resident %d kB" % resident)
            self.assertLess(resident, 1024)
        self.assertEqual(sorted(self.bound()), ["eth0", "eth7"], "its end changes nothing")

    def test_a_follower_that_runs_often(self):
        """No run of it leaves a descriptor or a process behind."""
        compiled = self.load("eth0, eth7")
        with self.follower(compiled) as process:
            def counts():
                with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as file:
                    return len(os.listdir("/proc/%d/fd" % process.pid)), len(file.read().split())

            for _ in range(8):
                self.link(self.outside, self.host, 7, "near7", "eth7")
                self.becomes(["eth0", "eth7"], lambda: sorted(self.bound()))
                self.host.ip("link del eth7")
                self.becomes(["eth0"], self.bound)
            # The one that runs, or the one before, and its pipe.
            descriptors, children = counts()
            self.assertLessEqual(children, 2)
            self.assertLessEqual(descriptors, 10)

    def test_a_follower_without_inotify(self):
        """Others have used it up: links are followed all the same."""
        compiled = self.load("eth0, eth7")
        with self.host:
            process = subprocess.Popen(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=inotify_init1:error=EMFILE", support.LOCKDOWN_APPLY,
                 compiled.bundle, "--only", "firewall", "--stage", "late", "--follow", "--status",
                 support.scratch() / "follow.json"], stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            self.assertIn("events of the kernel cannot be had: EMFILE", process.stderr.readline())
            self.link(self.outside, self.host, 7, "near7", "eth7")
            self.becomes(["eth0", "eth7"], lambda: sorted(self.bound()))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def test_a_follower_that_may_not(self):
        """It does not stay for runs that cannot be; in between it waits."""
        compiled = self.load("eth0")
        with self.host:
            done = support.run(["setpriv", "--bounding-set", "-net_admin", support.LOCKDOWN_APPLY, compiled.bundle, "--only",
                                "firewall", "--stage", "late", "--follow"], check=False)
        self.assertEqual(done.status, 2, done)
        self.assertEqual(done.stderr.count("no privilege"), 3)


class Keys(support.KernelTestCase):
    """Keys and mounts that were not there when the policy was applied."""

    KEYS = """\
policy: keys
language: 1
target:
  kernel: "6.1"
management: none
sysctl:
  net.ipv4.conf.*.rp_filter: 1
  net.ipv4.conf.eth7.rp_filter: 2
  net.ipv4.conf.eth7.log_martians: 1
  net.ipv6.conf.eth7.disable_ipv6: 1
"""

    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.status = support.scratch() / "keys.json"

    def apply(self, text, *options, status=0, before=()):
        with self.host:
            done = support.run([*before, support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--status", self.status,
                                *options], check=False)
        self.assertEqual(done.status, status, done)
        return done.stderr

    def results(self):
        return {item["name"]: item["result"] for item in json.loads(self.status.read_text())["sysctl"]}

    def values(self):
        return [self.host.sysctl(key) for key in ("net.ipv4.conf.eth7.rp_filter", "net.ipv4.conf.eth7.log_martians",
                                                  "net.ipv6.conf.eth7.disable_ipv6")]

    def test_keys_of_an_interface(self):
        self.assertIn("absent", self.apply(self.KEYS, status=3))
        self.apply(self.KEYS, "--stage", "late", status=3)
        self.host.ip("link add name eth7 type bridge")
        self.assertEqual(self.values(), ["1", "0", "0"])
        self.assertIn("sysctl: 3 applied", self.apply(self.KEYS, "--stage", "late"))
        self.assertEqual(self.values(), ["2", "1", "1"])
        self.assertNotIn("applied", self.apply(self.KEYS, "--stage", "late").replace("what has", ""))
        self.assertEqual(set(self.results().values()), {"equal"})
        self.host.ip("link del eth7")
        self.apply(self.KEYS, "--stage", "late", status=3)
        self.assertEqual(self.results()["net/ipv4/conf/eth7/log_martians"], "absent")

    def test_one_that_is_refused_is_listed(self):
        """Nothing of the others is taken back."""
        text = self.KEYS + "  net.ipv4.tcp_congestion_control: nosuch\n"
        self.host.ip("link add name eth7 type bridge")
        self.assertIn("tcp_congestion_control: refused", self.apply(text, "--only", "sysctl", "--stage", "late", status=3))
        self.assertEqual(self.values()[:2], ["2", "1"])

    def test_a_mount(self):
        place = support.scratch() / "late-mount"
        place.mkdir(exist_ok=True)
        text = self.KEYS.split("sysctl:")[0] + "mounts:\n  %s: { flags: [nosuid, noexec] }\n" % place
        script = ('"$@" --only mounts; test $? = 3 || exit 1; mount -t tmpfs late %s; "$@" --only mounts --stage late || exit 2; '
                  'grep " %s " /proc/self/mountinfo | cut -d" " -f6' % (place, place))
        with self.host:
            done = support.run(["unshare", "-m", "sh", "-c", script, "sh", support.LOCKDOWN_APPLY,
                                support.compile_policy(text).bundle, "--status", self.status], check=False)
        self.assertEqual(done.status, 0, done)
        self.assertIn("nosuid,noexec", done.stdout.replace("rw,", ""))


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

    def command(self, *options):
        """The applier where the hierarchy is where systemd has it."""
        return ["unshare", "-m", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh", support.LOCKDOWN_APPLY,
                self.compiled.bundle, "--status", support.scratch() / "groups.json", *options]

    def run_it(self, *options):
        with self.host:
            return support.run(self.command(*options), check=False)

    def apply(self, *options, status=0):
        done = self.run_it(*options)
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

    def test_the_late_stage(self):
        """A group that is made again has another number; the rest of the table stays as it is."""
        self.apply()
        before = nftables.everything(self.host, nftables.INET_LOCKDOWN)
        for _ in range(2):
            (self.root / self.top / "b.service").rmdir()
            self.assertIn("waits cgroup %s/b.service" % self.top, self.apply("--stage", "late"))
            (self.root / self.top / "b.service").mkdir()
            self.assertFalse(self.passes("/b.service", 55), "another number")
            self.assertIn("firewall: completed", self.apply("--stage", "late"))
            self.assertTrue(self.passes("/b.service", 55))
            self.assertIn("firewall: unchanged", self.apply("--stage", "late"))
        after = nftables.everything(self.host, nftables.INET_LOCKDOWN)
        # What a counter has counted is another matter.
        rules = [[item for item in held if item[0] == "rule" and b"counter" not in str(item).encode()] for held in (before, after)]
        self.assertEqual(*rules)

    def test_a_try_has_them(self):
        self.compiled = support.compile_policy(self.RULES % {"top": self.top} + "      - more: accept udp 56\n")
        self.host.run(["nft", "delete", "table", "inet", "lockdown"])
        self.apply("--try", "60", "--force")
        self.assertTrue(self.passes("/a.service", 53))
        self.assertFalse(self.passes("/b.service", 53))
        (self.root / self.top / "b.service").rmdir()
        (self.root / self.top / "b.service").mkdir()
        self.assertFalse(self.passes("/b.service", 55))
        self.apply("--stage", "late")
        self.assertTrue(self.passes("/b.service", 55))
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--revert"])

    def test_a_follower(self):
        """A group that starts, starts anew, and ends, with folders on its way that come later."""
        self.apply()
        other = self.root / ("other-" + self.top)
        with self.host:
            process = subprocess.Popen(self.command("--stage", "late", "--follow"), stderr=subprocess.DEVNULL)
        try:
            for _ in range(3):
                for path in (self.root / self.top / "b.service", other):
                    if path.exists():
                        path.rmdir()
                    path.mkdir()
                end = time.monotonic() + 10
                while self.run_it("--check").status != 0 and time.monotonic() < end:
                    time.sleep(0.02)
                self.assertTrue(self.passes("/b.service", 55))
                self.assertFalse(self.passes("/b.service", 53))
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.wait()
            other.rmdir()

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
