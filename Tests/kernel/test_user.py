"""The main job as an ordinary user: compile, apply and read back inside user namespaces."""

import json
import os
import pathlib
import shutil
import tempfile

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"


class OrdinaryUser(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        # The user must reach the programs and own the output; a checkout below /root is closed to others.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-user-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.directory, True)
        for file, name in ((support.LOCKDOWN, "lockdown"), (support.LOCKDOWN_APPLY, "lockdown-apply"), (COS, COS.name)):
            shutil.copy(file, self.directory / name)
        shutil.chown(self.directory, "nobody", "nogroup")
        self.directory.chmod(0o755)

    def user(self, *arguments, check=True):
        """Runs a program as `nobody`, with no privilege and no home."""
        return support.run(
            ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--inh-caps=-all",
             "--no-new-privs", "env", "-i", "PATH=" + os.environ["PATH"],
             "HOME=/nonexistent", *arguments], check=check, cwd=self.directory)

    def require_user_namespaces(self):
        """The kernel may forbid them; then this host cannot show it, and says why."""
        probe = self.user("unshare", "-Urn", "true", check=False)
        if probe.status != 0:
            reason = "this kernel gives ordinary users no user namespace: %s" % probe.stderr.strip()
            if os.environ.get("LOCKDOWN_NO_USER_NAMESPACES"):
                self.skipTest(reason)
            self.fail(reason + " (set LOCKDOWN_NO_USER_NAMESPACES=1 where that is meant)")

    def test_main_job(self):
        self.require_user_namespaces()
        self.user("./lockdown", "compile", COS.name, "-o", "out")
        digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"].removeprefix("sha256:")
        applied = self.user(
            "unshare", "-Urnm", "sh", "-c",
            "./lockdown-apply out/policy.bundle --only firewall --status status.json >&2 && nft list ruleset")
        self.assertIn(digest, applied.stdout)
        self.assertIn("chain input", applied.stdout)
        expected = self.namespace()
        support.compile_policy(COS).apply(expected)
        self.assertEqual(
            self.user("unshare", "-Urnm", "sh", "-c",
                      "./lockdown-apply out/policy.bundle --only firewall >&2 && nft -s list ruleset").stdout,
            expected.listing())

    def test_sandbox(self):
        """`lockdown sandbox` applies what is namespaced and runs a command there."""
        self.require_user_namespaces()
        self.user("./lockdown", "compile", COS.name, "-o", "out")
        digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"].removeprefix("sha256:")
        seen = self.user("./lockdown", "sandbox", "out/policy.bundle", "--",
                         "nft", "list", "counters")
        self.assertIn(digest, seen.stdout)

    def test_without_privilege(self):
        """Outside a namespace of their own, a user is told what is missing, and nothing happens."""
        bundle = support.compile_policy(COS).bundle
        outcome = self.user("./lockdown-apply", bundle, "--only", "firewall", check=False)
        self.assertEqual(outcome.status, 2, str(outcome))
        self.assertRegex(outcome.stderr, "CAP_NET_ADMIN|root|privilege")

    def test_somebody_elses_bundle(self):
        """Root applies no bundle that an ordinary user could have changed."""
        self.user("./lockdown", "compile", COS.name, "-o", "out")
        host = self.namespace()
        outcome = support.apply(host, self.directory / "out" / "policy.bundle", check=False)
        self.assertEqual(outcome.status, 1, str(outcome))
        self.assertIn("refused", outcome.stderr)
        self.assertEqual(host.listing(), "")
