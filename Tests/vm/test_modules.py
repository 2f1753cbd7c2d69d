"""Denied modules by the check in the kernel (BPF LSM), required ones, and the audit trail, on Debian's kernel.

The oracle is the kernel: what loads is in /proc/modules, whatever a program said.
"""

import json
import struct
import subprocess

import initramfs
import machine
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import APPLY, HEADER, bundle, programs, support

POLICY = HEADER + """\
modules:
  deny: [dummy, "mac*an", "nf_log_sy?log", sctp]
  require: [udp_tunnel, ip6_udp_tunnel, libcrc32c]
"""
OTHER = HEADER + "modules:\n  deny: [veth]\n"
ONLY = HEADER + """\
modules:
  default: deny
  allow: [tun, "llc*"]
  require: [tun]
"""
MODULES = "/lib/modules/$(uname -r)/kernel"
DUMMY = MODULES + "/drivers/net/dummy.ko"
SIG = b"~Module signature appended~\n"


def loader(directory):
    """A program of the test's own: init_module(2) of a file, without modprobe and without a file name."""
    source = directory / "load.c"
    source.write_text(r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static char image[1 << 22];
int main(int count, char **words) {
    int file = open(words[1], O_RDONLY);
    long size = 0, got;
    while ((got = read(file, image + size, sizeof image - size)) > 0) size += got;
    long done = words[2][0] == 'f' ? syscall(SYS_finit_module, file, "", 0) : syscall(SYS_init_module, image, size, "");
    puts(done == 0 ? "loaded" : strerror(errno));
    return done != 0;
}
""")
    subprocess.run(["gcc", "-O1", "-static", "-o", directory / "load", source], check=True)
    return directory / "load"


class Elf:
    """A module's image that can be changed."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.offset, = struct.unpack_from("<Q", self.data, 0x28)
        self.size, self.count, self.strings = struct.unpack_from("<HHH", self.data, 0x3a)

    def header(self, index):
        return list(struct.unpack_from("<IIQQQQIIQQ", self.data, self.offset + 64 * index))

    def section(self, wanted):
        table = self.header(self.strings)[4]
        for index in range(self.count):
            start = table + self.header(index)[0]
            if bytes(self.data[start:self.data.index(0, start)]) == wanted:
                return index
        raise AssertionError("no section %r" % wanted)

    def renamed(self, name):
        """Another name inside, in both places that have one, and no signature."""
        data = self.unsigned().data
        image = Elf(data)
        at = image.header(image.section(b".gnu.linkonce.this_module"))[4] + 24
        old = bytes(data[at:data.index(0, at)])
        data[at:at + len(old)] = name[:len(old)]
        data[:] = data.replace(b"\0name=" + old + b"\0", b"\0name=" + name[:len(old)] + b"\0")
        return bytes(data)

    def unsigned(self):
        data = bytes(self.data)
        if data.endswith(SIG):
            length, = struct.unpack(">I", data[-len(SIG) - 4:-len(SIG)])
            data = data[:-len(SIG) - 12 - length]
        return Elf(data)

    def with_sections(self, extra):
        """More section headers at the end: `extra` gets the new table and its last header's index."""
        data = bytearray(self.unsigned().data)
        table = bytearray(data[self.offset:self.offset + 64 * self.count])
        more = extra(data)
        struct.pack_into("<Q", data, 0x28, len(data))
        struct.pack_into("<H", data, 0x3c, self.count + len(more))
        return bytes(data + table + b"".join(more))

    def many_sections(self):
        return self.with_sections(lambda data: [bytes(64)] * (300 - self.count))

    def with_decoy(self):
        """A section of the same name before the real one, not allocated, with a harmless module inside."""
        data = bytearray(self.unsigned().data)
        real = self.section(b".gnu.linkonce.this_module")
        headers = [data[self.offset + 64 * i:self.offset + 64 * i + 64] for i in range(self.count)]
        fields = self.header(real)
        decoy = bytearray(data[fields[4]:fields[4] + fields[5]])
        decoy[24:24 + 56] = b"harmless".ljust(56, b"\0")
        place = len(data) + -len(data) % 64
        data += bytes(place - len(data)) + decoy
        changed = list(fields)
        changed[2], changed[4] = 0, place
        headers.append(headers[real])
        headers[real] = struct.pack("<IIQQQQIIQQ", *changed)
        data += bytes(-len(data) % 64)
        struct.pack_into("<Q", data, 0x28, len(data))
        struct.pack_into("<H", data, 0x3c, len(headers))
        return bytes(data + b"".join(headers))


class Denied(machine.MachineTestCase):
    """The tests go on one from another: the last ones seal."""

    APPEND = "audit=1"

    @classmethod
    def files(cls):
        image = Elf(initramfs.Base().file("drivers/net/dummy.ko"))
        cls.made = {"renamed": image.renamed(b"dumm0"), "decoy": image.with_decoy(), "sections": image.many_sections(),
                    "short": bytes(image.data[:50]), "text": b"#!/bin/sh\n" * 20, "cut": bytes(image.data[:-9000]),
                    "gzip": b"\x1f\x8b" + bytes(100), "harmless": bytes(image.data)}
        return {**programs(), **bundle(POLICY, "policy"), **bundle(OTHER, "other"), **bundle(ONLY, "only"),
                **bundle(POLICY + "kernel:\n  lockdown: integrity\n", "signed"),
                "/usr/bin/load": loader(support.scratch()),
                **{"/root/%s.ko" % name: data for name, data in cls.made.items()}}

    def apply(self, name, *options):
        done = self.machine.run(" ".join([APPLY, "/etc/lockdown/%s.bundle" % name, *options,
                                          "--status", "/run/status.json"]), check=False)
        return done, json.loads(self.machine.read("/run/status.json"))

    def loaded(self):
        return {line.split()[0] for line in self.machine.read("/proc/modules").splitlines()}

    def refused(self, script, module="dummy"):
        done = self.machine.run(script, check=False)
        self.assertNotEqual(done.status, 0, done)
        self.assertNotIn(module, self.loaded(), done)
        return done

    def results(self, items):
        return {item["name"]: item["result"] for item in items}

    def test_0_without_types(self):
        """The kernel describes no types of its own: the check is not loaded, and that is said."""
        self.machine.run("mount --bind /dev/null /sys/kernel/btf/vmlinux")
        done, status = self.apply("other")
        self.machine.run("umount /sys/kernel/btf/vmlinux")
        self.assertEqual(done.status, 3, done)
        # What would be kept by the seal is refused: there is nothing to keep.
        self.assertEqual({item["result"] for item in status["programs"]}, {"not enforced", "refused"})
        self.assertIn("the kernel does not describe its types (BTF)", done.stderr)
        self.assertEqual(self.results(status["denied-modules"]), {"veth": "not enforced"})

    def test_1_required(self):
        self.assertNotIn("udp_tunnel", self.loaded())
        before, status = self.apply("policy", "--check")
        self.assertEqual(before.status, 1, before)
        self.assertEqual(self.results(status["required-modules"])["udp_tunnel"], "different")
        done, status = self.apply("policy")
        self.assertEqual(self.results(status["required-modules"])["ip6_udp_tunnel"], "applied", done)
        self.assertLessEqual(set(self.results(status["required-modules"]).values()), {"applied", "equal"}, done)
        self.assertLessEqual({"udp_tunnel", "ip6_udp_tunnel", "libcrc32c"}, self.loaded())
        self.assertEqual(self.results(status["programs"]).popitem()[1], "applied", done)
        self.assertEqual(status["seal"], "sealed")

    def test_2_denied(self):
        """By every way into the kernel, and whatever the file is called."""
        for script in ("modprobe dummy", "insmod " + DUMMY, "insmod /root/harmless.ko", "load /root/harmless.ko f",
                       "load /root/harmless.ko i", "ip link add d0 type dummy"):
            with self.subTest(script):
                self.refused(script)
        self.refused("modprobe macvlan", "macvlan")
        self.refused("modprobe nf_log_syslog", "nf_log_syslog")
        self.refused("modprobe sctp", "sctp")
        self.assertIn("not permitted", self.machine.run("modprobe dummy", check=False).stderr)

    def test_3_images(self):
        """What the kernel's own look-up would find, or cannot: no section that is not allocated, not one too many."""
        for name in sorted(self.made.keys() - {"renamed", "gzip"}):
            for way in "fi":
                with self.subTest(name, way=way):
                    # One that is shorter than an ELF header is refused before init_module(2) asks anybody.
                    self.assertRegex(self.refused("load /root/%s.ko %s" % (name, way)).stdout,
                                     "not permitted" if (name, way) != ("short", "i") else "Exec format error")
        # Compressed images pass, by the policy; this kernel unpacks none.
        self.assertIn("Exec format error", self.refused("load /root/gzip.ko f").stdout)

    def test_4_others_load(self):
        self.machine.run("modprobe tun && modprobe veth && ip link add v0 type veth && ip link del v0")
        self.machine.run("modprobe -r veth")
        self.assertIn("tun", self.loaded())

    def test_5_the_claim(self):
        """No signature is demanded: a module of another name inside loads, and the report says so before."""
        _, status = self.apply("policy")
        items = {item["name"]: item for item in status["denied-modules"]}
        self.assertEqual(items["dummy"]["result"], "denied against accident, not against root", items)
        self.assertIn("another name inside", items["dummy"]["reason"])
        self.machine.run("load /root/renamed.ko f && rmmod dumm0")
        done, status = self.apply("signed")
        items = {item["name"]: item for item in status["denied-modules"]}
        self.assertEqual({item["result"] for item in items.values()}, {"equal"}, items)
        self.refused("load /root/renamed.ko f", "dumm0")
        self.refused("load /root/renamed.ko i", "dumm0")

    def test_6_kept(self):
        """No way to take the names away: not by removing, not by unmounting what they are in or hang from."""
        folder = "/run/lockdown/bpf"
        name = self.machine.run("ls %s | grep post_read" % folder).stdout.strip()
        self.machine.run("mount --make-private / && mount --make-private /run && mkdir -p /m && mount -t tmpfs m /m && "
                         "mkdir /m/x /mnt/all")
        for script in ("rm %s/%s" % (folder, name), "mv %s/%s %s/x" % (folder, name, folder), "umount %s/pins" % folder,
                       "umount -l %s" % folder, "umount -l /run", "rmdir %s/pins" % folder,
                       "mount --move %s /m/x" % folder, "mount --move /run /m/x", "mount --make-shared %s" % folder,
                       "mount --make-rshared /"):
            with self.subTest(script):
                self.assertRegex(self.machine.run(script, check=False).stderr, "not permitted|permission denied|busy")
        self.assertIn(name, self.machine.run("ls %s" % folder).stdout)
        # A copy of the whole tree is unmounted, and shared mounts go along: /proc does, these do not.
        self.machine.run("mount --make-shared /; mount --make-shared /run", check=False)
        self.machine.run("mount --rbind / /mnt/all; umount -l /mnt/all")
        self.refused("modprobe dummy")
        # Other file systems are left alone.
        self.machine.run("mkdir -p /t && mount -t tmpfs t /t && touch /t/a && mv /t/a /t/b && rm /t/b && umount /t")

    def test_7_another_policy(self):
        """Adds to the denials, and says what is left of before."""
        done, status = self.apply("other")
        self.assertIn("of an earlier policy, until the next boot", done.stderr)
        self.assertTrue(status["programs-of-before"])
        self.refused("modprobe veth", "veth")
        self.refused("modprobe dummy")

    def test_8_by_default(self):
        """Only what is allowed or required."""
        done, status = self.apply("only")
        self.refused("modprobe bridge", "bridge")
        self.machine.run("modprobe llc")
        items = {item["name"]: item for item in status["denied-modules"]}
        self.assertEqual(items["*"]["result"], "not enforced")
        self.assertIn("libcrc32c", items["*"]["found"])
        self.machine.run("echo confidentiality >/sys/kernel/security/lockdown")
        self.refused("modprobe bridge", "bridge")

    def test_9_audit_trail(self):
        """Audit is on here, and no daemon takes the records: the kernel prints them."""
        text = self.machine.run("dmesg | grep -a type=1121").stdout
        self.assertRegex(text, r"op=apply policy=small digest=[0-9a-f]{64} bundle=[0-9a-f]{64} exit=3 res=success")
        # The kernel prints ten of its own in five seconds, unless it is told otherwise.
        self.machine.run("echo 0 >/proc/sys/kernel/printk_ratelimit")
        self.machine.run("chmod o+w /etc/lockdown/other.bundle; %s /etc/lockdown/other.bundle" % APPLY, check=False)
        self.assertIn("op=refuse exit=1 res=failed", self.machine.run("dmesg | grep -a type=1121").stdout)


class Without(machine.MachineTestCase):
    """No BPF among the LSMs: the next means, by name; and a required module that is not there."""

    APPEND = "lsm=lockdown,yama audit=0 module_blacklist=dummy"

    @classmethod
    def files(cls):
        missing = HEADER + "modules:\n  require: [no_such_module]\nsysctl:\n  kernel.kptr_restrict: 2\n"
        return {**programs(), **bundle(POLICY, "policy"), **bundle(missing, "missing")}

    def test_1_reported(self):
        done = self.machine.run(APPLY + " /etc/lockdown/policy.bundle", check=False)
        self.assertEqual(done.status, 3, done)
        self.assertIn("the kernel's list of LSMs is without bpf", done.stderr)
        status = json.loads(self.machine.read("/run/lockdown/status.json"))
        items = {item["name"]: item for item in status["denied-modules"]}
        self.assertIn("module_blacklist=", items["dummy"]["reason"])
        self.assertEqual(items["sctp"]["result"], "not enforced")
        self.assertEqual(items["sctp"]["reason"], "nothing refuses it")

    def test_2_a_required_module_that_is_not_there(self):
        self.machine.run("echo 0 >/proc/sys/kernel/kptr_restrict")
        done = self.machine.run(APPLY + " /etc/lockdown/missing.bundle", check=False)
        self.assertEqual(done.status, 1, done)
        self.assertIn("no_such_module: refused", done.stderr)
        self.assertEqual(self.machine.read("/proc/sys/kernel/kptr_restrict"), "0\n")

    def test_3_without_the_program_that_loads(self):
        """By their files, in order."""
        self.machine.run("modprobe -r ip6_udp_tunnel udp_tunnel libcrc32c; echo >/proc/sys/kernel/modprobe")
        done = self.machine.run(APPLY + " /etc/lockdown/policy.bundle", check=False)
        self.assertRegex(done.stderr, "required modules: [23] applied")
        self.assertIn("udp_tunnel ", self.machine.read("/proc/modules"))

    def test_4_the_kernel_log(self):
        """Audit is off: the record is a line of the kernel's log."""
        text = self.machine.run("dmesg").stdout
        self.assertRegex(text, r"lockdown-apply: op=apply policy=small digest=[0-9a-f]{64} .* exit=3 res=success")
        self.assertIn("op=refuse policy=small", text)


if __name__ == "__main__":
    machine.unittest.main()
