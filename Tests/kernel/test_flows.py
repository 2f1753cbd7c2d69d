"""Flows that a new policy denies: `lockdown apply` lists them, and `--cut-flows` makes the kernel forget these alone."""

import json
import shutil
import socket
import tempfile

import nftables
import support
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_packets import connected

WIDE = support.small(["accept established, related", "accept tcp 22", "accept tcp 8080", "accept udp 53"])
NARROW = support.small(["accept established, related", "accept tcp 22"], name="narrow")
LIMITED = support.small(["accept established, related", "accept tcp 22", "accept tcp 8080 limit 1/hour"], name="limited")
# By which interface a flow came the kernel does not keep.
ELSEWHERE = support.small(["accept established, related", "accept tcp 22", "accept tcp 8080 in eth9"], name="elsewhere")


class Flows(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.wire = self.link(self.outside, self.host, 1)
        self.addCleanup(self.close)
        self.open = []

    def close(self):
        for pair in self.open:
            for end in pair:
                end.close()

    def run_lockdown(self, policy, *options):
        bundle = support.compile_policy(policy).bundle
        return self.host.run([support.LOCKDOWN, "apply", bundle, "--only", "firewall", "--force", "--status",
                              support.scratch() / "flows.json", *options], check=False)

    def connect(self, family, address, port, **options):
        pair = connected(self.outside, self.host, family, address, port, **options)
        self.open.append(pair)
        return pair

    def status(self):
        """What the status file says of flows, beside what the applier has written."""
        status = json.loads((support.scratch() / "flows.json").read_text())
        self.assertEqual(status["policy"], "narrow")
        self.assertIn("generation-after", status["firewall"])
        return status.get("flows")

    def passes(self, pair):
        """Whether data come through, from the outside in."""
        server, client = pair
        client.sendall(b"x")
        server.settimeout(0.5)
        try:
            return server.recv(1) == b"x"
        except TimeoutError:
            return False

    def test_listed_and_kept(self):
        self.assertEqual(self.run_lockdown(WIDE).status, 0)
        kept = self.connect(socket.AF_INET, self.wire.far4, 22)
        denied = self.connect(socket.AF_INET, self.wire.far4, 8080)
        denied6 = self.connect(socket.AF_INET6, self.wire.far6, 8080)
        done = self.run_lockdown(NARROW)
        self.assertEqual(done.status, 0, done)
        lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
        self.assertEqual(self.status(), {"denied": [line.strip() for line in lines], "unknown": 0})
        self.assertIn("established flows that the policy denies: 2\n", done.stdout)
        for pair in (denied, denied6):
            client = pair[1].getsockname()
            text = "%s:%d to " if ":" not in client[0] else "[%s]:%d to "
            found = [line for line in lines if "tcp " + text % client[:2] in line]
            self.assertEqual(len(found), 1, lines)
            self.assertIn(":8080 (input): dropped by input/", found[0])
            self.assertRegex(found[0], r"\.cos:\d+$")
        for pair in (kept, denied, denied6):
            self.assertTrue(self.passes(pair))
        # The same policy once more: nothing is applied, and they are still there.
        self.assertIn("denies: 2\n", self.run_lockdown(NARROW).stdout)
        self.assertNotIn("established flows", self.run_lockdown(WIDE).stdout)

    def test_cut(self):
        self.host.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
        self.assertEqual(self.run_lockdown(WIDE).status, 0)
        kept = self.connect(socket.AF_INET, self.wire.far4, 22)
        denied = self.connect(socket.AF_INET, self.wire.far4, 8080)
        done = self.run_lockdown(NARROW, "--cut-flows")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.stdout, r":8080: cut\n")
        flows = self.status()
        self.assertEqual((len(flows["denied"]), flows["unknown"], flows["certain"]), (1, 0, True))
        self.assertRegex(flows["cut"][0], r"\Atcp \S+ to \S+:8080: cut\Z")
        self.assertTrue(self.passes(kept))
        self.assertFalse(self.passes(denied))
        done = self.run_lockdown(NARROW, "--cut-flows")
        self.assertEqual((done.status, "established flows" in done.stdout), (0, False), done)
        self.assertEqual(self.status(), {"denied": [], "unknown": 0})

    def test_taken_up_again(self):
        """The kernel's default: a segment of the host brings the flow back."""
        self.host.sysctl("net.netfilter.nf_conntrack_tcp_loose", 1)
        self.assertEqual(self.run_lockdown(WIDE).status, 0)
        server, client = self.connect(socket.AF_INET, self.wire.far4, 8080)
        done = self.run_lockdown(NARROW, "--cut-flows")
        self.assertEqual(done.status, 3, done)
        self.assertIn("cut, and not certain", done.stdout)
        self.assertFalse(self.status()["certain"])
        server.sendall(b"y")
        self.assertEqual(client.recv(1), b"y")
        # For the kernel it is now a flow that the host has begun, and the policy lets it begin those.
        self.assertTrue(self.passes((server, client)))
        self.assertNotIn("established flows", self.run_lockdown(NARROW).stdout)

    def test_other_protocols(self):
        self.assertEqual(self.run_lockdown(WIDE).status, 0)
        with self.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
                self.outside.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            server.bind(("", 53))
            server.settimeout(1)
            client.connect((self.wire.far4, 53))
            client.send(b"ping")
            data, sender = server.recvfrom(10)
            server.sendto(data, sender)
            done = self.run_lockdown(NARROW, "--cut-flows")
            self.assertEqual(done.status, 0, done)
            self.assertRegex(done.stdout, r"udp \S+ to \S+:53 \(input\): dropped by")
            self.assertRegex(done.stdout, r"  udp \S+ to \S+:53: cut\n")

    def test_not_certain_to_be_denied(self):
        self.assertEqual(self.run_lockdown(WIDE).status, 0)
        self.connect(socket.AF_INET, self.wire.far4, 8080)
        for policy in (LIMITED, ELSEWHERE):
            self.assertNotIn("established flows", self.run_lockdown(policy).stdout)

    def test_outgoing(self):
        wide = support.small(["accept established, related", "accept tcp 443"], hook="output", name="out")
        narrow = support.small(["accept established, related", "accept tcp 22"], hook="output", name="out")
        self.assertEqual(self.run_lockdown(wide).status, 0)
        pair = connected(self.host, self.outside, socket.AF_INET, self.wire.near4, 443)
        self.open.append(pair)
        done = self.run_lockdown(narrow)
        self.assertRegex(done.stdout, r":443 \(output\): dropped by output/")

    def test_translated(self):
        """A published port of a container: judged by where the translation has sent it."""
        inside = self.namespace()
        inner = self.link(inside, self.host, 2, "near0", "eth1")
        self.host.sysctl("net.ipv4.ip_forward", 1)
        for namespace, wire in ((self.outside, self.wire), (inside, inner)):
            namespace.ip("route add default via %s" % wire.far4)
        self.host.nft("table ip nat { chain p { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to %s:80; }; }"
                      % inner.near4)
        wide = support.small(["accept established, related", "accept tcp 80 to %s" % inner.near4], hook="forward")
        narrow = support.small(["accept established, related", "accept tcp 8080 to %s" % self.wire.far4], hook="forward")
        self.assertEqual(self.run_lockdown(wide).status, 0)
        pair = connected(self.outside, inside, socket.AF_INET, self.wire.far4, 8080, listen=80)
        self.open.append(pair)
        self.assertNotIn("established flows", self.run_lockdown(wide).stdout)
        self.assertRegex(self.run_lockdown(narrow).stdout, r"to \S+:8080 \(forward\): dropped by forward/")

    def test_options(self):
        for other in (["--check"], ["--try", "10"]):
            done = self.run_lockdown(NARROW, "--cut-flows", *other)
            self.assertEqual(done.status, 64, done)
            self.assertIn("--cut-flows does not go with " + other[0], done.stderr)
        self.assertEqual(nftables.everything(self.host), [])

    def test_another_policy(self):
        """What is not in the kernel judges no flows."""
        with tempfile.TemporaryDirectory(dir=support.scratch()) as directory:
            program = shutil.copy(support.LOCKDOWN, directory)
            applier = program + "-apply"
            with open(applier, "w") as file:
                file.write("#!/bin/sh\n")
            shutil.copymode(program, applier)
            bundle = support.compile_policy(NARROW).bundle
            for options, status in (([], 0), (["--cut-flows"], 3)):
                done = self.host.run([program, "apply", bundle, *options], check=False)
                self.assertEqual(done.status, status, done)
                self.assertIn("the kernel holds another policy than", done.stderr)
