"""Runs a command, and writes to a file how much memory its largest process has had resident, in kB.

The applier's worker is collected by nobody of its own, so it comes to this process, which has made itself the next above.
"""

import ctypes
import os
import sys

# PR_SET_CHILD_SUBREAPER, linux/prctl.h.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
child = os.fork()
if child == 0:
    os.execv("/bin/sh", ["sh", "-c", '"$@"; exit $?', "sh", *sys.argv[2:]])
peak = 0
while True:
    try:
        process, state, usage = os.wait4(-1, 0)
    except ChildProcessError:
        break
    if process == child:
        # Its number is that of the program which forked it.
        code = os.waitstatus_to_exitcode(state)
    else:
        peak = max(peak, usage.ru_maxrss)
with open(sys.argv[1], "w") as file:
    print(peak, file=file)
sys.exit(code)
