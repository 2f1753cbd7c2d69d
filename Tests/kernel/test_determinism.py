"""The same policy gives the same bytes: in any directory, time zone, locale, order of environment, umask."""

import os
import shutil
import subprocess

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)


class Determinism(support.KernelTestCase):
    PLACES = (
        ("a", {"TZ": "UTC", "LANG": "C", "LC_ALL": "C"}, 0o022),
        ("b/deeper/with space", {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8",
                                 "HOME": "/nonexistent", "HOSTNAME": "elsewhere", "SOURCE_DATE_EPOCH": "1"}, 0o077),
        ("ç", {"TZ": "America/St_Johns", "LANG": "de_DE.UTF-8", "NO_COLOR": "1", "SWIFT_DETERMINISTIC_HASHING": "1",
               "TERM": "xterm-256color"}, 0o000),
    )

    def compile_in(self, place, environment, umask, source):
        directory = support.scratch() / "determinism" / support.name_of(source) / place
        directory.mkdir(parents=True)
        if source.name == "policy.cos":
            # A case's folder holds the files that its policy names.
            shutil.copytree(source.parent, directory, dirs_exist_ok=True)
        else:
            shutil.copy(source, directory / "policy.cos")
        # Twice the same variables, once in the opposite order.
        variables = dict(sorted({"PATH": os.environ["PATH"], **environment}.items(), reverse=place != "a"))
        done = subprocess.run([support.LOCKDOWN, "compile", "policy.cos", "-o", "out"], cwd=directory, env=variables,
                              umask=umask, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        out = directory / "out"
        return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}

    def test_same_bytes_everywhere(self):
        compared = size = 0
        for source in support.policies():
            with self.subTest(policy=support.name_of(source)):
                first, *others = [self.compile_in(*place, source) for place in self.PLACES]
                self.assertIn("policy.bundle", first)
                self.assertIn("nftables.nft", first)
                for other in others:
                    self.assertEqual(sorted(first), sorted(other))
                    for name, content in first.items():
                        self.assertEqual(content, other[name], name)
                        compared += 1
                        size += len(content)
        support.note("%d files, %d bytes compared" % (compared, size))

    def test_moving_a_line_keeps_the_digest(self):
        """A comment or an empty line changes positions, and so the source map, and nothing else."""
        text = support.REPOSITORY.joinpath("policies", "cos.cos").read_text()
        plain, moved = support.compile_policy(text), support.compile_policy("# a comment\n\n" + text)
        self.assertEqual(plain.text("policy.json"), moved.text("policy.json"))
        self.assertEqual(plain.text("nftables.nft"), moved.text("nftables.nft"))
        self.assertNotEqual(plain.text("policy.map.json"), moved.text("policy.map.json"))
