"""SIGKILL at system calls of whole runs: firewall, keys, mounts, what comes last, and what comes late.

At the entry of a call, which is then not made: so the state before and after each is seen. The firewall is one of both,
whole; every key and mount flag is old or new, and what may be new is in the journal; the next run converges. A bounded share
of the points, or with LOCKDOWN_KILLS all of them.
"""

import ctypes
import json
import os
import re
import subprocess
import traceback

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_rollback import RollbackTestCase, policy

# What a share takes, spread over all of them.
SHARE = None if os.environ.get("LOCKDOWN_KILLS") else 24
# linux/sched.h, linux/mount.h.
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000

KEYS = """\
sysctl:
  net.ipv4.conf.*.rp_filter: 1
  net.ipv4.ip_default_ttl: 77
  net.ipv4.ip_forward: 0
  net.ipv4.tcp_syncookies: 0
%s"""
MOUNTS = """\
mounts:
  %(place)s/data: { flags: [nosuid, noexec] }
  %(place)s/data/programs: { bind: self, flags: [nodev] }
"""
INGRESS = """\
firewall:
  ingress:
    devices: [late0]
    policy: accept
    rules: ['drop udp from 10.0.0.0/8']
"""
NAMES = ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lo.rp_filter", "net.ipv4.ip_default_ttl", "net.ipv4.ip_forward",
         "net.ipv4.tcp_syncookies"]
OLD_KEYS = dict(zip(NAMES, ("2", "2", "64", "1", "1")))
NEW_KEYS = dict(zip(NAMES, ("1", "1", "77", "0", "0")))


class Whole(RollbackTestCase):
    def setUp(self):
        super().setUp()
        self.bad = []
        self.place = support.scratch() / "kills"
        (self.place / "data" / "programs").mkdir(parents=True, exist_ok=True)
        self.old = policy("old", 1000)
        self.new = policy("new", 2000, KEYS % "" + MOUNTS % {"place": self.place})
        self.refused = policy("refused", 3000, KEYS % "  net.ipv4.tcp_congestion_control: nosuch\n")

    # MARK: States

    def reset(self, live, mounts):
        """What a run begins with: one policy or none, old keys, and fresh mounts."""
        self.forget()
        self.good.unlink(missing_ok=True)
        self.host.run(["nft", "flush", "ruleset"])
        for name, value in OLD_KEYS.items():
            self.host.sysctl(name, value)
        self.host.sysctl("net.ipv4.conf.default.rp_filter", 2)
        if mounts:
            while subprocess.run(["umount", "-R", self.place / "data"], stderr=subprocess.DEVNULL).returncode == 0:
                pass
            subprocess.run(["mount", "-t", "tmpfs", "data", self.place / "data"], check=True)
            (self.place / "data" / "programs").mkdir()
        if live:
            self.run_in(self.call(live), 0)

    def flags(self):
        """Of our mounts: path and the flags that the policy names."""
        found = {}
        with open("/proc/self/mountinfo") as table:
            for line in table:
                fields = line.split()
                if fields[4].startswith(str(self.place)):
                    found[fields[4][len(str(self.place)):]] = {"nosuid", "noexec", "nodev"} & set(fields[5].split(","))
        return found

    def table(self):
        """Which firewalls stand: their labels, whether the closed one does, and how many verdicts there are."""
        listing = self.host.listing()
        names = re.findall(r'comment "([a-z-]+) sha256', listing)
        return tuple(sorted(names)), "table inet lockdown-closed" in listing, listing.count(" accept") + listing.count(" drop")

    def journal(self):
        text = ""
        for name in self.journals():
            with open("/run/lockdown/" + name) as file:
                text += file.read()
        return text

    def keys(self):
        return {name: self.host.sysctl(name) for name in NAMES}

    def bad_state(self, tables, before):
        """What is wrong with what is there; empty: nothing."""
        wrong = []
        if self.table() not in tables:
            wrong.append("tables: %s" % (self.table(),))
        journal = self.journal()
        for name, value in self.keys().items():
            if value not in (before[name], NEW_KEYS[name]):
                wrong.append("%s is %s" % (name, value))
            elif value != before[name] and journal and "sysctl %s\n" % name.replace(".", "/") not in journal:
                wrong.append("%s is not in the journal" % name)
        for path, flags in self.flags().items():
            if flags not in (set(), {"nosuid", "noexec"}, {"nodev"}, {"nosuid", "noexec", "nodev"}):
                wrong.append("%s is %s" % (path, flags))
        return wrong

    # MARK: The matrix

    def points(self, command):
        log = support.scratch() / "trace"
        with self.host:
            support.run(["strace", "-f", "-qq", "-o", log, *command], check=False)
        counts = {}
        for line in log.read_text().splitlines():
            match = re.match(r"(\d+)\s+(\w+)\(", line)
            # What a library does at the start, and what ends a process, has nothing before or behind it.
            if match and match.group(2) not in ("execve", "arch_prctl", "set_tid_address", "exit_group"):
                key = match.group(2), match.group(1)
                counts[key] = counts.get(key, 0) + 1
        return sorted({(name, number) for (name, _), count in counts.items() for number in range(1, count + 1)})

    def matrix(self, title, prepare, command, tables, then):
        """How many kills fired. `then` checks that the next run converges."""
        prepare()
        points = self.points(command)
        chosen = points if SHARE is None else points[::max(1, len(points) // SHARE)]
        fired = 0
        for name, number in chosen:
            prepare()
            before = self.keys()
            if not self.kills(self.host, name, number, command):
                continue
            fired += 1
            wrong = self.bad_state(tables, before)
            try:
                then()
            except AssertionError as error:
                wrong.append(str(error))
            self.bad += ["%s, %s %d: %s" % (title, name, number, text) for text in wrong]
        support.note("%s: %d of %d" % (title, fired, len(points)))
        return fired

    def in_mount_namespace(self, body):
        """What `body` returns, made in a process of its own, whose mounts end with it."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if support.libc.unshare(CLONE_NEWNS) != 0 or support.libc.mount(
                        None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) != 0:
                    raise OSError(ctypes.get_errno(), "a mount namespace")
                with os.fdopen(writing, "w") as file:
                    json.dump(body(), file)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading) as file:
            text = file.read()
        _, state = os.waitpid(child, 0)
        self.assertEqual(os.waitstatus_to_exitcode(state), 0)
        return json.loads(text)

    def converges(self, text, keys=NEW_KEYS):
        def check():
            with self.host:
                done = support.run(self.call(text), check=False)
                self.assertEqual(done.status, 0, done)
                again = support.run(self.call(text), check=False)
            self.assertIn("firewall: unchanged", again.stderr)
            self.assertEqual(self.keys(), keys)
            self.assertEqual(self.journals(), [])
        return check

    def test_killed_anywhere(self):
        """First apply, replace, a run that is taken back, and the seal."""
        def body():
            states = {}
            for name, text in (("none", None), ("old", self.old), ("new", self.new), ("refused", None)):
                self.reset(text, True)
                states[name] = self.table()
            # What is taken back stands for a moment.
            self.reset(self.old, True)
            self.run_in(self.call(policy("refused", 3000)), 0)
            states["refused"] = self.table()
            self.reset(None, True)
            self.run_in(self.call(self.refused), 5)
            states["closed"] = self.table()
            # Each has its label.
            both = (tuple(sorted(states["refused"][0] + states["closed"][0])), True,
                    states["refused"][2] + states["closed"][2])

            def then_new():
                self.converges(self.new)()

            fired = self.matrix("first", lambda: self.reset(None, True), self.call(self.new),
                                {states["none"], states["new"]}, then_new)
            fired += self.matrix("replace", lambda: self.reset(self.old, True), self.call(self.new),
                                 {states["old"], states["new"]}, then_new)
            fired += self.matrix("taken back to the last", lambda: self.reset(self.old, True), self.call(self.refused),
                                 {states["old"], states["refused"]}, then_new)
            fired += self.matrix("taken back to closed", lambda: self.reset(None, True), self.call(self.refused),
                                 {states["none"], states["refused"], states["closed"], both}, then_new)

            def unsealed():
                self.reset(self.new, True)
                self.host.sysctl("net.ipv4.ip_forward", 1)
                for name in ("all", "default", "lo"):
                    self.host.sysctl("net.ipv4.conf.%s.rp_filter" % name, 1)

            fired += self.matrix("seal", unsealed, self.call(self.new, "--stage", "seal"), {states["new"]}, then_new)

            # What comes late: a device that has a chain, keys that read otherwise, and a mount.
            def without_device():
                self.host.run(["ip", "link", "set", "late0", "down"], check=False)
                self.host.run(["ip", "link", "del", "late0"], check=False)
                self.reset(late, True)
                self.host.ip("link add name late0 type bridge")
                for name, value in OLD_KEYS.items():
                    self.host.sysctl(name, value)
                subprocess.run(["mount", "-o", "remount,bind,suid,exec", self.place / "data"], check=True)

            late = self.new.replace("firewall:\n", INGRESS)
            without_device()
            states["waiting"] = self.table()
            self.run_in(self.call(late, "--stage", "late"), 0)
            states["late"] = self.table()
            self.assertNotEqual(states["late"], states["waiting"])
            fired += self.matrix("late", without_device, self.call(late, "--stage", "late"),
                                 {states["waiting"], states["late"]}, self.converges(late))
            self.host.ip("link del late0")
            return fired, self.bad

        fired, bad = self.in_mount_namespace(body)
        support.note("%d kills, %d bad ends" % (fired, len(bad)))
        self.assertEqual(bad, [])
        self.assertGreater(fired, 60 if SHARE else 500)


if __name__ == "__main__":
    support.unittest.main()
