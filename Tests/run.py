"""Runs all tests of a folder in several processes at once, and says how long each took.

    python3 Tests/run.py kernel|vm [--workers N] [NAME…]

A name is a module, or a module and a class, as in `test_cli` or `test_cli.Help`. The unit of work is a class, whose
fixtures are shared. Each process has a mount namespace with a /run/lockdown of its own, so that appliers of two tests
do not wait for one another. Classes with `runs_alone = True` have the machine to themselves, at the end.
"""

import argparse
import contextlib
import ctypes
import io
import json
import os
import pathlib
import queue
import resource
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent

# The longest first, so that no process is left with one of them at the end; the others follow by name.
FIRST = ["test_flood.Exchange", "test_flood.Ranges", "test_boot.Systemd", "test_boot.Fallback", "test_login.Login",
         "test_modules.Denied", "test_apply.Flood"]

# linux/sched.h, linux/mount.h.
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def classes(folder):
    """Every test class by name, with how many tests it has."""
    found = {}

    def visit(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                visit(item)
                continue
            kind = type(item)
            if kind.__module__ == "unittest.loader":
                # A module that cannot be imported: its message is all there is.
                raise SystemExit(str(getattr(item, "_exception", item)))
            found.setdefault("%s.%s" % (kind.__module__, kind.__qualname__), [0, kind])[0] += 1

    visit(unittest.TestLoader().discover(str(folder)))
    return found


class Result(unittest.TextTestResult):
    """Also notes when each test ended."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.times = []

    def startTest(self, test):
        self.begun = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.times.append((time.monotonic() - self.begun, test.id()))


def processor_time():
    return sum(
        use.ru_utime + use.ru_stime
        for use in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)))


def work():
    """Takes names of classes, a line each, and answers each with a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever tests print is not an answer.
    os.dup2(2, 1)
    own_folder_of_the_applier()
    for line in sys.stdin:
        name = line.strip()
        output = io.StringIO()
        began, used = time.monotonic(), processor_time()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            suite = unittest.TestLoader().loadTestsFromName(name)
            result = unittest.TextTestRunner(stream=output, verbosity=2, resultclass=Result).run(suite)
        answer = {
            "name": name, "ran": result.testsRun, "output": output.getvalue(), "times": result.times,
            "good": result.wasSuccessful(), "skipped": len(result.skipped),
            "seconds": time.monotonic() - began, "processor": processor_time() - used}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def own_folder_of_the_applier():
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "%s: %s" % (name, os.strerror(ctypes.get_errno())))

    os.makedirs("/run/lockdown", exist_ok=True)
    call("unshare", CLONE_NEWNS)
    call("mount", None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    call("mount", b"tmpfs", b"/run/lockdown", b"tmpfs", ctypes.c_ulong(0), b"mode=0755")


class Worker:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the process that ran %s ended with %d" % (name, self.process.wait()))
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


def run_all(folder, names, workers):
    """The answers, in the order in which they come."""
    waiting, answers = queue.Queue(), queue.Queue()
    for name in names:
        waiting.put(name)

    def serve():
        worker = Worker(folder)
        try:
            while True:
                answers.put(worker.run(waiting.get_nowait()))
        except queue.Empty:
            worker.end()
        except AssertionError as error:
            answers.put(error)
        answers.put(None)

    threads = [threading.Thread(target=serve) for _ in range(workers)]
    for thread in threads:
        thread.start()
    open_threads = workers
    while open_threads:
        answer = answers.get()
        if answer is None:
            open_threads -= 1
        else:
            yield answer
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", choices=["kernel", "vm"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--workers", type=int, help="the number of processors, and for kernel, whose tests wait a lot, more than twice that")
    options = parser.parse_args()
    if options.workers is None:
        options.workers = os.cpu_count() * 2 + 1 if options.folder == "kernel" else os.cpu_count()

    folder = HERE / options.folder
    known = classes(folder)
    wanted = {
        name: found for name, found in known.items()
        if not options.names or any(name == given or name.startswith(given + ".") for given in options.names)}
    unknown = [given for given in options.names
               if not any(name == given or name.startswith(given + ".") for name in known)]
    if unknown:
        raise SystemExit("no such tests: " + ", ".join(unknown))

    def order(name):
        return (FIRST.index(name) if name in FIRST else len(FIRST), name)

    alone = [name for name in wanted if getattr(wanted[name][1], "runs_alone", False)]
    beside = sorted((name for name in wanted if name not in alone), key=order)
    began = time.monotonic()
    done, ran, skipped, bad, times, seconds = set(), 0, 0, [], [], []
    for names, workers in ((beside, options.workers), (sorted(alone), 1)):
        for answer in run_all(folder, names, min(workers, len(names))):
            if isinstance(answer, AssertionError):
                bad.append(str(answer))
                continue
            sys.stdout.write(answer["output"])
            sys.stdout.flush()
            done.add(answer["name"])
            ran += answer["ran"]
            skipped += answer["skipped"]
            times += answer["times"]
            seconds.append((answer["seconds"], answer["processor"], answer["name"]))
            if not answer["good"]:
                bad.append(answer["name"])
            elif answer["ran"] != wanted[answer["name"]][0]:
                bad.append("%s: %d of %d tests ran" % (answer["name"], answer["ran"], wanted[answer["name"]][0]))
    bad += ["%s did not run" % name for name in wanted if name not in done and name not in bad]

    print("\nseconds, processor seconds, class")
    for row in sorted(seconds, reverse=True):
        if row[0] >= 1:
            print("%7.1f %7.1f  %s" % row)
    print("\nthe slowest tests")
    for row in sorted(times, reverse=True)[:15]:
        print("%7.1f  %s" % tuple(row))
    print("\nRan %d tests of %d classes in %.1f s, %.1f s of processors; %d skipped" % (
        ran, len(done), time.monotonic() - began, sum(row[1] for row in seconds), skipped))
    for name in bad:
        print("FAILED: " + name)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        sys.path.insert(0, sys.argv[2])
        work()
    else:
        main()
