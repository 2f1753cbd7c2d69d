"""docs/semantics.md names a test for every sentence: each of them is there."""

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
