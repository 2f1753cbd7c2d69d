"""docs/semantics.md names a test for every sentence, docs/apply.md for every failure: each of them is there."""

import ast
import re
import unittest

import support

PAGE = support.REPOSITORY / "docs" / "semantics.md"


class Semantics(unittest.TestCase):
    def test_every_sentence_has_its_test(self):
        rows = [line.strip("| ").rsplit(" | ", 1) for line in PAGE.read_text().splitlines()
                if line.startswith("| ") and line != "| meaning | shown by |"]
        self.assertGreater(len(rows), 25)
        for meaning, shown in rows:
            with self.subTest(meaning=meaning[:60]):
                references = re.findall(r"`([^`]+)`", shown)
                self.assertTrue(references)
                for reference in references:
                    path, _, name = reference.partition(": ")
                    text = (support.REPOSITORY / path).read_text()
                    if name:
                        self.assertRegex(text, r"\b(func|def) %s\(" % name)


class Failures(unittest.TestCase):
    """The table of docs/apply.md: each row ends with its tests, as `FILE.CLASS.TEST` of Tests/kernel or Tests/vm."""

    def test_every_row_has_its_test(self):
        text = (support.REPOSITORY / "docs" / "apply.md").read_text()
        rows = text.split("| what fails |")[1].split("\n\n")[0].splitlines()[2:]
        self.assertGreater(len(rows), 45)
        known = set(self.known())
        for row in rows:
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            with self.subTest(cells[0]):
                self.assertEqual(len(cells), 5)
                self.assertRegex(cells[3], r"^(\d+( or \d+)?|as else|–|none)$")
                named = re.findall(r"`([^`]+)`", cells[4])
                self.assertTrue(named)
                self.assertEqual(set(named) - known, set())

    @staticmethod
    def known():
        for folder in ("kernel", "vm"):
            for path in (support.REPOSITORY / "Tests" / folder).glob("test_*.py"):
                for kind in ast.parse(path.read_text()).body:
                    if isinstance(kind, ast.ClassDef):
                        for method in kind.body:
                            if isinstance(method, ast.FunctionDef) and method.name.startswith("test"):
                                yield "%s.%s.%s" % (path.stem, kind.name, method.name)
