"""Faults put into system calls of the applier: each ends as docs/apply.md says.

An error that strace injects is told instead of the call; with `tracing` the call is made, and then an error is told, or
less is asked for than the program wanted.
"""

import errno
import os
import re

import support
import tracing
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_bundle import CHECKSUM, sealed
from test_failures import NEW, OLD, FailureTestCase
from test_rollback import RollbackTestCase, policy

# asm/unistd_64.h.
READ, SENDMSG = 0, 46


class Batch(FailureTestCase):
    """What becomes of the batch."""

    def setUp(self):
        super().setUp()
        self.new = self.command(NEW, "--only", "firewall")
        self.apply(NEW)
        self.wanted = self.held()

    def fresh(self, old):
        self.host.run(["nft", "flush", "ruleset"])
        if old:
            self.apply(old)
        before = self.held()
        number, _ = self.batch(self.new)
        self.host.run(["nft", "flush", "ruleset"])
        if old:
            self.apply(old)
        return before, number

    def test_not_sent(self):
        """EPERM, ENOMEM, ENOBUFS in its place: the firewall from before, whole."""
        for old in (None, OLD):
            before, number = self.fresh(old)
            for name in ("EPERM", "ENOMEM", "ENOBUFS"):
                with self.subTest(old=bool(old), error=name):
                    self.run_in(self.strace("sendmsg", "error=%s:when=%d" % (name, number), self.new), 1,
                                "the batch could not be sent: " + name)
                    self.assertEqual(self.rules(self.held()), self.rules(before))

    def test_committed_and_yet_an_error(self):
        """Each message to the kernel is taken, and then an error is told: what the kernel holds decides."""
        for old in (None, OLD):
            _, number = self.fresh(old)
            for error in (errno.ENOBUFS, errno.EPERM, errno.EINVAL):
                for place in range(1, number + 3):
                    self.host.run(["nft", "flush", "ruleset"])
                    if old:
                        self.apply(old)
                    before = self.held()

                    def fail(call, count, registers):
                        if call == SENDMSG and count == place:
                            registers.rax = -error & (1 << 64) - 1
                            return True

                    with self.subTest(old=bool(old), error=errno.errorcode[error], place=place), self.host:
                        status, text = tracing.run(self.new, after=fail)
                        held = self.held()
                        if status == 0:
                            self.assertEqual(held, self.wanted, text)
                        else:
                            self.assertIn(status, (1, 2), text)
                            if status == 1:
                                self.assertEqual(self.rules(held), self.rules(before), text)
                        if place == number:
                            self.assertEqual(status, 0, text)

    def test_a_table_that_appears(self):
        """Between the look and the batch: EEXIST or ERESTART, and then it is replaced."""
        _, number = self.fresh(None)
        done = self.run_in(["sh", "-c", '"$@" & sleep 0.4; nft add table inet lockdown; wait $!', "sh", *map(str, self.strace(
            "sendmsg", "delay_enter=1000000:when=%d" % number, self.new))], 0)
        self.assertIn("firewall: ", done.stderr)
        # The other's table has no comment, and keeps none.
        self.assertEqual(*([item for item in held if item[0] != "table"] for held in (self.held(), self.wanted)))


class Calls(FailureTestCase):
    def test_interrupted(self):
        """EINTR: the call is made again, and nobody notices."""
        command = self.command(NEW, "--only", "firewall")
        self.apply(NEW)
        wanted = self.held()
        for name in ("openat", "read", "sendmsg", "recvmsg", "write", "poll"):
            for number in (1, 2, 5):
                with self.subTest(call=name, number=number):
                    self.host.run(["nft", "flush", "ruleset"])
                    self.run_in(self.strace(name, "error=EINTR:when=%d" % number, command), 0, "firewall: applied")
                    self.assertEqual(self.held(), wanted)

    def test_short_reads(self):
        """The bundle comes in pieces of 1,000 bytes."""
        pieces = 0

        def less(call, count, registers):
            nonlocal pieces
            if call == READ and registers.rdx > 4096:
                registers.rdx = 1000
                pieces += 1
                return True

        with self.host:
            status, text = tracing.run(self.command(NEW, "--only", "firewall"), before=less)
        self.assertEqual(status, 0, text)
        self.assertGreater(pieces, 2)

    def test_no_memory(self):
        """Refused by the kernel at any moment: the worker ends, and what is there is old or new."""
        self.apply(NEW)
        new = self.held()
        self.host.run(["nft", "flush", "ruleset"])
        for number in range(1, 12):
            with self.subTest(number=number):
                with self.host:
                    done = support.run(self.strace("mmap", "error=ENOMEM:when=%d+" % number,
                                                   self.command(NEW, "--only", "firewall")), check=False)
                self.assertIn(self.held(), ([], new))
                if done.status in (0, 3):
                    self.assertEqual(self.held(), new)
                    break
                self.host.run(["nft", "flush", "ruleset"])
        self.assertEqual(done.status, 0, done)

    def without(self, place, text, status, *said):
        """Where nothing is mounted there."""
        return self.run_in(["unshare", "-m", "sh", "-c",
                            'mount --make-rprivate / && mount -t tmpfs none %s && exec "$@"' % place, "sh",
                            *self.command(text)], status, *said)

    def test_no_proc(self):
        """The firewall wants nothing of it; keys are absent, each by name."""
        self.without("/proc", NEW, 0, "firewall: applied")
        self.host.run(["nft", "flush", "ruleset"])
        self.without("/proc", NEW + "sysctl:\n  net.ipv4.tcp_syncookies: 0\n", 3, "tcp_syncookies: absent", "firewall: applied")

    def test_no_sysfs(self):
        """The lockdown level and the check of modules are looked up there: named, and the rest is applied."""
        self.without("/sys", NEW + "kernel: { lockdown: integrity }\nmodules: { deny: [sctp] }\n", 3,
                     "lockdown: absent", "firewall: applied")


class Bundle(FailureTestCase):
    # docs/bundle-format.md.
    VERSION, BYTE_ORDER, ARCHITECTURE, MAJOR = 8, 10, 12, 24

    def test_header(self):
        """Another version, byte order, machine or a kernel to come, each under a right checksum."""
        content = support.compile_policy(NEW).bundle.read_bytes()
        path = support.scratch() / "faulty.bundle"
        for place, said in ((self.VERSION, "version"), (self.BYTE_ORDER, "byte order"), (self.ARCHITECTURE, "architecture"),
                            (self.MAJOR, "the policy is for kernel 99"), (CHECKSUM, "checksum")):
            with self.subTest(said):
                changed = bytearray(content)
                changed[place] = 99
                path.write_bytes(bytes(changed) if place == CHECKSUM else sealed(changed))
                done = self.run_in([support.LOCKDOWN_APPLY, path, "--only", "firewall"], 1, "refused: ")
                self.assertIn(said, done.stderr)
                self.assertEqual(self.host.listing(), "")

    def test_owners(self):
        """A file, a folder or a link on the way that is not root's alone."""
        folder = support.scratch() / "owners"
        folder.mkdir()
        path = folder / "policy.bundle"
        path.write_bytes(support.compile_policy(NEW).bundle.read_bytes())
        command = [support.LOCKDOWN_APPLY, path, "--only", "firewall", "--status", support.scratch() / "failures.json"]
        for damage, repair in (
                (lambda: path.chmod(0o664), lambda: path.chmod(0o644)),
                (lambda: os.chown(path, 1000, 0), lambda: os.chown(path, 0, 0)),
                (lambda: folder.chmod(0o777), lambda: folder.chmod(0o755)),
                (lambda: os.chown(folder, 1000, 0), lambda: os.chown(folder, 0, 0))):
            damage()
            self.run_in(command, 1, "refused: ", "owners")
            repair()
        link = support.scratch() / "link.bundle"
        link.symlink_to(path)
        os.lchown(link, 1000, 0)
        self.run_in([command[0], link, *command[2:]], 1, "a symbolic link that does not belong to root")
        os.lchown(link, 0, 0)
        self.assertEqual(self.host.listing(), "")
        self.run_in([command[0], link, *command[2:]], 0)

    def test_pin(self):
        bundle = support.compile_policy(NEW).bundle
        right = bundle.read_bytes()[CHECKSUM:CHECKSUM + 32].hex()
        self.run_in(self.command(NEW, "--only", "firewall", "--pin", "0" * 64), 1, "not the one that --pin names, but " + right)
        self.assertEqual(self.host.listing(), "")
        self.run_in(self.command(NEW, "--only", "firewall", "--pin", right), 0)

    def test_management_is_not_proved(self):
        """The flag of the header that says so, taken out."""
        content = bytearray(support.compile_policy(NEW).bundle.read_bytes())
        content[11] &= ~1
        path = support.scratch() / "unproved.bundle"
        path.write_bytes(sealed(content))
        command = [support.LOCKDOWN_APPLY, path, "--only", "firewall", "--status", support.scratch() / "failures.json"]
        self.run_in(command, 1, "has not proved that management stays reachable")
        self.assertEqual(self.host.listing(), "")
        self.run_in([*command, "--force"], 0)


class Mounts(RollbackTestCase):
    def test_busy(self):
        """EBUSY: a bind of ours that somebody uses stays, and is named."""
        place = support.scratch() / "busy-mounts"
        for name in ("first", "second"):
            (place / name).mkdir(parents=True, exist_ok=True)
        mounts = "mounts:\n  %s/first: { bind: self, flags: [noexec] }\n  %s/second: { flags: [nosuid] }\n" % (place, place)
        script = 'mount --make-rprivate / && mount -t tmpfs two %s/second && exec "$@"' % place
        self.run_in(self.call(policy("good", 1000)), 0)
        done = self.run_in(["unshare", "-m", "sh", "-c", script, "sh", "strace", "-f", "-qq", "-o", "/dev/null", "-e",
                            "inject=umount2:error=EBUSY", "-e", "inject=mount_setattr:error=EPERM:when=2",
                            *self.call(policy("new", 2000, mounts))], 4, "first: not put back", "EBUSY")
        self.assertTrue(re.search("second: refused", done.stderr))


if __name__ == "__main__":
    support.unittest.main()
