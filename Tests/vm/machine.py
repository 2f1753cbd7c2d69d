"""A virtual machine with Debian's kernel, and a test case that has one.

Software emulation always: on a host that is virtual itself, /dev/kvm may be there and yet boot no such kernel. Each
machine has a directory of its own and no port, so that any number runs side by side.
"""

import base64
import ctypes
import hashlib
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import initramfs
import wire

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
# Under emulation, on a machine that does other things too.
BOOT_SECONDS, COMMAND_SECONDS = 120, 180
# A line the terminal driver takes whole.
MAXIMUM_SCRIPT = 2800

libc = ctypes.CDLL(None)


class MachineFailure(AssertionError):
    """The machine did not boot, stopped, or did not answer in time."""


class Outcome:
    """How a script ended inside."""

    def __init__(self, script, status, stdout, stderr):
        self.script, self.status, self.stdout, self.stderr = script, status, stdout, stderr

    def __str__(self):
        return "`%s` ended with %d\n%s%s" % (self.script, self.status, self.stdout, self.stderr)


def setUpModule():
    """Test modules import this: what is missing fails aloud, once, with the cure."""
    for tool in ("qemu-system-x86_64", "dpkg-deb", "depmod", "apt-get"):
        if shutil.which(tool) is None:
            raise AssertionError("`%s` is not installed; run `.ci/setup test`" % tool)


def die_with_parent():
    # PR_SET_PDEATHSIG: no machine outlives a killed test run.
    libc.prctl(1, signal.SIGKILL)


class Machine:
    """Boots at once.

    `files` maps a path in the machine to bytes, text, a file to copy or a link. `disk` is the image of a file system
    (/dev/nvme0n1), which is written to. `program` is what the kernel starts; it must start the agent. `first` is an
    initramfs that lies below all others, and whose own first program is then started. `address` is what the other end of its
    network card has (`wire`); without one there is no card.
    """

    def __init__(self, files=None, *, lists=("inputs",), append="", memory=1024, processors=2, disk=None,
                 program="/init", first=None, address=None):
        self.base = initramfs.Base(lists)
        self.append, self.memory, self.processors = append, memory, processors
        self.disk, self.program, self.first, self.address = disk, program, first, address
        self.wire = None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-vm-"))
        self.console = self.directory / "console.log"
        self.process = None
        self.commands = 0
        self.pending = b""
        try:
            self.write_initramfs(files or {})
            self.start()
        except BaseException:
            self.close()
            raise

    def write_initramfs(self, files):
        with open(self.directory / "initramfs", "wb") as file:
            for path in filter(None, (self.first, self.base.archive)):
                with open(path, "rb") as base:
                    shutil.copyfileobj(base, file, 1 << 20)
                # Archives begin at a multiple of four bytes.
                file.write(bytes(-file.tell() % 512))
            archive = initramfs.Archive(file)
            for name in ("init", "agent") if self.first is None else ("agent",):
                archive.add(name, (HERE / "guest" / name).read_bytes(), 0o755)
            for name, data in files.items():
                archive.add(name, data)
            archive.end()

    def start(self):
        disk = [] if self.disk is None else [
            "-drive", "if=none,id=d0,format=raw,file=%s" % self.disk, "-device", "nvme,drive=d0,serial=d0"]
        here, there = socket.socketpair()
        self.channel = here
        if self.wire is not None:
            self.wire.close()
        self.wire = None if self.address is None else wire.Wire(self.address)
        card = [] if self.wire is None else self.wire.arguments()
        start = time.monotonic()
        with open(self.directory / "qemu.log", "wb") as log:
            self.process = subprocess.Popen([
                "qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem", "-accel", "tcg,tb-size=256",
                "-smp", str(self.processors), "-m", str(self.memory), "-display", "none", "-nodefaults", "-no-reboot",
                "-serial", "file:%s" % self.console,
                "-chardev", "socket,id=agent,fd=%d" % there.fileno(), "-serial", "chardev:agent",
                *disk, *card, "-kernel", str(self.base.kernel), "-initrd", str(self.directory / "initramfs"),
                "-append", "console=ttyS0 rdinit=%s panic=-1 mitigations=off nokaslr net.ifnames=0 %s" % (
                    self.program, self.append),
            ], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[there.fileno()] + ([] if self.wire is None else [self.wire.there.fileno()]),
                preexec_fn=die_with_parent)
        there.close()
        self.expect(b"ready", time.monotonic() + BOOT_SECONDS)
        self.boot_seconds = time.monotonic() - start

    # MARK: Frames

    def line(self, deadline):
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.channel], [], [], left)[0]:
                raise MachineFailure("no answer in time\n%s" % self.logs())
            data = self.channel.recv(1 << 16)
            if not data:
                raise MachineFailure("the machine stopped\n%s" % self.logs())
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line.rstrip(b"\r")

    def expect(self, word, deadline):
        line = self.line(deadline)
        if line != word:
            raise MachineFailure("%r instead of %r\n%s" % (line, word, self.logs()))

    def part(self, kind, number, deadline):
        head = self.line(deadline).split()
        if len(head) != 4 or head[:2] != [number, kind]:
            raise MachineFailure("a frame that starts with %r\n%s" % (head, self.logs()))
        encoded = []
        while True:
            line = self.line(deadline)
            if line == number + b" .":
                break
            encoded.append(line)
        data = base64.b64decode(b"".join(encoded), validate=True)
        if len(data) != int(head[2]) or hashlib.sha256(data).hexdigest().encode() != head[3]:
            raise MachineFailure("a damaged frame\n%s" % self.logs())
        return data

    # MARK: Use

    def run(self, script, *, check=True, timeout=COMMAND_SECONDS, text=True):
        """Runs a script of busybox's shell inside. With `check`, a status other than 0 is an AssertionError."""
        encoded = base64.b64encode(script.encode())
        if len(encoded) > MAXIMUM_SCRIPT:
            raise ValueError("a script of %d bytes is too long; put it into a file" % len(script))
        self.commands += 1
        number = b"%d" % self.commands
        deadline = time.monotonic() + timeout
        self.channel.sendall(number + b" " + encoded + b"\n")
        stdout, stderr = self.part(b"out", number, deadline), self.part(b"err", number, deadline)
        end = self.line(deadline).split()
        if len(end) != 3 or end[:2] != [number, b"exit"]:
            raise MachineFailure("a frame that ends with %r\n%s" % (end, self.logs()))
        if text:
            stdout = stdout.decode(errors="replace")
        outcome = Outcome(script, int(end[2]), stdout, stderr.decode(errors="replace"))
        if check and outcome.status != 0:
            raise AssertionError(str(outcome))
        return outcome

    def read(self, path):
        return self.run("cat '%s'" % path).stdout

    def cut_power(self):
        """Ends the machine as it is, and starts it again with the same disk."""
        self.process.kill()
        self.start_again()

    def await_reboot(self, timeout=BOOT_SECONDS):
        """Until the machine asks for a boot by itself, which it then gets, with the same disk."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineFailure("no reboot in time\n%s" % self.logs()) from None
        self.start_again()

    def start_again(self):
        self.process.wait()
        self.channel.close()
        self.pending = b""
        self.start()

    def logs(self):
        found = []
        for name in ("qemu.log", "console.log"):
            path = self.directory / name
            if path.exists():
                found.append("--- %s\n%s" % (name, path.read_text(errors="replace")))
        return "\n".join(found) + "\n---"

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.channel.close()
        if self.wire is not None:
            self.wire.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class MachineTestCase(unittest.TestCase):
    """Has one machine for all its tests, made by `files()` and `APPEND`; a failure shows the whole console."""

    APPEND = ""
    maxDiff = None
    machine = None

    @classmethod
    def files(cls):
        return {}

    @classmethod
    def make(cls):
        return Machine(cls.files(), append=cls.APPEND)

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.make()
        note("booted in %.1f s" % cls.machine.boot_seconds)

    @classmethod
    def tearDownClass(cls):
        if cls.machine is not None:
            cls.machine.close()
            cls.machine = None

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result is not None else 0
        super().run(result)
        if result is not None and self.machine and len(result.failures) + len(result.errors) > before:
            print("\n%s" % self.machine.logs(), file=sys.stderr, flush=True)


def note(text):
    """Prints a measured number beside the test's name."""
    print("[%s]" % text, end=" ", file=sys.stderr, flush=True)
