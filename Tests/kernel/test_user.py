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
        for file in (support.LOCKDOWN, support.LOCKDOWN_APPLY, COS):
            shutil.copy(file, self.directory / file.name)
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
        self.user("./" + support.LOCKDOWN.name, "compile", COS.name, "-o", "out")
        digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"].removeprefix("sha256:")
        applied = self.user(
            "unshare", "-Urnm", "sh", "-c",
            "./%s out/policy.bundle --only firewall --status status.json >&2 && nft list ruleset"
            % support.LOCKDOWN_APPLY.name)
        self.assertIn(digest, applied.stdout)
        self.assertIn("chain input", applied.stdout)
        expected = self.namespace()
        support.compile_policy(COS).apply(expected)
        self.assertEqual(
            self.user("unshare", "-Urnm", "sh", "-c",
                      "./%s out/policy.bundle --only firewall >&2 && nft -s list ruleset"
                      % support.LOCKDOWN_APPLY.name).stdout,
            expected.listing())

    def test_sandbox(self):
        """`lockdown sandbox` applies what is namespaced and runs a command there."""
        self.require_user_namespaces()
        self.user("./" + support.LOCKDOWN.name, "compile", COS.name, "-o", "out")
        digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"].removeprefix("sha256:")
        seen = self.user("./" + support.LOCKDOWN.name, "sandbox", "out/policy.bundle", "--",
                         "nft", "list", "counters")
        self.assertIn(digest, seen.stdout)

    def test_without_privilege(self):
        """Outside a namespace of their own, a user is told what is missing, and nothing happens."""
        self.user("./" + support.LOCKDOWN.name, "compile", COS.name, "-o", "out")
        outcome = self.user("./" + support.LOCKDOWN_APPLY.name, "out/policy.bundle", "--only", "firewall", check=False)
        self.assertEqual(outcome.status, 2, str(outcome))
        self.assertNotEqual(outcome.stderr.strip(), "")
