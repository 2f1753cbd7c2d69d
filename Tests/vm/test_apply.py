"""The applier on a kernel of its own: what a network namespace cannot show.

Keys and mounts of the whole host are written and read from inside, modules are loaded by the kernel itself, and an
older kernel than the one that runs the other tests reads the same bundle.
"""

import ast
import json
import pathlib
import subprocess
import sys

import initramfs
import machine
from machine import REPOSITORY, setUpModule  # noqa: F401 (unittest finds it here)

sys.path.insert(0, str(REPOSITORY / "Tests" / "kernel"))
import nftables  # noqa: E402 (the other tests' own)
import support  # noqa: E402

COS = REPOSITORY / "policies" / "cos.cos"
HERE = pathlib.Path(__file__).resolve().parent
APPLY = "/usr/sbin/lockdown-apply"
# Where the black boxes of Tests/kernel are in a machine.
INSIDE = "/lockdown/Tests/kernel"
HEADER = """\
policy: small
language: 1
target:
  kernel: "6.1"
management: none
"""


def programs():
    """Our programs, and the tests of Tests/kernel that also run inside."""
    files = {APPLY: support.LOCKDOWN_APPLY}
    for name in ("between.py", "dump.py", "peak.py"):
        files[INSIDE + "/" + name] = HERE / "guest" / name
    for path in (REPOSITORY / "Tests" / "kernel").glob("*.py"):
        files[INSIDE + "/" + path.name] = path
    return files


def bundle(source, name):
    return {"/etc/lockdown/%s.bundle" % name: support.compile_policy(source).bundle}


class CosCos(machine.MachineTestCase):
    """cos.cos, applied once to a machine that looks like COS; each test reads what is then there."""

    @classmethod
    def files(cls):
        return {**programs(), **bundle(COS, "policy"), "/etc/cos-layout": HERE / "guest" / "cos-layout"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.machine.run(". /etc/cos-layout")
        cls.modules_before = cls.machine.read("/proc/modules")
        cls.applied = cls.machine.run(
            "python3 %s/peak.py /run/peak %s /etc/lockdown/policy.bundle" % (INSIDE, APPLY), check=False)
        cls.status = json.loads(cls.machine.read("/run/lockdown/status.json"))

    def test_the_kernel_loads_its_modules(self):
        """Nothing of nf_tables was there; the batch itself brought it in, expressions and all."""
        self.assertNotIn("nf_tables", self.modules_before)
        after = self.machine.read("/proc/modules")
        for module in ("nf_tables", "nft_ct", "nf_conntrack"):
            self.assertIn(module + " ", after)

    def test_exit_and_status(self):
        """3: what the applier leaves to others is named, each by itself; everything else is applied."""
        self.assertEqual(self.applied.status, 3, self.applied)
        self.assertEqual(self.status["exit"], 3)
        self.assertEqual(self.status["policy"], "cos")
        self.assertEqual(self.status["firewall"]["result"], "applied")
        self.assertEqual(self.status["firewall"]["attempts"], 1)
        self.assertTrue(self.status["owners-checked"])
        results = {item["name"]: item["result"] for item in self.status["sysctl"]}
        self.assertEqual({name for name, result in results.items() if result not in ("applied", "equal")}, set(),
                         results)
        results = {item["name"]: item["result"] for item in self.status["mounts"]}
        self.assertEqual({name for name, result in results.items() if result not in ("applied", "equal")}, set(),
                         results)
        self.assertTrue(self.status["not-enforced"])

    def test_memory(self):
        """All of it at once: the bundle, its batch and the dump, and the kernel's types, of which there are 4 MB."""
        self.assertIn("applied", {item["result"] for item in self.status["programs"]})
        peak = int(self.machine.read("/run/peak"))
        machine.note("peak %d kB" % peak)
        self.assertGreater(peak, 100)
        self.assertLess(peak, 3 * 1024)

    def test_the_firewall_is_the_hosts(self):
        """The same bundle in a namespace of the machine that tests run on: the same listing, and the same objects."""
        namespace = support.Namespace()
        self.addCleanup(namespace.close)
        support.apply(namespace, support.compile_policy(COS).bundle)
        self.assertEqual(self.machine.run("nft -s list table inet lockdown").stdout,
                         namespace.listing("table", "inet", "lockdown"))
        inside = ast.literal_eval(self.machine.run("cd %s && python3 dump.py" % INSIDE).stdout)
        outside = nftables.everything(namespace, nftables.INET_LOCKDOWN)
        self.assertEqual(comparable(inside), comparable(outside))

    def test_global_sysctls_hold(self):
        """Each line of sysctl.conf, the file for hosts without our applier, holds; `*` for each interface."""
        lines = [line.split(" = ") for line in support.compile_policy(COS).text("sysctl.conf").splitlines()
                 if " = " in line and not line.startswith("#")]
        self.assertGreater(len(lines), 15)
        pairs = {}
        for key, value in lines:
            path = "/proc/sys/" + key.lstrip("-").replace(".", "/")
            for place in self.machine.run("ls -d " + path).stdout.split():
                pairs[place] = value
        found = self.machine.run("cat " + " ".join(pairs)).stdout.splitlines()
        self.assertEqual(dict(zip(pairs, found)), pairs)

    def test_an_interface_that_comes_later(self):
        self.machine.run("ip link add late0 type dummy")
        self.addCleanup(self.machine.run, "ip link del late0")
        self.assertEqual(self.machine.read("/proc/sys/net/ipv4/conf/late0/rp_filter"), "1\n")

    def test_mounts_hold(self):
        """Read from mountinfo, and by what happens."""
        flags = {}
        for line in self.machine.read("/proc/self/mountinfo").splitlines():
            fields = line.split()
            flags[fields[4]] = set(fields[5].split(","))
        wanted = json.loads(support.compile_policy(COS).text("policy.json"))["mounts"]
        self.assertGreater(len(wanted), 15)
        for mount in wanted:
            with self.subTest(mount["path"]):
                self.assertIn(mount["path"], flags)
                for flag in mount["flags"]:
                    if flag in ("exec", "suid", "dev", "rw"):
                        self.assertNotIn("no" + flag if flag != "rw" else "ro", flags[mount["path"]])
                    else:
                        self.assertIn(flag, flags[mount["path"]])
        run = self.machine.run(
            "for place in /tmp /home /var /var/lib/docker /var/lib/cloud /run; do "
            "cp /bin/busybox $place/true && $place/true; echo $place $?; rm $place/true; done", check=False).stdout
        self.assertEqual(dict(line.split() for line in run.splitlines()), {
            "/tmp": "126", "/home": "126", "/var": "126", "/var/lib/docker": "0", "/var/lib/cloud": "0", "/run": "0"})
        self.assertNotEqual(self.machine.run("touch /usr/share/oem/file", check=False).status, 0)
        self.assertIn("Permission denied", self.machine.run(
            "mknod /home/zero c 1 5; cat /home/zero", check=False).stderr)

    def test_the_second_run_changes_nothing(self):
        generation = "cd %s && python3 dump.py generation" % INSIDE
        before = self.machine.run(generation).stdout
        again = self.machine.run(APPLY + " /etc/lockdown/policy.bundle", check=False)
        self.assertEqual(again.status, 3, again)
        self.assertIn("firewall: unchanged", again.stderr)
        status = json.loads(self.machine.read("/run/lockdown/status.json"))
        self.assertEqual({item["result"] for item in status["sysctl"] + status["mounts"]},
                         {"equal"})
        self.assertEqual(self.machine.run(generation).stdout, before)
        check = self.machine.run(APPLY + " /etc/lockdown/policy.bundle --check", check=False)
        self.assertEqual(check.status, 3, check)

    def test_denied_modules_in_the_text_file(self):
        """modprobe of the machine itself reads our denylist; the same module loads without it."""
        self.machine.run("modprobe -r dummy; modprobe dummy && modprobe -r dummy")
        policy = HEADER + "modules:\n  deny: [dummy]\n"
        text = support.compile_policy(policy).text("modprobe.conf")
        self.machine.run("mkdir -p /etc/modprobe.d && cat >/etc/modprobe.d/lockdown.conf <<'END'\n%s\nEND\n" % text)
        self.addCleanup(self.machine.run, "rm /etc/modprobe.d/lockdown.conf")
        self.assertNotEqual(self.machine.run("modprobe dummy", check=False).status, 0)
        self.assertNotEqual(self.machine.run("ip link add d0 type dummy", check=False).status, 0)


def comparable(dump):
    """A dump without the attributes that only newer kernels have: they are above the highest one of 6.1."""
    highest = {"table": 6, "chain": 12, "object": 8, "set": 18, "rule": 11, "flowtable": 7}
    found = []
    for kind, owner, place, values in dump:
        if kind in highest:
            values = tuple((number, data) for number, data in values if number <= highest[kind])
        found.append((kind, owner, place, values))
    return found


class Loading(machine.MachineTestCase):
    """What the kernel can no longer load by itself is refused whole, and named."""

    @classmethod
    def files(cls):
        rules = "firewall:\n  input:\n    policy: drop\n    rules:\n      - accept established\n      - accept tcp 22 in lo\n"
        keys = "sysctl:\n  net.netfilter.nf_conntrack_max: 70001\n  net.bridge.bridge-nf-call-iptables: 1\n"
        return {**programs(), **bundle(HEADER + rules, "rules"), **bundle(HEADER + rules + keys, "keys")}

    def test_1_no_nf_tables(self):
        self.machine.run("cp /proc/sys/kernel/modprobe /tmp/modprobe; echo /bin/false >/proc/sys/kernel/modprobe")
        done = self.machine.run(APPLY + " /etc/lockdown/rules.bundle", check=False)
        self.assertEqual(done.status, 1, done)
        self.assertIn("firewall: refused", done.stderr)
        self.assertNotIn("nf_tables", self.machine.read("/proc/modules"))

    def test_2_an_expression_without_its_module(self):
        """nf_tables is there, `ct` is not: the rule is named, and no table is left."""
        self.machine.run("modprobe nf_tables")
        done = self.machine.run(APPLY + " /etc/lockdown/rules.bundle", check=False)
        self.assertEqual(done.status, 1, done)
        self.assertIn("ENOENT", done.stderr)
        self.assertIn(".cos:", done.stderr)
        self.assertEqual(self.machine.run("nft list tables").stdout, "")

    def test_3_keys_that_modules_bring(self):
        """A key of nf_conntrack is there once the batch has loaded it, in the same run; one of br_netfilter is absent."""
        self.machine.run("cat /tmp/modprobe >/proc/sys/kernel/modprobe")
        self.assertNotEqual(self.machine.run("ls /proc/sys/net/netfilter/nf_conntrack_max", check=False).status, 0)
        done = self.machine.run(APPLY + " /etc/lockdown/keys.bundle", check=False)
        self.assertEqual(done.status, 3, done)
        self.assertEqual(self.machine.read("/proc/sys/net/netfilter/nf_conntrack_max"), "70001\n")
        status = json.loads(self.machine.read("/run/lockdown/status.json"))
        self.assertEqual({item["name"]: item["result"] for item in status["sysctl"]},
                         {"net/netfilter/nf_conntrack_max": "applied", "net/bridge/bridge-nf-call-iptables": "absent"})
        # When the module comes, the next run sets it.
        self.machine.run("modprobe br_netfilter; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables")
        done = self.machine.run(APPLY + " /etc/lockdown/keys.bundle", check=False)
        self.assertIn("sysctl: 1 applied, 1 equal", done.stderr)
        self.assertEqual(self.machine.read("/proc/sys/net/bridge/bridge-nf-call-iptables"), "1\n")


class Ingress(machine.MachineTestCase):
    """An ingress chain and its device, on 6.1."""

    @classmethod
    def files(cls):
        compiled = support.compile_policy(
            HEADER + "firewall:\n  ingress:\n    devices: [eth7]\n    policy: accept\n    rules:\n      - drop udp 53\n"
            "  input:\n    policy: drop\n    rules:\n      - accept udp 53\n")
        return {**programs(), "/etc/lockdown/ingress.bundle": compiled.bundle,
                "/etc/lockdown/late.nft": compiled.directory / "nftables-late.nft"}

    def test_a_missing_device(self):
        """The bundle applies without it. The late file is refused whole, leaves nothing behind that would bind the
        chain when the device comes, and binds it when it is loaded again."""
        done = self.machine.run(APPLY + " /etc/lockdown/ingress.bundle")
        self.assertIn("waits the chain of device eth7", done.stderr)
        before = self.machine.run("nft -s list ruleset").stdout
        late = self.machine.run("nft -f /etc/lockdown/late.nft", check=False)
        self.assertNotEqual(late.status, 0)
        self.assertIn("No such file or directory", late.stderr)
        self.assertEqual(self.machine.run("nft -s list ruleset").stdout, before)
        self.machine.run("ip link add eth7 type dummy")
        self.assertEqual(self.machine.run("nft -s list ruleset").stdout, before)
        self.machine.run("nft -f /etc/lockdown/late.nft")
        self.assertIn("hook ingress device \"eth7\"", self.machine.run("nft -s list ruleset").stdout)
        # The device goes, and takes its base chain along.
        self.machine.run("ip link del eth7")
        self.assertNotIn("hook ingress", self.machine.run("nft -s list ruleset").stdout)

    def test_the_applier_binds_it(self):
        """Each run binds the chains of the devices that are there."""
        self.machine.run(APPLY + " /etc/lockdown/ingress.bundle")
        for _ in range(2):
            self.machine.run("ip link add eth7 type dummy")
            self.assertIn("firewall: replaced", self.machine.run(APPLY + " /etc/lockdown/ingress.bundle").stderr)
            self.assertIn("hook ingress device \"eth7\"", self.machine.run("nft -s list ruleset").stdout)
            self.assertIn("firewall: unchanged", self.machine.run(APPLY + " /etc/lockdown/ingress.bundle").stderr)
            self.machine.run("ip link del eth7")
            self.assertIn("firewall: unchanged", self.machine.run(APPLY + " /etc/lockdown/ingress.bundle").stderr)

    def test_the_late_stage_binds_it(self):
        """This kernel takes a chain with its device, and leaves it on one that gets another name."""
        apply = APPLY + " /etc/lockdown/ingress.bundle"
        self.machine.run(apply)
        for _ in range(2):
            self.machine.run("ip link add eth7 type dummy")
            self.assertIn("firewall: completed", self.machine.run(apply + " --stage late").stderr)
            self.assertIn("hook ingress device \"eth7\"", self.machine.run("nft -s list ruleset").stdout)
            self.assertIn("firewall: unchanged", self.machine.run(apply + " --stage late").stderr)
            self.assertIn("firewall: unchanged", self.machine.run(apply + " --check").stderr)
            self.machine.run("ip link set eth7 name eth9")
            self.assertIn("firewall: completed", self.machine.run(apply + " --stage late").stderr)
            self.assertNotIn("hook ingress", self.machine.run("nft -s list ruleset").stdout)
            self.machine.run("ip link set eth9 name eth7")
            self.machine.run(apply + " --stage late")
            self.assertIn("hook ingress device \"eth7\"", self.machine.run("nft -s list ruleset").stdout)
            self.machine.run("ip link del eth7")
            self.machine.run(apply + " --stage late")
            self.assertIn("firewall: unchanged", self.machine.run(apply + " --check").stderr)

    def test_a_follower_binds_it(self):
        self.machine.run(APPLY + " /etc/lockdown/ingress.bundle")
        wait = "for n in $(seq 100); do nft list ruleset | grep -q '%s' && break; sleep 0.1; done; nft list ruleset"
        self.machine.run("%s /etc/lockdown/ingress.bundle --stage late --follow 2>/dev/null & echo $! >/tmp/follower" % APPLY)
        try:
            self.machine.run("ip link add eth7 type dummy")
            self.assertIn("hook ingress device \"eth7\"", self.machine.run(wait % "hook ingress").stdout)
        finally:
            self.machine.run("kill $(cat /tmp/follower); ip link del eth7")


class Signatures(machine.MachineTestCase):
    """Debian's kernel verifies who has signed a bundle."""

    @classmethod
    def files(cls):
        folder = support.scratch() / "signed"
        folder.mkdir(exist_ok=True)
        key, certificate = folder / "key.pem", folder / "key.x509"
        support.run(["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "1", "-subj", "/CN=lockdown",
                     "-keyout", key, "-outform", "DER", "-out", certificate])
        bundle = support.compile_policy(HEADER + "firewall: { input: { policy: drop, rules: [] } }\n").bundle
        support.run([support.LOCKDOWN, "sign", "--key", key, bundle])
        return {**programs(), "/etc/lockdown/signed.bundle": bundle, "/etc/lockdown/key.x509": certificate,
                "/etc/lockdown/signed.bundle.sig": bundle.with_name(bundle.name + ".sig")}

    def test_signed(self):
        command = APPLY + " /etc/lockdown/signed.bundle --key /etc/lockdown/key.x509"
        self.assertIn("signed by --key", self.machine.run(command).stderr)
        self.machine.run("head -c 512 /dev/zero > /etc/lockdown/signed.bundle.sig")
        self.assertIn("refused: not signed by --key", self.machine.run(command, check=False).stderr)


class Flood(machine.MachineTestCase):
    """The flood test, on this kernel: test_flood.py of Tests/kernel as it is, with fewer rounds under emulation."""

    @classmethod
    def files(cls):
        return {**programs(), **initramfs.with_libraries(support.LOCKDOWN)}

    def flood(self, *names, rounds):
        done = self.machine.run(
            "cd %s && LOCKDOWN=/usr/bin/lockdown LOCKDOWN_APPLY=%s LOCKDOWN_FLOOD_ROUNDS=%d "
            "python3 -m unittest -v %s" % (INSIDE, APPLY, rounds, " ".join("test_flood." + name for name in names)),
            timeout=600)
        machine.note(" ".join(part.split("]")[0] for part in done.stderr.split("[")[1:]))

    def test_nothing_leaks(self):
        self.flood("Exchange.test_same_places", "Control", rounds=60)


if __name__ == "__main__":
    machine.unittest.main()
