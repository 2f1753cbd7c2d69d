"""Runs a program under ptrace(2) and changes what its system calls are told, where strace can only leave them out."""

import ctypes
import os
import signal

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

# linux/ptrace.h.
TRACEME, GETREGS, SETREGS, SYSCALL, SETOPTIONS = 0, 12, 13, 24, 0x4200
# Stops for calls are told apart; children are traced from their first instruction; nothing outlives the tracer.
OPTIONS = 1 | 2 | 4 | 8 | 0x100000
STOP_OF_A_CALL = signal.SIGTRAP | 0x80
WALL = 0x40000000


class Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64."""

    _fields_ = [(name, ctypes.c_ulong) for name in (
        "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
        "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs")]


def ptrace(request, process, address=0, data=0):
    if libc.ptrace(request, process, address, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace %d" % request)


def run(arguments, before=None, after=None):
    """(exit status, what it wrote to standard error). `before` and `after` get a call's number, how often it was made
    so far by any process, from 1, and the registers with the `process` they are of; True: they have changed them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 2)
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execv(str(arguments[0]), [str(word) for word in arguments])
        finally:
            os._exit(127)
    os.close(writing)
    os.waitpid(child, WALL)
    ptrace(SETOPTIONS, child, 0, OPTIONS)
    ptrace(SYSCALL, child)
    counts, inside, status = {}, set(), None
    try:
        while True:
            try:
                process, state = os.waitpid(-1, WALL)
            except ChildProcessError:
                break
            if not os.WIFSTOPPED(state):
                inside.discard(process)
                if process == child:
                    status = os.waitstatus_to_exitcode(state)
                continue
            given = os.WSTOPSIG(state)
            if given == STOP_OF_A_CALL:
                given = 0
                registers = Registers()
                registers.process = process
                ptrace(GETREGS, process, 0, ctypes.addressof(registers))
                number = registers.orig_rax
                entering = process not in inside
                (inside.add if entering else inside.discard)(process)
                if entering:
                    counts[number] = counts.get(number, 0) + 1
                change = before if entering else after
                if change is not None and change(number, counts.get(number, 0), registers):
                    ptrace(SETREGS, process, 0, ctypes.addressof(registers))
            elif given in (signal.SIGTRAP, signal.SIGSTOP):
                given = 0
            try:
                ptrace(SYSCALL, process, 0, given)
            except ProcessLookupError:
                pass
    finally:
        with os.fdopen(reading, errors="replace") as file:
            text = file.read()
    return status, text
