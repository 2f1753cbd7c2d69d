"""What the virtual machines are made of: Debian packages, pinned by version and SHA-256 in inputs.json and systemd.json.

They are fetched once through apt and kept in a cache. What cannot be fetched, or has another hash, is a failure.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("LOCKDOWN_VM_CACHE", HERE.parents[1] / ".build" / "vm")).resolve()


class MissingInput(AssertionError):
    """A package that a machine is made of is neither in the cache nor to be had."""


def pins(lists=("inputs",)):
    """The packages of one or more lists."""
    return [pin for name in lists for pin in json.loads((HERE / (name + ".json")).read_text())]


def key(lists):
    """Names the whole set of inputs, and how they are put together."""
    digest = hashlib.sha256()
    for name in [name + ".json" for name in lists] + ["inputs.py", "initramfs.py"]:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:16]


class Locked:
    """The cache belongs to one process at a time while something is added to it."""

    def __enter__(self):
        CACHE.mkdir(parents=True, exist_ok=True)
        self.file = open(CACHE / "lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(file.read()).hexdigest()


def fetch(pin):
    """The path of one package's file; call it with the cache locked."""
    path = CACHE / "packages" / ("%s.deb" % pin["sha256"])
    if path.exists():
        if sha256(path) != pin["sha256"]:
            raise MissingInput("%s is not what its name says; remove it" % path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "%(package)s:%(architecture)s=%(version)s" % pin
    directory = tempfile.mkdtemp(prefix="fetch-", dir=path.parent)
    try:
        # As whoever runs the tests: apt's own user may not write here.
        done = subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", name], cwd=directory,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        files = list(pathlib.Path(directory).iterdir())
        if done.returncode != 0 or len(files) != 1:
            raise MissingInput("`apt-get download %s` failed, and %s is not there\n%s" % (name, path, done.stdout))
        found = sha256(files[0])
        if found != pin["sha256"]:
            raise MissingInput("%s has the SHA-256 %s, the pin says %s" % (name, found, pin["sha256"]))
        os.rename(files[0], path)
    finally:
        shutil.rmtree(directory)
    return path


def packages(lists):
    """All packages of the lists as [(pin, path)]; call it with the cache locked."""
    return [(pin, fetch(pin)) for pin in pins(lists)]
