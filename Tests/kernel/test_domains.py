"""Sysctls and mounts by the applier, in namespaces: only what is per network or per mount namespace.

Nothing here may reach the machine itself, so the policies hold `net.*` keys that are namespaced and mounts below
a directory of the test's own, in a mount namespace that ends with the command.
"""

import json
import os

import support
from test_bundle import sealed
from support import setUpModule  # noqa: F401 (unittest finds it here)

SYSCTLS = """\
policy: keys
language: 1
target:
  kernel: "6.1"
management: none
sysctl:
  net.ipv4.conf.*.rp_filter: 1
  net.ipv4.conf.lo.rp_filter: 0
  net.ipv4.conf.*.accept_redirects: 0
  net.ipv4.conf.all.log_martians: 1
  net.ipv6.conf.*.accept_ra: 0
  net.ipv4.tcp_syncookies: 1
  net.ipv4.icmp_echo_ignore_broadcasts: 1
"""


class Sysctls(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.host.ip("link add name eth0 type bridge\nlink add name lan.5 type bridge\nlink add name wan0 type bridge")

    def apply(self, text, *options, check=True):
        with self.host:
            return support.run([support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--only", "sysctl",
                                "--status", support.scratch() / "status.json", *options], check=check)

    def values(self, *keys):
        return {key: self.host.sysctl(key) for key in keys}

    def everything(self):
        """All keys below net/ipv4 and net/ipv6 that can be read."""
        found = {}
        with self.host:
            for place, _, names in os.walk("/proc/sys/net"):
                for name in names:
                    path = os.path.join(place, name)
                    # Random by nature.
                    if name in ("ip_early_demux", "uuid"):
                        continue
                    try:
                        with open(path) as file:
                            found[path] = file.read()
                    except OSError:
                        pass
        return found

    def test_all_default_and_each_interface(self):
        """`*` is `all`, `default` and every interface that is there; the more specific key wins."""
        for name in ("all", "default", "eth0", "wan0", "lan/5", "lo"):
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % name, 2)
            self.host.sysctl("net.ipv4.conf.%s.accept_redirects" % name, 1)
        self.apply(SYSCTLS)
        for name in ("all", "default", "eth0", "wan0", "lan/5"):
            with self.subTest(interface=name):
                self.assertEqual(self.host.sysctl("net.ipv4.conf.%s.rp_filter" % name), "1")
                self.assertEqual(self.host.sysctl("net.ipv4.conf.%s.accept_redirects" % name), "0")
                self.assertEqual(self.host.sysctl("net.ipv6.conf.%s.accept_ra" % name), "0")
        self.assertEqual(self.host.sysctl("net.ipv4.conf.lo.rp_filter"), "0")
        self.assertEqual(self.host.sysctl("net.ipv4.conf.all.log_martians"), "1")
        self.assertEqual(self.host.sysctl("net.ipv4.conf.eth0.log_martians"), "0")
        # An interface that comes later has what `default` says.
        self.host.ip("link add name late0 type bridge")
        self.assertEqual(self.host.sysctl("net.ipv4.conf.late0.rp_filter"), "1")

    def test_nothing_else(self):
        """Keys that the policy does not name keep their values."""
        before = self.everything()
        self.apply(SYSCTLS)
        changed = {path for path, value in self.everything().items() if before.get(path) != value}
        named = ("rp_filter", "accept_redirects", "log_martians", "accept_ra", "tcp_syncookies",
                 "icmp_echo_ignore_broadcasts")
        self.assertEqual([path for path in sorted(changed) if not path.endswith(named)], [])
        self.assertGreater(len(changed), 3)
        after = self.everything()
        self.apply(SYSCTLS)
        self.assertEqual(self.everything(), after)

    def test_check_only(self):
        before = self.everything()
        self.apply(SYSCTLS, "--check", check=False)
        self.assertEqual(self.everything(), before)

    def test_rollback(self):
        """A key that the kernel refuses: what was written before it is put back, and the run fails."""
        content = support.compile_policy(SYSCTLS + "  net.ipv6.flowlabel_reflect: 7\n").bundle.read_bytes()
        # A value that the compiler would refuse too.
        good, bad = b"net/ipv6/flowlabel_reflect7", b"net/ipv6/flowlabel_reflect9"
        self.assertEqual(content.count(good), 1)
        bundle = support.scratch() / "refused-value.bundle"
        bundle.write_bytes(sealed(content.replace(good, bad)))
        for name in ("all", "default", "eth0"):
            self.host.sysctl("net.ipv4.conf.%s.rp_filter" % name, 2)
        before = self.everything()
        with self.host:
            outcome = support.run([support.LOCKDOWN_APPLY, bundle, "--only", "sysctl", "--status",
                                   support.scratch() / "status.json"], check=False)
        self.assertNotIn(outcome.status, (0, 3))
        self.assertIn("flowlabel_reflect", outcome.stderr)
        self.assertEqual({path: value for path, value in self.everything().items() if before[path] != value}, {})

    def test_refused_with_enoent(self):
        """A value the kernel does not know is a refusal too, although its errno is that of an absent key."""
        before = self.everything()
        outcome = self.apply(SYSCTLS + "  net.ipv4.tcp_congestion_control: nosuch\n", check=False)
        self.assertNotIn(outcome.status, (0, 3), str(outcome))
        self.assertEqual({path: value for path, value in self.everything().items() if before[path] != value}, {})

    def test_lossy_key(self):
        """ip_forward resets other keys when it is written, so a run that leaves domains out does not write it."""
        self.host.sysctl("net.ipv4.ip_forward", 1)
        outcome = self.apply(SYSCTLS + "  net.ipv4.ip_forward: 0\n", check=False)
        self.assertEqual(outcome.status, 3, str(outcome))
        self.assertRegex(outcome.stdout + outcome.stderr, "ip_forward: waiting")
        self.assertEqual(self.host.sysctl("net.ipv4.ip_forward"), "1")

    def test_lossy_keys_come_last(self):
        """A whole run writes them when the rest reads as it should, and then once more what the kernel resets with them."""
        for key in ("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.eth0.accept_redirects"):
            self.host.sysctl(key, 1)
        with self.host:
            command = [support.LOCKDOWN_APPLY, support.compile_policy(SYSCTLS + "  net.ipv4.ip_forward: 0\n").bundle,
                       "--status", support.scratch() / "status.json"]
            self.assertIn("ip_forward: different", support.run([*command, "--check"], check=False).stderr)
            outcome = support.run(command)
            self.assertIn("seal: sealed", outcome.stderr)
            status = json.loads((support.scratch() / "status.json").read_text())
            self.assertEqual(status["seal"], "sealed")
            self.assertEqual(support.run([*command, "--check"]).status, 0)
        self.assertEqual(self.values("net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding",
                                     "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.eth0.accept_redirects"),
                         {"net.ipv4.ip_forward": "0", "net.ipv4.conf.eth0.forwarding": "0",
                          "net.ipv4.conf.all.accept_redirects": "0", "net.ipv4.conf.eth0.accept_redirects": "0"})

    def test_seal_wants_the_rest_as_it_is(self):
        """`--stage seal` changes nothing where something differs, and nothing else ever."""
        text = SYSCTLS + "  net.ipv4.ip_forward: 0\n"
        with self.host:
            support.run([support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--status",
                         support.scratch() / "status.json"])
        self.host.sysctl("net.ipv4.ip_forward", 1)
        for name in ("all", "default", "eth0", "lo", "lan/5", "wan0"):
            self.host.sysctl("net.ipv4.conf.%s.accept_redirects" % name, 0)
        self.host.sysctl("net.ipv4.conf.eth0.accept_redirects", 1)
        with self.host:
            command = [support.LOCKDOWN_APPLY, support.compile_policy(text).bundle, "--stage", "seal", "--status",
                       support.scratch() / "status.json"]
            refused = support.run(command, check=False)
            self.assertEqual(refused.status, 1, str(refused))
            self.assertIn("seal: not sealed", refused.stderr)
            self.assertEqual(self.host.sysctl("net.ipv4.ip_forward"), "1")
            self.host.sysctl("net.ipv4.conf.eth0.accept_redirects", 0)
            self.assertEqual(support.run(command).status, 0)
        self.assertEqual(self.host.sysctl("net.ipv4.ip_forward"), "0")

    def test_absent_key(self):
        """A key that this kernel has not is a named gap: the rest is applied, and the exit status says 3."""
        outcome = self.apply(SYSCTLS + "  net.ipv4.no_such_key: 1\n", check=False)
        self.assertEqual(outcome.status, 3, str(outcome))
        self.assertIn("no_such_key", outcome.stdout + outcome.stderr)
        self.assertEqual(self.host.sysctl("net.ipv4.conf.eth0.rp_filter"), "1")


class Mounts(support.KernelTestCase):
    """A directory with mounts of its own, in a mount namespace that ends with the command."""

    def setUp(self):
        super().setUp()
        self.place = support.scratch() / "mounts"
        for name in ("data", "data/programs", "shm", "oem"):
            (self.place / name).mkdir(parents=True, exist_ok=True)

    POLICY = """\
policy: mounts
language: 1
target:
  kernel: "6.1"
management: none
mounts:
  %(place)s/data: { flags: [nosuid, nodev, noexec] }
  %(place)s/data/programs: { bind: self, flags: [nosuid, nodev, exec] }
  %(place)s/shm: { flags: [noexec] }
  %(place)s/oem: { flags: [ro, nosuid, nodev, noexec] }
"""

    def in_namespace(self, script):
        """Runs a shell script where data, shm and oem are tmpfs mounts; its last lines are the mount table."""
        prepare = """
            set -e
            mount -t tmpfs -o size=1m,nosuid data {0}/data
            mkdir {0}/data/programs
            mount -t tmpfs -o size=1m,nosuid,nodev shm {0}/shm
            mount -t tmpfs -o size=1m oem {0}/oem
            """.format(self.place)
        outcome = support.run(["unshare", "-nm", "--propagation", "private", "sh", "-c",
                               prepare + script + "\necho ---\ncat /proc/self/mountinfo"])
        text, table = outcome.stdout.split("---\n")
        mounts = {}
        for line in table.splitlines():
            fields = line.split()
            mounts[fields[4]] = set(fields[5].split(","))
        return text, mounts, outcome

    def flags(self, mounts, name):
        return mounts[str(self.place / name)] & {"ro", "rw", "nosuid", "nodev", "noexec"}

    def command(self, *options):
        bundle = support.compile_policy(self.POLICY % {"place": self.place}).bundle
        return " ".join([str(support.LOCKDOWN_APPLY), str(bundle), "--only", "mounts",
                         "--status", str(support.scratch() / "mounts-status.json"), *options])

    def test_flags(self):
        """Flags are added, the hole is a mount of its own with exec, and a flag not named stays as it is."""
        for times in (1, 2):
            with self.subTest(times=times):
                _, mounts, _ = self.in_namespace("\n".join([self.command()] * times))
                self.assertEqual(self.flags(mounts, "data"), {"rw", "nosuid", "nodev", "noexec"})
                self.assertEqual(self.flags(mounts, "data/programs"), {"rw", "nosuid", "nodev"})
                self.assertEqual(self.flags(mounts, "shm"), {"rw", "nosuid", "nodev", "noexec"})
                self.assertEqual(self.flags(mounts, "oem"), {"ro", "nosuid", "nodev", "noexec"})

    def test_really_in_force(self):
        """A program runs where the policy says exec, and nowhere else."""
        text, _, _ = self.in_namespace("""
            cp /bin/true {0}/data/true; cp /bin/true {0}/data/programs/true; cp /bin/true {0}/shm/true
            {0}/data/true && echo ran before
            {1} >/dev/null
            {0}/data/true 2>/dev/null || echo refused
            {0}/data/programs/true && echo ran
            {0}/shm/true 2>/dev/null || echo refused
            touch {0}/oem/file 2>/dev/null || echo read-only
            """.format(self.place, self.command()))
        self.assertEqual(text.split("\n")[:5], ["ran before", "refused", "ran", "refused", "read-only"])

    def test_check_only(self):
        _, before, _ = self.in_namespace("true")
        _, after, _ = self.in_namespace(self.command("--check") + " || true")
        self.assertEqual(before, after)

    def test_stacked(self):
        """The mount that is seen is what counts, wherever the table has it, and not one that is hidden."""
        where = {"place": self.place, "apply": self.command()}
        strict = "nosuid,nodev,noexec"
        # An older one moved over the strict one; both open; a strict one hidden below another.
        for name, script in (
                ("moved over", "mkdir {place}/m; mount -t tmpfs one {place}/m; mount -t tmpfs -o %s two {place}/shm; "
                 "mount --move {place}/m {place}/shm" % strict),
                ("both open", "mkdir {place}/m; mount -t tmpfs one {place}/m; mount -t tmpfs two {place}/shm; "
                 "mount --move {place}/m {place}/shm"),
                ("hidden", "mount -t tmpfs -o %s inner {place}/data/programs; mount -t tmpfs over {place}/data; "
                 "mkdir {place}/data/programs" % strict)):
            with self.subTest(name):
                text, _, _ = self.in_namespace((script + """
                    {apply} && echo status 0 || echo status $?
                    for name in shm data; do
                      cp /bin/true {place}/$name/true; {place}/$name/true 2>/dev/null && echo $name runs
                    done
                    cp /bin/true {place}/data/programs/true; {place}/data/programs/true && echo programs run
                    rmdir {place}/m 2>/dev/null || true
                    """).format(**where))
                self.assertEqual(text.split("\n")[:-1], ["status 0", "programs run"])

    def test_options_that_are_shown_otherwise(self):
        """What the kernel does not show, for it is the default, or in its own way, is equal; the rest is a gap that is named."""
        policy = self.POLICY[:self.POLICY.index("  %")]
        command = "{} {} --only mounts --status {} && echo status 0 || echo status $?"

        def run(options):
            bundle = support.compile_policy(policy + "  %s/shm: { flags: [noexec], options: [%s] }\n" % (self.place, options)).bundle
            line = command.format(support.LOCKDOWN_APPLY, bundle, support.scratch() / "mounts-status.json")
            text, mounts, outcome = self.in_namespace("\n".join([line] * 2))
            self.assertIn("noexec", self.flags(mounts, "shm"), outcome)
            return text.split(), outcome.stderr

        for options in ("size=16m, mode=1777", "size=1048577", "size=1m, uid=0, gid=0, huge=never"):
            with self.subTest(options):
                self.assertEqual(run(options)[0], ["status", "0"] * 2)
        text, said = run("size=10%")
        self.assertEqual(text, ["status", "3"] * 2)
        self.assertIn("shm: not enforced, its file system shows other options", said)

    def test_a_link_on_the_way(self):
        """Where a folder of the path is a link the mount is the one it leads to; a link that would be bound is refused before."""
        link = self.place / "link"
        if not link.is_symlink():
            link.symlink_to("data")
        policy = self.POLICY[:self.POLICY.index("  %")]
        command = "{apply} {bundle} --only mounts --status {status} && echo status 0 || echo status $?"

        def bundle(text):
            return support.compile_policy(policy + text.format(link)).bundle

        where = {"apply": support.LOCKDOWN_APPLY, "status": support.scratch() / "mounts-status.json"}
        text, mounts, _ = self.in_namespace("\n".join([command.format(
            bundle=bundle("  {}/programs: {{ bind: self, flags: [noexec] }}\n"), **where)] * 2))
        self.assertEqual(text.split(), ["status", "0"] * 2)
        self.assertIn("noexec", self.flags(mounts, "data/programs"))
        before = self.in_namespace("true")[1]
        text, mounts, outcome = self.in_namespace(
            command.format(bundle=bundle("  {}: {{ bind: self, flags: [noexec] }}\n"), **where))
        self.assertEqual((text.split(), mounts), (["status", "1"], before))
        self.assertIn("link: refused, it is a symbolic link", outcome.stderr)

    def test_missing_mount(self):
        """A path that is no mount point and is not bound: a named gap, and the others are still set."""
        _, mounts, outcome = self.in_namespace(
            "umount %s/shm\n%s && echo status 0 || echo status $?" % (self.place, self.command()))
        self.assertIn("status 3", outcome.stdout)
        self.assertIn(str(self.place / "shm"), outcome.stdout + outcome.stderr)
        self.assertEqual(self.flags(mounts, "data"), {"rw", "nosuid", "nodev", "noexec"})
        report = json.loads((support.scratch() / "mounts-status.json").read_text())
        self.assertIn(str(self.place / "shm"), json.dumps(report))
