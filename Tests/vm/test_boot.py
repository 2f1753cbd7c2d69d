"""A Debian that systemd starts, with what `lockdown install` put there: order, failed units, slots over power cuts.

The root file system is an initramfs of pinned packages and of the installed tree; /var, where the slots are, is a disk
that survives.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import initramfs
import machine
import test_apply
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import support

COS = test_apply.COS
SECOND = """\
policy: second
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  ingress: { devices: [eth9], policy: accept, rules: ['drop udp 53'] }
  input: { policy: drop, rules: ['accept tcp 23', 'accept established'] }
  output: { policy: drop, rules: ['accept established', 'accept udp 53 cgroup system.slice/later.service'] }
"""
THIRD = SECOND.replace("second", "third").replace("23", "24")
# What lasts until the next boot is done at once, before anybody knows whether the boot is healthy.
FOURTH = SECOND.replace("second", "fourth") + "kernel: { lockdown: confidentiality }\nsysctl: { kernel.kexec_load_disabled: 1 }\n"

# What the packages' installation would have made.
SYSTEM = {
    "/etc/fstab": "/dev/nvme0n1 /var ext4 defaults 0 0\n",
    "/etc/hostname": "machine\n", "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/os-release": "ID=debian\nVERSION_ID=12\nPRETTY_NAME=Debian\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
                   "systemd-network:x:998:998::/:/bin/false\nmessagebus:x:997:997::/:/bin/false\n",
    "/etc/group": "".join("%s:x:%d:\n" % pair for pair in [
        ("root", 0), ("tty", 5), ("disk", 6), ("lp", 7), ("kmem", 15), ("dialout", 20), ("cdrom", 24), ("tape", 26),
        ("audio", 29), ("video", 44), ("input", 101), ("sgx", 102), ("kvm", 103), ("render", 104), ("utmp", 43),
        ("adm", 4), ("systemd-journal", 105), ("systemd-network", 998), ("messagebus", 997), ("nogroup", 65534)]),
    "/etc/systemd/system/default.target": initramfs.Link("/lib/systemd/system/multi-user.target"),
    # There is no login.
    **{"/etc/systemd/system/" + unit: initramfs.Link("/dev/null") for unit in (
        "getty.target", "serial-getty@ttyS0.service", "systemd-logind.service", "e2scrub_reap.service")},
    "/etc/systemd/system/agent.service": (
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/busybox sh /agent\nKillMode=none\n"),
    "/etc/systemd/system/sysinit.target.wants/agent.service": initramfs.Link("../agent.service"),
    # A check of health of the host's own.
    "/etc/systemd/system/check.service": (
        "[Unit]\nBefore=boot-complete.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=/usr/bin/dash -c 'while test -e /var/hangs; do sleep 1; done; test ! -e /var/sick'\n"),
    "/etc/systemd/system/boot-complete.target.requires/check.service": initramfs.Link("../check.service"),
    # Something that configures a network: what order means here.
    "/etc/systemd/system/network.service": (
        "[Unit]\nAfter=network-pre.target\nWants=network-pre.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=/usr/sbin/modprobe virtio_net\nExecStart=/usr/bin/ip link set eth0 up\n"
        "ExecStart=/usr/bin/ip addr add 10.9.0.2/24 dev eth0\n"),
    # Who waits for connections, on a port that the policy lets in and on others.
    "/etc/systemd/system/listen.service": "[Service]\nExecStart=/usr/bin/python3 /listen.py 22 80 8080 50000\n",
    "/etc/systemd/system/multi-user.target.wants/listen.service": initramfs.Link("../listen.service"),
    "/listen.py": "import socket, sys, time\nkept = [socket.create_server(('', int(port))) for port in sys.argv[1:]]\n"
                  "time.sleep(1000000)\n",
    "/etc/systemd/system/multi-user.target.wants/network.service": initramfs.Link("../network.service"),
    # A service that a policy names.
    "/etc/systemd/system/later.service": "[Service]\nExecStart=/usr/bin/sleep 100000\n",
    # What the kernel tells, from before anything of ours on.
    "/etc/systemd/system/events.service": (
        "[Unit]\nDefaultDependencies=no\nBefore=lockdown-closed.service\n[Service]\nType=forking\n"
        "ExecStart=/usr/bin/python3 /events.py /run/events\n"),
    "/etc/systemd/system/sysinit.target.wants/events.service": initramfs.Link("../events.service"),
    "/events.py": pathlib.Path(__file__).resolve().parent / "guest" / "events.py",
    # One that waits for protection, by a drop-in of ours.
    "/etc/systemd/system/networking.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=network-pre.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=/usr/bin/touch /run/networking\n"),
    "/etc/systemd/system/multi-user.target.wants/networking.service": initramfs.Link("../networking.service"),
}


def installed(source, directory):
    """Installs a policy below a directory of the host; the files outside /var, as a machine takes them."""
    root = directory / "root"
    for name in ("etc", "usr/sbin", "var/lib"):
        (root / name).mkdir(parents=True)
    support.run([support.LOCKDOWN, "install", "--root", root, "--applier", support.LOCKDOWN_APPLY,
                 support.compile_policy(source).directory])
    files = {}
    for path in sorted(root.rglob("*")):
        name = "/" + str(path.relative_to(root))
        if name.startswith("/var/") or path.is_dir() and not path.is_symlink():
            continue
        files[name] = initramfs.Link(os.readlink(path)) if path.is_symlink() else path
    return root, files


class InstalledTestCase(machine.MachineTestCase):
    """One installation; the tests go on one from another."""

    POLICY = COS
    FILES = {}

    @classmethod
    def make(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-boot-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        root, files = installed(cls.POLICY, cls.directory)
        disk = cls.directory / "disk"
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root / "var", disk, "64M"], check=True)
        files.update(SYSTEM)
        files.update(cls.FILES)
        files.update(initramfs.with_libraries(support.LOCKDOWN))
        for name, text in (("second", SECOND), ("third", THIRD), ("fourth", FOURTH)):
            files["/etc/%s.bundle" % name] = support.compile_policy(text).bundle
        line = support.compile_policy(COS).text("cmdline.txt").strip()
        return machine.Machine(files, lists=("inputs", "systemd"), append="systemd.show_status=yes " + line,
                               memory=1536, disk=disk, program="/lib/systemd/systemd", address="10.9.0.1")

    def up(self):
        """Waits until all units of the boot are done; what failed."""
        self.machine.run("systemctl is-system-running --wait", check=False, timeout=180)
        return [line.split()[0] for line in
                self.machine.run("systemctl --failed --no-legend --plain").stdout.splitlines()]

    def slots(self):
        return dict(line.split(" ", 1) for line in self.machine.read("/var/lib/lockdown/slots").splitlines())

    def live(self):
        listing = self.machine.run("nft list counters table inet lockdown").stdout
        return listing.split('comment "')[1].split(" ")[0]

    def name(self, source):
        done = subprocess.run(["sha256sum", support.compile_policy(source).bundle], stdout=subprocess.PIPE, text=True)
        return done.stdout.split()[0]


class Systemd(InstalledTestCase):
    """From the first boot to a second policy, to none, and to what an uninstall leaves."""

    def times(self, *units):
        found = {}
        for unit in units:
            shown = self.machine.run("systemctl show -p ActiveEnterTimestampMonotonic --value " + unit).stdout
            found[unit] = int(shown)
        return found

    def test_1_first_boot(self):
        """No failed unit; the policy is live before anything that configures a network runs."""
        self.assertEqual(self.up(), [])
        self.assertEqual(self.live(), "cos")
        times = self.times("lockdown-closed.service", "lockdown.service", "network-pre.target", "network.service")
        self.assertNotIn(0, times.values(), times)
        self.assertLess(times["lockdown-closed.service"], times["lockdown.service"])
        self.assertLess(times["lockdown.service"], times["network-pre.target"])
        self.assertLess(times["network-pre.target"], times["network.service"])
        self.assertEqual(self.machine.run("systemctl show -p ExecMainStatus --value lockdown.service").stdout, "3\n")
        self.assertIn("closed firewall: applied",
                      self.machine.run("journalctl -b -u lockdown-closed.service --no-pager").stdout)
        self.assertNotIn("lockdown-closed", self.machine.run("nft list tables").stdout)
        self.assertEqual(self.machine.run("systemctl is-active lockdown-late.service").stdout, "active\n")
        status = json.loads(self.machine.read("/run/lockdown/status.json"))
        # By the stage that seals, behind the mark: it looks at everything again, and this policy leaves it nothing.
        self.assertEqual((status["exit"], status["firewall"]["result"], status["seal"]), (3, "unchanged", "sealed"))
        self.assertEqual(self.machine.read("/proc/sys/kernel/kptr_restrict"), "1\n")
        # By the applier alone, at the end of its run.
        self.assertEqual(self.machine.read("/proc/sys/kernel/unprivileged_bpf_disabled"), "1\n")
        self.assertIn("rp_filter", self.machine.run("ls /proc/sys/net/ipv4/conf/eth0").stdout)
        self.assertEqual(self.machine.read("/proc/sys/net/ipv4/conf/eth0/rp_filter"), "1\n")

    def test_1b_closed_before_the_first_link_is_up(self):
        """By what the kernel tells: the ruleset that has the closed firewall, and only then a link that is up."""
        events = [line.split(" ", 1) for line in self.machine.read("/run/events").splitlines()]
        said = [text for _, text in events]
        self.assertEqual(said[0], "listening")
        closed = said.index("generation", said.index("table lockdown-closed"))
        ups = [place for place, text in enumerate(said) if text.startswith("link ") and text.endswith(" up")
               and text.split(" ")[1] != "lo"]
        self.assertTrue(ups, said)
        self.assertLess(closed, ups[0], said)
        policy = said.index("generation", said.index("table lockdown"))
        self.assertLess(policy, ups[0], said)
        machine.note("first link up %.3f s behind the closed firewall, %.3f s behind the policy" % tuple(
            (int(events[ups[0]][0]) - int(events[place][0])) / 1e9 for place in (closed, policy)))

    def test_1c_one_port_is_open(self):
        """From outside: port 22 answers, and no other one says a word, whether somebody listens there or nobody."""
        self.machine.run("for port in 22 80 8080 50000; do "
                         "python3 -c 'import socket, sys; socket.create_connection((\"127.0.0.1\", int(sys.argv[1])), 5)' $port "
                         "|| exit; done")
        start = time.monotonic()
        found, others = self.machine.wire.answers("10.9.0.2", range(1, 65536))
        # SYN and ACK; the same, sent again, is no other port.
        self.assertEqual(found, {22: 0x12})
        self.assertEqual(others, [])
        # What is let in is heard, also where nobody listens: RST and ACK. And then that is taken away again.
        self.machine.run("nft insert rule inet lockdown input tcp dport 40000-40002 accept && "
                         "nft insert rule inet lockdown output tcp sport 40000-40002 accept")
        heard, _ = self.machine.wire.answers("10.9.0.2", range(39990, 40010))
        self.assertEqual(heard, {port: 0x14 for port in range(40000, 40003)})
        self.assertIn("repaired: ", self.machine.run("lockdown-apply --slots /var/lib/lockdown", check=False).stderr)
        self.assertEqual(self.machine.wire.answers("10.9.0.2", range(39990, 40010)), ({}, []))
        machine.note("65535 ports in %.1f s" % (time.monotonic() - start))

    def test_2_denied_modules(self):
        """By modprobe.d and by the kernel's command line: modprobe, insmod, and a file of another name."""
        release = self.machine.run("uname -r").stdout.strip()
        path = "/lib/modules/%s/kernel/net/sctp/sctp.ko" % release
        self.machine.run("modprobe libcrc32c; modprobe udp_tunnel; modprobe ip6_udp_tunnel")
        self.assertNotEqual(self.machine.run("modprobe sctp", check=False).status, 0)
        for file in (path, "/root/harmless.ko"):
            done = self.machine.run("[ %s = %s ] || cp %s %s; insmod %s" % (file, path, path, file, file), check=False)
            self.assertIn("not permitted", done.stderr)
        self.assertNotIn("sctp ", self.machine.read("/proc/modules"))
        self.machine.run("modprobe macvlan")

    def test_3_stopping_opens_nothing(self):
        before = self.machine.run("nft -s list ruleset").stdout
        links = self.machine.run("ip -br link").stdout
        # What configures the network requires this one, and would go down with it.
        for verb in ("stop", "restart"):
            done = self.machine.run("systemctl %s lockdown-closed.service" % verb, check=False)
            self.assertIn("Operation refused", done.stderr)
        self.machine.run("systemctl stop lockdown.service lockdown-late.service lockdown-health.service")
        self.assertEqual(self.machine.run("nft -s list ruleset").stdout, before)
        self.assertEqual(self.machine.run("ip -br link").stdout, links)

    def test_4_a_staged_policy_is_kept(self):
        self.machine.run("lockdown stage /etc/second.bundle")
        self.machine.cut_power()
        self.assertEqual(self.up(), [])
        self.assertEqual(self.live(), "second")
        slots = self.slots()
        self.assertEqual((slots["current"], slots["previous"]), (self.name(SECOND), self.name(COS)))
        self.assertNotIn("next", slots)

    def test_4b_what_comes_later(self):
        """lockdown-late.service: a device, and a service at each of its starts."""
        waits = "for n in $(seq 100); do nft list ruleset | grep -q '%s' && exit; sleep 0.1; done; nft list ruleset; false"
        self.machine.run("ip link add eth9 type dummy")
        self.machine.run(waits % 'hook ingress device "eth9"')
        for _ in range(3):
            self.machine.run("systemctl restart later.service")
            # nft looks the path of a number up.
            self.machine.run(waits % '"system.slice/later.service"')
        self.machine.run("systemctl stop later.service; ip link del eth9")
        self.assertEqual(self.machine.run("systemctl is-active lockdown-late.service").stdout, "active\n")

    def test_6_no_policy_is_left(self):
        """Damaged slots, as a bad disk leaves them: closed from the first unit on, and management comes in."""
        self.machine.run("for file in /var/lib/lockdown/bundles/*.bundle; do cp $file $file.kept; echo damaged > $file; done; sync")
        self.machine.cut_power()
        self.assertEqual(self.up(), ["lockdown.service"])
        self.assertEqual(self.machine.run("systemctl show -p ExecMainStatus --value lockdown.service").stdout, "5\n")
        self.assertIn("networking", self.machine.run("ls /run").stdout, "the host is protected, so networks come up")
        listing = self.machine.run("nft list ruleset").stdout
        self.assertIn("table inet lockdown-closed", listing)
        self.assertNotIn("table inet lockdown {", listing)
        # And with nothing that closes it, nothing comes up.
        self.machine.run("for file in /var/lib/lockdown/bundles/*.closed; do mv $file $file.kept; done; sync")
        self.machine.cut_power()
        self.assertIn("lockdown-closed.service", self.up())
        self.assertNotIn("networking", self.machine.run("ls /run").stdout)
        self.machine.run("for file in /var/lib/lockdown/bundles/*.kept; do mv $file ${file%.kept}; done")
        self.machine.run("lockdown-apply --slots /var/lib/lockdown")
        self.assertEqual(self.live(), "second")

    def test_7_uninstalled(self):
        """The tool on the host itself: nothing of it is left, and the firewall stands until the next boot."""
        self.machine.run("lockdown uninstall --root /")
        found = self.machine.run("find / -xdev -path /proc -prune -o -name '*lockdown*' -print; ls -R /var/lib").stdout
        left = [line for line in found.splitlines() if "lockdown" in line and "/run/" not in line
                and not line.startswith(("/usr/bin/lockdown", "/sys/"))]
        self.assertEqual(left, [])
        self.assertEqual(self.live(), "second")


class Fallback(InstalledTestCase):
    """What a boot tries and does not keep, for the host calls it sick, is given up by itself."""

    POLICY = SECOND
    # So that a check which hangs is not waited for as long as on a real host.
    FILES = {"/etc/systemd/system/lockdown-health.service.d/time.conf": "[Unit]\nJobTimeoutSec=45s\n"}

    def test_1_a_sick_boot_falls_back(self):
        """The host's own check fails, so that the boot is not kept: the policy from before is back in the same one."""
        self.assertEqual(self.up(), [])
        self.machine.run("lockdown stage /etc/third.bundle && touch /var/sick && sync")
        self.machine.cut_power()
        self.assertEqual(self.up(), ["check.service"])
        self.assertEqual(self.live(), "second")
        said = self.machine.run("journalctl -b -u lockdown.service -u lockdown-fallback.service --no-pager").stdout
        self.assertIn("slots: trying " + self.name(THIRD)[:12], said)
        self.assertIn("slots: live again: " + self.name(SECOND)[:12], said)
        self.assertNotIn("only a boot", said)
        self.fell_back(THIRD)

    def test_2_a_sealed_one_boots_again(self):
        """What its seal has shut only a boot opens, and that comes by itself, once: it has the policy from before."""
        self.machine.run("lockdown stage /etc/fourth.bundle && touch /var/sick && sync")
        self.machine.cut_power()
        self.machine.await_reboot()
        machine.note("the boot behind it took %.1f s" % self.machine.boot_seconds)
        # Which the same check calls sick: that is nobody's fault any more, and no reason to boot.
        self.assertEqual(self.up(), ["check.service"])
        self.assertEqual(self.live(), "second")
        self.assertEqual(self.machine.read("/sys/kernel/security/lockdown"), "[none] integrity confidentiality\n")
        self.assertEqual(self.machine.read("/proc/sys/kernel/kexec_load_disabled"), "0\n")
        self.assertIn("tried nothing new",
                      self.machine.run("journalctl -b -u lockdown-fallback.service --no-pager").stdout)
        self.fell_back(FOURTH)

    def test_3_cut_off_before_that(self):
        """No process of ours gets so far that it could fall back: boots are counted."""
        self.machine.run("lockdown stage --boots 1 /etc/fourth.bundle && touch /var/sick && sync")
        self.machine.cut_power()
        self.machine.run("for n in $(seq 600); do [ -e /run/lockdown/sealed ] && exit; sleep 0.1; done; false")
        self.machine.cut_power()
        self.up()
        self.assertEqual(self.live(), "second")
        self.assertEqual(self.machine.run("systemctl show -p ExecMainStatus --value lockdown.service").stdout, "4\n")
        self.assertIn("given up", self.machine.run("journalctl -b -u lockdown.service --no-pager").stdout)
        self.fell_back(FOURTH)

    def test_4_one_that_hangs(self):
        """A check without an end: the time of the mark's unit runs out, and the policy from before is back."""
        self.machine.run("lockdown stage /etc/third.bundle && touch /var/hangs && sync")
        self.machine.cut_power()
        self.machine.run("for n in $(seq 600); do nft list counters table inet lockdown | grep -q third && exit; sleep 0.1; done; false")
        self.machine.run("for n in $(seq 150); do nft list counters table inet lockdown | grep -q second && exit; sleep 1; done; false",
                         timeout=180)
        self.machine.run("rm /var/hangs")
        self.assertEqual(self.up(), [])
        self.fell_back(THIRD)

    def fell_back(self, source):
        slots = self.slots()
        self.assertEqual((slots["current"], slots["failed"]), (self.name(SECOND), self.name(source)))
        self.assertNotIn("next", slots)
        self.machine.run("rm -f /var/sick && sync")


if __name__ == "__main__":
    machine.unittest.main()
