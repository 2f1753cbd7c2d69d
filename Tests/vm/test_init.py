"""The applier as process 1: the policy, the filter of system calls for all that follows, and every way that ends in an init
or in a declared halt."""

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
            "/first": first, APPLIER: support.LOCKDOWN_APPLY, "/etc/good.bundle": support.compile_policy(cls.POLICY).bundle,
            "/etc/bad.bundle": support.compile_policy(bad).bundle, "/sbin/init": initramfs.Link("/init")},
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
