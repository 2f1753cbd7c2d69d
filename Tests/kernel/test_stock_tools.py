"""The files for hosts without our applier: the stock tool for each reads it and understands it as we meant it."""

import glob
import json
import pathlib
import re

import yaml

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"


def lines(text):
    """The lines of a configuration file that say something."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


class StockTools(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.policies = [(path, support.compile_policy(path)) for path in support.policies()]

    def test_nft(self):
        """`nft -c -f` takes every text."""
        namespace = self.namespace()
        for path, policy in self.policies:
            with self.subTest(policy=support.name_of(path)):
                namespace.run(["nft", "-c", "-f", policy.directory / "nftables.nft"])
        support.note("%d texts" % len(self.policies))

    def test_sysctl(self):
        """`sysctl -p` reads every line as we meant it, sets every network key, and the kernel then says the same."""
        checked = read = 0
        for path, policy in self.policies:
            with self.subTest(policy=support.name_of(path)):
                settings = [re.split(r"\s*=\s*", line, maxsplit=1)
                            for line in lines(policy.text("sysctl.conf"))]
                namespace = self.namespace()
                namespace.ip("link add name eth0 type bridge\nlink add name wan0 type bridge")
                # Keys that this kernel has not, or not in a network namespace, are nobody's fault.
                wanted = {}
                # The more specific key wins.
                for key, value in sorted(settings, key=lambda setting: "*" not in setting[0]):
                    for known in self.expand(namespace, key):
                        wanted[known] = value
                dry = namespace.run(["sysctl", "--dry-run", "-p", policy.directory / "sysctl.conf"], check=False)
                self.assertNotIn("invalid syntax", dry.stderr)
                printed = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in lines(dry.stdout))
                self.assertEqual(printed, wanted)
                read += len(printed)
                part = support.scratch() / "network.conf"
                part.write_text("".join("%s = %s\n" % (key, value) for key, value in settings
                                        if key.lstrip("-").startswith("net.") and self.expand(namespace, key)))
                done = namespace.run(["sysctl", "-p", part])
                self.assertEqual(done.stderr, "")
                for key, value in wanted.items():
                    if key.startswith("net."):
                        self.assertEqual(namespace.sysctl(key).split(), value.split(), key)
                        checked += 1
                namespace.close()
        self.assertGreater(checked, 10)
        support.note("%d keys read, %d set and read back" % (read, checked))

    def test_sysctl_order(self):
        """Line by line, from the kernel's values and from their opposites: no line undoes what another has set."""
        policy = support.compile_policy(support.REPOSITORY / "Tests/CompilerTests/Cases/sysctls/policy.cos")
        settings = [re.split(r"\s*=\s*", line, maxsplit=1) for line in lines(policy.text("sysctl.conf"))]
        for before in (0, 1):
            namespace = self.namespace()
            namespace.ip("link add name eth0 type bridge\nlink add name a0 type bridge")
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.disable_ipv6"):
                namespace.run(["sysctl", "-w", "%s=%d" % (key, before)])
            wanted = {}
            for key, value in sorted(settings, key=lambda setting: "*" not in setting[0]):
                for known in self.expand(namespace, key):
                    wanted[known] = value
            wanted["net.ipv4.conf.all.forwarding"] = wanted["net.ipv4.ip_forward"]
            # `neigh.default` is of the first namespace alone.
            namespace.run(["sysctl", "-p", policy.directory / "sysctl.conf"], check=False)
            for key, value in wanted.items():
                self.assertEqual(namespace.sysctl(key), value, (before, key))
            self.assertEqual(wanted["net.ipv4.conf.eth0.forwarding"], "0")
            self.assertEqual(wanted["net.ipv6.conf.a0.disable_ipv6"], "0")
            self.assertEqual(wanted["net.ipv6.conf.default.forwarding"], "0")
            namespace.close()

    @staticmethod
    def expand(namespace, key):
        """The keys that a name with `*` stands for, of those the namespace has."""
        with namespace:
            paths = glob.glob("/proc/sys/" + key.lstrip("-").replace(".", "\0").replace("/", ".").replace("\0", "/"))
        return [path.removeprefix("/proc/sys/").replace(".", "\0").replace("/", ".").replace("\0", "/")
                for path in sorted(paths)]

    def test_modprobe(self):
        """kmod's own reading of the file has each directive, and complains about none."""
        directives = 0
        for path, policy in self.policies:
            file = policy.directory / "modprobe.conf"
            if not file.exists():
                continue
            with self.subTest(policy=support.name_of(path)):
                shown = support.run(["modprobe", "--showconfig", "-C", file])
                self.assertEqual(shown.stderr, "")
                # kmod prints names with `_`.
                known = {self.plain(line) for line in lines(shown.stdout)}
                for line in lines(file.read_text()):
                    self.assertIn(self.plain(line), known)
                    directives += 1
        self.assertGreater(directives, 5)
        support.note("%d directives" % directives)

    @staticmethod
    def plain(line):
        word, name, *rest = line.split(None, 2)
        return " ".join([word, name.replace("-", "_"), *rest])

    def test_fstab(self):
        """util-linux reads every line of the file, and mounts by it: the flags are then those of the file."""
        entries = 0
        for path, policy in self.policies:
            file = policy.directory / "mounts.fstab"
            if not file.exists():
                continue
            # fstab has a blank in a path as `\\040`, findmnt's raw form as `\\x20`.
            wanted = [line.replace("\\040", "\\x20").split() for line in lines(file.read_text())]
            with self.subTest(policy=support.name_of(path)):
                if not wanted:
                    continue
                shown = support.run(["findmnt", "--tab-file", file, "--raw", "--noheadings",
                                     "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"])
                self.assertEqual([line.split() for line in shown.stdout.splitlines()], [line[:4] for line in wanted])
                verified = support.run(["findmnt", "--verify", "--tab-file", file], check=False)
                self.assertRegex(verified.stdout + verified.stderr, r"0 parse errors|Success")
                # -f: everything but the system call. -T: this table.
                support.run(["mount", "-f", "-a", "-T", file])
                entries += len(wanted)
        self.assertGreater(entries, 2)
        support.note("%d entries" % entries)

    def test_fstab_is_mounted(self):
        """What mount(8) makes of the file: exactly the flags named, also on a path with a blank."""
        policy = support.compile_policy("""policy: mounted
language: 1
target: { kernel: "6.1" }
mounts:
  /mnt/one: { flags: [nosuid, noexec], options: [size=1m] }
  "/mnt/one two": { bind: self, flags: [nodev, exec] }
""")
        script = """mount --make-rprivate / && mount -t tmpfs none /mnt && mkdir /mnt/one '/mnt/one two' &&
            mount -t tmpfs -o noatime none /mnt/one && mount -a -T "$0" && cat /proc/self/mountinfo"""
        shown = support.run(["unshare", "-m", "sh", "-c", script, policy.directory / "mounts.fstab"]).stdout
        options = {line.split()[4]: (line.split()[5], line.split()[-1]) for line in shown.splitlines()}
        self.assertEqual(options["/mnt/one"], ("rw,nosuid,noexec,noatime", "rw,size=1024k"))
        self.assertEqual(options["/mnt/one\\040two"][0], "rw,nodev,relatime")

    @staticmethod
    def exports(name):
        return ("int %s_call(void) { return 1; } const int __ksymtab_%s_call = 1; const char n[] "
                "__attribute__((section(\"__ksymtab_strings\"), used)) = \"%s_call\";" % (name, name, name))

    @staticmethod
    def needs(name):
        return "int %s_call(void); int call(void) { return %s_call(); }" % (name, name)

    @staticmethod
    def tree(sources):
        """A folder of modules for kernel 9.9, which no kernel loads: each with its name and an alias."""
        root = pathlib.Path(support.run(["mktemp", "-d", "-p", support.scratch()]).stdout.strip())
        tree = root / "lib" / "modules" / "9.9"
        (tree / "kernel").mkdir(parents=True)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            (tree / name).touch()
        code = "#define INFO(n, text) static const char n[] __attribute__((section(\".modinfo\"), used)) = text;\n"
        for name, body in sources.items():
            text = code + 'INFO(a, "name=%s") INFO(b, "alias=test:%s")\n%s\n' % (name, name, body)
            support.run(["gcc", "-c", "-x", "c", "-o", tree / "kernel" / (name + ".ko"), "-"], input=text)
        support.run(["depmod", "-b", root, "9.9"])
        return root

    def test_modprobe_allows_what_is_listed(self):
        """`default: deny`: modprobe loads what is allowed, by name and by pattern, if all it needs is allowed too."""
        policy = support.compile_policy(
            'policy: modules\nlanguage: 1\ntarget: { kernel: "6.1" }\nmodules:\n  default: deny\n'
            '  allow: [ext4, "virtio*"]\n  require: [jbd2]\n  deny: [virtio_bad]\n')
        root = self.tree({
            "ext4": self.needs("jbd2"), "jbd2": self.exports("jbd2"), "virtio_net": "", "virtio_bad": "",
            "virtio_crypto": self.needs("crypto"), "crypto": self.exports("crypto"), "sctp": "", "ext44": ""})

        def commands(name):
            shown = support.run(["modprobe", "-C", policy.directory / "modprobe.conf", "-d", root, "-S", "9.9",
                                 "--dry-run", "--verbose", name], check=False).stdout
            return [line.strip() for line in shown.splitlines()]
        load = "install /sbin/modprobe --ignore-install $MODPROBE_MODULE $CMDLINE_OPTS"
        refuse = "install /bin/false"
        for name in ("jbd2", "virtio_net", "virtio-net", "test:virtio_net"):
            self.assertEqual(commands(name), [load], name)
        self.assertEqual(commands("ext4"), [load, load])
        for name in ("sctp", "ext44", "virtio_bad", "test:sctp", "crypto"):
            self.assertEqual(commands(name), [refuse], name)
        # What it needs is not listed, and so it does not load.
        self.assertEqual(commands("virtio_crypto"), [refuse, load])

    def test_modprobe_obeys(self):
        """modprobe runs `false` for each denied module, by name and by pattern, and also as a dependency."""
        policy = support.compile_policy(
            'policy: modules\nlanguage: 1\ntarget: { kernel: "6.1" }\nmodules:\n  deny: [usb-storage, "can*"]\n')
        root = self.tree(
            {"usb_storage": "", "fine": "", "can_raw": self.exports("can_raw"), "needs_can": self.needs("can_raw")})

        def shown(name):
            return support.run(["modprobe", "-C", policy.directory / "modprobe.conf", "-d", root, "-S", "9.9",
                                "--dry-run", "--verbose", name], check=False).stdout
        for name in ("usb_storage", "usb-storage", "can_raw", "can-raw", "needs_can", "test:can_raw"):
            self.assertIn("install /bin/false", shown(name), name)
        # The blacklist: an alias of a denied name leads nowhere.
        self.assertNotIn("insmod", shown("test:usb_storage"))
        self.assertIn("insmod", shown("fine"))

    def test_command_line(self):
        """The kernel's own limits: one line, printable ASCII, at most 2,048 bytes."""
        for path, policy in self.policies:
            file = policy.directory / "cmdline.txt"
            if not file.exists():
                continue
            with self.subTest(policy=support.name_of(path)):
                text = file.read_text()
                self.assertEqual(text.count("\n"), 1)
                self.assertLessEqual(len(text), 2048)
                self.assertRegex(text, r"\A[ -~]*\n\Z")


class Schemas(support.KernelTestCase):
    """A JSON Schema validator agrees with the compiler, on policies and on what they are compiled to."""

    def validator(self, name):
        import jsonschema
        schema = json.loads((support.REPOSITORY / "schema" / name).read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    def assert_valid(self, validator, value):
        errors = sorted(validator.iter_errors(value), key=lambda error: list(error.absolute_path))
        self.assertEqual([(list(error.absolute_path), error.message[:300]) for error in errors], [])

    def test_policies(self):
        validator = self.validator("policy.schema.json")
        for path in support.policies():
            with self.subTest(policy=support.name_of(path)):
                self.assert_valid(validator, yaml.load(path.read_text(), yaml.BaseLoader))

    def test_not_everything_is_a_policy(self):
        """The schema refuses what no policy can be: an unknown key, a wrong kind, a missing one."""
        validator = self.validator("policy.schema.json")
        good = yaml.load(COS.read_text(), yaml.BaseLoader)
        for change in ({"firewal": {}}, {"language": "2"}, {"firewall": []}, {"sysctl": "none"},
                       {"modules": {"default": "maybe"}}, {"policy": "Not A Name"}):
            with self.subTest(change=change):
                self.assertFalse(validator.is_valid({**good, **change}))
        for key in ("policy", "language"):
            with self.subTest(missing=key):
                self.assertFalse(validator.is_valid({name: value for name, value in good.items() if name != key}))

    def test_compiled(self):
        validator = self.validator("compiled.schema.json")
        for path in support.policies():
            with self.subTest(policy=support.name_of(path)):
                compiled = json.loads(support.compile_policy(path).text("policy.json"))
                self.assert_valid(validator, compiled)
                self.assertFalse(validator.is_valid({**compiled, "digest": "none"}))
                self.assertFalse(validator.is_valid({**compiled, "surprise": 1}))
                json.loads(support.compile_policy(path).text("policy.map.json"))
