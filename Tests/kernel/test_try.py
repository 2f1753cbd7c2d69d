"""`--try`, confirm and revert: the kernel goes back by itself, and only a fresh connection proves that one is possible.

No process of ours lives while a try is pending: each test looks at what the kernel does alone.
"""

import glob
import os
import re
import socket
import time

import nftables
import packets
import support
from packets import UDP
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_failures import FailureTestCase
from test_flood import CLOSED, FloodTestCase, OTHER_RANGES, RANGES, ROUNDS

HEADER = 'language: 1\ntarget: { kernel: "6.1" }\nmanagement: ["tcp 22"]\nboot: { management-after: 1h }\n'
OLD = "policy: old\n" + HEADER + """\
firewall:
  input:
    policy: drop
    rules:
      - accept established, related
      - accept tcp 22
      - accept udp 1000-1999
"""
NEW = "policy: new\n" + HEADER + """\
firewall:
  prerouting:
    policy: accept
    rules:
      - drop udp 1500
  input:
    policy: drop
    rules:
      - accept established, related
      - accept tcp 22
      - accept udp 1500-2500
"""
KEY = "sysctl:\n  net.ipv4.tcp_syncookies: 0\n"


def command(*arguments):
    return [support.LOCKDOWN_APPLY, *arguments, "--status", support.scratch() / "try.json"]


class TryTestCase(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1)
        self.arriving = self.delivered(self.host, (UDP,), (UDP,))
        self.number = 0
        # Of an earlier test.
        self.addCleanup(lambda: [os.unlink(path) for path in glob.glob("/run/lockdown/journal*")])

    def arrives(self, port):
        """Whether UDP packets of both families to that port pass; None: one does."""
        answers = set()
        for source, target in ((self.link0.near4, self.link0.far4), (self.link0.near6, self.link0.far6)):
            self.number += 1
            body = packets.udp(source, target, 4000, port, packets.mark(self.number))
            self.link0.wire.send(packets.ip(source, target, UDP, body))
            self.link0.wire.fence()
            answers.add(self.number in self.arriving.marks())
        return answers.pop() if len(answers) == 1 else None

    def open_ports(self):
        """Of four: what only the old one opens, what both name and the new one drops, what only the new one opens, none.

        None where the two families disagree, which they may while one rules after the other."""
        found = {port: self.arrives(port) for port in (1001, 1500, 2001, 3000)}
        return None if None in found.values() else [port for port, arrives in found.items() if arrives]

    RULED_BY = {"old": [1001, 1500], "new": [2001], "nobody": [1001, 1500, 2001, 3000], "closed": [], "both": []}

    def ruled_by(self, name):
        self.assertEqual(self.open_ports(), self.RULED_BY[name], name)

    def run_in(self, arguments, status=0, *said, **options):
        with self.host:
            done = support.run(arguments, check=False, **options)
        self.assertEqual(done.status, status, done)
        for text in said:
            self.assertIn(text, done.stderr)
        return done

    def apply(self, text, *options, status=0, said=()):
        return self.run_in(command(support.compile_policy(text).bundle, *options), status, *said)

    def attempt(self, text, seconds, *options, **more):
        return self.apply(text, "--try", str(seconds), *options, **more)

    def end(self, verdict, status=0, said=(), environment=None, **options):
        environment = dict(os.environ if environment is None else environment)
        return self.run_in(command(*verdict.split()), status, *said, env=environment, **options)

    def wait_for(self, name, seconds):
        """Until the packets are judged by another; how long that took."""
        start = time.monotonic()
        support.await_true(lambda: self.open_ports() == self.RULED_BY[name], "never ruled by " + name, seconds)
        return time.monotonic() - start

    def connection(self, family=socket.AF_INET):
        """A connection to port 22 as a server sees it, and what sshd would tell of it."""
        listening = self.host.socket(family, socket.SOCK_STREAM)
        self.addCleanup(listening.close)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        far, near = ((self.link0.far4, self.link0.near4) if family == socket.AF_INET else
                     (self.link0.far6, self.link0.near6))
        listening.bind((far, 22))
        listening.listen()
        calling = self.outside.socket(family, socket.SOCK_STREAM)
        self.addCleanup(calling.close)
        calling.settimeout(5)
        calling.connect((far, 22))
        taken, _ = listening.accept()
        self.addCleanup(taken.close)
        listening.close()
        return calling, {**os.environ, "SSH_CONNECTION": "%s %d %s 22" % (near, calling.getsockname()[1], far)}


class Expiry(TryTestCase):
    def test_over_a_policy(self):
        self.apply(OLD)
        before = nftables.everything(self.host, nftables.INET_LOCKDOWN)
        self.ruled_by("old")
        done = self.attempt(NEW, 3, said=["firewall: tried"])
        self.assertIn("`lockdown confirm` keeps it", done.stderr)
        self.ruled_by("new")
        waited = self.wait_for("old", 10)
        support.note("the old policy ruled again after %.1f s" % waited)
        self.assertGreater(waited, 1)
        # The new one's clock ends a second later; both are quiet then.
        time.sleep(1.2)
        self.ruled_by("old")
        # Nobody saw it: the next run finds its policy, and what is left of the try, which it takes away.
        self.apply(OLD, said=["still there: table `lockdowntry`"][:0])
        self.assertEqual(nftables.everything(self.host, nftables.INET_LOCKDOWN), before)
        self.assertNotIn("lockdowntry", self.host.listing())
        self.apply(OLD, said=["firewall: unchanged"])

    def test_on_the_first_start(self):
        done = self.attempt(NEW, 3)
        self.assertIn("there was no firewall of ours before", done.stderr)
        self.ruled_by("new")
        self.wait_for("nobody", 10)

    def test_over_a_closed_host(self):
        self.run_in(command(support.compile_policy(OLD).bundle, "--stage", "closed"))
        self.ruled_by("closed")
        self.attempt(NEW, 3)
        self.ruled_by("new")
        self.wait_for("closed", 10)
        self.end("--revert", 1, ["no try is pending"])
        self.assertNotIn("trying", self.host.listing())
        self.ruled_by("closed")

    def test_one_after_the_other(self):
        """A second try over what the first one left."""
        self.apply(OLD)
        self.attempt(NEW, 3)
        self.wait_for("old", 10)
        self.assertNotIn("an earlier run", self.attempt(NEW, 30).stderr)
        self.ruled_by("new")
        self.end("--revert", 0, ["reverted"])
        self.ruled_by("old")
        self.assertNotIn("an earlier run", self.apply(OLD).stderr)

    def test_keys_wait(self):
        """Nothing but the firewall before the confirmation."""
        self.host.sysctl("net.ipv4.tcp_syncookies", 1)
        self.attempt(NEW + KEY, 60, said=["tcp_syncookies: waiting, for the confirmation"])
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_syncookies"), "1")
        self.end("--confirm --console")
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_syncookies"), "0")


class Confirmation(TryTestCase):
    def test_a_fresh_connection(self):
        self.apply(OLD)
        _, old = self.connection()
        self.attempt(NEW, 60)
        self.end("--confirm", 1, ["older than the try"], old)
        self.end("--confirm", 1, ["no SSH connection"])
        self.end("--confirm", 1, ["no SSH connection"], {**os.environ, "SSH_CONNECTION": "rubbish"})
        # One that a filter behind ours refuses proves nothing.
        self.end("--confirm", 1, ["older than the try"], {**os.environ, "SSH_CONNECTION": "10.1.0.1 4711 10.1.0.2 22"})
        self.ruled_by("new")
        _, fresh = self.connection()
        self.end("--confirm", 0, ["firewall: replaced"], fresh)
        self.kept()

    def kept(self):
        self.ruled_by("new")
        listing = self.host.listing()
        self.assertNotIn("lockdowntry", listing)
        self.assertNotIn("trying", listing)
        self.apply(NEW, said=["firewall: unchanged"])
        self.end("--confirm --console", 1, ["no try is pending"])

    def test_ipv6_and_the_first_start(self):
        self.attempt(NEW, 60)
        _, fresh = self.connection(socket.AF_INET6)
        self.end("--confirm", 0, ["firewall: applied"], fresh)
        self.kept()

    def test_of_an_ancestor(self):
        """sudo takes the variable away."""
        self.apply(OLD)
        self.attempt(NEW, 60)
        _, fresh = self.connection()
        self.run_in(["sh", "-c", 'env -u SSH_CONNECTION "$@"; exit $?', "sh", *command("--confirm")], 0, env=fresh)
        self.kept()

    def test_at_the_console(self):
        self.apply(OLD)
        self.attempt(NEW, 60)
        self.end("--confirm --console")
        self.kept()

    def test_by_the_command_line(self):
        self.apply(OLD)
        self.attempt(NEW, 60)
        environment = {**os.environ, "PATH": "%s:%s" % (support.LOCKDOWN_APPLY.parent, os.environ["PATH"])}
        self.run_in([support.LOCKDOWN, "confirm"], 1, "no SSH connection", env=environment)
        self.run_in([support.LOCKDOWN, "revert"], 0, "reverted", env=environment)
        self.ruled_by("old")
        self.attempt(NEW, 60)
        self.run_in([support.LOCKDOWN, "confirm", "--console"], 0, env=environment)
        self.kept()

    def test_too_late(self):
        self.apply(OLD)
        self.attempt(NEW, 3)
        time.sleep(1.5)
        self.end("--confirm --console", 1, ["less than two seconds are left"])
        self.wait_for("old", 10)

    def test_another_bundle(self):
        """What is kept is what was tried: a bundle that was replaced meanwhile is refused."""
        self.apply(OLD)
        path = support.scratch() / "tried.bundle"
        path.write_bytes(support.compile_policy(NEW).bundle.read_bytes())
        self.run_in(command(path, "--try", "60"))
        path.write_bytes(support.compile_policy(OLD).bundle.read_bytes())
        self.end("--confirm --console", 1, ["another one than was tried"])
        path.unlink()
        self.end("--confirm --console", 1, ["refused:"])
        self.ruled_by("new")
        self.end("--revert")
        self.ruled_by("old")


class Pending(TryTestCase):
    def test_others_wait(self):
        self.apply(OLD)
        self.attempt(NEW, 60)
        for options in ([], ["--try", "10"], ["--only", "firewall"]):
            self.apply(OLD, *options, status=75, said=["a policy is tried for another"])
        self.apply(OLD, "--check", status=1)
        self.apply(OLD, "--stage", "closed", status=75)
        self.ruled_by("new")
        self.end("--revert")
        self.apply(OLD, said=["firewall: unchanged"])


class Failures(FailureTestCase):
    """Rows of docs/apply.md."""

    def test_usage(self):
        bundle = support.compile_policy(OLD).bundle
        for options in (["--try", "1"], ["--try", "x"], ["--try", "90000"], ["--try"], ["--try", "60", "--check"],
                        ["--try", "60", "--stage", "closed"], ["--console"], ["--confirm"], ["--revert"]):
            with self.subTest(options):
                self.run_in(command(bundle, *options), 64, "usage:")
        self.run_in(command("--slots", "/run", "--try", "60"), 64, "usage:")

    def attempt(self, *options):
        return command(support.compile_policy(NEW).bundle, "--try", "60", *options)

    def test_no_journal(self):
        self.run_in(["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /run/lockdown && exec "$@"', "sh",
                     *self.attempt()], 1, "no journal")
        self.assertEqual(self.host.listing(), "")

    def test_nothing_to_try(self):
        keys = support.compile_policy("policy: keys\n" + HEADER.replace('["tcp 22"]', 'none') + KEY).bundle
        self.run_in(command(keys, "--only", "sysctl", "--try", "60"), 1, "no firewall to try")
        self.run_in(self.attempt("--only", "mounts"), 1, "no firewall to try")

    def test_refused(self):
        """The kernel refuses the batch, or its answers are lost: the firewall from before rules."""
        self.run_in(command(support.compile_policy(OLD).bundle), 0)
        before = self.held()
        number, _ = self.batch(self.attempt())
        self.run_in(command("--revert"), 0)
        self.assertEqual(self.held(), before)
        self.run_in(self.strace("sendmsg", "error=EPERM:when=%d" % number, self.attempt()), 1, "EPERM")
        self.assertEqual(self.held(), before)


    def test_revert_refused(self):
        """The kernel takes no batch: the try goes on, and the kernel ends it."""
        self.run_in(command(support.compile_policy(OLD).bundle), 0)
        self.run_in(self.attempt(), 0)
        before = self.held()
        number, _ = self.batch(command("--revert"))
        self.run_in(self.attempt(), 0)
        self.run_in(self.strace("sendmsg", "error=EPERM:when=%d" % number, command("--revert")), 2, "not reverted", "EPERM")
        self.assertEqual(self.rules(self.held()), self.rules(before))
        self.run_in(command("--revert"), 0, "reverted")


class Kills(TryTestCase):
    """SIGKILL at the entry of system calls of a try, a confirmation and a revert, and of the closed stage and what follows
    it: one of both rules, whole, or for some seconds both, and the next run converges. LOCKDOWN_KILLS takes all of them,
    and not each sixth."""

    CALLS = ("sendmsg", "recvfrom", "openat", "write", "bind", "socket", "setsockopt", "fsync", "rename", "unlink", "close")
    STEP = 1 if os.environ.get("LOCKDOWN_KILLS") else 6

    def reset(self, *steps):
        self.host.run(["nft", "flush", "ruleset"])
        for step in steps:
            self.run_in(step)

    def points(self, arguments):
        log = support.scratch() / "trace"
        with self.host:
            support.run(["strace", "-f", "-qq", "-e", "trace=" + ",".join(self.CALLS), "-o", log, *arguments], check=False)
        counts = {}
        for line in log.read_text().splitlines():
            match = re.match(r"(\d+)\s+(\w+)\(", line)
            if match:
                key = match.group(2), match.group(1)
                counts[key] = counts.get(key, 0) + 1
        return sorted({(name, number) for (name, _), count in counts.items() for number in range(1, count + 1)})

    def matrix(self, before, arguments, states, then):
        """Kills `arguments` behind the runs `before`; then one of `states` rules, and `then` ends in what it names."""
        self.reset(*before)
        fired = 0
        for name, number in self.points(arguments)[::self.STEP]:
            self.reset(*before)
            if not FailureTestCase.kills(self.host, name, number, arguments):
                continue
            fired += 1
            with self.subTest(call=name, number=number):
                self.assertIn(self.open_ports(), [self.RULED_BY[state] for state in states])
                if "both" in states and self.open_ports() == self.RULED_BY["both"]:
                    # The kernel ends it.
                    self.wait_for("old", 8)
                then()
        return fired

    def test_killed_anywhere(self):
        old, new = (support.compile_policy(text).bundle for text in (OLD, NEW))
        closed = command(old, "--stage", "closed")
        load = command(new, "--try", "60")
        confirm, revert = command("--confirm", "--console"), command("--revert")

        def back_to_old():
            with self.host:
                support.run(revert, check=False)
                support.run(command(old))
                self.ruled_by("old")
                self.assertNotIn("trying", self.host.listing())
                self.assertIn("firewall: unchanged", support.run(command(old)).stderr)

        fired = self.matrix([command(old)], load, ("old", "new", "both"), back_to_old)
        fired += self.matrix([], load, ("nobody", "new"), back_to_old)
        fired += self.matrix([closed], load, ("closed", "new"), back_to_old)
        fired += self.matrix([command(old), load], confirm, ("new",), back_to_old)
        fired += self.matrix([load], confirm, ("new",), back_to_old)
        fired += self.matrix([command(old), load], revert, ("old", "new", "both"), back_to_old)
        fired += self.matrix([], closed, ("nobody", "closed"), back_to_old)
        fired += self.matrix([closed], command(old), ("closed", "old"), back_to_old)
        support.note("%d kills" % fired)
        self.assertGreater(fired, 30)


class Leaks(FloodTestCase):
    def call(self, *arguments, status=0):
        with self.host:
            done = support.run(command(*arguments), check=False)
        self.assertEqual(done.status, status, done)

    def by_turns(self, old, new, rounds):
        """Tries over a policy, kept and given up by turns, under a flood of a port that both close."""
        old, new = (support.compile_policy(text).bundle for text in (old, new))
        self.call(old)

        def exchange(number):
            self.call(new, "--try", "60")
            if number % 2:
                self.call("--confirm", "--console")
                self.call(old)
            else:
                self.call("--revert")

        done, sent, _, leaked, _ = self.during_flood(exchange, rounds)
        support.note("%d tries, %d packets to port %d: %d leaked" % (done, sent, CLOSED, leaked))
        self.assertEqual(leaked, 0)

    def test_nothing_leaks(self):
        self.by_turns(OLD, NEW, max(60, ROUNDS // 25))

        def expire(_):
            self.call(support.compile_policy(NEW).bundle, "--try", "3")
            time.sleep(4.3)

        done, sent, _, leaked, _ = self.during_flood(expire, 2)
        support.note("%d expiries, %d packets: %d leaked" % (done, sent, leaked))
        self.assertEqual(leaked, 0)

    def test_a_policy_that_drops_by_ranges(self):
        """The kernel publishes such sets behind the rules of their batch."""
        self.by_turns(RANGES, OTHER_RANGES, max(60, ROUNDS // 25))

    def test_the_first_start(self):
        """Over a closed host, kept: the closed table and the tried one go when the policy's stands."""
        new = support.compile_policy(RANGES).bundle
        back = support.scratch() / "back.nft"
        back.write_text(support.compile_policy(OLD).text("nftables-closed.nft") + "\ndelete table inet lockdown\n")
        self.call(new, "--stage", "closed")

        def exchange(_):
            self.call(new, "--try", "60")
            self.call("--confirm", "--console")
            self.host.run(["nft", "-f", back])

        done, sent, _, leaked, _ = self.during_flood(exchange, max(60, ROUNDS // 25))
        support.note("%d first starts, %d packets: %d leaked" % (done, sent, leaked))
        self.assertEqual(leaked, 0)


if __name__ == "__main__":
    support.unittest.main()
