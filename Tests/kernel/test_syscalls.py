"""Filters of system calls: the kernel runs the program of the bundle, a container runtime the JSON, and calls get what
the policy promises, on each way into the kernel."""

import errno
import json
import pathlib
import signal
import subprocess

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

# Makes system calls by number, each in a child, and prints what became of them. With `-` as its first argument it
# first installs the program on its standard input, as the applier does: without no_new_privs.
PROBE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static long compat(long n, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c) : "r8", "r9", "r10", "r11", "memory");
    return (int32_t)result;
}
static long native(long n, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

int main(int count, char **words) {
    int first = 1;
    if (count > 1 && !strcmp(words[1], "-")) {
        static struct sock_filter program[4097];
        size_t length = fread(program, sizeof *program, 4097, stdin);
        struct sock_fprog filter = {(unsigned short)length, program};
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter)) {
            perror("seccomp");
            return 1;
        }
        printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        first = 2;
    }
    for (int i = first; i < count; i++) {
        // ABI:NUMBER[:ARGUMENT…]
        unsigned long numbers[4] = {0, 0, 0, 0}, *next = numbers;
        int is_compat = !strncmp(words[i], "i386:", 5);
        for (char *place = strchr(words[i], ':'); place && next < numbers + 4; place = strchr(place + 1, ':'))
            *next++ = strtoul(place + 1, NULL, 0);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            long result = (is_compat ? compat : native)(numbers[0], numbers[1], numbers[2], numbers[3]);
            printf("%s %ld\n", words[i], result);
            fflush(stdout);
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) printf("%s signal %d\n", words[i], WTERMSIG(status));
    }
    return 0;
}
"""

BODY = """policy: calls
language: 1
target: { kernel: "%s" }
syscalls:
  scope: services
%s"""

X32 = 0x40000000
EPERM, ENOSYS = str(-errno.EPERM), str(-errno.ENOSYS)
KILLED = "signal %d" % signal.SIGSYS


def policy(body, kernel="6.1"):
    return support.compile_policy(BODY % (kernel, "".join("  %s\n" % line for line in body)))


class Filters(support.KernelTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = support.scratch() / "rootfs"
        cls.root.mkdir(exist_ok=True)
        for name in ("proc", "sys", "dev"):
            (cls.root / name).mkdir(exist_ok=True)
        cls.probe = cls.root / "probe"
        # Static: nothing else is in the container.
        support.run(["gcc", "-O1", "-static", "-o", cls.probe, "-x", "c", "-"], input=PROBE)

    @staticmethod
    def read(text):
        return dict(line.split(" ", 1) for line in text.splitlines())

    def bare(self, calls):
        return self.read(support.run([self.probe, *calls]).stdout)

    def in_kernel(self, compiled, calls):
        """Under the bundle's program."""
        shown = json.loads(support.run([support.LOCKDOWN, "inspect", compiled.bundle, "--format", "json"]).stdout)
        program = bytes.fromhex("".join(shown["system-calls"]["program"]))
        self.assertEqual(shown["system-calls"]["flags"], 4)
        done = subprocess.run([self.probe, "-", *calls], input=program, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        found = self.read(done.stdout.decode())
        self.assertEqual(found.pop("no_new_privs"), "0")
        return found

    def in_container(self, compiled, calls):
        """Under runc, with `seccomp.json`."""
        bundle = pathlib.Path(support.run(["mktemp", "-d", "-p", support.scratch()]).stdout.strip())
        support.run(["runc", "spec"], cwd=bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["root"]["path"] = str(self.root)
        config["process"].update(terminal=False, args=["/probe", *calls], cwd="/")
        config["linux"]["seccomp"] = json.loads(compiled.text("seccomp.json"))
        # Neither needed here, nor at hand in every place that tests run.
        config["linux"].pop("resources", None)
        (bundle / "config.json").write_text(json.dumps(config))
        done = support.run(["unshare", "-m", "runc", "--root", bundle / "state", "run", "calls-" + bundle.name],
                           cwd=bundle, stdin=subprocess.DEVNULL)
        return self.read(done.stdout)

    def check(self, compiled, expected, *, container=True):
        """Each call gets what is expected in both; without a filter it gets something else."""
        calls = list(expected)
        bare = self.bare(calls)
        found = self.in_kernel(compiled, calls)
        for call, result in expected.items():
            if result is None:
                # Let through: what the kernel says to it.
                self.assertEqual(found[call], bare[call], call)
            else:
                self.assertEqual(found[call], result, call)
                self.assertNotEqual(bare[call], result, "the filter decides: " + call)
        if container:
            contained = self.in_container(compiled, calls)
            for call, result in expected.items():
                self.assertEqual(contained[call], bare[call] if result is None else result, "in a container: " + call)
        return len(calls)

    def test_denied(self):
        """Names, groups, other forms and conditions; 32-bit calls are filtered as the native ones are."""
        compiled = policy(["deny: [umask, sysfs, getuid, socket arg0 38, socket arg0 1 arg1 3/0xf]"])
        count = self.check(compiled, {
            "64:95:18": EPERM, "64:139:3": EPERM, "64:102": EPERM,
            # AF_ALG, also with rubbish above its 32 bits; AF_UNIX raw, with SOCK_CLOEXEC too; AF_UNIX datagram.
            "64:41:38:5": EPERM, "64:41:0xffffffff00000026:5": EPERM, "64:41:1:0x80003": EPERM,
            "64:41:77:3": None, "64:146:1": None,
        })
        # A condition on `socket`: seccomp.json leaves 32-bit x86 out, and the bundle's program refuses socketcall.
        self.assertNotIn('"SCMP_ARCH_X86"', compiled.text("seccomp.json"))
        if self.has_compat():
            count += self.check(compiled, {
                "i386:60:18": EPERM, "i386:135:3": EPERM, "i386:24": EPERM, "i386:199": EPERM, "i386:359:38:5": EPERM,
                "i386:102:1": EPERM, "i386:102:99": None, "i386:159:1": None}, container=False)
        support.note("%d calls" % count)

    def test_every_way_in(self):
        """Without conditions the container runtime filters 32-bit calls too, socketcall included; and x32."""
        compiled = policy(["deny: [umask, getuid, accept]"])
        expected = {"64:95:18": EPERM, "64:102": EPERM, "64:43:-1": EPERM}
        if self.has_compat():
            expected.update({"i386:60:18": EPERM, "i386:24": EPERM, "i386:199": EPERM, "i386:102:5:0": EPERM,
                             "i386:102:1:0": None, "i386:159:1": None})
        expected.update({"x32:%d:18" % (X32 | 95): EPERM, "x32:%d" % (X32 | 102): EPERM})
        self.check(compiled, expected)

    def has_compat(self):
        """Whether this kernel runs 32-bit calls at all."""
        return "signal" not in self.bare(["i386:20"])["i386:20"]

    def test_unknown(self):
        """Calls newer than the target's kernel get `on-unknown`, and so does what no kernel has."""
        # cachestat is of 6.5; without a filter it looks at the descriptor first.
        for kernel, newer in (("6.1", EPERM), ("6.6", None)):
            compiled = policy(["on-unknown: eperm"], kernel)
            # runc itself gives ENOSYS for numbers above all that it is told of.
            self.check(compiled, {"64:451:-1": newer, "64:600": EPERM, "64:146:1": None}, container=False)
        compiled = policy(["deny: [umask]"], "6.1")
        self.check(compiled, {"64:451:-1": ENOSYS, "64:95:18": EPERM, "64:146:1": None})

    def test_refusals(self):
        """enosys, kill and log."""
        self.check(policy(["deny: [umask]", "on-deny: enosys"]), {"64:95:18": ENOSYS, "64:146:1": None})
        self.check(policy(["deny: [umask]", "on-deny: kill"]), {"64:95:18": KILLED, "64:146:1": None})
        self.check(policy(["deny: [umask]", "on-deny: log"]), {"64:95:18": None, "64:146:1": None})

    def test_allow_list(self):
        """A static program runs under `default: deny`, and what is not listed is refused."""
        compiled = policy(["default: deny", 'allow: ["@system-service"]',
                           'deny: [umask, personality arg0 not 0xffffffff]'])
        self.check(compiled, {
            "64:95:18": EPERM, "64:139:3": EPERM, "64:135:4": EPERM, "64:135:0xffffffff": None, "64:600": None,
            "64:146:1": None, "64:169:0": EPERM})

    def test_no_policy_no_filter(self):
        """A policy without `syscalls` has a file that lets all through."""
        compiled = support.compile_policy('policy: nothing\nlanguage: 1\ntarget: { kernel: "6.1" }\n')
        self.assertEqual(self.in_container(compiled, ["64:146:1"]), {"64:146:1": "99"})
        shown = json.loads(support.run([support.LOCKDOWN, "inspect", compiled.bundle, "--format", "json"]).stdout)
        self.assertIsNone(shown["system-calls"])


class Exec(support.KernelTestCase):
    """`--exec`: one command under the bundle's filter, and never without it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.probe = support.scratch() / "exec-probe"
        support.run(["gcc", "-O1", "-static", "-o", cls.probe, "-x", "c", "-"], input=PROBE)

    def start(self, bundle, *command, options=(), before=(), status=0, **more):
        done = support.run([*before, support.LOCKDOWN_APPLY, bundle, "--exec", *options, "--", *command], check=False, **more)
        self.assertEqual(done.status, status, done)
        return done

    def test_a_denied_call(self):
        """It gets what the policy promises, whatever the scope is; others are as without."""
        calls = ["64:95:18", "64:102", "64:146:1"]
        bare = Filters.read(support.run([self.probe, *calls]).stdout)
        for scope in ("services", "init"):
            compiled = support.compile_policy(BODY.replace("services", scope) % ("6.1", "  deny: [umask]\n"))
            found = Filters.read(self.start(compiled.bundle, self.probe, *calls).stdout)
            self.assertEqual(found, {**bare, "64:95:18": EPERM}, scope)
        for answer, expected in (("enosys", ENOSYS), ("kill", KILLED)):
            compiled = policy(["deny: [umask]", "on-deny: " + answer])
            self.assertEqual(Filters.read(self.start(compiled.bundle, self.probe, *calls).stdout)["64:95:18"], expected)

    def test_what_the_command_is_given(self):
        """Its words, environment, standard input and end are its own; no privilege is lost, and nothing of ours is open."""
        bundle = policy(["deny: [umask]"]).bundle
        done = self.start(bundle, "/bin/sh", "-c", 'cat; echo "$0 $1 $NAME"; ls /proc/self/fd | wc -l; exit 7', "a b", "--check",
                          env={"NAME": "value", "PATH": "/usr/bin:/bin"}, input="in ", status=7)
        self.assertEqual(done.stdout, "in a b --check value\n4\n")
        self.assertEqual(done.stderr, "")
        shown = dict(line.split(":\t") for line in self.start(bundle, "/bin/cat", "/proc/self/status").stdout.splitlines())
        bare = dict(line.split(":\t") for line in support.run(["/bin/cat", "/proc/self/status"]).stdout.splitlines())
        self.assertEqual((shown["NoNewPrivs"], shown["Seccomp"]), ("0", "2"))
        # Not the mitigations that a filter brings otherwise.
        for name in ("Speculation_Store_Bypass", "SpeculationIndirectBranch", "CapEff", "SigBlk", "SigIgn"):
            self.assertEqual(shown.get(name), bare.get(name), name)

    def test_nothing_else_is_applied(self):
        text = BODY % ("6.1", "  deny: [umask]\n") + "management: none\nfirewall: { input: { policy: drop, rules: [] } }\n"
        compiled = support.compile_policy(text)
        host = self.namespace()
        with host:
            self.start(compiled.bundle, "/bin/true")
        self.assertEqual(host.listing(), "")

    def test_refused(self):
        """Then no command runs."""
        bundle = policy(["deny: [umask]"]).bundle
        made = support.scratch() / "made"
        command = ["/usr/bin/touch", made]
        without = support.compile_policy('policy: nothing\nlanguage: 1\ntarget: { kernel: "6.1" }\n').bundle
        self.assertIn("no filter of system calls", self.start(without, *command, status=1).stderr)
        self.assertIn("SHA-256", self.start(bundle, *command, options=["--pin", "0" * 64], status=1).stderr)
        self.assertIn("refused:", self.start("/nosuch.bundle", *command, status=1).stderr)
        damaged = support.scratch() / "damaged.bundle"
        damaged.write_bytes(bundle.read_bytes()[:-1] + b"x")
        self.assertIn("refused:", self.start(damaged, *command, status=1).stderr)
        damaged.chmod(0o666)
        self.assertIn("refused:", self.start(damaged, *command, status=1).stderr)
        # A filter without no_new_privs wants CAP_SYS_ADMIN.
        self.assertIn("the filter of system calls is refused: EACCES", self.start(
            bundle, *command, before=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"], status=2).stderr)
        self.assertFalse(made.exists())

    def test_a_command_that_cannot_be_started(self):
        bundle = policy(["deny: [umask]"]).bundle
        self.assertIn("cannot be started: /nosuch: ENOENT", self.start(bundle, "/nosuch", status=2).stderr)
        bundle = policy(["deny: [execve]"]).bundle
        self.assertIn("cannot be started: /bin/true: EPERM", self.start(bundle, "/bin/true", status=2).stderr)

    def test_usage(self):
        bundle = policy(["deny: [umask]"]).bundle
        for words in ([bundle, "--exec"], [bundle, "--exec", "--"], [bundle, "--", "/bin/true"], ["--exec", "--", "/bin/true"],
                      [bundle, "--exec", "--check", "--", "/bin/true"], [bundle, "--exec", "--try", "60", "--", "/bin/true"],
                      [bundle, "--exec", "--stage", "late", "--", "/bin/true"], ["--revert", "--exec", "--", "/bin/true"],
                      [bundle, "--exec", "--only", "firewall", "--", "/bin/true"],
                      ["--slots", "/run", "--exec", "--", "/bin/true"], [bundle, "--exec", "--healthy", "--", "/bin/true"]):
            with self.subTest(words):
                done = support.run([support.LOCKDOWN_APPLY, *words], check=False)
                self.assertEqual(done.status, 64, done)
                self.assertIn("usage:", done.stderr)


if __name__ == "__main__":
    support.main()
