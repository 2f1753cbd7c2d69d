"""Paired wall-clock timing of whole processes.

Two commands are run in turn, A B A B ..., so that a drift of the machine's speed meets both alike; what is
quoted is the median of each and the median of the ratios of the pairs.
"""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable, Sequence


@dataclass
class Run:
    seconds: float
    status: int


def undisturbed() -> None:
    """Puts this process, and what it starts, before ordinary work on the machine, where the kernel allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        pass


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Run:
    """Runs one command, output thrown away."""
    quiet = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, fd) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, environment or os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - start
    os.close(quiet)
    return Run(seconds, os.waitstatus_to_exitcode(status))


# The kernel counts a process's peak from that of who started it, and this one holds long lists.
STARTER = """
import os, sys
quiet = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, quiet, fd) for fd in (0, 1, 2)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def peak_mib(command: Sequence[str]) -> float:
    """The most memory that one run held resident."""
    done = subprocess.run([sys.executable, "-c", STARTER, *command], check=True, stdout=subprocess.PIPE)
    return int(done.stdout) / 1024


@dataclass
class Pair:
    left: float
    right: float
    ratio: float
    count: int


def paired(
    left: Callable[[], float], right: Callable[[], float], count: int, warmup: int = 2
) -> Pair:
    """Medians of two measurements taken in turn; each callable returns seconds."""
    for _ in range(warmup):
        left()
        right()
    a, b = [], []
    for _ in range(count):
        a.append(left())
        b.append(right())
    return Pair(
        statistics.median(a),
        statistics.median(b),
        statistics.median(x / y for x, y in zip(a, b)),
        count,
    )


def checked(command: Sequence[str], expected: Sequence[int] = (0,)) -> float:
    """Seconds of one run; a status that was not expected ends the benchmark, for it measured something else."""
    result = run(command)
    if result.status not in expected:
        raise SystemExit(f"{' '.join(command)}: exit {result.status}")
    return result.seconds
