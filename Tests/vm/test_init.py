"""The applier as process 1: the policy, the filter of system calls for all that follows, and every way that ends in an init
or in a declared halt."""

import hashlib
import subprocess

import initramfs
import machine
import test_apply
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import support

POLICY = """\
policy: first
language: 1
target: { kernel: "6.1" }
management: ["tcp 22"]
boot: { on-failure: %s }
firewall:
  input: { policy: drop, rules: ['accept tcp 22', 'accept established'] }
sysctl: { kernel.kptr_restrict: 2 }
syscalls:
  scope: init
  deny: [kexec_load]
"""
APPLIER = "/usr/sbin/lockdown-apply"
# What an initramfs does before it starts the system's init: the kernel can load modules.
FIRST = """\
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin
/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t proc proc /proc
modprobe -a nf_tables nft_ct
exec /usr/sbin/lockdown-apply "$@"
"""


def privileged():
    """A program that says who it is and whether it may have a raw socket, as su(1) and ping(8) want to be and to have."""
    source = support.scratch() / "privileged.c"
    source.write_text(r"""
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) { return printf("%d %d\n", geteuid(), socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0) < 0; }
""")
    program = source.with_suffix("")
    subprocess.run(["gcc", "-O1", "-static", "-o", program, source], check=True)
    return program


# As nobody. VFS_CAP_REVISION_2, linux/capability.h, effective, with CAP_NET_RAW.
AS_NOBODY = """import os, struct, subprocess
os.setxattr("/t/capable", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for name in ("plain", "setuid", "capable"):
    subprocess.run(["/t/" + name], check=True)
"""


def slots(text):
    """As an installation has them; the closed stage alone is there, and no policy can come of it."""
    compiled = support.compile_policy(text)
    name = hashlib.sha256(compiled.bundle.read_bytes()).hexdigest()
    return {"/var/lib/lockdown/slots": "lockdown-slots 1\ncurrent %s\n" % name,
            "/var/lib/lockdown/bundles/%s.closed" % name: compiled.directory / "closed.bundle"}


class InitTestCase(machine.MachineTestCase):
    POLICY = POLICY % "init"

    @classmethod
    def make(cls):
        first = support.scratch() / "first"
        first.write_text(FIRST)
        first.chmod(0o755)
        # Its closed stage is as good as the other's.
        bad = cls.POLICY + "modules: { require: [nosuchmodule] }\n"
        return machine.Machine({
            "/first": first, "/privileged": privileged(), "/nobody.py": AS_NOBODY, APPLIER: support.LOCKDOWN_APPLY, "/etc/good.bundle": support.compile_policy(cls.POLICY).bundle,
            "/etc/bad.bundle": support.compile_policy(bad).bundle, **slots(cls.POLICY), "/sbin/init": initramfs.Link("/init")},
            append="-- /etc/good.bundle --- /init", program="/first")


class Init(InitTestCase):
    def again(self, append):
        self.machine.append = append
        self.machine.cut_power()
        return self.machine.console.read_text(errors="replace")

    def test_1_applied(self):
        """The policy is live when init runs, each process is filtered, and setuid still means what it did."""
        self.assertIn('comment "first sha256', self.machine.run("nft list ruleset").stdout)
        self.assertEqual(self.machine.read("/proc/sys/kernel/kptr_restrict"), "2\n")
        status = self.machine.read("/proc/self/status")
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t0", status)
        self.assertNotIn("lockdown-closed", self.machine.run("nft list tables").stdout)

    def test_1b_setuid_and_file_capabilities(self):
        """What su(1) and ping(8) live by means under the filter what it did."""
        self.machine.run("mkdir /t && mount -t tmpfs t /t && for name in plain setuid capable; do cp /privileged /t/$name; done && "
                         "chmod 755 /t /t/* && chmod u+s /t/setuid")
        self.assertIn("Seccomp:\t2", self.machine.read("/proc/self/status"))
        self.assertEqual(self.machine.run("python3 /nobody.py").stdout, "65534 0\n0 1\n65534 1\n")

    def test_2_a_refused_policy(self):
        """Closed, and init starts all the same."""
        console = self.again("-- /etc/bad.bundle --- /init")
        self.assertIn("nosuchmodule: refused", console)
        self.assertIn("process 1: no policy is applied: init starts all the same", console)
        self.assertEqual(self.machine.run("nft list tables").stdout, "table inet lockdown-closed\n")
        self.assertIn("Seccomp:\t0", self.machine.read("/proc/self/status"))

    def test_3_an_init_that_is_not_there(self):
        """Then the kernel's own list of them."""
        console = self.again("-- /etc/good.bundle --- /nowhere")
        self.assertIn("process 1: cannot be started: /nowhere: ENOENT", console)
        self.assertIn('comment "first sha256', self.machine.run("nft list ruleset").stdout)

    def test_4_words_that_apply_no_policy(self):
        """Misspelt, or for a time, of which process 1 has none: closed by the bundle that is named, or by the slots."""
        for own in ("/etc/good.bundle --exec", "--pin 0 /etc/good.bundle", "/etc/good.bundle --try 60", "--confirm"):
            console = self.again("-- %s --- /init" % own)
            self.assertIn("process 1: its own words apply no policy", console, own)
            self.assertIn("process 1: no policy is applied: init starts all the same", console, own)
            self.assertEqual(self.machine.run("nft list tables").stdout, "table inet lockdown-closed\n", own)
            self.assertIn("Seccomp:\t0", self.machine.read("/proc/self/status"), own)

    def test_5_a_bundle_that_is_not_there(self):
        """Closed by the slots."""
        self.assertIn("refused: ", self.again("-- /etc/nowhere.bundle --- /init"))
        self.assertEqual(self.machine.run("nft list tables").stdout, "table inet lockdown-closed\n")


class Halt(InitTestCase):
    POLICY = POLICY % "halt"

    def test_it_halts(self):
        self.assertIn('comment "first sha256', self.machine.run("nft list ruleset").stdout)
        self.machine.append = "-- /etc/bad.bundle --- /init"
        self.machine.process.kill()
        self.machine.process.wait()
        self.machine.channel.close()
        with self.assertRaises(machine.MachineFailure):
            seconds, machine.BOOT_SECONDS = machine.BOOT_SECONDS, 45
            try:
                self.machine.start()
            finally:
                machine.BOOT_SECONDS = seconds
        console = self.machine.console.read_text(errors="replace")
        self.assertIn("process 1: no policy is applied, and it says that the machine then halts", console)
        self.assertIn("System halted", console)


if __name__ == "__main__":
    machine.unittest.main()
