"""A machine's inputs: what is missing, or another file than the pinned one, is a failure."""

import json
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import initramfs
import inputs
from machine import setUpModule  # noqa: F401 (unittest finds it here)


class Pins(unittest.TestCase):
    def setUp(self):
        self.cache = pathlib.Path(tempfile.mkdtemp(prefix="lockdown-vm-"))
        self.addCleanup(shutil.rmtree, self.cache)
        patched = mock.patch.object(inputs, "CACHE", self.cache)
        patched.start()
        self.addCleanup(patched.stop)
        self.pin = next(pin for pin in inputs.pins() if pin["package"] == "netbase")

    def test_each_is_pinned(self):
        for pin in inputs.pins(("inputs", "systemd", "initramfs", "login")):
            self.assertEqual(set(pin), {"package", "version", "architecture", "sha256"})
            self.assertRegex(pin["sha256"], r"\A[0-9a-f]{64}\Z")

    def test_fetched_once(self):
        with inputs.Locked():
            path = inputs.fetch(self.pin)
            with mock.patch.object(inputs.subprocess, "run", side_effect=AssertionError("fetched again")):
                self.assertEqual(inputs.fetch(self.pin), path)

    def test_another_hash(self):
        with inputs.Locked(), self.assertRaisesRegex(inputs.MissingInput, "has the SHA-256"):
            inputs.fetch({**self.pin, "sha256": "0" * 64})

    def test_no_such_version(self):
        with inputs.Locked(), self.assertRaisesRegex(inputs.MissingInput, "apt-get download netbase:all=0.0"):
            inputs.fetch({**self.pin, "version": "0.0", "sha256": "0" * 64})

    def test_a_damaged_cache(self):
        with inputs.Locked():
            path = inputs.fetch(self.pin)
            path.write_bytes(path.read_bytes()[:-1])
            with self.assertRaisesRegex(inputs.MissingInput, "is not what its name says"):
                inputs.fetch(self.pin)

    def test_no_machine_without_them(self):
        pins = json.dumps([{**self.pin, "version": "0.0", "sha256": "0" * 64}])
        with mock.patch.object(inputs, "pins", lambda lists: json.loads(pins)), self.assertRaises(inputs.MissingInput):
            initramfs.Base()
        self.assertEqual([path.name for path in self.cache.iterdir() if path.name.startswith("build-")], [])
