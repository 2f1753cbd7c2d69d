"""The closed stage: what stands before a policy does, what it lets in, and how it gives way.

Packets are sent from a neighbour; what reaches the host's raw sockets has passed the firewall.
"""

import pathlib
import socket
import tempfile
import time

import nftables
import packets
import support
from packets import ICMP, ICMPV6, TCP, UDP
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_failures import FailureTestCase
from test_flood import CLOSED, FloodTestCase, RANGES, ROUNDS

POLICY = """\
policy: closed
language: 1
target: { kernel: "6.1" }
define:
  admins: [10.1.0.0/16, "2001:db8:1::/48"]
boot:
  management-after: %s
  input:
    - unlock: accept tcp 2222 from $admins
    - accept udp 7070
management:
  - tcp 22 from $admins
  - udp 5000-5010
firewall:
  input:
    policy: drop
    rules:
      - accept established, related
      - accept tcp 22 from $admins
      - accept udp 5000-5010
"""
LATER = POLICY % "120s"
# A bundle that the applier refuses on every kernel.
TOO_NEW = LATER.replace('"6.1"', '"99.1"')


def held(namespace):
    """What the kernel holds of the table, but for the time that is left."""
    return [item for item in nftables.everything(namespace, (1, "lockdown-closed")) if item[0] != "elements"]


def load(namespace, bundle, *options, check=True):
    with namespace:
        return support.run([support.LOCKDOWN_APPLY, bundle, "--stage", "closed", "--status",
                            support.scratch() / "closed.json", *options], check=check)


class ClosedTestCase(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host, self.outside, self.inside = self.namespace(), self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1)
        self.link1 = self.link(self.inside, self.host, 2, far_name="eth1")
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            self.host.sysctl("net." + key, 1)
        self.arriving = self.delivered(self.host, (ICMP, TCP, UDP), (ICMPV6, TCP, UDP))
        self.passing = self.capture(self.inside, "near0")
        self.number = 0

    def probe(self, source, protocol, kind, port, *, to=None, ttl=64):
        """A packet to a port, from a port where `kind` is a number; of ICMP `port` is the type. Whether it arrives."""
        link, self.number = self.link0, self.number + 1
        is6 = ":" in source
        target = to or (link.far6 if is6 else link.far4)
        mark = packets.mark(self.number)
        if protocol in (ICMP, ICMPV6):
            body = packets.icmp(source, target, port, body=b"\0\0\0\0" + b"\0" * 16 + mark)
        elif protocol == TCP:
            body = packets.tcp(source, target, kind, port, payload=mark)
        else:
            body = packets.udp(source, target, kind, port, mark)
        link.wire.send(packets.ip(source, target, protocol, body, ttl=ttl))
        link.wire.fence()
        return self.number in self.arriving.marks()

    def judge(self, expected):
        for arrives, *probe in expected:
            options = probe.pop() if isinstance(probe[-1], dict) else {}
            self.assertEqual(self.probe(*probe, **options), arrives, (probe, options))


class Stage(ClosedTestCase):
    ALWAYS = [
        (True, "10.1.0.1", UDP, 67, 68), (False, "10.1.0.1", UDP, 68, 67), (False, "10.1.0.1", UDP, 67, 69),
        (False, "2001:db8:1::1", UDP, 67, 68),
        (True, "fe80::1", UDP, 547, 546), (False, "2001:db8:1::1", UDP, 547, 546), (False, "fe80::1", UDP, 546, 547),
        (True, "fe80::1", ICMPV6, 0, 134, {"ttl": 255}), (False, "fe80::1", ICMPV6, 0, 134, {"ttl": 254}),
        (True, "2001:db8:1::1", ICMPV6, 0, 135, {"ttl": 255}), (False, "2001:db8:1::1", ICMPV6, 0, 135),
        (True, "2001:db8:1::1", ICMPV6, 0, 136, {"ttl": 255}), (False, "2001:db8:1::1", ICMPV6, 0, 137, {"ttl": 255}),
        (False, "10.1.0.1", ICMP, 0, 8), (False, "2001:db8:1::1", ICMPV6, 0, 128),
        (False, "10.1.0.1", TCP, 4000, 80), (False, "10.1.0.1", UDP, 4000, 53),
        # `boot.input`.
        (True, "10.1.0.1", TCP, 4000, 2222), (False, "10.2.0.9", TCP, 4000, 2222),
        (True, "2001:db8:1::1", TCP, 4001, 2222), (True, "10.1.0.1", UDP, 4000, 7070),
    ]
    MANAGEMENT = [
        (True, "10.1.0.1", TCP, 4010, 22), (True, "2001:db8:1::1", TCP, 4010, 22), (True, "10.1.0.1", UDP, 4010, 5005)]
    BEYOND = [(False, "10.1.0.1", TCP, 4011, 23), (False, "198.51.100.7", TCP, 4011, 22), (False, "10.1.0.1", UDP, 4011, 5011)]

    @staticmethod
    def shut(probes):
        return [(False, *rest) for _, *rest in probes]

    def test_what_it_lets_in(self):
        load(self.host, support.compile_policy(LATER).bundle)
        self.judge(self.ALWAYS + self.shut(self.MANAGEMENT) + self.BEYOND)
        # Nothing is forwarded, also where the kernel would.
        self.assertFalse(self.probe("10.1.0.1", UDP, 4000, 53, to=self.link1.near4))
        self.assertFalse(self.probe("2001:db8:1::1", UDP, 4000, 53, to=self.link1.near6))
        self.assertEqual(self.passing.marks(), set())
        # What the host asks is answered, and nobody asks it back.
        with self.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, \
                self.outside.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
            answering.bind((self.link0.near4, 3000))
            answering.settimeout(5)
            asking.settimeout(5)
            asking.sendto(b"who", (self.link0.near4, 3000))
            _, address = answering.recvfrom(16)
            answering.sendto(b"me", address)
            self.assertEqual(asking.recv(16), b"me")
        # `lo` is open.
        with self.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as local:
            local.bind(("127.0.0.1", 0))
            local.settimeout(5)
            local.sendto(b"self", local.getsockname())
            self.assertEqual(local.recv(16), b"self")
        # Stock nft reads its listing back.
        listing = self.host.run(["nft", "list", "table", "inet", "lockdown-closed"]).stdout
        self.namespace().nft(listing)

    def test_closed_bundle(self):
        """The small bundle makes the same table, and is no policy."""
        compiled = support.compile_policy(LATER)
        load(self.host, compiled.directory / "closed.bundle")
        other = self.namespace()
        load(other, compiled.bundle)
        self.assertEqual(held(self.host), held(other))
        text = self.namespace()
        text.run(["nft", "-f", compiled.directory / "nftables-closed.nft"])
        self.assertEqual(text.listing(), other.listing())
        self.assertLess((compiled.directory / "closed.bundle").stat().st_size, compiled.bundle.stat().st_size)
        done = support.apply(self.namespace(), compiled.directory / "closed.bundle", check=False)
        self.assertEqual(done.status, 1, done)
        self.assertIn("it holds the closed firewall alone", done.stderr)

    def test_management_opens_by_itself(self):
        """The kernel's clock, and no process: the applier has ended before."""
        load(self.host, support.compile_policy(POLICY % "2s").bundle)
        start = time.monotonic()
        self.judge(self.shut(self.MANAGEMENT))
        support.await_true(lambda: self.probe("10.1.0.1", TCP, 4020, 22), "management never opened")
        waited = time.monotonic() - start
        support.note("management opened after %.1f s" % waited)
        self.assertGreater(waited, 1)
        # Both families wait for the same time.
        time.sleep(0.1)
        self.judge(self.MANAGEMENT + self.BEYOND + self.ALWAYS)

    def test_management_at_once_and_never(self):
        load(self.host, support.compile_policy(POLICY % "0s").bundle)
        self.judge(self.MANAGEMENT + self.BEYOND + self.ALWAYS)
        head, rest = LATER.split("management:\n", 1)
        closed = self.namespace()
        load(closed, support.compile_policy(head + "management: none\n" + rest[rest.index("firewall:"):]).bundle)
        self.assertNotIn("waiting", closed.listing())

    def test_loaded_once(self):
        """Where it is, or a policy, nothing is done."""
        compiled = support.compile_policy(LATER)
        first = load(self.host, compiled.bundle)
        self.assertIn("closed firewall: applied", first.stderr)
        before = held(self.host)
        again = load(self.host, compiled.bundle)
        self.assertIn("closed firewall: unchanged", again.stderr)
        self.assertEqual(held(self.host), before)
        # That of another policy, as the initramfs may have loaded, gives way in one batch.
        other = self.namespace()
        load(other, support.compile_policy(POLICY % "3s").bundle)
        load(self.host, support.compile_policy(POLICY % "3s").bundle)
        self.assertEqual(held(self.host), held(other))
        load(self.host, compiled.bundle)
        self.assertEqual(held(self.host), before)
        self.assertEqual(load(self.host, compiled.bundle, "--check").status, 0)
        support.apply(self.host, compiled.bundle)
        load(self.host, compiled.bundle)
        self.assertNotIn("lockdown-closed", self.host.listing())

    def test_a_name_is_no_firewall(self):
        """Tables of ours that are asleep, empty, or left by a try: the host is open, and is closed."""
        compiled = support.compile_policy(LATER)
        for table in ("lockdown-closed", "lockdown"):
            for flags in ("", "{ flags dormant; }"):
                with self.subTest(table=table, flags=flags):
                    self.host.run(["nft", "add table inet %s %s" % (table, flags)])
                    self.assertEqual(load(self.host, compiled.bundle, "--check", check=False).status, 1)
                    load(self.host, compiled.bundle)
                    self.judge(self.shut(self.MANAGEMENT) + self.BEYOND)
                    self.assertIn("closed firewall: unchanged", load(self.host, compiled.bundle).stderr)
                    support.apply(self.host, compiled.bundle)
                    self.judge(self.MANAGEMENT + self.BEYOND)
                    self.host.run(["nft", "flush ruleset"])
        # What is whole but asleep, of both kinds.
        for table, apply in (("lockdown-closed", load), ("lockdown", support.apply)):
            with self.subTest(asleep=table):
                apply(self.host, compiled.bundle)
                self.host.run(["nft", "add table inet %s { flags dormant; }" % table])
                self.assertTrue(self.probe("10.1.0.1", TCP, 4000, 80))
                load(self.host, compiled.bundle)
                self.judge(self.shut(self.MANAGEMENT) + self.BEYOND)
                self.host.run(["nft", "flush ruleset"])
        # A try that nobody has confirmed.
        support.apply(self.host, compiled.bundle, "--try", 3)
        self.assertEqual(load(self.host, compiled.bundle, check=False).status, 75)
        support.await_true(lambda: self.probe("10.1.0.1", TCP, 4000, 80), "the try never ended")
        load(self.host, compiled.bundle)
        self.judge(self.shut(self.MANAGEMENT) + self.BEYOND)

    def test_an_opening_stays(self):
        compiled = support.compile_policy(LATER)
        load(self.host, compiled.bundle)
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--open", 60])
        self.assertIn("closed firewall: unchanged", load(self.host, compiled.bundle).stderr)
        self.assertTrue(self.probe("10.1.0.1", TCP, 4000, 80))

    def test_the_policy_takes_its_place(self):
        """Fresh, and beside a policy that is there."""
        compiled = support.compile_policy(LATER)
        load(self.host, compiled.bundle)
        self.assertIn("firewall: applied", support.apply(self.host, compiled.bundle).stderr)
        self.assertNotIn("lockdown-closed", self.host.listing())
        self.assertIn("firewall: unchanged", support.apply(self.host, compiled.bundle).stderr)
        self.host.run(["nft", "-f", compiled.directory / "nftables-closed.nft"])
        looked = support.apply(self.host, compiled.bundle, "--check", check=False)
        self.assertEqual(looked.status, 1)
        self.assertIn("still there: table `lockdown-closed`", looked.stderr)
        self.assertIn("firewall: replaced", support.apply(self.host, compiled.bundle).stderr)
        self.assertNotIn("lockdown-closed", self.host.listing())
        # The text does the same.
        self.host.run(["nft", "-f", compiled.directory / "nftables-closed.nft"])
        self.host.run(["nft", "-f", compiled.directory / "nftables.nft"])
        self.assertNotIn("lockdown-closed", self.host.listing())

    def test_none(self):
        """`stage: none`, and a policy without a firewall."""
        for text in (LATER.replace("  management-after: 120s\n", "  stage: none\n").replace(
                "  input:\n    - unlock: accept tcp 2222 from $admins\n    - accept udp 7070\n", "", 1),
                     'policy: keys\nlanguage: 1\ntarget: { kernel: "6.1" }\nsysctl: { kernel.kptr_restrict: 2 }\n'):
            compiled = support.compile_policy(text)
            done = load(self.host, compiled.bundle)
            self.assertEqual(done.status, 0, done)
            self.assertEqual(self.host.listing(), "")
            self.assertIn("no closed stage", compiled.text("nftables-closed.nft"))


class Leaks(FloodTestCase):
    def test_the_exchange_leaks_nothing(self):
        """Closed and policy by turns: the port that both close stays closed at each moment."""
        self.by_turns(support.compile_policy(LATER))

    def test_a_policy_that_drops_by_ranges(self):
        """The kernel publishes such sets behind the rules of their batch: they come before the closed table goes."""
        self.by_turns(support.compile_policy(RANGES))

    def by_turns(self, compiled):
        back = support.scratch() / "back.nft"
        back.write_text(compiled.text("nftables-closed.nft") + "\ndelete table inet lockdown\n")
        load(self.host, compiled.bundle)

        def exchange(number):
            if number % 2:
                support.apply(self.host, compiled.bundle)
            else:
                self.host.run(["nft", "-f", back])

        rounds = max(200, ROUNDS // 10)
        done, sent, _, leaked, _ = self.during_flood(exchange, rounds)
        support.note("%d exchanges, %d packets to port %d: %d leaked" % (done, sent, CLOSED, leaked))
        self.assertGreater(sent, rounds * 10)
        self.assertEqual(leaked, 0)


class Failures(FailureTestCase):
    """Rows of docs/apply.md."""

    def stage(self, text, *options):
        return [support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--stage", "closed", "--status",
                support.scratch() / "failures.json", *options]

    def test_usage(self):
        for options in (["--stage", "verify"], ["--stage", "nonsense"], ["--stage"],
                        ["--stage", "closed", "--only", "firewall"]):
            with self.subTest(options):
                self.run_in(self.command(LATER, *options), 64, "usage:")

    def test_it_cannot_be_loaded(self):
        """No nf_tables, or no right to it: the host is as before, and that is said."""
        command = self.stage(LATER)
        number, _ = self.batch(command)
        self.host.run(["nft", "delete", "table", "inet", "lockdown-closed"])
        self.run_in(self.strace("sendmsg", "error=EOPNOTSUPP:when=%d" % number, command), 1, "host unprotected",
                    "EOPNOTSUPP")
        self.run_in(self.strace("socket", "error=EPROTONOSUPPORT", command), 1, "host unprotected", "EPROTONOSUPPORT")
        self.assertEqual(self.host.listing(), "")

    def test_another_writer_is_first(self):
        """A policy that comes between the look and the batch stays alone."""
        command = self.stage(LATER)
        number, _ = self.batch(command)
        self.host.run(["nft", "delete", "table", "inet", "lockdown-closed"])
        other = pathlib.Path(tempfile.mkdtemp(dir=support.scratch())) / "tool"
        other.write_text("#!/bin/sh\nexec nft -f %s\n" % (support.compile_policy(LATER).directory / "nftables.nft"))
        other.chmod(0o755)
        # Stopped before the batch is sent, and going on when the policy is there.
        with self.host:
            stopped = support.subprocess.Popen(
                self.strace("sendmsg", "delay_enter=1500000:when=%d" % number, [str(word) for word in command]),
                stderr=support.subprocess.PIPE, text=True)
            time.sleep(0.7)
            support.run([other])
            _, said = stopped.communicate(timeout=30)
        self.assertEqual(stopped.returncode, 0, said)
        self.assertNotIn("lockdown-closed", self.host.listing())

    def test_no_policy_comes(self):
        """`--slots` whose slots are all refused: closed, and management is let in at once."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=support.scratch()))
        root.chmod(0o755)
        for name in ("etc", "usr/sbin", "var/lib"):
            (root / name).mkdir(parents=True)
        support.run([support.LOCKDOWN, "install", "--root", root, "--applier", support.LOCKDOWN_APPLY,
                     support.compile_policy(TOO_NEW).directory])
        command = [support.LOCKDOWN_APPLY, "--slots", root / "var/lib/lockdown", "--status", support.scratch() / "s.json"]
        self.run_in(command, 1, "for kernel 99.1")
        # What no kernel refuses is loaded beforehand, as an initramfs does it.
        load(self.host, support.compile_policy(LATER).bundle)
        self.assertIn("expires", self.host.run(["nft", "list", "set", "inet", "lockdown-closed", "waiting"]).stdout)
        self.run_in(command, 5, "no policy is live", "let in from now on")
        self.assertNotIn("expires", self.host.run(["nft", "list", "set", "inet", "lockdown-closed", "waiting"]).stdout)
        self.run_in(command, 5)
        # Never over a policy.
        support.apply(self.host, support.compile_policy(LATER).bundle)
        self.run_in(command, 1)

    def test_slots(self):
        """The unit's way: the current slot's closed stage, whatever is staged."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=support.scratch()))
        root.chmod(0o755)
        for name in ("etc", "usr/sbin", "var/lib"):
            (root / name).mkdir(parents=True)
        support.run([support.LOCKDOWN, "install", "--root", root, "--applier", support.LOCKDOWN_APPLY,
                     support.compile_policy(LATER).directory])
        support.run([support.LOCKDOWN, "stage", "--root", root, support.compile_policy(TOO_NEW).bundle])
        command = [support.LOCKDOWN_APPLY, "--slots", root / "var/lib/lockdown", "--status", support.scratch() / "s.json"]
        self.run_in([*command, "--stage", "closed"], 0, "closed firewall: applied")
        self.assertIn("dport 2222", self.host.listing())
        # The staged one is refused, the current one applied.
        self.run_in(command, 4)
        self.assertNotIn("lockdown-closed", self.host.listing())
        left = sorted(path.suffix for path in (root / "var/lib/lockdown/bundles").iterdir())
        self.assertEqual(left, [".bundle", ".bundle", ".closed", ".closed"])


if __name__ == "__main__":
    support.unittest.main()
