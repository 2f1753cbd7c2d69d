"""How small the applier is: static, at most 192 KiB on disk and 2 MiB in memory for cos.cos."""

import ctypes
import os
import re
import signal

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"
RELEASE = support.REPOSITORY / "dist" / "lockdown-apply"
MAXIMUM_SIZE, MAXIMUM_MEMORY = 192 << 10, 2 << 10  # bytes, KiB

# linux/ptrace.h.
PTRACE_TRACEME, PTRACE_CONT, PTRACE_SETOPTIONS = 0, 7, 0x4200
PTRACE_O_TRACEFORK, PTRACE_O_TRACEVFORK, PTRACE_O_TRACECLONE, PTRACE_O_TRACEEXIT = 2, 4, 8, 0x40
PTRACE_EVENT_EXIT = 6

ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
ptrace.restype = ctypes.c_long


def peak_memory(arguments):
    """(exit status, peak resident KiB) of a program and its children.

    Read when each process is about to end. `ru_maxrss` will not do: it keeps the peak of the process that
    forked, from before the exec.
    """
    child = os.fork()
    if child == 0:
        try:
            ptrace(PTRACE_TRACEME, 0, None, None)
            sink = os.open("/dev/null", os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            os.execv(str(arguments[0]), [str(argument) for argument in arguments])
        finally:
            os._exit(127)
    os.waitpid(child, 0)  # the stop at exec
    options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT
    if ptrace(PTRACE_SETOPTIONS, child, None, options) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    ptrace(PTRACE_CONT, child, None, None)
    peak, result = 0, None
    while result is None:
        process, status = os.waitpid(-1, 0x40000000)  # __WALL
        if os.WIFSTOPPED(status):
            event, number = status >> 16, os.WSTOPSIG(status)
            if event == PTRACE_EVENT_EXIT:
                with open("/proc/%d/status" % process) as file:
                    peak = max(peak, int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)))
            passed_on = 0 if event or number in (signal.SIGSTOP, signal.SIGTRAP) else number
            ptrace(PTRACE_CONT, process, None, passed_on)
        elif process == child:
            result = os.waitstatus_to_exitcode(status)
    return result, peak


class Limits(support.KernelTestCase):
    def builds(self):
        """The applier under test, and the release build where there is one."""
        return [support.LOCKDOWN_APPLY] + ([RELEASE] if RELEASE.exists() and RELEASE != support.LOCKDOWN_APPLY else [])

    def test_static(self):
        for path in self.builds():
            with self.subTest(program=str(path)):
                headers = support.run(["readelf", "--program-headers", "--wide", path]).stdout
                self.assertNotIn("INTERP", headers)
                self.assertNotIn("NEEDED", support.run(["readelf", "--dynamic", "--wide", path]).stdout)
                # No stack that can be executed, and nothing writable that can.
                for line in headers.splitlines():
                    if re.match(r"\s+(LOAD|GNU_STACK)\s", line):
                        self.assertNotRegex(line, r"RWE")

    def test_size(self):
        """The release build; a debug build is not optimised for size."""
        if not RELEASE.exists():
            self.skipTest("no release build to measure: run `make release`")
        size = RELEASE.stat().st_size
        support.note("%d bytes" % size)
        self.assertLessEqual(size, MAXIMUM_SIZE)

    def test_memory(self):
        policy, simple = support.compile_policy(COS), support.compile_policy(support.small(["accept tcp 1-9"]))
        for path in self.builds():
            for situation, before in (("fresh", None), ("unchanged", policy), ("replacing", simple)):
                with self.subTest(program=str(path), situation=situation):
                    namespace = self.namespace()
                    if before:
                        before.apply(namespace)
                    with namespace:
                        status, peak = peak_memory([path, policy.bundle, "--only", "firewall"])
                    support.note("%s: %d KiB" % (situation, peak))
                    self.assertEqual(status, 0)
                    self.assertGreater(peak, 0)
                    self.assertLessEqual(peak, MAXIMUM_MEMORY)
