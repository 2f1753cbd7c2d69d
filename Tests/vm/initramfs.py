"""Builds the file system of a machine: an initramfs in the kernel's cpio format ("newc"), uncompressed.

The kernel takes several archives one behind the other, later files over earlier ones. The first is made of the
pinned packages and cached; what a test adds is a second one.
"""

import io
import os
import pathlib
import py_compile
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

import inputs

# Modules a machine has; what they depend on comes along. A directory stands for all below it.
MODULES = [
    "kernel/net/netfilter", "kernel/net/ipv4/netfilter", "kernel/net/ipv6/netfilter", "kernel/net/bridge",
    "kernel/net/sched/sch_ingress.ko", "kernel/net/sctp/sctp.ko",
    "kernel/drivers/net/veth.ko", "kernel/drivers/net/dummy.ko", "kernel/drivers/net/tun.ko",
    "kernel/drivers/net/virtio_net.ko", "kernel/drivers/net/macvlan.ko", "kernel/drivers/virtio",
]
# Directories of the packages that no machine needs.
LEFT_OUT = ("usr/share/", "usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/tc/", "etc/init.d/", "boot/System.map")


class Archive:
    """Writes a cpio archive; all files belong to root."""

    def __init__(self, file):
        self.file = file
        self.number = 0
        self.directories = set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        self.number += 1
        encoded = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.file.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def directory(self, name, mode=0o755):
        name = name.strip("/")
        if not name or name in self.directories:
            return
        self.directory(os.path.dirname(name))
        self.directories.add(name)
        self.entry(name, stat.S_IFDIR | mode)

    def add(self, name, data, mode=0o644):
        """A file; `data` is bytes, text, or the path of a file to copy, whose mode it then has."""
        name = name.strip("/")
        if isinstance(data, Link):
            self.link(name, data)
            return
        if isinstance(data, pathlib.Path):
            mode = 0o755 if os.access(data, os.X_OK) else 0o644
            data = data.read_bytes()
        elif isinstance(data, str):
            data = data.encode()
        self.directory(os.path.dirname(name))
        self.entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        name = name.strip("/")
        self.directory(os.path.dirname(name))
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def end(self):
        self.entry("TRAILER!!!", 0)
        self.file.write(bytes(-self.file.tell() % 512))


def merged(name):
    """/bin, /sbin and /lib are links into /usr, whatever a package says."""
    name = name.removeprefix("./").strip("/")
    first = name.split("/")[0]
    return "usr/" + name if first in ("bin", "sbin", "lib", "lib64") else name


class Link(str):
    """Among the files of a machine: a symbolic link to this path."""


class Base:
    """The archive of the pinned packages, and the kernel.

    `lists` names the lists of packages: `inputs` is what every machine has, `systemd` a Debian that systemd starts.
    """

    def __init__(self, lists=("inputs",)):
        self.lists = lists
        self.directory = inputs.CACHE / inputs.key(lists)
        self.kernel = self.directory / "vmlinuz"
        self.archive = self.directory / "base.cpio"
        self.release = self.directory / "release"
        with inputs.Locked():
            if not self.directory.exists():
                self.build()

    def file(self, name):
        """What is in the file whose path in the archive ends so."""
        with open(self.archive, "rb") as file:
            while True:
                head = file.read(110)
                sizes = [int(head[6 + 8 * index:14 + 8 * index], 16) for index in (6, 11)]
                path = file.read(sizes[1]).rstrip(b"\0").decode()
                file.seek(-(110 + sizes[1]) % 4, 1)
                if path == "TRAILER!!!":
                    raise inputs.MissingInput("no machine has a file %s" % name)
                if path.endswith("/" + name):
                    return file.read(sizes[0])
                file.seek(sizes[0] + -sizes[0] % 4, 1)

    def build(self):
        work = pathlib.Path(tempfile.mkdtemp(prefix="build-", dir=inputs.CACHE))
        try:
            (work / "out").mkdir()
            with open(work / "out" / "base.cpio", "wb") as file:
                archive = Archive(file)
                for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "usr/lib",
                             "usr/lib64", "mnt", "home", "var"):
                    archive.directory(name)
                for name in ("bin", "sbin", "lib", "lib64"):
                    archive.link(name, "usr/" + name)
                archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
                archive.add("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
                archive.add("etc/group", "root:x:0:\nnogroup:x:65534:\n")
                for pin, path in inputs.packages(self.lists):
                    if pin["package"].startswith("linux-image-"):
                        self.unpack_kernel(path, work, archive)
                    else:
                        unpack(path, archive)
                # Not busybox: its shell takes its own applets before the real `ip` and `modprobe`.
                archive.link("usr/bin/sh", "dash")
                archive.link("usr/bin/python3", "python3.11")
                archive.end()
            os.rename(work / "out", self.directory)
        finally:
            shutil.rmtree(work)

    def unpack_kernel(self, path, work, archive):
        root = work / "kernel"
        subprocess.run(["dpkg-deb", "-x", path, root], check=True)
        image, = (root / "boot").glob("vmlinuz-*")
        release = image.name.removeprefix("vmlinuz-")
        shutil.copyfile(image, work / "out" / "vmlinuz")
        (work / "out" / "release").write_text(release)
        below = root / "lib/modules" / release
        subprocess.run(["depmod", "-b", root, release], check=True)
        wanted = chosen(below)
        for found in list((below / "kernel").rglob("*.ko")):
            if str(found.relative_to(below)) not in wanted:
                found.unlink()
        subprocess.run(["depmod", "-b", root, release], check=True)
        for found in sorted(below.rglob("*")):
            if found.is_file():
                archive.add("usr/lib/modules/%s/%s" % (release, found.relative_to(below)), found)


def chosen(below):
    """The modules of MODULES and what they depend on, by modules.dep."""
    needs = {}
    for line in (below / "modules.dep").read_text().splitlines():
        name, _, rest = line.partition(":")
        needs[name] = rest.split()
    found = set()
    for prefix in MODULES:
        matching = [name for name in needs if name == prefix or name.startswith(prefix + "/")]
        if not matching:
            raise inputs.MissingInput("the kernel package has no module %s" % prefix)
        for name in matching:
            found.update([name, *needs[name]])
    return found


def unpack(path, archive):
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        contents = {}
        for member in tar:
            name = merged(member.name)
            if not name or name.startswith(LEFT_OUT):
                continue
            if member.isdir():
                archive.directory(name)
            elif member.issym():
                archive.link(name, merged(member.linkname) if member.linkname.startswith("./") else member.linkname)
            elif member.isreg() or member.islnk():
                if member.isreg():
                    contents[member.name] = tar.extractfile(member).read()
                data = contents[member.name if member.isreg() else member.linkname]
                archive.add(name, data, member.mode & 0o7777)
                if name.startswith("usr/lib/python3.11/") and name.endswith(".py"):
                    compiled(name, data, archive)


def compiled(name, source, archive):
    """Adds the byte code of a module of the machine's Python, where the same version runs here: it starts in a tenth."""
    if sys.version_info[:2] != (3, 11):
        return
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "module.py"
        path.write_bytes(source)
        # Unchecked: the modification time of what is unpacked says nothing.
        code = py_compile.compile(str(path), str(path) + "c", "/" + name, doraise=True,
                                  invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        folder, _, file = name.rpartition("/")
        archive.add("%s/__pycache__/%s.cpython-311.pyc" % (folder, file.removesuffix(".py")), pathlib.Path(code))


def with_libraries(program):
    """{path in the machine: file} of a program and the shared libraries it asks for here."""
    program = pathlib.Path(program).resolve()
    files = {"/usr/bin/" + program.name: program}
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in done.stdout.splitlines():
        _, arrow, rest = line.partition(" => ")
        target = rest.split(" (")[0].strip()
        if arrow and target.startswith("/"):
            files["/" + merged(target)] = pathlib.Path(target).resolve()
    return files
