"""What all tests here share: network namespaces, compiled policies, and how to call the two programs.

The tests are black boxes. They know the file names and options of `lockdown` and `lockdown-apply`, and
nothing of how either works inside; what the kernel holds they read for themselves (`nftables.py`).
"""

import atexit
import ctypes
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import packets

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def program(variable, default):
    """The path of a program of ours, from the environment or the debug build."""
    return pathlib.Path(os.environ.get(variable, REPOSITORY / default)).resolve()


LOCKDOWN = program("LOCKDOWN", ".build/debug/lockdown")
LOCKDOWN_APPLY = program("LOCKDOWN_APPLY", ".build/debug/lockdown-apply")

# linux/sched.h.
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def setUpModule():
    """Each test module imports this, so that none runs half: what is missing fails aloud, once, with the cure."""
    missing = [str(path) for path in (LOCKDOWN, LOCKDOWN_APPLY) if not os.access(path, os.X_OK)]
    if missing:
        raise AssertionError("not built: %s (run `swift build`)" % ", ".join(missing))
    if os.geteuid() != 0:
        raise AssertionError("these tests make network namespaces and need root")
    for tool in ("nft", "ip"):
        if shutil.which(tool) is None:
            raise AssertionError("`%s` is not installed" % tool)


_scratch = None


def scratch():
    """A directory for this run, removed at its end.

    Below /run and not /tmp: the applier trusts no bundle below a directory that others may write to.
    """
    global _scratch
    if _scratch is None:
        _scratch = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-tests-", dir="/run"))
        _scratch.chmod(0o755)
        owner = os.getpid()
        atexit.register(lambda: os.getpid() == owner and shutil.rmtree(_scratch, ignore_errors=True))
    return _scratch


class Outcome:
    """How a program ended."""

    def __init__(self, arguments, status, stdout, stderr):
        self.arguments = [str(argument) for argument in arguments]
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self):
        return "`%s` ended with %d\n%s%s" % (" ".join(self.arguments), self.status, self.stdout, self.stderr)


def run(arguments, *, input=None, check=True, timeout=120, **options):
    """Runs a program in the current namespace. With `check`, a status other than 0 is an AssertionError."""
    done = subprocess.run(
        [str(argument) for argument in arguments], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=timeout, **dict({"text": True, "errors": "replace"}, **options))
    outcome = Outcome(arguments, done.returncode, done.stdout, done.stderr)
    if check and done.returncode != 0:
        raise AssertionError(str(outcome))
    return outcome


class Namespace:
    """A network namespace of its own. It has no name and lives as long as this object and what was opened in it.

    `with namespace:` enters it with the current thread; programs started inside run there.
    """

    def __init__(self):
        home = open_namespace()
        try:
            call("unshare", CLONE_NEWNET)
            self.descriptor = open_namespace()
        finally:
            call("setns", home, CLONE_NEWNET)
            os.close(home)
        self.homes = []
        # Addresses are usable at once: duplicate address detection waits a second.
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.ip("link set lo up")

    def __enter__(self):
        self.homes.append(open_namespace())
        call("setns", self.descriptor, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        home = self.homes.pop()
        call("setns", home, CLONE_NEWNET)
        os.close(home)

    def close(self):
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def run(self, arguments, **options):
        with self:
            return run(arguments, **options)

    def ip(self, commands):
        """Runs lines of `ip` commands."""
        self.run(["ip", "-batch", "-"], input=commands + "\n")

    def nft(self, text, **options):
        """Loads nft text."""
        return self.run(["nft", "-f", "-"], input=text, **options)

    def listing(self, *arguments):
        """What `nft -s list ruleset` prints, or another list command."""
        return self.run(["nft", "-s", "list", *(arguments or ("ruleset",))]).stdout

    def sysctl(self, key, value=None):
        """Reads or writes a sysctl by its dotted name; a `/` in it stands for a dot in an interface name."""
        path = "/proc/sys/" + key.replace(".", "\0").replace("/", ".").replace("\0", "/")
        with self:
            if value is None:
                with open(path) as file:
                    return file.read().strip()
            with open(path, "w") as file:
                file.write(str(value))

    def has_link_local(self, interface):
        with self, open("/proc/thread-self/net/if_inet6") as file:
            return any(line.split()[5] == interface and line.startswith("fe80") for line in file)

    def socket(self, family, kind, protocol=0):
        """A socket that belongs to this namespace, whoever uses it."""
        with self:
            return socket.socket(family, kind, protocol)


def await_true(holds, otherwise, seconds=5):
    """Waits until `holds()`, else fails with the text `otherwise`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise)
        time.sleep(0.001)


def open_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Link:
    """A veth pair: `near` sends, `far` is the machine under test. Both know each other's addresses.

    Network N is 10.N.0.0/24 and 2001:db8:N::/64, near is .1, far is .2.
    """

    def __init__(self, near, far, number, near_name, far_name, *, neighbours=True):
        self.near, self.far = near, far
        self.near_name, self.far_name = near_name, far_name
        self.near_mac = "02:00:00:00:%02x:01" % number
        self.far_mac = "02:00:00:00:%02x:02" % number
        self.near4, self.far4 = "10.%d.0.1" % number, "10.%d.0.2" % number
        self.near6, self.far6 = "2001:db8:%d::1" % number, "2001:db8:%d::2" % number
        near.ip("link add name %s address %s type veth peer name %s address %s netns /proc/%d/fd/%d" % (
            near_name, self.near_mac, far_name, self.far_mac, os.getpid(), far.descriptor))
        for side, name, address4, address6, other4, other6, mac in (
                (near, near_name, self.near4, self.near6, self.far4, self.far6, self.far_mac),
                (far, far_name, self.far4, self.far6, self.near4, self.near6, self.near_mac)):
            lines = ["addr add %s/24 dev %s" % (address4, name), "addr add %s/64 dev %s nodad" % (address6, name),
                     "link set %s up" % name]
            if neighbours:
                lines += ["neigh replace %s lladdr %s nud permanent dev %s" % (other, mac, name)
                          for other in (other4, other6)]
            side.ip("\n".join(lines))
        # The kernel finishes the set-up of IPv6, multicast routes included, when it has noticed the carrier.
        for side, name in ((near, near_name), (far, far_name)):
            await_true(lambda: side.has_link_local(name), "no link-local address on %s" % name)
        self.wire = packets.Wire(self)

    def close(self):
        self.wire.close()


class Compiled:
    """The files `lockdown compile` wrote for one policy."""

    def __init__(self, source, directory):
        self.source = source
        self.directory = directory

    @property
    def bundle(self):
        return self.directory / "policy.bundle"

    def text(self, name):
        return (self.directory / name).read_text()

    def apply(self, namespace, *options, check=True):
        """Pushes the firewall of this policy into the kernel with the applier."""
        return apply(namespace, self.bundle, *options, check=check)


_compiled = {}


def compile_policy(source, directory=None):
    """Compiles a policy file, or policy text, once in a run."""
    if isinstance(source, str):
        path = scratch() / ("policy-%s.cos" % hashlib.sha256(source.encode()).hexdigest()[:16])
        path.write_text(source)
    else:
        path = pathlib.Path(source)
    if directory is None and path in _compiled:
        return _compiled[path]
    if directory is None:
        parent = pathlib.Path(tempfile.mkdtemp(prefix="compiled-", dir=scratch()))
        parent.chmod(0o755)
    target = directory or parent / "out"
    run([LOCKDOWN, "compile", path, "-o", target])
    result = Compiled(path, target)
    if directory is None:
        _compiled[path] = result
    return result


def apply(namespace, bundle, *options, check=True):
    """Runs the applier on a bundle, firewall only."""
    with namespace:
        return run([LOCKDOWN_APPLY, bundle, "--only", "firewall", "--status", scratch() / "status.json", *options],
                   check=check)


def small(rules, *, hook="input", default="drop", name="small", extra=""):
    """The text of a policy with one chain."""
    lines = ["policy: %s" % name, "language: 1", "target:", "  kernel: \"6.1\"", "management: none"]
    if extra:
        lines.append(extra)
    lines += ["firewall:", "  %s:" % hook, "    policy: %s" % default, "    rules:"]
    lines += ["      - " + item(rule) for rule in rules]
    return "\n".join(lines) + "\n"


def item(rule):
    """A rule as an item of a list: text in quotes, or a mapping written as JSON."""
    return rule if rule.startswith("{") else "'%s'" % rule


def policies():
    """Every policy of the repository that must compile: the shipped ones, and the golden cases that have an output."""
    golden = [path for path in REPOSITORY.glob("Tests/*Tests/Cases/*/policy.cos")
              if (path.parent / "nftables.nft").exists()]
    return sorted(REPOSITORY.glob("policies/*.cos")) + sorted(golden)


def control_groups():
    """Where the hierarchy of version 2 is mounted, on this machine or below it."""
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, place, kind = line.split()[:3]
            if kind == "cgroup2":
                return pathlib.Path(place)
    raise AssertionError("no cgroup2 is mounted")


def name_of(path):
    """What a policy is called in a message."""
    return path.parent.name if path.name == "policy.cos" else path.stem


def note(text):
    """Prints a measured number beside the test's name."""
    print("[%s]" % text, end=" ", file=sys.stderr, flush=True)


class KernelTestCase(unittest.TestCase):
    """A test with namespaces of its own, pinned to one CPU while it sends packets."""

    maxDiff = None

    def setUp(self):
        self.addCleanup(packets.unpin, packets.pin())

    def namespace(self):
        made = Namespace()
        self.addCleanup(made.close)
        return made

    def link(self, near, far, number, near_name="near0", far_name="eth0", **options):
        made = Link(near, far, number, near_name, far_name, **options)
        self.addCleanup(made.close)
        return made

    def delivered(self, namespace, protocols=(), protocols6=()):
        made = packets.Delivered(namespace, protocols, protocols6)
        self.addCleanup(made.close)
        return made

    def capture(self, namespace, interface):
        made = packets.Capture(namespace, interface)
        self.addCleanup(made.close)
        return made
