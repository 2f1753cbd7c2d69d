"""A Debian with its own sshd, su and ping, under a filter of system calls that process 1 has, and sealed behind its boot."""

import pathlib
import shutil
import subprocess
import tempfile

import initramfs
import machine
import test_boot
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import support

POLICY = """\
policy: login
language: 1
target: { kernel: "6.1" }
management: ["tcp 22"]
firewall:
  input:
    policy: drop
    rules: ['accept in lo', 'accept established, related', 'accept tcp 22', 'accept icmp echo-request']
  output: { policy: accept, rules: [] }
modules: { deny: [sctp], seal: after-boot }
syscalls: { scope: init, deny: [kexec_load] }
"""
TRIED = POLICY.replace("policy: login", "policy: tried").replace("'accept tcp 22'", "'accept tcp 22', 'accept tcp 23'")
# What an initramfs does before it starts the system's init: the kernel can load modules.
FIRST = """\
#!/usr/bin/busybox sh
export PATH=/usr/sbin:/usr/bin
mount -t proc proc /proc
/usr/sbin/modprobe -a nf_tables nft_ct
exec /usr/sbin/lockdown-apply "$@"
"""
# As nobody, who knows root's password, with a terminal: what su(1) says to `id -u`.
SU = """\
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.execv("/usr/bin/su", ["su", "-c", "id -u", "root"])
said = b""
while b"assword" not in said:
    said += os.read(terminal, 1000)
os.write(terminal, b"secret\\n")
try:
    while True:
        data = os.read(terminal, 1000)
        if not data:
            break
        said += data
except OSError:
    pass
print(said.split()[-1].decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
# As the package's installation does it where there is setcap(8). VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
CAPABLE = """\
import os, struct
os.chmod("/usr/bin/ping", 0o755)
os.setxattr("/usr/bin/ping", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
"""
SSH = "ip netns exec near ssh -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes root@10.8.0.2 "


def system():
    secret = subprocess.run(["openssl", "passwd", "-6", "secret"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    files = dict(test_boot.SYSTEM)
    for name in ("listen", "events"):
        for path in [path for path in files if path.endswith("/%s.service" % name)]:
            del files[path]
    files.update({
        "/etc/passwd": files["/etc/passwd"] + "sshd:x:996:65534::/run/sshd:/usr/sbin/nologin\n",
        "/etc/shadow": "root:%s:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n" % secret,
        "/etc/ssh/sshd_config": "HostKey /etc/ssh/key\nPermitRootLogin prohibit-password\nUsePAM yes\n",
        **{"/etc/pam.d/common-" + kind: "%s required pam_unix.so\n" % kind.split("-")[0]
           for kind in ("auth", "account", "password", "session", "session-noninteractive")},
        "/etc/systemd/system/ssh.service.d/key.conf": (
            "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key\n"),
        "/etc/systemd/system/multi-user.target.wants/ssh.service": initramfs.Link("/lib/systemd/system/ssh.service"),
        # A driver that comes before the seal, as udev would load it.
        "/etc/systemd/system/near.service": (
            "[Unit]\nAfter=network-pre.target\nBefore=boot-complete.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
            "ExecStart=/usr/bin/ip netns add near\n"
            "ExecStart=/usr/bin/ip link add near0 type veth peer name far0\n"
            "ExecStart=/usr/bin/ip link set near0 netns near\n"
            "ExecStart=/usr/bin/ip addr add 10.8.0.2/24 dev far0\nExecStart=/usr/bin/ip link set far0 up\n"
            "ExecStart=/usr/bin/ip -n near addr add 10.8.0.1/24 dev near0\n"
            "ExecStart=/usr/bin/ip -n near link set near0 up\n"),
        "/etc/systemd/system/multi-user.target.wants/near.service": initramfs.Link("../near.service"),
        "/su.py": SU, "/capable.py": CAPABLE,
    })
    return files


class Login(machine.MachineTestCase):
    @classmethod
    def make(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-login-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        root, files = test_boot.installed(POLICY, cls.directory)
        disk = cls.directory / "disk"
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root / "var", disk, "64M"], check=True)
        first = cls.directory / "first"
        first.write_text(FIRST)
        first.chmod(0o755)
        files.update(system())
        files.update(initramfs.with_libraries(support.LOCKDOWN))
        files.update({"/first": first, "/etc/login.bundle": support.compile_policy(POLICY).bundle,
                      "/etc/tried.bundle": support.compile_policy(TRIED).bundle})
        return machine.Machine(files, lists=("inputs", "systemd", "login"), memory=1536, disk=disk, program="/first",
                               append="-- /etc/login.bundle --- /lib/systemd/systemd", address="10.9.0.1")

    def test_1_booted(self):
        """Each process is filtered, no unit failed, the drivers are there, and behind the mark nothing is loaded any more."""
        self.machine.run("systemctl is-system-running --wait", check=False, timeout=180)
        self.assertEqual(self.machine.run("systemctl --failed --no-legend --plain").stdout, "")
        self.assertEqual(self.machine.run("systemctl is-active ssh.service lockdown.service lockdown-seal.service").stdout,
                         "active\n" * 3)
        for process in ("1", "self", "$(pidof sshd)"):
            status = self.machine.run("cat /proc/%s/status" % process).stdout
            self.assertIn("Seccomp:\t2", status)
            self.assertIn("NoNewPrivs:\t0", status)
        modules = self.machine.read("/proc/modules")
        for name in ("virtio_net", "veth", "nf_tables"):
            self.assertIn(name + " ", modules)
        self.assertEqual(self.machine.read("/proc/sys/kernel/modules_disabled"), "1\n")
        self.assertNotEqual(self.machine.run("/usr/sbin/modprobe dummy", check=False).status, 0)
        self.assertNotIn("dummy ", self.machine.read("/proc/modules"))

    def test_2_from_outside(self):
        """sshd answers, and nothing else."""
        found, others = self.machine.wire.answers("10.9.0.2", range(1, 4096))
        self.assertEqual((found, others), ({22: 0x12}, []))
        self.assertRegex(self.machine.wire.greeting("10.9.0.2", 22), rb"\ASSH-2\.0-OpenSSH_9\.2p1 Debian")

    def test_3_a_session(self):
        """With a key; and the connection of a session is what `lockdown confirm` asks for."""
        self.machine.run("mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/key && "
                         "cp /root/key.pub /root/.ssh/authorized_keys && chmod -R go= /root")
        self.assertRegex(self.machine.run(SSH + "'id -u; echo $SSH_CONNECTION'", timeout=120).stdout,
                         r"\A0\n10\.8\.0\.1 \d+ 10\.8\.0\.2 22\n\Z")
        self.machine.run("lockdown-apply /etc/tried.bundle --try 300")
        self.assertIn("this is no SSH connection", self.machine.run("lockdown confirm", check=False).stderr)
        done = self.machine.run(SSH + "lockdown confirm", check=False, timeout=120)
        self.assertIn(done.status, (0, 3), done)
        self.assertIn("tcp dport 23 accept", self.machine.run("nft list table inet lockdown").stdout.replace("{ 22, 23 }", "23"))

    def test_4_su_and_ping(self):
        self.assertEqual(self.machine.run("/usr/bin/su -s /bin/sh -c 'id -u' nobody").stdout, "65534\n")
        done = self.machine.run("python3 /su.py", check=False)
        self.assertEqual((done.status, done.stdout), (0, "0\n"), done)
        # By a set-user-id bit, by a file's capability, and by neither: then it may not.
        ping = "/usr/bin/su -s /bin/sh -c '/usr/bin/ping -c 1 -W 5 10.8.0.1' nobody"
        self.machine.run("echo 1 0 >/proc/sys/net/ipv4/ping_group_range; chmod 755 /usr/bin/ping")
        self.assertIn("not permitted", self.machine.run(ping, check=False).stderr)
        self.machine.run("chmod u+s /usr/bin/ping")
        self.assertIn("1 received", self.machine.run(ping).stdout)
        self.machine.run("python3 /capable.py")
        self.assertIn("1 received", self.machine.run(ping).stdout)


if __name__ == "__main__":
    machine.unittest.main()
