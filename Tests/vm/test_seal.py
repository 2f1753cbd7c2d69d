"""What lasts until the next boot, and what becomes of denied modules, on Debian's kernel."""

import json

import machine
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import APPLY, HEADER, bundle, programs

RULES = "firewall:\n  input:\n    policy: drop\n    rules:\n      - accept established\n      - accept tcp 22 in lo\n"
KEYS = "sysctl:\n  kernel.kptr_restrict: 2\n  net.ipv4.ip_forward: 1\n"
# Done at the end of a run.
AT_ONCE = HEADER + RULES + KEYS + """\
  kernel.kexec_load_disabled: 1
  kernel.unprivileged_bpf_disabled: 1
modules:
  deny: [sctp, dccp, libcrc32c, ext4]
kernel:
  lockdown: integrity
"""
# Waits for a healthy boot.
AFTER_BOOT = AT_ONCE.replace("modules:\n", "  kernel.yama.ptrace_scope: 3\n  kernel.modprobe: /bin/false\nmodules:\n  seal: after-boot\n") \
    .replace("integrity", "confidentiality")
LEVELS = "/sys/kernel/security/lockdown"


class Seal(machine.MachineTestCase):
    """The tests go on one from another: nothing of this can be taken back."""

    APPEND = "module_blacklist=sctp"

    @classmethod
    def files(cls):
        return {**programs(), **bundle(AT_ONCE, "once"), **bundle(AFTER_BOOT, "later")}

    def apply(self, name, *options):
        done = self.machine.run(" ".join([APPLY, "/etc/lockdown/%s.bundle" % name, *options,
                                          "--status", "/run/status.json"]), check=False)
        return done, json.loads(self.machine.read("/run/status.json"))

    def results(self, items):
        return {item["name"]: item["result"] for item in items}

    def test_1_nothing_is_sealed_after_a_refusal(self):
        """A key is refused, another reads otherwise: then no latch is touched."""
        self.machine.run("mount --bind /proc/sys/kernel/kptr_restrict /proc/sys/kernel/kptr_restrict && "
                         "mount -o remount,bind,ro /proc/sys/kernel/kptr_restrict")
        done, status = self.apply("once")
        self.assertEqual((done.status, status["seal"]), (1, "not sealed: not everything else is as the policy says"), done)
        self.machine.run("umount /proc/sys/kernel/kptr_restrict")
        self.assertEqual(self.machine.read(LEVELS), "[none] integrity confidentiality\n")
        self.assertEqual(self.machine.read("/proc/sys/kernel/kexec_load_disabled"), "0\n")
        done, _ = self.apply("once", "--only", "sysctl")
        self.assertEqual(self.machine.read("/proc/sys/kernel/kexec_load_disabled"), "0\n")

    def test_2_at_the_end_of_a_run(self):
        before, status = self.apply("once", "--check")
        self.assertEqual(before.status, 1)
        self.assertEqual(self.results(status["kernel"]), {"lockdown": "different"})
        done, status = self.apply("once")
        self.assertEqual((done.status, status["seal"]), (3, "sealed"), done)
        self.assertIn("seal: sealed", done.stderr)
        self.assertEqual(self.results(status["kernel"]), {"lockdown": "applied"})
        self.assertEqual(self.machine.read(LEVELS), "none [integrity] confidentiality\n")
        for key, value in (("kernel/kexec_load_disabled", "1"), ("kernel/unprivileged_bpf_disabled", "1"),
                           ("net/ipv4/ip_forward", "1"), ("kernel/modules_disabled", "0")):
            self.assertEqual(self.machine.read("/proc/sys/" + key), value + "\n", key)

    def test_3_claims(self):
        """A module is denied as far as what denies it goes: with signatures demanded, no other name helps."""
        _, status = self.apply("once", "--check")
        modules = {item["name"]: item for item in status["denied-modules"]}
        self.assertEqual(modules["sctp"]["result"], "equal", modules)
        self.assertIn("against root", modules["sctp"]["reason"])
        self.assertEqual(modules["sctp"]["found"], "loadable")
        self.assertEqual((modules["dccp"]["result"], modules["dccp"]["found"]), ("equal", "not on this host"))
        self.assertIn("by its name in the kernel, and signatures", modules["dccp"]["reason"])
        self.assertEqual(modules["libcrc32c"]["result"], "not enforced")
        self.assertRegex(modules["libcrc32c"]["found"], "^loaded: libcrc32c needed by .*nf_tables")
        self.assertEqual((modules["ext4"]["result"], modules["ext4"]["found"]), ("not enforced", self.ext4()), modules)
        self.assertEqual(status["exit"], 3)

    def ext4(self):
        built_in = self.machine.run("grep -c /ext4.ko /lib/modules/*/modules.builtin", check=False).stdout.strip() != "0"
        return "built in" if built_in else "not on this host"

    def test_4_after_boot(self):
        """The run leaves the latches open and says so; modules still load."""
        done, status = self.apply("later")
        self.assertEqual((done.status, status["seal"]), (3, "waits for a healthy boot"), done)
        self.assertEqual(set(self.results(status["kernel"]).values()), {"waiting"}, status["kernel"])
        self.assertIn("kernel/yama/ptrace_scope: waiting", done.stderr)
        self.machine.run("modprobe dummy")
        self.assertEqual(self.machine.read(LEVELS), "none [integrity] confidentiality\n")

    def test_5_the_seal_looks_first(self):
        self.machine.run("nft add rule inet lockdown input accept")
        done, status = self.apply("later", "--stage", "seal")
        self.assertEqual(done.status, 1, done)
        self.assertIn("not sealed", done.stderr)
        self.assertEqual(self.machine.read("/proc/sys/kernel/modules_disabled"), "0\n")
        self.apply("later")

    def test_6_sealed(self):
        done, status = self.apply("later", "--stage", "seal")
        self.assertEqual((done.status, status["seal"]), (3, "sealed"), done)
        self.assertEqual(set(self.results(status["kernel"]).values()), {"applied"}, status["kernel"])
        self.assertEqual(self.machine.read(LEVELS), "none integrity [confidentiality]\n")
        for key, value in (("yama/ptrace_scope", "3"), ("modules_disabled", "1"), ("modprobe", "/bin/false")):
            self.assertEqual(self.machine.read("/proc/sys/kernel/" + key), value + "\n", key)
        self.assertIn("not permitted", self.machine.run("modprobe macvlan", check=False).stderr)
        modules = {item["name"]: item for item in status["denied-modules"]}
        self.assertEqual((modules["dccp"]["result"], modules["dccp"]["reason"]),
                         ("equal", "against root: no module is loaded any more"))

    def test_7_again(self):
        """Done already: nothing is written, and all reads as it should."""
        done, status = self.apply("later", "--stage", "seal")
        self.assertEqual(set(self.results(status["kernel"]).values()), {"equal"}, done)
        self.assertEqual(set(self.results(status["sysctl"]).values()), {"equal"}, done)
        done, _ = self.apply("later")
        self.assertIn("firewall: unchanged", done.stderr)
        # The policy from before: what it says is there, or more.
        done, status = self.apply("once", "--check")
        self.assertEqual(self.results(status["kernel"]), {"lockdown": "equal"}, done)


if __name__ == "__main__":
    machine.unittest.main()
