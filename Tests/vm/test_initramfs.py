"""What `lockdown install` gives to initramfs-tools and dracut, by the tools themselves.

They run in a mount namespace, in which the installed tree and their pinned packages lie over the host's directories.
The image of initramfs-tools is booted: its own first program runs our script, and the machine is looked at from there.
"""

import gzip
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import initramfs
import inputs
import machine
import test_apply
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import support
from test_boot import installed

# The lists of packages that the tools are made of.
TOOLS = ("inputs", "initramfs")
# Read-only layers over the host's directories: first the installation, then the tools, then what is there.
NAMESPACE = """\
set -e
for place in etc usr/bin usr/sbin usr/lib usr/share var/lib; do
  layers=
  for layer in "$1" "$2"; do [ ! -d "$layer/$place" ] || layers="$layers$layer/$place:"; done
  mount -t overlay overlay -o "lowerdir=$layers/$place" "/$place"
done
mount -t tmpfs tmpfs /var/tmp
mount --bind "$2/boot" /boot
shift 2
exec "$@"
"""


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-initramfs-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.root, _ = installed(test_apply.COS, cls.directory)
        cls.tools = cls.directory / "tools"
        with inputs.Locked():
            packages = inputs.packages(TOOLS)
        for pin, path in packages:
            if pin["package"].startswith(("linux-image-", "initramfs-", "dracut-")):
                subprocess.run(["dpkg-deb", "-x", path, cls.tools], check=True)
        # As on the host, /lib is in /usr.
        cls.release = initramfs.Base().release.read_text()
        shutil.move(cls.tools / "lib/modules", cls.tools / "usr/lib/modules")
        (cls.directory / "depmod").mkdir()
        (cls.directory / "depmod/lib").symlink_to(cls.tools / "usr/lib")
        subprocess.run(["depmod", "-b", cls.directory / "depmod", cls.release], check=True)

    def build(self, *command):
        subprocess.run(["unshare", "-m", "sh", "-c", NAMESPACE, "sh", self.root, self.tools, *command],
                       check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)

    def contents(self, image):
        """The directory that an image holds."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        data = image.read_bytes()
        subprocess.run(["cpio", "-idm", "--quiet"], input=gzip.decompress(data), cwd=target, check=True)
        return target

    def check(self, tree):
        """The applier, the closed stage as it is, and every expression of nf_tables with what it needs."""
        self.assertEqual((tree / "usr/sbin/lockdown-apply").read_bytes(), support.LOCKDOWN_APPLY.read_bytes())
        self.assertEqual((tree / "etc/lockdown/closed.bundle").read_bytes(),
                         (support.compile_policy(test_apply.COS).directory / "closed.bundle").read_bytes())
        modules = {path.name for path in tree.rglob("*.ko")}
        for name in ("nf_tables", "nft_ct", "nf_conntrack", "nft_limit", "nft_log", "nft_reject_inet", "libcrc32c"):
            self.assertIn(name + ".ko", modules)

    def test_dracut(self):
        image = self.directory / "dracut.img"
        self.build("dracut", "--force", "--no-hostonly", "--nostrip", "--gzip", "--modules", "lockdown", "--kver", self.release, image)
        tree = self.contents(image)
        self.check(tree)
        hook = tree / "usr/lib/dracut/hooks/pre-udev/10-lockdown.sh"
        self.assertIn("--stage closed", hook.read_text())

    def test_initramfs_tools(self):
        """Built, then booted: in the initramfs, before anything is mounted, the host is closed; the policy follows."""
        image = self.directory / "initramfs-tools.img"
        self.build("mkinitramfs", "-c", "gzip", "-o", image, self.release)
        tree = self.contents(image)
        self.check(tree)
        order = (tree / "scripts/init-top/ORDER").read_text()
        self.assertIn("/scripts/init-top/lockdown", order)

        # Busybox stands for the small tools of klibc, and our agent for what would mount the root file system.
        unpacked = self.directory / "busybox"
        with inputs.Locked():
            package, = [path for pin, path in inputs.packages(("inputs",)) if pin["package"] == "busybox-static"]
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        done = subprocess.run([unpacked / "bin/busybox", "--list"], stdout=subprocess.PIPE, text=True, check=True)
        taken = {"busybox", "sh", "ip", "modprobe", "insmod", "lsmod", "rmmod", "depmod", "modinfo", "init"}
        files = {"/usr/bin/" + name: initramfs.Link("busybox") for name in done.stdout.split() if name not in taken}
        files["/scripts/init-premount/ORDER"] = "/bin/busybox sh /agent\n"
        files["/etc/lockdown/policy.bundle"] = support.compile_policy(test_apply.COS).bundle
        made = machine.Machine(files, first=image)
        self.addCleanup(made.close)
        try:
            listing = made.run("nft list ruleset").stdout
            self.assertIn("table inet lockdown-closed", listing)
            self.assertIn('comment "cos sha256:', listing)
            self.assertNotIn("table inet lockdown {", listing)
            self.assertIn("/init", made.run("cat /proc/1/cmdline | tr '\\0' ' '").stdout)
            links = made.run("ip -o link").stdout.splitlines()
            self.assertEqual([line.split(": ")[1] for line in links if ",UP" in line and ": lo:" not in line], [])
            self.assertEqual(made.run("lockdown-apply /etc/lockdown/closed.bundle --stage closed --check").status, 0)
            made.run("lockdown-apply /etc/lockdown/policy.bundle --only firewall")
            self.assertNotIn("lockdown-closed", made.run("nft list ruleset").stdout)
            self.assertEqual(made.run("lockdown-apply /etc/lockdown/policy.bundle --only firewall --check").status, 0)
        except BaseException:
            print(made.logs())
            raise
        # It comes before the host's own scripts could have made an interface usable.
        log = made.console.read_text(errors="replace")
        self.assertIn("closed firewall: applied", log)


if __name__ == "__main__":
    machine.unittest.main()
