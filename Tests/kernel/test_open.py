"""`lockdown open`: everything passes for a time, and the kernel alone ends it; what looks at the host says so."""

import datetime
import json
import os
import re
import time

import nftables
import support
import test_try
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_failures import FailureTestCase
from test_try import command, NEW, OLD, TryTestCase

# What a chain refuses that lets all others in is no closing, and stays.
REFUSING = OLD.replace("firewall:\n", "firewall:\n  prerouting: { policy: accept, rules: ['drop udp 1500'] }\n")
FOREIGN = "table inet other {\n chain input {\n type filter hook input priority 10\n udp dport 1001 drop\n }\n}\n"


class OpenTestCase(TryTestCase):
    def open(self, seconds, status=0, said=()):
        return self.run_in(command("--open", str(seconds)), status, *said)

    def check(self, status, text=OLD):
        done = self.apply(text, "--check", status=status)
        return done.stderr, json.loads((support.scratch() / "try.json").read_text())["firewall"]


class Opening(OpenTestCase):
    def test_over_a_policy(self):
        self.apply(OLD)
        before = nftables.everything(self.host, nftables.INET_LOCKDOWN)
        self.ruled_by("old")
        self.open(3, said=["everything passes this firewall for another 3 s"])
        self.ruled_by("nobody")
        waited = self.wait_for("old", 10)
        support.note("closed again after %.1f s" % waited)
        self.assertGreater(waited, 1)
        # Nobody has taken away what is left: it says nothing.
        said, firewall = self.check(1)
        self.assertIn("what an opening has left is there", said)
        self.assertNotIn("everything passes", said)
        self.assertEqual((firewall["difference-count"], firewall["drift"]), (0, False))
        self.assertNotIn("open-for", firewall)
        self.apply(OLD, said=["firewall: replaced"])
        self.assertEqual(nftables.everything(self.host, nftables.INET_LOCKDOWN), before)
        self.apply(OLD, said=["firewall: unchanged"])

    def test_over_a_closed_host(self):
        self.run_in(command(support.compile_policy(OLD).bundle, "--stage", "closed"))
        self.ruled_by("closed")
        self.open(60)
        self.ruled_by("nobody")
        # The stage stands, and does nothing.
        self.run_in(command(support.compile_policy(OLD).bundle, "--stage", "closed"), 0, "for another")
        self.ruled_by("nobody")
        # The policy takes its place, and with it the opening.
        self.apply(OLD, said=["everything passes this firewall for another", "firewall: applied"])
        self.ruled_by("old")

    def test_a_new_time(self):
        self.apply(OLD)
        self.open(3600)
        self.open(2)
        self.ruled_by("nobody")
        self.wait_for("old", 10)
        self.open(3600)
        self.ruled_by("nobody")

    def test_reverted(self):
        self.apply(OLD)
        before = nftables.everything(self.host, nftables.INET_LOCKDOWN)
        self.open(60)
        self.end("--revert", 0, ["open: reverted"])
        self.assertEqual(nftables.everything(self.host, nftables.INET_LOCKDOWN), before)
        self.end("--revert", 1, ["nothing is open"])

    def test_what_is_applied_ends_it(self):
        for text, ruler in ((OLD, "old"), (NEW, "new")):
            self.apply(OLD)
            self.open(60)
            self.apply(text, said=["everything passes this firewall for another", "until a policy is applied",
                                   "firewall: replaced"])
            self.ruled_by(ruler)
            self.apply(text, said=["firewall: unchanged"])
            self.assertNotIn("open", self.host.listing())

    def test_a_try_ends_it(self):
        self.apply(OLD)
        self.open(60)
        self.attempt(NEW, 3)
        self.ruled_by("new")
        self.wait_for("old", 10)
        self.ruled_by("old")

    def test_only_what_closes(self):
        """Chains that refuse single things stay, and so do the tables of others."""
        self.apply(REFUSING)
        self.host.run(["nft", "-f", "-"], input=FOREIGN)
        self.open(60)
        self.assertEqual(self.open_ports(), [2001, 3000])

    def test_late_leaves_it(self):
        self.apply(OLD)
        self.open(60)
        self.apply(OLD, "--stage", "late", said=["for another"])
        self.ruled_by("nobody")


class Seen(OpenTestCase):
    """Who looks is told what it is, and takes nothing else for it."""

    def test_check(self):
        self.apply(OLD)
        self.open(3600)
        said, firewall = self.check(1)
        self.assertRegex(said, r"everything passes this firewall for another (3600|3599) s")
        self.assertIn("firewall: different", said)
        self.assertNotRegex(said, "changed|not in the policy|missing|repaired")
        self.assertEqual((firewall["difference-count"], firewall["drift"]), (0, False))
        self.assertIn(firewall["open-for"], (3599, 3600))
        self.apply(OLD, "--stage", "seal", status=1, said=["for another", "the host differs"])

    def test_verify(self):
        """`lockdown verify` says until when."""
        self.apply(OLD)
        compiled = support.compile_policy(OLD)
        environment = {**os.environ, "PATH": "%s:%s" % (support.LOCKDOWN_APPLY.parent, os.environ["PATH"])}

        def verify(status, *options):
            return self.run_in([support.LOCKDOWN, "verify", compiled.bundle, *options], status, env=environment).stdout

        self.assertNotIn("open", verify(0))
        self.open(3600)
        said = verify(1)
        until = re.search(r"^  open until (\S+)Z: everything passes the chains that close$", said, re.M)[1]
        self.assertAlmostEqual(datetime.datetime.fromisoformat(until + "+00:00").timestamp(), time.time() + 3600, delta=5)
        self.assertRegex(said, r"the host differs from the policy: firewall; it is open until \S+Z\n\Z")
        self.assertRegex(json.loads(verify(1, "--format", "json"))["opening"], r"\Aopen until \S+Z\Z")

    def test_another_policy(self):
        self.apply(OLD)
        self.open(3600)
        said, firewall = self.check(1, NEW)
        self.assertIn("for another", said)
        self.assertIn("changed: rule", said)
        self.assertGreater(firewall["difference-count"], 0)

    def test_something_else_beside_it(self):
        """A rule that only has its comment, its set without an end, and drift."""
        for change, expected in (
                ('insert rule inet lockdown input udp dport 3000 accept comment "open"', "rule 1 of chain `input`"),
                ('add set inet lockdown both { type nf_proto; elements = { ipv4, ipv6 }; } ; '
                 'insert rule inet lockdown input meta nfproto @both accept comment "open"', "rule 1 of chain `input`"),
                ('insert rule inet lockdown input meta nfproto != @open accept comment "open"', "rule 1 of chain `input`"),
                ('insert rule inet lockdown input meta nfproto @open accept', "rule 1 of chain `input`"),
                ("add rule inet lockdown input udp dport 3000 accept", "of chain `input`"),
                ("add chain inet lockdown more", "chain `more`")):
            with self.subTest(change):
                self.apply(OLD)
                self.open(60)
                self.host.run(["nft", "-f", "-"], input=change.replace(" ; ", "\n"))
                said, firewall = self.check(1)
                self.assertIn(expected, said)
                self.assertGreater(firewall["difference-count"], 0)
        self.apply(OLD)
        self.open(60)
        self.host.run(["nft", "-f", "-"], input="flush set inet lockdown open\nadd element inet lockdown open { ipv6 timeout 0s }")
        said, firewall = self.check(1)
        self.assertIn("everything passes this firewall until a policy is applied", said)
        self.assertEqual(firewall["open-for"], -1)

    def test_live(self):
        """`query`, `explain` and `diff` of the live kernel: who fills a set decides, so that they cannot tell."""
        self.apply(OLD)
        compiled = support.compile_policy(OLD)
        packet = "input udp from 192.0.2.1 port 4000 to port 3000 in eth0"
        questions = {"query": ["live", "input accept udp 3000"], "explain": ["live", packet], "diff": [compiled.bundle, "live"]}

        def asked(name):
            return self.host.run([support.LOCKDOWN, name, *questions[name]], check=False)

        self.assertIn("none of the packets", asked("query").stdout)
        self.open(60)
        for name in questions:
            done = asked(name)
            self.assertEqual(done.status, 2, done)
            self.assertNotIn("none of the packets", done.stdout)
            self.assertIn("could not tell", done.stdout)


class Refused(FailureTestCase):
    """Rows of docs/apply.md."""

    def test_usage(self):
        bundle = support.compile_policy(OLD).bundle
        for options in (["--open", "1"], ["--open", "86401"], ["--open"], ["--open", "x"], ["--open", "60", bundle],
                        ["--open", "60", "--check"], ["--open", "60", "--try", "60"]):
            with self.subTest(options):
                self.run_in(command(*options), 64, "usage:")

    def test_nothing_closes(self):
        self.run_in(command("--open", "60"), 1, "no firewall of ours that closes anything")
        self.host.run(["nft", "-f", "-"], input=FOREIGN)
        before = self.host.listing()
        self.run_in(command("--open", "60"), 1, "no firewall of ours that closes anything")
        self.assertEqual(self.host.listing(), before)

    def test_a_try_is_pending(self):
        self.run_in(command(support.compile_policy(OLD).bundle), 0)
        self.run_in(command(support.compile_policy(NEW).bundle, "--try", "60"), 0)
        before = self.host.listing()
        self.run_in(command("--open", "60"), 75, "a policy is tried for another")
        self.assertEqual(re.sub("expires [0-9ms]+", "", self.host.listing()), re.sub("expires [0-9ms]+", "", before))

    def test_the_kernel_refuses(self):
        self.run_in(command(support.compile_policy(OLD).bundle), 0)
        before = self.held()
        number, _ = self.batch(command("--open", "60"))
        self.run_in(command("--revert"), 0)
        self.run_in(self.strace("sendmsg", "error=EPERM:when=%d" % number, command("--open", "60")), 1, "EPERM")
        self.assertEqual(self.held(), before)

    def test_no_privilege(self):
        self.run_in(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=0", *command("--open", "60")], 2,
                    "no privilege")


class Killed(test_try.Kills):
    """SIGKILL at the entry of its system calls: open or closed, and then the next run converges."""

    def test_killed_anywhere(self):
        old = support.compile_policy(OLD).bundle
        opening, revert = command("--open", "60"), command("--revert")

        def converge():
            with self.host:
                support.run(command(old))
                self.ruled_by("old")
                self.assertIn("firewall: unchanged", support.run(command(old)).stderr)

        fired = self.matrix([command(old)], opening, ("old", "nobody"), converge)
        fired += self.matrix([command(old), opening], revert, ("old", "nobody"), converge)
        fired += self.matrix([command(old, "--stage", "closed")], opening, ("closed", "nobody"), converge)
        support.note("%d kills" % fired)
        self.assertGreater(fired, 10)


class CommandLine(OpenTestCase):
    """When it ends, as people say it."""

    def until(self, text, status=0, zone="UTC"):
        environment = {**os.environ, "PATH": "%s:%s" % (support.LOCKDOWN_APPLY.parent, os.environ["PATH"]), "TZ": zone}
        return self.run_in([support.LOCKDOWN, "open", "--until", text], status, env=environment)

    def ends(self, text, zone="UTC"):
        """When the kernel ends it, and what was said, as seconds since 1970."""
        done = self.until(text, zone=zone)
        said = datetime.datetime.fromisoformat(re.fullmatch(r"open until (\S+)Z\n", done.stdout)[1] + "+00:00")
        sets = json.loads(self.host.run(["nft", "-j", "list", "set", "inet", "lockdown", "open"]).stdout)["nftables"]
        left = {element["elem"]["timeout"] for one in sets if "set" in one for element in one["set"]["elem"]}
        self.assertEqual(len(left), 1)
        self.assertAlmostEqual(time.time() + left.pop(), said.timestamp(), delta=3)
        return said.timestamp()

    def test_durations(self):
        self.apply(OLD)
        for text, seconds in (("2h", 7200), ("90s", 90), ("1h30m", 5400), ("24h", 86400), ("1d", 86400)):
            self.assertAlmostEqual(self.ends(text), time.time() + seconds, delta=3)

    def test_times(self):
        self.apply(OLD)
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        for hours, zone in ((2, "Z"), (20, "Z"), (3, "+05:30"), (1, "-08:00")):
            then = now + datetime.timedelta(hours=hours)
            offset = datetime.timedelta(0)
            if zone != "Z":
                offset = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (1 if zone[0] == "+" else -1)
            self.assertEqual(self.ends((then + offset).strftime("%Y-%m-%dT%H:%M:%S") + zone), then.timestamp())

    def test_clock_times(self):
        """The next one in the host's time zone, be it tomorrow's."""
        self.apply(OLD)
        for zone, hours in (("UTC", 0), ("XST-5:30", 5.5), ("WST+8", -8)):
            for ahead in (2, 23):
                then = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=ahead)).replace(
                    second=0, microsecond=0)
                local = then + datetime.timedelta(hours=hours)
                self.assertEqual(self.ends(local.strftime("%H:%M"), zone), then.timestamp())

    def test_what_is_no_time(self):
        for text in ("", "soon", "25h", "1s", "24:00", "12:60", "2d", "2026-02-30T00:00:00Z", "2020-01-01T00:00:00Z",
                     "2030-01-01T00:00:00Z", "2026-11-26 18:00:00Z", "2026-11-26T18:00Z", "2h ", "-2h", "1:30",
                     "2026-11-26T18:00:00", "9223372036854775807s"):
            with self.subTest(text):
                self.assertIn("--until", self.until(text, 64).stderr)

    def test_refused(self):
        done = self.until("2h", 1)
        self.assertEqual(done.stdout, "")
        self.assertIn("no firewall of ours", done.stderr)


if __name__ == "__main__":
    support.unittest.main()
