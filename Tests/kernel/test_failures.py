"""Rows of the failure table in docs/apply.md: what fails, what is there afterwards, what is said, the exit code.

Faults are put in by strace at system calls of the applier, by other processes, or by what is mounted over a file.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import nftables
import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

OLD = support.small(["accept tcp 22", "drop udp 1000-2000"], name="old")
NEW = support.small(["accept tcp 443", "accept udp 53 from 10.0.0.0/8", "drop udp 1000-3000"], name="new")
KEY = "sysctl:\n  net.ipv4.tcp_syncookies: 0\n"


class FailureTestCase(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host = self.namespace()

    def command(self, text, *options):
        return [support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--status",
                support.scratch() / "failures.json", *options]

    def run_in(self, arguments, status, *said, **options):
        with self.host:
            done = support.run(arguments, check=False, **options)
        self.assertEqual(done.status, status, done)
        for text in said:
            self.assertIn(text, done.stderr)
        return done

    def apply(self, text):
        with self.host:
            return support.run(self.command(text, "--only", "firewall"))

    def held(self):
        """What the kernel holds of ours, for comparing."""
        return nftables.everything(self.host, nftables.INET_LOCKDOWN)

    @staticmethod
    def strace(name, fault, command):
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + name, "-e",
                "inject=%s:%s" % (name, fault), *command]

    def stop_after(self, name, act, command, status, *said, path=None):
        """As `run_in`; behind each of these system calls the caller is stopped, and goes on once `act` was called.

        `act` takes what the call returned. With `path`, only calls on this file count.
        """
        reads, writes = os.pipe()
        with self.host:
            process = subprocess.Popen(
                ["strace", "-f", "-qq", "-o", "/dev/fd/%d" % writes, "-e", "trace=" + name, "-e",
                 "inject=%s:signal=STOP" % name, *(["-P", path] if path else []), *map(str, command)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[writes])
        os.close(writes)
        try:
            with open(reads) as trace:
                for line in trace:
                    if result := re.search(r"= (-?\d+)\D*$", line):
                        returned = int(result.group(1))
                    elif line.rstrip().endswith("--- stopped by SIGSTOP ---"):
                        try:
                            act(returned)
                        finally:
                            os.kill(int(line.split()[0]), signal.SIGCONT)
        finally:
            output, errors = process.communicate()
        done = support.Outcome(command, process.returncode, output, errors)
        self.assertEqual(done.status, status, done)
        for text in said:
            self.assertIn(text, done.stderr)

    @classmethod
    def kills(cls, host, name, number, command):
        """Whether SIGKILL at the entry of a process's system call of this name and number has ended the run."""
        with host:
            done = subprocess.run(
                list(map(str, cls.strace(name, "signal=KILL:when=%d" % number, command))),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The applier itself, strace after it, or the supervisor whose worker was ended.
        return done.returncode in (137, -9, 2)

    @staticmethod
    def rules(held):
        return [item for item in held if item[0] in ("rule", "chain", "table")]

    def batch(self, command):
        """Which of its `sendmsg` calls sends the batch, from 1, and how long it is: the longest one of a run."""
        log = support.scratch() / "trace"
        with self.host:
            support.run(["strace", "-f", "-qq", "-e", "trace=sendmsg", "-o", log, *command], check=False)
        lengths = [int(found) for found in re.findall(r"sendmsg\(.*= (\d+)$", log.read_text(), re.M)]
        return lengths.index(max(lengths)) + 1, max(lengths)


class Refused(FailureTestCase):
    def test_usage(self):
        for options in (["--stage", "verify"], ["--follow"], ["--stage", "late", "--healthy"], ["--key"], ["--frobnicate"], ["--only"],
                        ["--only", "modules"], ["--stage", "seal", "--check"], ["--stage", "seal", "--only", "sysctl"],
                        ["--stage", "seal", "--try", "60"], ["--stage"], ["--pin", "00"], ["--deadline", "0"],
                        ["--healthy"]):
            with self.subTest(options):
                self.run_in(self.command(OLD, *options), 64, "usage:")
        self.run_in([support.LOCKDOWN_APPLY], 64, "no bundle is named")
        self.run_in([support.LOCKDOWN_APPLY, "--slots", "/run", "--check"], 64, "usage:")
        self.assertEqual(self.host.listing(), "")

    def test_another_applier(self):
        """One that is at work for ten seconds; one whose name is taken by somebody who does not listen is ignored."""
        with self.host:
            holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(holder.close)
            holder.bind("\0lockdown-apply")
            self.run_in(self.command(OLD, "--only", "firewall"), 0, "does not answer")
            before = self.held()
            holder.listen()
            start = time.monotonic()
            self.run_in(self.command(NEW, "--only", "firewall"), 75, "busy: another applier is at work")
        self.assertGreater(time.monotonic() - start, 9)
        self.assertEqual(self.held(), before)

    def test_a_queue_that_others_filled(self):
        """Anybody can take the name and never answer: after ten seconds that is ignored."""
        holder = (
            "import socket, time\n"
            "held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]\n"
            "held[0].bind('\\0lockdown-apply'); held[0].listen(0)\n"
            "for client in held[1:]:\n"
            "    client.setblocking(False)\n"
            "    try: client.connect('\\0lockdown-apply')\n"
            "    except BlockingIOError: pass\n"
            "print(flush=True); time.sleep(100)\n")
        with self.host:
            process = subprocess.Popen(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
                                        holder], stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            start = time.monotonic()
            self.run_in(self.command(NEW, "--only", "firewall"), 0, "does not answer: it is ignored")
        finally:
            process.kill()
            process.communicate()
        self.assertGreater(time.monotonic() - start, 9)
        self.assertNotEqual(self.held(), [])

    def test_a_key_that_cannot_be_written(self):
        """Seen before anything is changed: no firewall either."""
        self.host.sysctl("net.ipv4.tcp_syncookies", 1)
        self.run_in(["unshare", "-m", "sh", "-c", 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && "$@"',
                     "sh", *self.command(OLD + KEY)], 1, "tcp_syncookies: refused", ".cos:")
        self.assertEqual(self.host.listing(), "")
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_syncookies"), "1")


class Said(FailureTestCase):
    """Where nobody takes what is said, the run is the same."""

    def applied(self, shell, *options, error=None, status=0):
        self.host.run(["nft", "flush", "ruleset"])
        command = ["sh", "-c", 'exec "$@" ' + shell, "sh", *map(str, self.command(NEW, *options))]
        start = time.monotonic()
        with self.host:
            done = subprocess.run(command, stderr=error, stdout=subprocess.DEVNULL, timeout=60)
        self.assertEqual(done.returncode, status)
        self.assertIn('comment "new sha256:', self.host.listing())
        return time.monotonic() - start

    def test_a_reader_that_sleeps(self):
        """Waited for once, for a second."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, bytes(4096))
        except BlockingIOError:
            os.set_blocking(writing, True)
        self.assertLess(self.applied("", "--only", "firewall", error=writing), 8)

    def test_a_reader_that_is_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        self.addCleanup(os.close, writing)
        self.applied("", "--only", "firewall", error=writing)
        # More to say, and before anything is done.
        self.applied("", "--only", "firewall", "--status", "/dev/null/none", error=writing)

    def test_no_descriptors(self):
        """Closed ones are not those of the next files."""
        for shell in (">&- 2>&-", "<&- 2>&-", "<&- >&- 2>&-"):
            with self.subTest(shell):
                self.applied(shell, "--only", "firewall")
                for path in [*pathlib.Path("/run/lockdown").glob("*.json"), support.scratch() / "failures.json"]:
                    self.assertNotIn("lockdown-apply:", path.read_text())

    def test_a_parent_that_ignores_its_children(self):
        """How the worker ended is told all the same."""
        command = ["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", *map(str, self.strace(
            "sendmsg", "signal=KILL:when=1", self.command(NEW, "--only", "firewall")))]
        self.run_in(command, 2, "the worker was ended by signal 9")

    def test_a_place_that_is_no_file(self):
        """`--status /dev/null` does not make a file of it."""
        folder = support.scratch() / "places"
        folder.mkdir(exist_ok=True)
        for place, make in (("pipe", lambda path: os.mkfifo(path)), ("link", lambda path: path.symlink_to("nowhere"))):
            with self.subTest(place):
                make(folder / place)
                before = (folder / place).lstat()
                self.run_in([*self.command(NEW)[:2], "--only", "firewall", "--status", folder / place], 0,
                            "the status file is not written: what is there is not a file")
                self.assertEqual((folder / place).lstat().st_ino, before.st_ino)


class Container(FailureTestCase):
    def test_its_first_process(self):
        """It is none that a kernel starts: it does what it is told, and starts no init. There is none here, whatever happens."""
        folder = support.scratch() / "container"
        (folder / "proc").mkdir(parents=True)
        (folder / "apply").write_bytes(pathlib.Path(support.LOCKDOWN_APPLY).read_bytes())
        (folder / "apply").chmod(0o755)
        (folder / "policy.bundle").write_bytes(support.compile_policy(NEW + KEY).bundle.read_bytes())
        for name, mount in (("its own", "mount -t proc proc"), ("another one's", "mount --bind /proc")):
            for options, status in (("--check", 1), ("--only firewall", 0)):
                with self.subTest(proc=name, options=options):
                    done = self.host.run(
                        ["unshare", "-mpf", "--kill-child", "sh", "-c",
                         'mount --make-rprivate / && %s "$0/proc" && exec chroot "$0" /apply /policy.bundle %s' % (mount, options),
                         folder], check=False, timeout=30)
                    self.assertEqual(done.status, status, done)
                    self.assertNotIn("process 1", done.stderr)
        self.assertIn("dport 443", self.host.listing())


class Kernel(FailureTestCase):
    """What the kernel, or somebody else, does meanwhile."""

    # Others write to a clock.
    runs_alone = True

    def test_another_writer(self):
        """The ruleset changes between each look and each batch: the old table stays."""
        command = self.command(NEW, "--only", "firewall")
        self.apply(OLD)
        number, _ = self.batch(command)
        self.apply(OLD)
        before = self.held()
        sent, calls = [], {number - 1}

        def change(length):
            sent.append(length)
            if len(sent) in calls:
                self.host.nft("add table inet other; delete table inet other")

        # How many calls an attempt makes that is not the first one: two batches of one run tell.
        self.stop_after("sendmsg", change, command, 0, "firewall: replaced")
        first, second = [place for place, length in enumerate(sent, 1) if length == max(sent)]
        self.assertEqual(first, number)
        self.apply(OLD)
        sent, calls = [], range(first - 1, 1000, second - first)
        self.stop_after("sendmsg", change, command, 1, "other writers changed the ruleset each time", "another writer was faster")
        self.assertEqual(self.rules(self.held()), self.rules(before))

    def test_a_lost_batch(self):
        """`sendmsg` says that the batch was sent, and nothing was: the kernel does not answer, and it is sent again."""
        command = self.command(NEW, "--only", "firewall")
        number, length = self.batch(command)
        wanted = self.held()
        self.host.run(["nft", "flush", "ruleset"])
        self.run_in(self.strace("sendmsg", "retval=%d:when=%d" % (length, number), command), 0, "firewall: applied")
        self.assertEqual(self.held(), wanted)

    def test_batches_that_are_lost(self):
        """Each time: the state from before is there, and that is said."""
        self.apply(NEW)
        self.apply(OLD)
        before = self.held()
        command = self.command(NEW, "--only", "firewall")
        number, length = self.batch(command)
        self.apply(OLD)
        # The requests before it are sent; from there on nothing is, so that no answer comes either.
        self.run_in(self.strace("sendmsg", "retval=%d:when=%d+" % (length, number), [*command, "--deadline", "3"]), 2,
                    "deadline of 3 s")
        self.assertEqual(self.rules(self.held()), self.rules(before))

    def test_lost_answers(self):
        """ENOBUFS for one answer: success is only said where the kernel holds it."""
        command = self.command(NEW, "--only", "firewall")
        self.apply(NEW)
        wanted = self.held()
        for number in range(1, 16):
            with self.subTest(number=number):
                self.host.run(["nft", "flush", "ruleset"])
                with self.host:
                    done = support.run(self.strace("recvfrom", "error=ENOBUFS:when=%d" % number, command), check=False)
                    held = self.held()
                if done.status == 0:
                    self.assertEqual(held, wanted, done)
                else:
                    self.assertIn(done.status, (1, 2), done)
                    if done.status == 1:
                        self.assertEqual(held, [], done)

    def test_changed_behind_each_batch(self):
        """Somebody takes a rule out behind each batch: what is there is neither, and then the host is closed."""
        self.apply(OLD)
        with nftables.Netlink(self.host) as netlink:
            seen = netlink.generation()
            batches = 0

            def flush(_):
                nonlocal seen, batches
                if netlink.generation() != seen:
                    # The last one, which closes, leaves no such chain.
                    flushed = self.host.nft("flush chain inet lockdown input", check=False)
                    batches += flushed.status == 0
                    seen = netlink.generation()

            run = self.command(NEW, "--only", "firewall", "--deadline", "120")
            self.stop_after("sendmsg", flush, run, 5, "what was read back is not what was sent",
                            "firewall: the closed one is live")
        self.assertGreater(batches, 1)


class Ended(FailureTestCase):
    """The worker does not come to its end."""

    CALLS = ("sendmsg", "sendto", "recvfrom", "openat", "write", "bind", "socket", "setsockopt", "fsync", "rename", "close")

    def test_deadline(self):
        """A worker that stands still is ended, and what is loaded is told."""
        self.apply(OLD)
        before = self.held()
        self.run_in(self.strace("sendmsg", "signal=STOP:when=3", self.command(NEW, "--only", "firewall", "--deadline", "1")),
                    2, "deadline of 1 s", "loaded now: ")
        self.assertEqual(self.held(), before)

    def test_killed_anywhere(self):
        """At the entry of every call of a first apply and of a replace: old or new, and the next run converges."""
        self.apply(NEW)
        new = self.held()
        fired = 0
        for first in (None, OLD):
            self.host.run(["nft", "flush", "ruleset"])
            if first:
                self.apply(first)
            old = self.held()
            log = support.scratch() / "trace"
            command = self.command(NEW, "--only", "firewall")
            with self.host:
                support.run(["strace", "-f", "-qq", "-e", "trace=" + ",".join(self.CALLS), "-o", log, *command], check=False)
            counts = {}
            for line in log.read_text().splitlines():
                match = re.match(r"(\d+)\s+(\w+)\(", line)
                if match:
                    key = match.group(2), match.group(1)
                    counts[key] = counts.get(key, 0) + 1
            points = {(name, number) for (name, _), count in counts.items() for number in range(1, count + 1)}
            for name, number in sorted(points):
                self.host.run(["nft", "flush", "ruleset"])
                if first:
                    self.apply(first)
                if not self.kills(self.host, name, number, command):
                    continue
                fired += 1
                with self.subTest(first=bool(first), call=name, number=number):
                    # Sets that no rule uses may be left by a replace; rules and chains are one of both.
                    self.assertIn(self.rules(self.held()), (self.rules(old), self.rules(new)))
                    self.apply_again()
                    self.assertEqual(self.held(), new)
        support.note("%d kills" % fired)
        self.assertGreater(fired, 60)

    def apply_again(self):
        with self.host:
            done = support.run(self.command(NEW, "--only", "firewall"), check=False)
        self.assertIn(done.status, (0, 3), done)
