"""`lockdown sign` and `--key`: the kernel verifies who has signed a bundle. openssl(1) makes the keys, and is the judge of
what was signed."""

import json
import os
import pathlib
import tempfile

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_bundle import CHECKSUM
from test_failures import NEW, OLD, FailureTestCase
import test_install
from test_install import STATE, sha256, slots

KEY = "etc/lockdown/key.x509"


def make_key(kind="rsa:3072", *options):
    """A private key and its certificate in DER, as paths."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="key-", dir=support.scratch()))
    folder.chmod(0o755)
    support.run(["openssl", "req", "-x509", "-newkey", kind, *options, "-nodes", "-days", "1", "-subj", "/CN=lockdown",
                 "-keyout", folder / "key.pem", "-outform", "DER", "-out", folder / "key.x509"])
    return folder / "key.pem", folder / "key.x509"


_keys = []


def keys():
    """Two of them, made once."""
    if not _keys:
        _keys.extend((make_key(), make_key()))
    return _keys


def signature(bundle):
    return bundle.with_name(bundle.name + ".sig")



class Signed(FailureTestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="signed-", dir=support.scratch()))
        folder.chmod(0o755)
        self.bundle = folder / "policy.bundle"
        self.bundle.write_bytes(support.compile_policy(NEW).bundle.read_bytes())
        (self.private, self.certificate), (self.other, self.others) = keys()

    def sign(self, *options, key=None, status=0):
        done = support.run([support.LOCKDOWN, "sign", "--key", key or self.private, *options, self.bundle], check=False)
        self.assertEqual(done.status, status, done)
        return done

    def run_signed(self, status, *said, certificate=None):
        return self.run_in([support.LOCKDOWN_APPLY, self.bundle, "--only", "firewall", "--key", certificate or self.certificate,
                            "--status", support.scratch() / "signed.json"], status, *said)

    def refused(self, *said, **options):
        done = self.run_signed(1, "refused: ", *said, **options)
        self.assertEqual(self.host.listing(), "", done)

    def test_good(self):
        self.assertIn("policy new is signed", self.sign("--certificate", self.certificate).stdout)
        self.run_signed(0, "signed by --key", "firewall: applied")
        # With a passphrase the key is openssl's business as well.
        locked = support.scratch() / "locked.pem"
        support.run(["openssl", "rsa", "-aes128", "-passout", "pass:open", "-in", self.private, "-out", locked])
        before = signature(self.bundle).read_bytes()
        done = support.run(["setsid", support.LOCKDOWN, "sign", "--key", locked, self.bundle], check=False)
        self.assertEqual(done.status, 1, done)
        self.assertIn("openssl could not sign", done.stderr)
        self.assertEqual(signature(self.bundle).read_bytes(), before)

    def test_what_is_signed(self):
        """As docs/bundle-format.md says: openssl verifies it with the public key."""
        self.sign()
        message = support.scratch() / "message"
        message.write_bytes(b"lockdown bundle 1\0" + self.bundle.read_bytes()[CHECKSUM:CHECKSUM + 32])
        public = support.scratch() / "public.pem"
        support.run(["openssl", "rsa", "-in", self.private, "-pubout", "-out", public])
        support.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature(self.bundle), message])
        # And what openssl signs the applier takes.
        support.run(["openssl", "dgst", "-sha256", "-sign", self.private, "-out", signature(self.bundle), message])
        self.run_signed(0, "firewall: applied")

    def test_by_another_key(self):
        self.sign(key=self.other)
        # EKEYREJECTED, or EINVAL where it is no number below the other key's.
        self.refused("not signed by --key: E")
        shown = json.loads(self.sign("--certificate", self.certificate, "--format", "json").stdout)
        self.assertEqual(shown["signature"], str(signature(self.bundle)))
        self.sign("--certificate", self.others, status=1)
        self.run_signed(0)

    def test_of_another_bundle(self):
        self.sign()
        self.bundle.write_bytes(support.compile_policy(OLD).bundle.read_bytes())
        self.refused("not signed by --key: EKEYREJECTED")

    def test_damaged(self):
        self.sign()
        whole = signature(self.bundle).read_bytes()
        for damaged in (b"", whole[:-1], whole + b"\0", bytes(len(whole)), b"\xff" * len(whole), whole[1:] + whole[:1]):
            with self.subTest(damaged[:8]):
                signature(self.bundle).write_bytes(damaged)
                self.refused("not signed by --key: ")
        for place in range(0, len(whole), 16):
            changed = bytearray(whole)
            changed[place] ^= 1
            signature(self.bundle).write_bytes(changed)
            self.refused("not signed by --key: ")

    def test_missing(self):
        self.refused(str(signature(self.bundle)) + ": it cannot be opened: ENOENT")
        self.sign()
        self.refused("/nothing: it cannot be opened: ENOENT", certificate="/nothing")

    def test_owners(self):
        """Key and signature are root's alone, as the bundle."""
        self.sign()
        for path in (signature(self.bundle), self.certificate):
            path.chmod(0o664)
            self.refused(str(path) + ": others than root can write it")
            path.chmod(0o644)

    def test_no_certificate(self):
        """Text, another encoding, or a key that this kernel does not verify with."""
        self.sign()
        path = support.scratch() / "no.x509"
        path.write_bytes(b"no certificate")
        self.refused("--key holds no key for this kernel: EBADMSG", certificate=path)
        support.run(["openssl", "x509", "-inform", "DER", "-in", self.certificate, "-out", path])
        self.refused("--key holds no key for this kernel: EBADMSG", certificate=path)

    def test_refused_by_the_kernel(self):
        """No keys in this kernel, or none for this process."""
        self.sign()
        for name in ("ENOSYS", "EPERM", "ENOPKG", "EDQUOT"):
            for call in ("add_key", "keyctl"):
                with self.subTest(call=call, error=name):
                    done = self.run_in(self.strace(call, "error=" + name, [
                        support.LOCKDOWN_APPLY, self.bundle, "--only", "firewall", "--key", self.certificate]), 1, "refused: ")
                    self.assertIn(name if name != "EDQUOT" else "an error", done.stderr)
                    self.assertEqual(self.host.listing(), "")

    def test_keys_that_sign_nothing_kernels_take(self):
        small, _ = make_key("rsa:1024")
        curve, _ = make_key("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        edwards, _ = make_key("ed25519")
        for key, said in ((small, "is no RSA key of 2048 to 4096 bits"), (curve, "is no RSA key of 2048 to 4096 bits"),
                          (edwards, "openssl could not sign"), (self.bundle, "openssl could not sign")):
            with self.subTest(said):
                self.assertIn(said, self.sign(key=key, status=1).stderr)
                self.assertFalse(signature(self.bundle).exists())

    def test_without_openssl(self):
        done = support.run([support.LOCKDOWN, "sign", "--key", self.private, self.bundle], check=False,
                           env={**os.environ, "PATH": "/nowhere"})
        self.assertEqual(done.status, 3, done)
        self.assertIn("cannot run `openssl`", done.stderr)


class Installed(test_install.Slots):
    """With `install --key` a host boots with signed bundles only."""

    def setUp(self):
        (self.private, self.certificate), (self.other, _) = keys()
        super().setUp()

    def install(self, source, status=0, key=None, **options):
        bundle = support.compile_policy(source).bundle
        support.run([support.LOCKDOWN, "sign", "--key", key or self.private, bundle])
        return self.call("install", "--root", self.root, "--applier", support.LOCKDOWN_APPLY, "--key", self.certificate,
                         bundle, status=status, **options)

    def stage(self, text, *options, **more):
        bundle = support.compile_policy(text).bundle
        support.run([support.LOCKDOWN, "sign", "--key", self.private, bundle])
        return self.call("stage", "--root", self.root, *options, bundle, **more)

    def bundles(self):
        found = {path.name for path in (self.root / STATE / "bundles").iterdir()}
        names = {name.removesuffix(".bundle") for name in found if name.endswith(".bundle")}
        self.assertEqual(found, {name + end for name in names for end in (".bundle", ".bundle.sig", ".closed")})
        return names

    def boot(self, namespace, *options, **more):
        return super().boot(namespace, "--key", self.root / KEY, *options, **more)

    def test_units(self):
        self.assertEqual((self.root / KEY).read_bytes(), self.certificate.read_bytes())
        for name in ("lockdown", "lockdown-closed", "lockdown-late", "lockdown-seal"):
            unit = (self.root / "etc/systemd/system" / (name + ".service")).read_text()
            start, = (line for line in unit.splitlines() if line.startswith("ExecStart="))
            self.assertTrue(start.endswith(" --key /" + KEY), start)

    def test_refused(self):
        bundle = support.compile_policy(NEW).bundle
        support.run([support.LOCKDOWN, "sign", "--key", self.other, bundle])
        before = slots(self.root)
        for command in (("stage", "--root", self.root), ("install", "--root", self.root, "--applier", support.LOCKDOWN_APPLY,
                                                         "--key", self.certificate)):
            self.assertIn("the signature is not by the key", self.call(*command, bundle, status=1).stderr)
            self.assertEqual(slots(self.root), before)
        signature(bundle).unlink()
        self.assertIn(".sig", self.call("stage", "--root", self.root, bundle, status=3).stderr)
        self.assertEqual(slots(self.root), before)

    def test_a_slot_that_was_changed(self):
        """Whoever can write the disk, and has no key: the slot before it stays live."""
        host = self.namespace()
        self.stage(NEW)
        folder = self.root / STATE / "bundles"
        forged = support.compile_policy(OLD).bundle.read_bytes()
        (folder / (sha256(support.compile_policy(NEW).bundle) + ".bundle")).write_bytes(forged)
        done = self.boot(host, boot=1, check=4)
        self.assertIn("not signed by --key", done.stderr)
        self.assertEqual(self.loaded(host), "first")

    def test_the_closed_stage(self):
        host = self.namespace()
        self.boot(host, "--stage", "closed", check=0)
        self.assertIn("lockdown-closed", host.listing())
        for path in (self.root / STATE / "bundles").glob("*.sig"):
            path.write_bytes(bytes(384))
        host = self.namespace()
        self.assertIn("not signed by --key", self.boot(host, "--stage", "closed", check=1).stderr)

    def test_without_key_again(self):
        bundle = support.compile_policy(NEW).directory
        self.call("install", "--root", self.root, "--applier", support.LOCKDOWN_APPLY, bundle)
        self.assertFalse((self.root / KEY).exists())
        self.assertNotIn("--key", (self.root / "etc/systemd/system/lockdown.service").read_text())


