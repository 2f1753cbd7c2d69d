"""What a run changes is written down before, and what fails later takes all of it back: keys and mounts to what they
were, the firewall to the last-known-good one, else to the closed one, with management open.

Keys are per network namespace, and mounts in a namespace that ends with the command, as in test_domains.
"""

import json
import os
import re
import shutil

import nftables
import support
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_failures import FailureTestCase

HEADER = 'language: 1\ntarget: { kernel: "6.1" }\nmanagement: ["tcp 22"]\nboot: { management-after: 1h }\n'
FIREWALL = """\
firewall:
  input:
    policy: drop
    rules: ['accept established, related', 'accept tcp 22', 'accept udp %s']
"""
KEYS = """\
sysctl:
  net.ipv4.conf.*.rp_filter: 1
  net.ipv4.tcp_syncookies: 0
  net.ipv4.ip_default_ttl: 77
"""
# The kernel refuses the value when it is written, and not before.
BAD_KEY = "  net.ipv4.tcp_congestion_control: nosuch\n"


def policy(name, port, rest=""):
    return "policy: %s\n" % name + HEADER + FIREWALL % port + rest


GOOD = policy("good", 1000)
NEW = policy("new", 2000, KEYS)
BAD = policy("bad", 2000, KEYS + BAD_KEY)


class RollbackTestCase(FailureTestCase):
    def setUp(self):
        super().setUp()
        self.good = support.scratch() / "last-good.bundle"
        self.good.unlink(missing_ok=True)
        for name in ("all", "default", "lo"):
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % name, 2)
        # Who was killed in an earlier test of this process has left one.
        self.forget()
        self.addCleanup(self.forget)

    def forget(self):
        for name in os.listdir("/run/lockdown"):
            if name.startswith("journal"):
                os.unlink(os.path.join("/run/lockdown", name))

    def call(self, text, *options):
        return self.command(text, "--last-good", self.good, *options)

    def status(self):
        return json.loads((support.scratch() / "failures.json").read_text())

    def journals(self):
        # Behind a dot comes what a killed one was writing.
        return [name for name in os.listdir("/run/lockdown") if re.fullmatch(r"journal(-\d+)?", name)]

    def keys(self):
        names = ["net.ipv4.conf.%s.rp_filter" % name for name in ("all", "default", "lo")]
        names += ["net.ipv4.tcp_syncookies", "net.ipv4.ip_default_ttl", "net.ipv4.tcp_congestion_control"]
        return {name: self.host.sysctl(name) for name in names}

    def tables(self):
        return re.findall(r"^table inet (\S+)", self.host.listing(), re.M)

    def loaded(self):
        return re.search(r'comment "([a-z-]+) sha256', self.host.listing()).group(1)


class Refused(RollbackTestCase):
    """A key that is refused when it is written, behind the firewall."""

    def test_to_the_last_known_good(self):
        self.run_in(self.call(GOOD), 0)
        self.assertEqual(self.good.read_bytes(), support.compile_policy(GOOD).bundle.read_bytes())
        held, keys = self.held(), self.keys()
        self.run_in(self.call(BAD), 4, "tcp_congestion_control: refused", "ip_default_ttl: put back",
                    "firewall: the last-known-good one is live")
        self.assertEqual((self.held(), self.keys()), (held, keys))
        self.assertEqual(self.good.read_bytes(), support.compile_policy(GOOD).bundle.read_bytes())
        self.assertEqual(self.status()["firewall"]["retreat"], "the last-known-good one is live")
        self.assertEqual(self.journals(), [])
        self.run_in(self.call(GOOD), 0, "firewall: unchanged")

    def test_to_the_closed_stage(self):
        """There is no last-known-good one: closed, and management is let in from now on."""
        keys = self.keys()
        self.run_in(self.call(BAD), 5, "firewall: the closed one is live", "management is let in from now on",
                    "taken back, the host is closed")
        self.assertEqual(self.keys(), keys)
        self.assertEqual(self.tables(), ["lockdown-closed"])
        self.assertNotIn("elements", re.search(r"set waiting \{.*?\n\t\}", self.host.listing(), re.S).group(0))
        # And from there a policy takes its place as ever.
        self.run_in(self.call(GOOD), 0)
        self.assertEqual(self.tables(), ["lockdown"])

    def test_a_last_known_good_that_fails_too(self):
        """Damaged, or others can write it: refused by name, and then the closed one."""
        for damage in (lambda: self.good.write_bytes(b"damaged"), lambda: self.good.chmod(0o666)):
            self.host.run(["nft", "flush", "ruleset"])
            self.good.write_bytes(support.compile_policy(GOOD).bundle.read_bytes())
            damage()
            self.run_in(self.call(BAD), 5, "refused: ", "last-good.bundle", "firewall: the closed one is live")
            self.assertEqual(self.tables(), ["lockdown-closed"])
            self.good.unlink()

    def test_nothing_to_go_back_to(self):
        """Neither a last-known-good one nor a closed stage: what is there is the policy's, and that is said."""
        bare = BAD.replace("boot: { management-after: 1h }", "boot: { stage: none }")
        self.run_in(self.call(bare), 3, "firewall: it stays")
        self.assertEqual(self.loaded(), "bad")

    def test_an_unchanged_firewall_stays(self):
        self.run_in(self.call(policy("bad", 2000), "--only", "firewall"), 0)
        self.run_in(self.call(BAD, "--only", "firewall"), 0)
        held = self.held()
        self.run_in(self.call(BAD), 1, "firewall: unchanged", "tcp_congestion_control: refused")
        self.assertEqual(self.held(), held)

    def test_only_what_was_whole_is_kept(self):
        for options in (["--only", "firewall"], ["--check"], ["--try", "60"], ["--stage", "closed"]):
            with self.subTest(options), self.host:
                support.run(self.call(NEW, *options), check=False)
                self.assertFalse(self.good.exists())
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--revert"])
        self.run_in(self.call(NEW), 0)
        self.assertTrue(self.good.exists())

    def test_a_mount(self):
        """Keys go back too, and the mount of before it."""
        place = support.scratch() / "rollback-mounts"
        for name in ("first", "second"):
            (place / name).mkdir(parents=True, exist_ok=True)
        self.run_in(self.call(GOOD), 0)
        held, keys = self.held(), self.keys()
        mounts = "mounts:\n  %s/first: { flags: [noexec] }\n  %s/second: { flags: [nosuid] }\n" % (place, place)
        script = 'mount --make-rprivate / && mount -t tmpfs one %s/first && mount -t tmpfs two %s/second && "$@"; ' \
            's=$?; grep rollback-mounts /proc/self/mountinfo; exit $s' % (place, place)
        with self.host:
            done = support.run(["unshare", "-m", "sh", "-c", script, "sh", *self.strace(
                "mount_setattr", "error=EPERM:when=2", self.call(NEW + mounts))], check=False)
        self.assertEqual(done.status, 4, done)
        self.assertIn("second: refused, the flags were refused, EPERM", done.stderr)
        self.assertIn("first: put back", done.stderr)
        self.assertNotIn("noexec", done.stdout)
        self.assertEqual((self.held(), self.keys()), (held, keys))


class Keys(RollbackTestCase):
    """What the kernel makes of a value, and what going back means."""

    PORTS = "  net.ipv4.ip_local_reserved_ports: 9000-9001\n"

    def key(self, name, call, when):
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-P", "/proc/sys/" + name, "-e",
                "inject=%s:when=%s" % (call, when)]

    def test_another_value(self):
        """The kernel takes it, and shows it padded: a gap with a name, and not the end of the policy."""
        rounded = NEW + "  net.ipv4.tcp_fastopen_key: 0-1-2-3\n"
        self.run_in(self.call(rounded), 3, "tcp_fastopen_key: not enforced, the kernel makes another value of it")
        self.assertEqual(self.loaded(), "new")
        self.assertEqual(self.host.sysctl("net.ipv4.ip_default_ttl"), "77")
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_fastopen_key"), "00000000-00000001-00000002-00000003")
        self.run_in(self.call(rounded), 3, "firewall: unchanged", "tcp_fastopen_key: not enforced")
        self.run_in(self.call(rounded, "--check"), 1)
        # What a compile knows it writes as the kernel shows it.
        self.run_in(self.call(NEW + '  net.ipv4.ip_local_reserved_ports: "9001,8081,8080"\n'), 0)
        self.assertEqual(self.host.sysctl("net.ipv4.ip_local_reserved_ports"), "8080-8081,9001")

    def test_another_value_goes_back_too(self):
        before = self.host.sysctl("net.ipv4.tcp_fastopen_key")
        self.run_in(self.call(BAD.replace(BAD_KEY, "  net.ipv4.tcp_fastopen_key: 0-1-2-3\n" + BAD_KEY)), 5)
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_fastopen_key"), before)

    def test_empty_before(self):
        keys = "sysctl:\n" + self.PORTS + BAD_KEY
        self.run_in(self.call(policy("bad", 2000, keys)), 5, "ip_local_reserved_ports: put back")
        self.assertEqual(self.host.sysctl("net.ipv4.ip_local_reserved_ports"), "")

    def test_who_follows_default_still_does(self):
        self.host.run(["ip", "link", "add", "v0", "type", "bridge"])
        name = "net.ipv4.conf.%s.secure_redirects"
        self.run_in(self.call(policy("bad", 2000, "sysctl:\n  net.ipv4.conf.*.secure_redirects: 0\n" + BAD_KEY)), 5)
        self.assertEqual([self.host.sysctl(name % each) for each in ("all", "default", "v0")], ["1", "1", "1"])
        self.host.sysctl(name % "default", 0)
        self.assertEqual(self.host.sysctl(name % "v0"), "0")

    def test_neighbours_have_no_all(self):
        self.host.run(["ip", "link", "add", "v0", "type", "bridge"])
        text = policy("new", 2000, "sysctl:\n  net.ipv4.neigh.*.gc_stale_time: 61\n")
        self.run_in(self.call(text), 0)
        self.assertEqual(self.host.sysctl("net.ipv4.neigh.v0.gc_stale_time"), "61")
        self.run_in(self.call(text, "--check"), 0)

    def test_not_read_back(self):
        """Nobody can tell: that is no key that is absent, and nothing is sealed behind it."""
        keys = self.keys()
        name = "net/ipv4/ip_default_ttl"
        self.run_in([*self.key(name, "openat:error=EMFILE", 5), *self.call(NEW)], 5, "ip_default_ttl: put back, it cannot be read")
        self.assertEqual(self.keys(), keys)


    def test_a_link_that_goes_meanwhile(self):
        """Of `*`: as if it had never been."""
        self.run_in([*self.key("net/ipv4/conf/lo/rp_filter", "openat:error=ENOENT", "5+"), *self.call(NEW)], 0)
        self.assertEqual(self.status()["exit"], 0)


class Journal(RollbackTestCase):
    def kill(self, bundle=None):
        """At its first write of a key."""
        command = self.call(NEW)
        if bundle:
            command[1] = bundle
        with self.host:
            support.run(["strace", "-f", "-qq", "-o", "/dev/null", "-P", "/proc/sys/net/ipv4/conf/all/rp_filter", "-e",
                         "inject=write:signal=KILL:when=1", *command], check=False)

    def test_a_try_keeps_it(self):
        """What may be old or new is said by the try, by no revert, and by the next run again."""
        note = "an earlier run did not come to its end"
        self.kill()
        self.run_in(self.call(NEW, "--try", 60), 0, note)
        with self.host:
            support.run([support.LOCKDOWN_APPLY, "--revert"])
            support.run([support.LOCKDOWN_APPLY, "--revert"], check=False)
        (name,) = self.journals()
        with open("/run/lockdown/" + name) as file:
            self.assertIn("sysctl net/ipv4/ip_default_ttl\n old 64\n new 77\n", file.read())
        self.run_in(self.call(NEW), 0, note)
        self.assertEqual(self.journals(), [])

    def test_a_path_with_a_line_feed(self):
        place = support.scratch() / "two\nlines"
        place.mkdir(exist_ok=True)
        shutil.copy(support.compile_policy(NEW).bundle, place / "policy.bundle")
        self.kill(place / "policy.bundle")
        self.assertEqual(len(self.journals()), 1)
        self.run_in(self.call(NEW), 0, "an earlier run did not come to its end")

    def test_written_before(self):
        """Killed at its first write of a key: the journal names each with what it was and what it is to be."""
        before = self.keys()
        self.kill()
        self.assertEqual(self.keys(), before)
        (name,) = self.journals()
        with open("/run/lockdown/" + name) as file:
            text = file.read()
        self.assertTrue(text.startswith("lockdown-journal 1\nbundle %s\nchecksum " % support.compile_policy(NEW).bundle))
        self.assertIn("sysctl net/ipv4/tcp_syncookies\n old 1\n new 0\n", text)
        self.assertIn("sysctl net/ipv4/ip_default_ttl\n old 64\n new 77\n", text)
        self.assertIn("sysctl net/ipv4/conf/lo/rp_filter\n old 2\n new 1\n", text)
        # The next run says so, and takes it away with what it was about.
        self.run_in(self.call(NEW), 0, "an earlier run did not come to its end")
        self.assertEqual(self.journals(), [])
        self.assertEqual(self.host.sysctl("net.ipv4.ip_default_ttl"), "77")

    def test_nothing_to_change(self):
        """No journal, and so none that could fail."""
        self.run_in(self.call(NEW), 0)
        log = support.scratch() / "trace"
        self.run_in(["strace", "-f", "-qq", "-e", "trace=rename", "-o", log, *self.call(NEW)], 0, "unchanged")
        self.assertNotIn("journal", log.read_text())

    def read_only(self, how, command):
        return ["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount -t tmpfs %s tmpfs /run/lockdown && exec "$@"'
                % how, "sh", *command]

    def test_read_only_run(self):
        """Applied all the same, and that is named."""
        self.run_in(self.read_only("-o ro", self.call(NEW)), 3, "no journal: ", "EROFS")
        self.assertEqual(self.host.sysctl("net.ipv4.ip_default_ttl"), "77")
        self.assertEqual(self.loaded(), "new")

    def test_full_disk(self):
        """No room for the journal, and none for the status file."""
        full = 'mount --make-rprivate / && mount -t tmpfs -o size=4k tmpfs /run/lockdown && ' \
            'dd if=/dev/zero of=/run/lockdown/full bs=4k count=1 status=none && exec "$@"'
        command = [word for word in self.call(NEW) if word != "--status" and word != support.scratch() / "failures.json"]
        self.run_in(["unshare", "-m", "sh", "-c", full, "sh", *command, "--status", "/run/lockdown/status.json"], 3,
                    "no journal: ", "the status file is not written", "ENOSPC")
        self.assertEqual(self.host.sysctl("net.ipv4.ip_default_ttl"), "77")
        self.assertEqual(self.loaded(), "new")


class Meanwhile(RollbackTestCase):
    def test_taken_away_behind_the_batch(self):
        """Another one deletes the table while keys are set: it is loaded again, once."""
        times = []

        def delete(_):
            if not times:
                self.host.nft("delete table inet lockdown")
            times.append(1)

        self.stop_after("write", delete, self.call(NEW), 0, "loaded again", path="/proc/sys/net/ipv4/ip_default_ttl")
        self.assertEqual(self.loaded(), "new")


if __name__ == "__main__":
    support.unittest.main()
