"""`lockdown install`, `uninstall`, `stage`, `rollback`, and the applier's boots from slots, below throw-away roots.

Stock tools read what was installed. Killed at any system call, each file is the old or the new one and is listed, the
slots name bundles that are there, and a second try ends as a first one would have.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"
GOLDEN = pathlib.Path(__file__).parent / "installed"
STATE = "var/lib/lockdown"

FIRST = """\
policy: first
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  input: { policy: drop, rules: ['accept tcp 22'] }
"""
SECOND = FIRST.replace("first", "second").replace("22", "23")
THIRD = FIRST.replace("first", "third").replace("22", "24")
# Compiled, and refused by the applier on every kernel.
TOO_NEW = FIRST.replace("first", "too-new").replace('"6.1"', '"99.1"')


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def tree(root):
    """{path: (kind and mode, contents)} of everything below a directory."""
    found = {}
    for path in sorted(pathlib.Path(root).rglob("*")):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = ("link", os.readlink(path))
        elif stat.S_ISDIR(mode):
            found[name] = ("directory %o" % stat.S_IMODE(mode), b"")
        else:
            found[name] = ("file %o" % stat.S_IMODE(mode), path.read_bytes())
    return found


def slots(root):
    """The slots as {word: value}, read by their documented form."""
    lines = (root / STATE / "slots").read_text().splitlines()
    assert lines[0] == "lockdown-slots 1", lines
    return dict(line.split(" ", 1) for line in lines[1:])


class InstallTestCase(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=support.scratch()))
        self.root.chmod(0o755)
        for name in ("etc", "usr/sbin", "var/lib"):
            (self.root / name).mkdir(parents=True)
        (self.root / "etc/fstab").write_text("# the host's own\n")

    def call(self, *arguments, status=0, before=()):
        done = support.run([*before, support.LOCKDOWN, *arguments], check=False)
        self.assertEqual(done.status, status, str(done))
        return done

    def install(self, source=COS, status=0, root=None, **options):
        return self.call("install", "--root", root or self.root, "--applier", support.LOCKDOWN_APPLY,
                         support.compile_policy(source).directory, status=status, **options)

    def uninstall(self, status=0):
        return self.call("uninstall", "--root", self.root, status=status)


class Tree(InstallTestCase):
    def test_golden(self):
        """Every file that is not the applier, a bundle or a text of the compile; LOCKDOWN_RECORD writes them."""
        self.install()
        compiled = support.compile_policy(COS)
        found = tree(self.root)
        bundle = "%s/bundles/%s.bundle" % (STATE, sha256(compiled.bundle))
        closed = bundle.replace(".bundle", ".closed")
        copies = {"usr/sbin/lockdown-apply": support.LOCKDOWN_APPLY, bundle: compiled.bundle,
                  closed: compiled.directory / "closed.bundle",
                  "etc/modprobe.d/lockdown.conf": compiled.directory / "modprobe.conf",
                  "etc/lockdown/cmdline": compiled.directory / "cmdline.txt"}
        for name, source in copies.items():
            self.assertEqual(found.pop(name)[1], source.read_bytes(), name)
        # systemd-sysctl comes before the applier, and again for each interface: nothing that belongs to the seal.
        text = compiled.text("sysctl.conf")
        sealed = text.index("\n# These cannot be taken back until reboot, and so stand last.\n"
                            "kernel.unprivileged_bpf_disabled = 1\n")
        self.assertEqual(found.pop("etc/sysctl.d/90-lockdown.conf")[1].decode(), text[:sealed])
        self.assertEqual(slots(self.root), {"current": sha256(compiled.bundle)})
        # These name what differs from one build to another.
        listed = found.pop(STATE + "/manifest")[1].decode().splitlines()
        del found[STATE + "/slots"], found[STATE + "/lock"], found["etc/fstab"]
        text = ""
        for name, (kind, contents) in found.items():
            text += "=== %s, %s\n" % (name, kind)
            text += "%s\n" % contents if kind == "link" else contents.decode()
        if os.environ.get("LOCKDOWN_RECORD"):
            GOLDEN.with_suffix(".txt").write_text(text)
            self.fail("recorded")
        self.assertEqual(GOLDEN.with_suffix(".txt").read_text(), text)
        # The manifest names all that is there and was not before, but for itself, the slots and the bundles.
        names = {line.split(" ")[-1] for line in listed[1:]}
        before = {"etc", "usr", "usr/sbin", "var", "var/lib"}
        self.assertEqual(names, (set(found) | set(copies) | {"etc/sysctl.d/90-lockdown.conf"})
                         - before - {bundle, closed})

    def test_modes(self):
        """Whatever the umask: what the applier trusts is root's, and nobody else can write it."""
        self.install(before=("sh", "-c", 'umask 0; exec "$0" "$@"'))
        for name, (kind, _) in tree(self.root).items():
            if kind != "link":
                self.assertIn(kind.split()[1], ("600",) if name == STATE + "/lock" else ("755", "644"), name)
        self.assertEqual(stat.S_IMODE((self.root / "usr/sbin/lockdown-apply").stat().st_mode), 0o755)

    def test_no_unit_opens_the_host(self):
        self.install()
        for unit in (self.root / "etc/systemd/system").glob("*.service"):
            self.assertIsNone(re.search(r"^(ExecStop|ExecStopPost|ExecReload|Restart)=", unit.read_text(), re.M))

    def test_uninstall_leaves_nothing(self):
        before = tree(self.root)
        self.install()
        self.call("stage", "--root", self.root, support.compile_policy(SECOND).bundle)
        # The power went while a boot was counted.
        applied = [support.LOCKDOWN_APPLY, "--slots", self.root / STATE, "--status", support.scratch() / "s.json"]
        with self.namespace():
            support.run(["strace", "-f", "-qq", "-o", "/dev/null", "-P", self.root / STATE / "slots.new", "-e",
                         "inject=rename,renameat,renameat2:signal=KILL:when=1", *applied], check=False)
        self.assertTrue((self.root / STATE / "slots.new").exists())
        self.uninstall()
        self.assertEqual(tree(self.root), before)
        self.assertIn("nothing is installed", self.uninstall().stdout)

    def test_again_and_another(self):
        """The same once more changes nothing; another policy takes the place of the first, files that it has not go."""
        self.install()
        before = tree(self.root)
        self.assertNotIn("wrote ", self.install().stdout)
        self.assertEqual(tree(self.root), before)
        self.install(FIRST)
        self.assertFalse((self.root / "etc/lockdown").exists() and list((self.root / "etc/lockdown").iterdir()))
        self.assertEqual(slots(self.root), {"current": sha256(support.compile_policy(FIRST).bundle),
                                            "previous": sha256(support.compile_policy(COS).bundle)})
        self.uninstall()
        self.assertEqual(set(tree(self.root)), {"etc", "etc/fstab", "usr", "usr/sbin", "var", "var/lib"})


class Others(InstallTestCase):
    """What is not ours, or not any more."""

    def test_a_file_of_somebody_else(self):
        for name in ("etc/sysctl.d/90-lockdown.conf", "usr/sbin/lockdown-apply"):
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text("mine\n")
        before = tree(self.root)
        done = self.install(status=1)
        self.assertIn("90-lockdown.conf`: it is not of an installation", done.stderr)
        self.assertIn("lockdown-apply`: it is not of an installation", done.stderr)
        self.assertEqual(tree(self.root), before)

    def test_a_changed_file(self):
        """It is kept by an uninstall, with its directory, and not replaced by an install."""
        self.install()
        changed = self.root / "etc/sysctl.d/90-lockdown.conf"
        changed.write_text(changed.read_text() + "kernel.sysrq = 1\n")
        link = self.root / "etc/systemd/system/sysinit.target.wants/lockdown.service"
        link.unlink()
        link.symlink_to("/dev/null")
        before = tree(self.root)
        done = self.install(FIRST, status=1)
        self.assertIn("90-lockdown.conf`: it was changed since it was installed", done.stderr)
        self.assertEqual(tree(self.root), before)
        done = self.uninstall(status=1)
        self.assertIn("90-lockdown.conf: it was changed since it was installed", done.stdout)
        self.assertEqual({name for name, (kind, _) in tree(self.root).items() if not kind.startswith("directory")},
                         {"etc/fstab", "etc/sysctl.d/90-lockdown.conf",
                          "etc/systemd/system/sysinit.target.wants/lockdown.service"})

    def test_links_that_lead_out(self):
        outside = pathlib.Path(tempfile.mkdtemp(dir=support.scratch()))
        for name in ("etc/systemd", "etc/modprobe.d", "var/lib/lockdown"):
            for target in (str(outside), "/etc", os.path.relpath(outside, (self.root / name).parent)):
                with self.subTest(link=name, target=target):
                    (self.root / name).symlink_to(target)
                    before = tree(self.root)
                    done = self.install(status=3)
                    self.assertIn("leads out of", done.stderr)
                    self.assertEqual(tree(self.root), before)
                    self.assertEqual(list(outside.iterdir()), [])
                    (self.root / name).unlink()

    def test_links_that_stay_inside(self):
        (self.root / "usr/bin").mkdir()
        (self.root / "usr/sbin").rmdir()
        (self.root / "usr/sbin").symlink_to("bin")
        before = tree(self.root)
        self.install()
        self.assertTrue((self.root / "usr/bin/lockdown-apply").is_file())
        self.uninstall()
        self.assertEqual(tree(self.root), before)

    def test_a_manifest_that_leads_out(self):
        victim = support.scratch() / "victim"
        victim.write_text("")
        self.install()
        manifest = self.root / STATE / "manifest"
        good = manifest.read_text()
        for path in ("../" * 8 + str(victim)[1:], "etc/../../x", "/etc/passwd", "etc//fstab"):
            manifest.write_text(good + "file %s %s\n" % (sha256(victim), path))
            self.assertIn("is no manifest of ours", self.uninstall(status=1).stderr)
        self.assertTrue(victim.exists())
        manifest.write_text(good[:-1])
        self.uninstall(status=1)

    def test_parts_of_two_policies(self):
        """The bundle of one compile beside the texts of another is refused."""
        mixed = pathlib.Path(tempfile.mkdtemp(dir=support.scratch())) / "mixed"
        shutil.copytree(support.compile_policy(COS).directory, mixed)
        shutil.copy(support.compile_policy(FIRST).bundle, mixed / "policy.bundle")
        before = tree(self.root)
        done = self.call("install", "--root", self.root, mixed, status=1)
        self.assertIn("policy.json is sha256:", done.stderr)
        self.assertEqual(tree(self.root), before)


class Places(InstallTestCase):
    """What the applier would refuse at each boot is refused here."""

    def test_directories_that_it_does_not_trust(self):
        for name, change, back, reason in (
                ("var/lib", lambda path: path.chmod(0o775), lambda path: path.chmod(0o755), "others than root can write it"),
                ("", lambda path: path.chmod(0o707), lambda path: path.chmod(0o755), "others than root can write it"),
                ("var", lambda path: os.chown(path, 65534, 0), lambda path: os.chown(path, 0, 0), "it does not belong to root")):
            path = self.root / name
            change(path)
            before = tree(self.root)
            done = self.install(FIRST, status=1)
            self.assertIn("will not trust `%s/%s`: %s\n" % (self.root, name, reason), done.stderr)
            self.assertEqual(tree(self.root), before)
            back(path)
        # Nothing that the applier trusts lies there.
        (self.root / "etc").chmod(0o777)
        self.install(FIRST)

    def test_another_program(self):
        script = support.scratch() / "script"
        script.write_text("usage: lockdown-apply BUNDLE\n")
        script.chmod(0o755)
        before = tree(self.root)
        for program in ("/bin/true", script):
            done = self.call("install", "--root", self.root, "--applier", program, support.compile_policy(FIRST).directory, status=1)
            self.assertIn("`%s` is not lockdown-apply: nothing is installed" % program, done.stderr)
        self.assertEqual(tree(self.root), before)

    def test_a_damaged_list_of_slots(self):
        """Nobody can tell what it named: an installation begins anew, and can be taken away."""
        before = tree(self.root)
        path = self.root / STATE / "slots"
        self.install(FIRST)
        path.write_text(path.read_text() + "x")
        for command in (("stage", "--root", self.root, support.compile_policy(SECOND).bundle), ("rollback", "--root", self.root)):
            self.assertIn("`lockdown install` makes a new one", self.call(*command, status=1).stderr)
        done = self.install(SECOND)
        self.assertIn("%s` is damaged: what it named is not kept" % path, done.stderr)
        self.assertEqual(slots(self.root), {"current": sha256(support.compile_policy(SECOND).bundle)})
        path.write_bytes(b"")
        self.uninstall()
        self.assertEqual(tree(self.root), before)


class NetworkRoot(InstallTestCase):
    """A root file system over the network that the policy does not name, by each file that may say so."""

    LINE = "BOOT_IMAGE=/vmlinuz root=/dev/nfs nfsroot=10.0.0.1:/srv quiet"
    FILES = {
        "etc/fstab": ("# /dev/nfs / nfs\n10.0.0.1:/srv / nfs4 vers=4 0 0\n", "/dev/sda1 / ext4 defaults 0 1\n10.0.0.1:/home /home nfs4\n"),
        "etc/default/grub": ('GRUB_CMDLINE_LINUX="%s"\n' % LINE, "# %s\nGRUB_CMDLINE_LINUX='root=/dev/sda1 quiet'\n" % LINE),
        "etc/kernel/cmdline": (LINE, "root=UUID=1 net.ifnames=0"),
        "boot/cmdline.txt": ("root=iscsi:10.0.0.1::::iqn.x", "root=LABEL=nfs"),
        "etc/default/grub.d/50-cloudimg-settings.cfg": (
            'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:+$GRUB_CMDLINE_LINUX }root=/dev/nfs"\n',
            'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0" # or root=/dev/nfs\n'),
        "etc/grub.d/40_custom": ("menuentry net {\n  linux /vmlinuz root=nbd:10.0.0.1:root\n}\n", "exec tail -n +3 $0\n"),
        "boot/grub/grub.cfg": ("  linux /vmlinuz root=dhcp ro\n", "search --no-floppy --set=root\n linux /vmlinuz root=/dev/sda1\n"),
        "boot/grub2/grubenv": ("# GRUB\nkernelopts=root=nfs:10.0.0.1:/ ro\n", "kernelopts=root=/dev/mapper/nfs ro\n"),
        "boot/loader/entries/a.conf": ("title A\noptions %s\n" % LINE, "title A\noptions root=UUID=1 ro $tuned_params\n"),
        "boot/extlinux/extlinux.conf": ("label l0\n\tappend root=/dev/nbd0 ro\n", "label l0\n\tappend root=UUID=1 ro\n"),
        "etc/default/u-boot": ("U_BOOT_PARAMETERS=root=/dev/nfs\n", "#U_BOOT_ROOT=\"root=/dev/nfs\"\nU_BOOT_PARAMETERS='ro quiet'\n"),
        "etc/dracut.conf.d/net.conf": ('kernel_cmdline+=" netroot=iscsi:10.0.0.1::::iqn.x "\n', 'add_dracutmodules+=" nfs "\n'),
        "etc/initramfs-tools/initramfs.conf": ("BOOT=nfs\nNFSROOT=auto\n", "MODULES=most\nDEVICE=\nNFSROOT=auto\nBOOT=local\n"),
        "etc/iscsi/iscsi.initramfs": ("ISCSI_TARGET_IP=10.0.0.1\n", "# ISCSI_TARGET_IP=10.0.0.1\nISCSI_INITIATOR=iqn.x\n"),
    }
    # What an initramfs mounts, and what looks like it and comes over no network, or later.
    OVER_THE_NETWORK = (
        "/dev/nbd0 / ext4 defaults", "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.x-lun-0 / ext4 defaults", "UUID=1 / ext4 _netdev",
        "10.0.0.1:/x /usr nfs ro", "10.0.0.1:/x /etc nfs x-initrd.mount", "10.0.0.1:/x / fuse.glusterfs defaults",
        "host / 9p trans=tcp,ro")
    LOCAL = (
        "tag / virtiofs defaults", "tag / 9p trans=virtio,version=9p2000.L", "10.0.0.1:/x /srv nfs _netdev",
        "/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1 / ext4 defaults", "/dev/rbdisk / ext4 defaults" "\n# 10.0.0.1:/x / nfs")

    def test_refused_and_declared(self):
        declared = FIRST.replace("management:", "boot: { root: network }\nmanagement:")
        for name, (network, local) in self.FILES.items():
            path = self.root / name
            before = path.read_text() if path.exists() else None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(network)
            found = tree(self.root)
            done = self.install(FIRST, status=1)
            self.assertIn("boot/network-root", done.stderr)
            self.assertIn(name, done.stderr)
            self.assertEqual(tree(self.root), found)
            for text, content in ((declared, network), (FIRST.replace("management:", "boot: { stage: none }\nmanagement:"), network),
                                  (FIRST, local)):
                path.write_text(content)
                self.install(text)
                self.uninstall()
            if before is None:
                path.unlink()
            else:
                path.write_text(before)

    def test_what_an_initramfs_mounts(self):
        path = self.root / "etc/fstab"
        for line in self.OVER_THE_NETWORK:
            path.write_text(line + " 0 0\n")
            self.assertIn("boot/network-root", self.install(FIRST, status=1).stderr, line)
        for line in self.LOCAL:
            path.write_text(line + " 0 0\n")
            self.install(FIRST)

    def test_a_link(self):
        """Followed, below the same root."""
        for target in ("/etc/static/fstab", "static/fstab"):
            (self.root / "etc/static").mkdir(exist_ok=True)
            (self.root / "etc/static/fstab").write_text("10.0.0.1:/srv / nfs4 ro 0 0\n")
            (self.root / "etc/fstab").unlink()
            (self.root / "etc/fstab").symlink_to(target)
            self.assertIn("boot/network-root", self.install(FIRST, status=1).stderr)

    def test_what_is_left_beside_a_file(self):
        for name in ("etc/grub.d/40_custom.dpkg-old", "etc/default/grub.d/x.cfg~", "boot/loader/entries/a.conf.rpmsave"):
            (self.root / name).parent.mkdir(parents=True)
            (self.root / name).write_text(self.LINE + "\n")
        self.install(FIRST)

    def test_of_this_host(self):
        """/proc/cmdline counts where the root is this host's own."""
        line = support.scratch() / "cmdline"
        line.write_text(self.LINE + "\n")
        done = self.call("install", "--root", "/", "--applier", support.LOCKDOWN_APPLY, support.compile_policy(FIRST).directory,
                         status=1, before=("unshare", "-m", "sh", "-c", """
            mount -t tmpfs -o mode=755 tmpfs /var/lib && mount -t tmpfs tmpfs /etc/systemd && mount --bind %s /proc/cmdline && exec "$@"
            """ % line, "sh"))
        self.assertIn("boot/network-root", done.stderr)


class ModuleDenylist(InstallTestCase):
    """The kernel keeps the last `module_blacklist=` only: none but the policy's may stand in a boot loader's files."""

    POLICY = FIRST + "modules: { deny: [floppy, usb_storage] }\n"
    OTHER = FIRST + "modules: { deny: [sctp] }\n"
    LINE = "root=UUID=1 module_blacklist=%s ro"
    OWN = "floppy,usb_storage"
    FILES = {
        "etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet %s\"\n",
        "etc/default/grub.d/zz.cfg": "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX %s\"\n",
        "etc/kernel/cmdline": "%s\n",
        "boot/firmware/cmdline.txt": "%s",
        "boot/loader/entries/a.conf": "title A\noptions %s\n",
        "boot/grub/grub.cfg": "menuentry A {\n  linux /vmlinuz %s\n}\n",
        "etc/grub.d/40_custom": "menuentry A {\n  linux /vmlinuz %s\n}\n",
    }

    def test_another(self):
        for name, text in self.FILES.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            for line in (self.LINE % "floppy", (self.LINE % "sctp").replace("_", "-"), self.LINE % "floppy" + " module_blacklist=" + self.OWN):
                path.write_text(text % line)
                before = tree(self.root)
                done = self.install(self.POLICY, status=1)
                self.assertIn("kernel/derived-parameter: %s/%s has another `module_blacklist=`" % (self.root, name), done.stderr)
                self.assertEqual(tree(self.root), before)
            # A policy that denies no module has nothing to lose.
            self.install(FIRST)
            # Fedora's grub-mkconfig reads no drop-ins: there the line of the policy stands in such files.
            path.write_text(text % self.LINE % self.OWN)
            self.assertNotIn("installed before", self.install(self.POLICY).stdout)
            self.uninstall()
            path.unlink()

    def test_what_tools_write_anew(self):
        """update-grub is left to do in any case."""
        for name in ("boot/grub/grub.cfg", "etc/grub.d/00_header"):
            (self.root / name).parent.mkdir(parents=True)
        (self.root / "boot/grub/grub.cfg").write_text("linux /vmlinuz %s\n" % self.LINE % "sctp")
        (self.root / "etc/grub.d/00_header").write_text("set -e\n")
        self.install(self.POLICY)

    def test_of_the_policy_before(self):
        """It is to be replaced by hand, and no reason to refuse the new one."""
        path = self.root / "etc/kernel/cmdline"
        path.parent.mkdir()
        self.install(self.POLICY)
        path.write_text(self.LINE % self.OWN)
        for text in (self.OTHER, FIRST):
            self.assertIn("to do: %s: it has the `module_blacklist=` of the policy that was installed before\n" % path,
                          self.install(text).stdout)
            self.install(self.POLICY)
        self.install(self.OTHER)
        self.assertIn("kernel/derived-parameter", self.install(self.OTHER.replace("sctp", "dccp"), status=1).stderr)


class StockTools(InstallTestCase):
    def test_systemd(self):
        """systemd-analyze finds no fault in the units. It looks for the programs they start below this root."""
        self.install()
        shell = self.root / "bin/sh"
        shell.parent.mkdir()
        shutil.copy("/bin/sh", shell)
        units = sorted((self.root / "etc/systemd/system").glob("*.service"))
        self.assertEqual(len(units), 6)
        done = support.run(["systemd-analyze", "verify", "--root=%s" % self.root, "--man=no", "--recursive-errors=no",
                            *["/" + str(unit.relative_to(self.root)) for unit in units]], check=False)
        # An empty root has none of the distribution's own units.
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "lockdown" in line]
        self.assertEqual(lines, [])

    def test_systemd_with_the_units_of_the_distribution(self):
        self.install()
        path = self.root / "units"
        path.mkdir()
        for unit in (self.root / "etc/systemd/system").glob("*.service"):
            text = unit.read_text().replace("/usr/sbin/lockdown-apply", str(self.root / "usr/sbin/lockdown-apply"))
            (path / unit.name).write_text(text)
        done = support.run(["systemd-analyze", "verify", "--man=no", *sorted(path.glob("*.service"))], check=False)
        self.assertEqual((done.status, done.stdout + done.stderr), (0, ""))

    def test_modprobe(self):
        self.install()
        shown = support.run(["modprobe", "--showconfig", "--config", self.root / "etc/modprobe.d"]).stdout
        for name in ("sctp", "cramfs", "firewire_core"):
            self.assertIn("install %s /bin/false" % name, shown)
            self.assertIn("blacklist %s" % name, shown)

    def test_sysctl(self):
        self.install()
        text = (self.root / "etc/sysctl.d/90-lockdown.conf").read_text()
        # A kernel need not have them all.
        done = support.run(["sysctl", "--dry-run", "--load=%s" % (self.root / "etc/sysctl.d/90-lockdown.conf")],
                           check=False)
        seen = 0
        for line in text.splitlines():
            if line.startswith("kernel.") and os.path.exists("/proc/sys/" + line.split(" ")[0].replace(".", "/")):
                self.assertIn(line, done.stdout)
                seen += 1
        self.assertGreater(seen, 2)

    def test_shells(self):
        """The hooks are sh and bash, and what grub-mkconfig reads gives back the line of the compile."""
        self.install()
        for path in ("etc/initramfs-tools/hooks/lockdown", "etc/initramfs-tools/scripts/init-top/lockdown"):
            support.run(["dash", "-n", self.root / path])
            self.assertEqual(support.run(["dash", self.root / path, "prereqs"]).stdout, "")
        for path in (self.root / "usr/lib/dracut/modules.d/50lockdown").iterdir():
            support.run(["bash", "-n", path])
        for own in ("", "quiet splash"):
            found = support.run(["dash", "-c", 'GRUB_CMDLINE_LINUX="$2"; . "$1"; echo "$GRUB_CMDLINE_LINUX"', "sh",
                                 self.root / "etc/default/grub.d/lockdown.cfg", own]).stdout
            self.assertEqual(found, " ".join(filter(None, [own, support.compile_policy(COS).text("cmdline.txt")])))


class Slots(InstallTestCase):
    def setUp(self):
        super().setUp()
        self.install(FIRST)
        self.names = {text: sha256(support.compile_policy(text).bundle) for text in (FIRST, SECOND, THIRD, TOO_NEW)}

    def stage(self, text, *options, **more):
        return self.call("stage", "--root", self.root, *options, support.compile_policy(text).bundle, **more)

    def bundles(self):
        """Those whose closed stage is there as well."""
        found = {path.name for path in (self.root / STATE / "bundles").iterdir()}
        names = {name.removesuffix(".bundle") for name in found if name.endswith(".bundle")}
        self.assertEqual(found, {name + end for name in names for end in (".bundle", ".closed")})
        return names

    def boot(self, namespace, *options, boot=None, check=None):
        """Runs the applier as lockdown.service does; `boot` stands for the kernel's boot id."""
        command = [support.LOCKDOWN_APPLY, "--slots", self.root / STATE, "--status", support.scratch() / "s.json", *options]
        if boot is not None:
            identity = support.scratch() / "boot-id"
            identity.write_text("00000000-0000-4000-8000-%012x\n" % boot)
            command = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"',
                       identity, *command]
        with namespace:
            done = support.run(command, check=False)
        if check is not None:
            self.assertEqual(done.status, check, done)
        return done

    def loaded(self, namespace):
        return re.search(r'comment "([a-z-]+) sha256', namespace.listing()).group(1)

    def test_the_late_stage(self):
        """It is about the slot that this boot began with."""
        first, second = self.namespace(), self.namespace()
        self.boot(first, boot=1)
        self.stage(SECOND)
        self.boot(first, "--stage", "late", boot=1, check=0)
        self.boot(second, boot=2)
        self.assertEqual(self.loaded(second), "second")
        self.boot(second, "--stage", "late", boot=2, check=0)
        done = self.boot(first, "--stage", "late", boot=2, check=1)
        self.assertIn("no table of this policy is live", done.stderr)
        self.boot(second, "--healthy", boot=2, check=0)
        self.boot(second, "--stage", "late", boot=2, check=0)

    def test_stage_and_rollback(self):
        self.stage(SECOND)
        self.assertEqual(slots(self.root), {
            "current": self.names[FIRST], "next": self.names[SECOND], "attempts": "0 2"})
        self.assertEqual(self.bundles(), {self.names[FIRST], self.names[SECOND]})
        self.stage(THIRD, "--boots", "3")
        self.assertEqual(slots(self.root)["next"], self.names[THIRD])
        self.assertEqual(self.bundles(), {self.names[FIRST], self.names[THIRD]}, "what nothing names is gone")
        self.call("rollback", "--root", self.root)
        self.assertEqual(slots(self.root), {"current": self.names[FIRST]})
        self.assertEqual(self.bundles(), {self.names[FIRST]})
        self.assertIn("there is no slot before the current one",
                      self.call("rollback", "--root", self.root, status=1).stderr)
        self.assertIn("is the current slot", self.stage(FIRST).stderr)
        self.call("stage", "--root", self.root, "--boots", "0", support.compile_policy(SECOND).bundle, status=64)
        self.call("stage", "--root", self.root, COS, status=1)
        shown = json.loads(self.call("stage", "--root", self.root, "--format", "json").stdout)
        self.assertEqual(shown["current"], self.names[FIRST])

    def test_a_healthy_boot_keeps_what_it_tried(self):
        host = self.namespace()
        self.boot(host, boot=1, check=0)
        self.assertEqual(self.loaded(host), "first")
        self.assertIn("tried nothing new", self.boot(host, "--healthy", boot=1, check=0).stderr)
        self.stage(SECOND)
        self.boot(host, boot=2, check=0)
        self.assertEqual(self.loaded(host), "second")
        self.assertEqual(slots(self.root)["attempts"], "1 2")
        # Started again in the same boot it is the same try.
        self.boot(host, boot=2, check=0)
        self.assertEqual(slots(self.root)["attempts"], "1 2")
        self.assertIn("kept", self.boot(host, "--healthy", boot=2, check=0).stderr)
        self.assertEqual(slots(self.root), {"current": self.names[SECOND], "previous": self.names[FIRST]})
        self.call("rollback", "--root", self.root)
        self.boot(host, boot=3, check=0)
        self.assertEqual(self.loaded(host), "first")

    def test_boots_without_the_mark_fall_back(self):
        host = self.namespace()
        self.stage(SECOND, "--boots", "2")
        for number in (1, 2):
            self.boot(host, boot=number, check=0)
            self.assertEqual(self.loaded(host), "second")
        done = self.boot(host, boot=3, check=4)
        self.assertIn("given up, no boot with it reached the health mark", done.stderr)
        self.assertEqual(self.loaded(host), "first")
        self.assertEqual(slots(self.root), {"current": self.names[FIRST], "failed": self.names[SECOND]})
        self.boot(host, boot=4, check=0)

    def test_a_sick_boot_falls_back_in_the_same_boot(self):
        """As lockdown-fallback.service does it."""
        host = self.namespace()
        self.stage(SECOND)
        self.boot(host, boot=1, check=0)
        self.assertEqual(self.loaded(host), "second")
        done = self.boot(host, "--sick", boot=1, check=4)
        self.assertIn("given up, no boot with it reached the health mark", done.stderr)
        self.assertEqual(self.loaded(host), "first")
        self.assertEqual(slots(self.root), {"current": self.names[FIRST], "failed": self.names[SECOND]})
        # Only what this boot tries.
        before = tree(self.root)
        self.assertIn("tried nothing new", self.boot(host, "--sick", boot=1, check=0).stderr)
        self.boot(host, boot=2, check=0)
        self.assertIn("tried nothing new", self.boot(host, "--sick", boot=2, check=0).stderr)
        self.assertEqual(tree(self.root), before)
        self.stage(SECOND)
        self.boot(host, boot=3, check=0)
        self.assertIn("tried nothing new", self.boot(host, "--sick", boot=4, check=0).stderr)
        self.assertEqual(slots(self.root)["next"], self.names[SECOND])
        self.boot(host, "--sick", "--healthy", boot=3, check=4)

    def test_a_lock_that_is_held(self):
        """Nobody but root can hold it; one of root's own is waited for ten seconds, here and by the command line."""
        host = self.namespace()
        self.boot(host, boot=1, check=0)
        lock = self.root / STATE / "lock"
        self.assertEqual(stat.S_IMODE(lock.lstat().st_mode), 0o600)
        folder = os.open(self.root / STATE, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        self.boot(host, boot=2, check=0)
        self.stage(SECOND)
        with open(lock, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertIn("busy: another applier holds", self.boot(host, boot=3, check=75).stderr)
            self.assertIn("another program is at work", self.call(
                "stage", "--root", self.root, support.compile_policy(THIRD).bundle, status=3).stderr)
        self.assertEqual(self.loaded(host), "first")

    def test_what_the_unit_makes_of_it(self):
        """The shell of lockdown-fallback.service: when it lets the host boot again."""
        unit = (self.root / "etc/systemd/system/lockdown-fallback.service").read_text()
        script = re.search(r"ExecStart=/bin/sh -c '(.*?)'\n", unit, re.S).group(1).replace("\\\n", "\n").replace("$$", "$")
        folder = self.root / "stubs"
        folder.mkdir()
        (folder / "systemctl").write_text("#!/bin/sh\necho systemctl $*\n")
        (folder / "systemctl").chmod(0o755)
        for code, sealed, boots, status in ((0, False, False, 0), (0, True, False, 0), (4, False, False, 0), (4, True, True, 0),
                                            (1, False, False, 1), (1, True, False, 1), (2, False, True, 0), (5, False, True, 0),
                                            (75, False, False, 1)):
            with self.subTest(code=code, sealed=sealed):
                applier = folder / "applier"
                applier.write_text("#!/bin/sh\nexit %d\n" % code)
                applier.chmod(0o755)
                text = script.replace("/usr/sbin/lockdown-apply", str(applier)).replace(
                    "/run/lockdown/sealed", "/proc/self" if sealed else "/nowhere").replace("/proc/self/status", "/dev/null")
                done = support.run(["/bin/sh", "-c", text], check=False,
                                   env={"PATH": "%s:/usr/bin:/bin" % folder})
                self.assertEqual(("systemctl --no-block reboot" in done.stdout, done.status), (boots, status), done)

    def test_a_refused_slot_falls_back_in_the_same_boot(self):
        host = self.namespace()
        self.stage(TOO_NEW)
        done = self.boot(host, boot=1, check=4)
        self.assertIn("refused: the policy is for kernel 99.1", done.stderr)
        self.assertEqual(self.loaded(host), "first")
        self.assertEqual(slots(self.root), {"current": self.names[FIRST], "failed": self.names[TOO_NEW]})

    def test_a_slot_that_fails_behind_its_firewall(self):
        """A key that the kernel refuses is seen when it is written, and the firewall is there by then: all goes back."""
        host = self.namespace()
        self.boot(host, boot=1, check=0)
        before = host.listing("table", "inet", "lockdown")
        broken = FIRST.replace("first", "broken") + (
            "sysctl:\n  net.ipv4.tcp_syncookies: 0\n  net.ipv4.tcp_congestion_control: nosuch\n")
        host.sysctl("net.ipv4.tcp_syncookies", 1)
        self.stage(broken)
        done = self.boot(host, boot=2, check=4)
        self.assertIn("given up, it cannot be applied", done.stderr)
        self.assertEqual(host.listing("table", "inet", "lockdown"), before)
        self.assertEqual(host.sysctl("net.ipv4.tcp_syncookies"), "1")
        self.assertEqual(slots(self.root)["failed"], sha256(support.compile_policy(broken).bundle))

    def test_a_count_that_cannot_be_kept(self):
        """Where the state is read-only a boot with the new slot would not be counted: it is not tried."""
        host = self.namespace()
        self.stage(SECOND)
        before = tree(self.root)
        with host:
            done = support.run(
                ["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$0" --slots "$1"',
                 support.LOCKDOWN_APPLY, self.root / STATE], check=False)
        self.assertEqual(done.status, 4, done)
        self.assertIn("cannot be counted", done.stderr)
        self.assertEqual(self.loaded(host), "first")
        self.assertEqual(tree(self.root), before)

    def test_damaged_slots(self):
        host = self.namespace()
        path = self.root / STATE / "slots"
        good = path.read_bytes()
        for text in (b"", good[:-1], good + b"x", good.replace(b"current", b"CURRENT"), good * 2, b"\0" * 5000):
            path.write_bytes(text)
            done = self.boot(host, check=1)
            self.assertIn("slots: it is no list of slots" if len(text) < 5000 else "slots", done.stderr)
            self.call("stage", "--root", self.root, support.compile_policy(SECOND).bundle, status=1)
            self.assertEqual(path.read_bytes(), text)
        path.write_bytes(good)
        path.chmod(0o666)
        self.assertIn("slots", self.boot(host, check=1).stderr)
        self.assertEqual(host.listing(), "")


class Kills(InstallTestCase):
    """SIGKILL at the entry of every system call that changes a file system: each state in between is seen once.

    A file is made by the call before the first `write` to it.
    """

    CALLS = ("mkdirat", "write", "fchmod", "fchmodat", "renameat", "unlinkat", "symlinkat")

    def points(self, prepare, command, calls):
        """(call, number) of each in a run that is not killed."""
        prepare()
        log = support.scratch() / "trace"
        support.run(["strace", "-f", "-qq", "-e", "trace=" + ",".join(calls), "-o", log, *command], check=False)
        counts = {}
        for line in log.read_text().splitlines():
            match = re.match(r"\d+\s+(\w+)\(", line)
            if match:
                counts[match.group(1)] = counts.get(match.group(1), 0) + 1
        return [(name, number) for name, count in counts.items() for number in range(1, count + 1)]

    def matrix(self, prepare, command, check, calls=CALLS, fates=(137, -9)):
        fired = 0
        for name, number in self.points(prepare, command, calls):
            prepare()
            done = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + name,
                 "-e", "inject=%s:signal=KILL:when=%d" % (name, number), *map(str, command)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode not in fates:
                continue
            fired += 1
            with self.subTest(call=name, number=number):
                check()
        support.note("%d kills" % fired)
        return fired

    def command(self, *arguments):
        return [support.LOCKDOWN, *arguments]

    def reset(self):
        for name in ("etc", "usr", "var"):
            shutil.rmtree(self.root / name)
        for name in ("etc", "usr/sbin", "var/lib"):
            (self.root / name).mkdir(parents=True)

    def sound(self):
        """Whatever was killed: the slots can be read, and each bundle they name is there, whole."""
        if (self.root / STATE / "slots").exists():
            for word, value in slots(self.root).items():
                if word in ("current", "next", "previous"):
                    path = self.root / STATE / "bundles" / (value + ".bundle")
                    self.assertEqual(sha256(path), value)

    def test_install_then_uninstall(self):
        """A killed install leaves nothing that an uninstall does not find, and is finished by a second one."""
        self.reset()
        second = support.compile_policy(COS).directory
        install = ("install", "--root", self.root, "--applier", support.LOCKDOWN_APPLY)
        self.call(*install, second)
        whole = tree(self.root)
        self.reset()

        def check():
            self.sound()
            interrupted = self.root.with_suffix(".interrupted")
            shutil.copytree(self.root, interrupted, symlinks=True)
            self.call("uninstall", "--root", self.root)
            left = {name for name, (kind, _) in tree(self.root).items() if not kind.startswith("directory")}
            self.assertEqual(left - {STATE + "/.lockdown-tmp.manifest"}, set())
            shutil.rmtree(self.root)
            interrupted.rename(self.root)
            self.call(*install, second)
            self.assertEqual(slots(self.root)["current"], sha256(support.compile_policy(COS).bundle))
            self.assertEqual(set(tree(self.root)), set(whole))
            self.call("uninstall", "--root", self.root)
            self.assertEqual({name for name, (kind, _) in tree(self.root).items()
                              if not kind.startswith("directory")}, set())

        fired = self.matrix(self.reset, self.command(*install, second), check)
        self.assertGreater(fired, 60)

    def test_install_over_another(self):
        """The current slot is the old or the new one."""
        old, new = [support.compile_policy(text) for text in (FIRST, SECOND)]

        def prepare():
            self.reset()
            self.install(FIRST)

        def check():
            self.sound()
            self.assertIn(slots(self.root)["current"], (sha256(old.bundle), sha256(new.bundle)))
            self.install(SECOND)
            self.assertEqual(slots(self.root)["current"], sha256(new.bundle))

        self.assertGreater(self.matrix(prepare, self.command(
            "install", "--root", self.root, "--applier", support.LOCKDOWN_APPLY, new.directory), check), 10)

    def test_stage_and_rollback(self):
        first, second = [sha256(support.compile_policy(text).bundle) for text in (FIRST, SECOND)]
        stage = ("stage", "--root", self.root, support.compile_policy(SECOND).bundle)
        rollback = ("rollback", "--root", self.root)

        def installed():
            self.reset()
            self.install(FIRST)

        def staged():
            installed()
            self.call(*stage)

        states = [{"current": first}, {"current": first, "next": second, "attempts": "0 2"}]

        def check_stage():
            self.sound()
            self.assertIn(slots(self.root), states)
            self.call(*stage)
            self.assertEqual(slots(self.root), states[1])

        def check_rollback():
            self.sound()
            self.assertIn(slots(self.root), states)
            if slots(self.root) == states[1]:
                self.call(*rollback)
            self.assertEqual(slots(self.root), states[0])

        self.assertGreater(self.matrix(installed, self.command(*stage), check_stage), 5)
        self.assertGreater(self.matrix(staged, self.command(*rollback), check_rollback), 5)

    def test_boot(self):
        """The applier's count and fall-back: each slot is there, and the next run goes on from it."""
        host = self.namespace()
        first, second = [sha256(support.compile_policy(text).bundle) for text in (FIRST, TOO_NEW)]
        boot = [support.LOCKDOWN_APPLY, "--slots", self.root / STATE, "--status", support.scratch() / "s.json"]

        def prepare():
            self.reset()
            self.install(FIRST)
            self.call("stage", "--root", self.root, support.compile_policy(TOO_NEW).bundle)
            host.run(["nft", "flush", "ruleset"])

        def check():
            self.sound()
            found = slots(self.root)
            self.assertEqual(found["current"], first)
            self.assertIn(found.get("next", found.get("failed")), (second,))
            done = support.run(boot, check=False)
            self.assertIn(done.status, (0, 4), done)
            self.assertEqual(slots(self.root), {"current": first, "failed": second})
            self.assertIn("first sha256", host.listing())

        with host:
            # The worker's calls are meant; the process that was started lives, says so, and ends with 2.
            fired = self.matrix(prepare, boot, check, ("openat", "write", "rename", "sendmsg", "bind"), fates=(137, -9, 2))
        self.assertGreater(fired, 20)
