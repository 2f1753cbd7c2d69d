"""`lockdown verify`: the host is what the policy says, or what it does otherwise is shown; nothing is changed."""

import json
import os
import pathlib

import nftables
import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

KEYS = "sysctl:\n  net.ipv4.tcp_syncookies: 1\n  net.ipv4.conf.*.send_redirects: 0\n"
POLICY = support.small(["accept established, related", "accept tcp 22 count"], name="verified", extra=KEYS)
ABSENT = support.small(["accept tcp 22"], name="absent", extra="sysctl:\n  net.ipv4.no_such_key: 1\n")


class Verify(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.compiled = support.compile_policy(POLICY)

    def verify(self, source, *options, status, **keywords):
        before = self.host.listing()
        done = self.host.run([support.LOCKDOWN, "verify", source, *options], check=False, **keywords)
        self.assertEqual(done.status, status, done)
        self.assertEqual(self.host.listing(), before)
        self.assertEqual([path.name for path in pathlib.Path("/run/lockdown").glob("verify.*")], [])
        return done

    def apply(self):
        with self.host:
            support.run([support.LOCKDOWN_APPLY, self.compiled.bundle, "--force", "--status",
                         support.scratch() / "verify.json"])

    def test_nothing_is_applied(self):
        done = self.verify(self.compiled.bundle, "--only", "firewall", status=1).stdout
        self.assertIn("firewall  different\n  label in the kernel: none\n  the table is not there\n", done)
        self.assertIn("    widened: input: dropped → accepted\n", done)
        self.assertTrue(done.endswith("the host differs from the policy: firewall\n"), done)

    def test_equal(self):
        self.apply()
        policy = support.scratch() / "verified.cos"
        policy.write_text(POLICY)
        for source in (policy, self.compiled.bundle, self.compiled.bundle.parent):
            done = self.verify(source, status=0)
            self.assertRegex(done.stdout, r"\Apolicy verified  sha256:[0-9a-f]{64}\nfirewall  equal\n"
                                          r"  label in the kernel: this policy\nsysctl  [0-9]+ equal\n"
                                          r"the host is the policy\n\Z")
            self.assertEqual(done.stderr, "")
        self.assertEqual(self.verify("-", status=0, input=POLICY).stdout, done.stdout)
        found = json.loads(self.verify(policy, "--format", "json", status=0).stdout)
        self.assertEqual((found["holds"], found["meaning"], found["host"]["firewall"]["result"]), (True, None, "unchanged"))

    def test_rules_that_open(self):
        self.apply()
        self.host.nft("insert rule inet lockdown input tcp dport 81 accept")
        done = self.verify(self.compiled.bundle, status=1).stdout
        self.assertIn("label in the kernel: this policy", done)
        self.assertRegex(done, r"    widened: input: dropped → accepted\n      tcp 81 ")
        self.assertRegex(done, r"      old: policy-\w+\.cos:\d+: input/closing: .*\n      new: live:1: input#1\n")
        found = json.loads(self.verify(self.compiled.bundle, "--format", "json", status=1).stdout)
        self.assertEqual((found["holds"], found["meaning"]["same"]), (False, False))
        self.assertEqual([change["direction"] for change in found["meaning"]["changes"]], ["widened"])

    def test_rules_that_mean_the_same(self):
        self.apply()
        self.host.nft("insert rule inet lockdown input counter")
        done = self.verify(self.compiled.bundle, "--only", "firewall", status=1).stdout
        self.assertIn("  every packet meets the same: what differs are names, counters or logs\n", done)

    def test_settings(self):
        self.apply()
        self.host.sysctl("net.ipv4.tcp_syncookies", 0)
        done = self.verify(self.compiled.bundle, status=1).stdout
        self.assertRegex(done, r"sysctl  \d+ equal, 1 different\n  net/ipv4/tcp_syncookies: 0, and the policy says 1  "
                               r"\(policy-\w+\.cos:\d+\)\nthe host differs from the policy: sysctl\n")
        self.verify(self.compiled.bundle, "--only", "firewall,mounts", status=0)
        self.assertEqual(self.host.sysctl("net.ipv4.tcp_syncookies"), "0")

    def test_what_the_host_has_not(self):
        self.compiled = support.compile_policy(ABSENT)
        with self.host:
            support.run([support.LOCKDOWN_APPLY, self.compiled.bundle, "--force", "--only", "firewall", "--status",
                         support.scratch() / "verify.json"])
        done = self.verify(self.compiled.bundle, status=2).stdout
        self.assertIn("sysctl  1 absent\n  absent, ENOENT (not found): net/ipv4/no_such_key\n"
                      "the host is the policy, but for what is named\n", done)
        self.assertIsNone(json.loads(self.verify(self.compiled.bundle, "--format", "json", status=2).stdout)["holds"])

    def test_tables_of_others(self):
        self.apply()
        self.host.nft("table inet other { chain in { type filter hook input priority 5; tcp dport 22 drop; }; }")
        done = self.verify(self.compiled.bundle, status=0).stdout
        self.assertIn("chains of others on the same hooks\n  inet other in hook input priority 5", done)
        done = self.verify(self.compiled.bundle, "--scope", "host", status=1).stdout
        self.assertRegex(done, r"firewall  equal\n(.*\n)+    narrowed: input: accepted → dropped\n")
        self.assertTrue(done.endswith("the host differs from the policy: what tables of others do\n"), done)
        # The same question, asked of two sources.
        for scope, status in (("own", 0), ("host", 1)):
            done = self.host.run([support.LOCKDOWN, "diff", self.compiled.bundle, "live", "--scope", scope], check=False)
            self.assertEqual(done.status, status, done)

    def test_bad_input(self):
        bad = support.scratch() / "verify-bad.cos"
        bad.write_text(POLICY.replace("tcp 22", "tcp sshd"))
        self.assertIn("firewall/unknown-service", self.verify(bad, status=1).stderr)
        self.verify(support.scratch() / "absent.bundle", status=3)
        self.assertIn("closed firewall alone", self.verify(self.compiled.bundle.parent / "closed.bundle", status=1).stderr)
        damaged = support.scratch() / "damaged.bundle"
        damaged.write_bytes(self.compiled.bundle.read_bytes()[:-1])
        self.assertIn("refused as a bundle", self.verify(damaged, status=1).stderr)
        self.verify(self.compiled.bundle, "--only", "firewall,modules", status=64)
        self.verify(self.compiled.bundle, "--only", "sysctl", "--scope", "host", status=64)

    def test_what_the_applier_cannot_do(self):
        """Its own words say why."""
        other = support.scratch() / "verify-newer.cos"
        other.write_text(POLICY.replace('"6.1"', '"99.1"'))
        self.assertIn("lockdown-apply: refused", self.verify(other, status=3).stderr)
