"""The command line: exit codes, outputs, the output directory, the sandbox and its probe."""

import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import tempfile
import urllib.parse

import jsonschema

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"
HELP = support.REPOSITORY / "docs" / "help"
COMMANDS = ("", "compile", "check", "diff", "refines", "audit", "test", "query", "explain", "fmt", "apply", "inspect", "sandbox",
            "digest", "schema", "sign", "verify", "install", "uninstall", "stage", "rollback", "confirm", "revert",
            "open")

# One of each fate, by what the neighbour's packets meet.
FATES = """policy: fates
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  input:
    policy: drop
    rules:
      - accept tcp 22, 8000-8010
      - reject tcp 80 with tcp-reset
      - reject udp 100-110
      - accept udp 53 from 10.0.0.0/8
      - accept tcp 5000 in wan0
      - accept icmpv6
  output:
    policy: drop
    rules:
      - drop tcp from port 8000
      - accept new, established, related
      - accept icmpv6
"""


def lockdown(*arguments, **options):
    return support.run([support.LOCKDOWN, *arguments], **{"check": False, **options})


class CommandLine(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.directory = support.scratch() / ("cli-" + self.id())
        self.directory.mkdir()
        shutil.copy(COS, self.directory)

    def call(self, *arguments, status=0, **options):
        done = lockdown(*arguments, cwd=self.directory, **options)
        self.assertEqual(done.status, status, str(done))
        return done

    def write(self, name, text):
        (self.directory / name).write_text(text)
        return name

    def files(self, name):
        return {str(path.relative_to(self.directory / name)): path.read_bytes()
                for path in (self.directory / name).rglob("*") if path.is_file()}


class Help(CommandLine):
    def test_texts(self):
        """`--help` says what docs/help holds; LOCKDOWN_RECORD writes the files, and that run fails."""
        for command in COMMANDS:
            with self.subTest(command=command):
                text = self.call(*filter(None, [command]), "--help", env={"COLUMNS": "100"}).stdout
                file = HELP / ("%s.txt" % (command or "lockdown"))
                if os.environ.get("LOCKDOWN_RECORD"):
                    HELP.mkdir(exist_ok=True)
                    file.write_text(text)
                    self.fail("recorded %s" % file.name)
                self.assertEqual(file.read_text(), text)
        self.assertEqual({path.stem for path in HELP.glob("*.txt")}, {c or "lockdown" for c in COMMANDS})

    def test_version(self):
        self.assertRegex(self.call("--version").stdout, r"\Alockdown \d+\.\d+\.\d+\n\Z")


class SeveralFiles(CommandLine):
    CHILD = """policy: child
language: 1
extends: ../base/cos.cos
modules:
  undeny: [sctp]
loosen:
  - module: sctp
    because: SCTP services
    owner: network
    until: 2027-03-31
"""

    def setUp(self):
        super().setUp()
        for name in ("base", "child"):
            (self.directory / name).mkdir()
        shutil.copy(COS, self.directory / "base")
        self.write("child/child.cos", self.CHILD)

    def test_paths_are_those_of_the_file(self):
        """Wherever the compiler stands, the same files are read and the same bytes written."""
        self.call("compile", "child/child.cos", "-o", "here", "--as-of", "2026-01-01")
        done = lockdown("compile", "child.cos", "-o", "../there", cwd=self.directory / "child", check=False)
        self.assertEqual(done.status, 0, str(done))
        self.assertEqual(self.files("here"), self.files("there"))
        self.assertIn("exception  module sctp, until 2027-03-31, network: SCTP services\n", done.stdout)
        items = json.loads(self.files("here")["policy.map.json"])["items"]
        places = {item["id"]: (item["file"], item["include-chain"]) for item in items}
        self.assertEqual(places["input/ssh"], ("../base/cos.cos", ["child.cos:3"]))

    def test_findings_name_their_file(self):
        self.write("base/cos.cos", (self.directory / "base" / "cos.cos").read_text().replace("policy: drop", "policy: dorp"))
        done = self.call("check", "child/child.cos", status=1)
        self.assertIn(" --> base/cos.cos:", done.stderr)

    def test_missing_file(self):
        (self.directory / "base" / "cos.cos").unlink()
        self.assertIn("`../base/cos.cos` cannot be read", self.call("check", "child/child.cos", status=3).stderr)

    def test_exceptions_end(self):
        """`check` judges on the day that it is given, or on today; `compile` only if it is given one."""
        for day, status, found in (("2027-01-31", 0, []), ("2027-03-31", 0, ["loosen/ending"]),
                                   ("2027-04-01", 1, ["loosen/expired"])):
            with self.subTest(day=day):
                done = self.call("check", "child/child.cos", "--as-of", day, "--format", "json", status=status)
                self.assertEqual([finding["id"] for finding in json.loads(done.stdout)[0]["findings"]], found)
                self.call("compile", "child/child.cos", "-o", "judged", "--as-of", day, status=status)
        self.write("child/child.cos", self.CHILD.replace("2027-03-31", "2020-02-29"))
        self.assertIn("loosen/expired", self.call("check", "child/child.cos", status=1).stderr)
        self.call("compile", "child/child.cos", "-o", "old")
        self.call("check", "child/child.cos", "--as-of", "2027-02-29", status=64)


class ExitCodes(CommandLine):
    def test_usage(self):
        """64, with the usage on standard error and nothing on standard output."""
        for arguments in ((["compile"], ["compile", "cos.cos", "--bogus"], ["compile", "-"], ["nonsense"],
                           ["compile", "cos.cos", "--format", "yaml"], ["sandbox", "x", "--from", "nowhere"],
                           ["sandbox", "x", "--from", "::1", "--from", "::2"],
                           ["sandbox", "x", "--interface", "far-too-long-a-name"],
                           ["sandbox", "x", "--format", "json", "--", "true"])):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments, status=64, input="")
                self.assertEqual(done.stdout, "")
                self.assertIn("Usage: lockdown", done.stderr)

    def test_what_cannot_be_read(self):
        """3, and the path and the reason are named."""
        for path, reason in (("absent.cos", "No such file"), (".", "Is a directory"), ("cos.cos/x", "Not a directory")):
            for command in (["compile", path], ["check", path], ["inspect", path], ["sandbox", path]):
                with self.subTest(command=command):
                    done = self.call(*command, status=3)
                    self.assertIn("`%s`" % path, done.stderr)
                    self.assertIn(reason, done.stderr)
                    self.assertEqual(done.stdout, "")
        found = json.loads(self.call("check", "absent.cos", "cos.cos", "--format", "json", status=3).stdout)
        self.assertEqual([finding["id"] for finding in found[0]["findings"]], ["file/unreadable"])
        self.assertEqual([found[1]["findings"], found[1]["policy"]["name"]], [[], "cos"])

    def test_what_has_no_end(self):
        """Of a policy no more is read than the language allows, and what it names is a regular file."""
        os.mkfifo(self.directory / "pipe")
        (self.directory / "folder").mkdir()
        zero = self.call("check", "/dev/zero", status=1)
        self.assertIn("error[syntax/limit]", zero.stderr)
        head = "policy: p\nlanguage: 1\ntarget: { kernel: \"6.1\" }\nmanagement: none\n"
        long = head + "# long\n" * (3 << 20)
        for arguments in (["check", "-"], ["compile", "-", "-o", "out"], ["fmt", "-"], ["query", "-", "input drop any"],
                          ["explain", "-", "input tcp 22"], ["diff", "-", "cos.cos"], ["audit", "cos.cos", "--against", "-"]):
            with self.subTest(arguments=arguments):
                self.assertIn("error[syntax/limit]", self.call(*arguments, input=long, status=1).stderr)
        for name in ("pipe", "/dev/zero", "folder"):
            path = os.path.relpath(self.directory / name, self.directory)
            for text in ("include: [%s]\n", "define: { x: { file: %s } }\n"):
                with self.subTest(name=name, text=text):
                    done = self.call("check", self.write("named.cos", head + text % path), status=3)
                    self.assertIn("it is a directory" if name == "folder" else "it is no regular file", done.stderr)
        # A pipe as the policy itself is read, as a shell makes one of `<(…)`.
        with open(self.directory / "cos.cos") as policy:
            piped = subprocess.run(["bash", "-c", '"$0" check <(cat)', support.LOCKDOWN], stdin=policy,
                                   capture_output=True, text=True)
        self.assertEqual(piped.returncode, 0, piped.stderr)

    def test_worst_wins(self):
        bad = self.write("bad.cos", "policy: bad\n")
        self.call("check", "cos.cos", status=0)
        self.call("check", "cos.cos", bad, status=1)
        self.call("check", "absent.cos", bad, "cos.cos", status=3)

    def test_no_bundle(self):
        done = self.call("inspect", "cos.cos", status=1)
        self.assertIn("refused as a bundle", done.stderr)


class Findings(CommandLine):
    BAD = 'policy: bad\nlanguage: 1\ntarget: { kernel: "6.1" }\nfirewall:\n  input:\n    policy: drop\n    rules:\n' \
          "      - accept tcp www\n      - acept tcp 22\n"

    def test_text_and_json_say_the_same(self):
        path = self.write("bad.cos", self.BAD)
        text = self.call("compile", path, status=1)
        self.assertEqual(text.stdout, "")
        findings = json.loads(self.call("compile", path, "--format", "json", status=1).stdout)["findings"]
        self.assertEqual(
            re.findall(r"^(error|warning)\[(\S+)\]: (.*)$", text.stderr, re.M),
            [(finding["severity"], finding["id"], finding["message"]) for finding in findings])
        self.assertEqual(
            re.findall(r"--> bad.cos:(\d+):(\d+)$", text.stderr, re.M),
            [(str(finding["place"]["line"]), str(finding["place"]["column"])) for finding in findings])
        source = self.BAD.encode()
        for finding in findings:
            place = finding["place"]
            self.assertIn(source[place["start-offset"]:place["end-offset"]].decode(), ("www", "acept"))
            # Applying the fix-it cures the finding.
            fix = finding["fix-its"][0]
            start, end = fix["place"]["start-offset"], fix["place"]["end-offset"]
            cured = source[:start] + fix["replacement"].encode() + source[end:]
            (self.directory / "cured.cos").write_bytes(cured)
            left = json.loads(lockdown("check", "cured.cos", "--format", "json", cwd=self.directory).stdout)
            self.assertNotIn(finding["id"], [other["id"] for other in left[0]["findings"]])

    def test_colour(self):
        """Only on a terminal, and never with NO_COLOR."""
        path = self.write("bad.cos", self.BAD)
        self.assertNotIn("\x1b", self.call("check", path, status=1).stderr)
        self.assertIn("\x1b[1;31merror", self.on_terminal(["check", path], {}))
        self.assertNotIn("\x1b", self.on_terminal(["check", path], {"NO_COLOR": "1"}))
        self.assertIn("\x1b", self.on_terminal(["check", path], {"NO_COLOR": ""}))

    def on_terminal(self, arguments, environment):
        """What a terminal gets as standard error."""
        master, slave = pty.openpty()
        process = subprocess.Popen([support.LOCKDOWN, *arguments], cwd=self.directory, stdout=subprocess.DEVNULL,
                                   stderr=slave, env={"PATH": os.environ["PATH"], **environment})
        os.close(slave)
        output = b""
        try:
            while chunk := os.read(master, 65536):
                output += chunk
        except OSError:
            pass  # EIO: the other side is closed.
        os.close(master)
        process.wait()
        return output.decode()


# What SARIF 2.1.0 asks of the members that we write: objects closed to others, required members, ranges. Written from
# the standard's text (§3.13 log, 3.14 run, 3.18 tool, 3.19 driver, 3.20 invocation, 3.24 artifact, 3.27 result,
# 3.28 location, 3.29 physical location, 3.30 region, 3.49 rule, 3.55 fix, 3.56 change, 3.57 replacement).
def sarif_object(required, **properties):
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


SARIF_TEXT = sarif_object("text", text={"type": "string", "minLength": 1})
SARIF_NUMBER = {"type": "integer", "minimum": 1}
SARIF_INDEX = {"type": "integer", "minimum": 0}
SARIF_URI = {"type": "string", "pattern": r"\A(file:///|\./)?([A-Za-z0-9._~/-]|%[0-9A-F]{2}|(?<=/)[:]|(?<=.)[:])+\Z"}
SARIF_REGION = sarif_object("startLine startColumn endLine endColumn", startLine=SARIF_NUMBER, startColumn=SARIF_NUMBER,
                            endLine=SARIF_NUMBER, endColumn=SARIF_NUMBER)
SARIF_ARTIFACT = sarif_object("uri index", uri=SARIF_URI, index=SARIF_INDEX)
SARIF_PLACE = sarif_object("artifactLocation", artifactLocation=SARIF_ARTIFACT, region=SARIF_REGION)
SARIF_FIX = sarif_object("artifactChanges", description=SARIF_TEXT, artifactChanges={"type": "array", "minItems": 1,
    "items": sarif_object("artifactLocation replacements", artifactLocation=SARIF_ARTIFACT, replacements={
        "type": "array", "minItems": 1, "items": sarif_object(
            "deletedRegion", deletedRegion=SARIF_REGION,
            insertedContent=sarif_object("text", text={"type": "string"}))})})
SARIF_RESULT = sarif_object(
    "ruleId message locations", ruleId={"type": "string"}, ruleIndex=SARIF_INDEX,
    level={"enum": ["none", "note", "warning", "error"]}, message=SARIF_TEXT,
    locations={"type": "array", "items": sarif_object("physicalLocation", physicalLocation=SARIF_PLACE)},
    relatedLocations={"type": "array", "uniqueItems": True, "items": sarif_object(
        "physicalLocation", id=SARIF_INDEX, physicalLocation=SARIF_PLACE, message=SARIF_TEXT)},
    fixes={"type": "array", "uniqueItems": True, "items": SARIF_FIX})
SARIF_RUN = sarif_object(
    "tool results", columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    tool=sarif_object("driver", driver=sarif_object(
        "name", name={"const": "lockdown"}, version={"type": "string"},
        semanticVersion={"type": "string", "pattern": r"\A\d+\.\d+\.\d+\Z"},
        rules={"type": "array", "uniqueItems": True, "items": sarif_object("id", id={"type": "string"})})),
    invocations={"type": "array", "items": sarif_object(
        "executionSuccessful", executionSuccessful={"type": "boolean"}, exitCode={"type": "integer"})},
    artifacts={"type": "array", "uniqueItems": True, "items": sarif_object(
        "location", location=sarif_object("uri", uri=SARIF_URI))},
    results={"type": "array", "items": SARIF_RESULT})
SARIF_LOG = sarif_object(
    "version runs", version={"const": "2.1.0"}, runs={"type": "array", "items": SARIF_RUN},
    **{"$schema": {"type": "string", "format": "uri"}})


class Sarif(CommandLine):
    def log(self, *files, status, command="check"):
        return self.check_log(self.call(command, "--format", "sarif", *files, status=status), status)

    def check_log(self, done, status):
        log = json.loads(done.stdout)
        errors = jsonschema.Draft202012Validator(SARIF_LOG).iter_errors(log)
        self.assertEqual(["%s: %s" % (list(error.absolute_path), error.message) for error in errors], [])
        run = log["runs"][0]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        self.assertEqual(len(rules), len(set(rules)))
        for result in run["results"]:
            self.assertEqual(rules[result["ruleIndex"]], result["ruleId"])
            for place in self.places(result):
                location = place["artifactLocation"]
                self.assertEqual(run["artifacts"][location["index"]]["location"]["uri"], location["uri"])
                if "region" in place:
                    self.check_region(place["region"], location["uri"])
        self.assertEqual(run["invocations"], [{"executionSuccessful": status != 3, "exitCode": status}])
        return run

    def test_diff(self):
        """Changes of packets and settings, at the line that decides now, or that is no more."""
        old = Questions.OLD
        self.write("old.cos", old)
        self.write("new.cos", old.replace("tcp 22 from", "tcp 22, 8080 from").replace(
            "sysctl:\n  kernel.kptr_restrict: 2\n", ""))
        run = self.log("old.cos", "new.cos", status=1, command="diff")
        found = [(result["ruleId"], result["level"], result["locations"][0]["physicalLocation"])
                 for result in run["results"]]
        self.assertEqual([(rule, level) for rule, level, _ in found], [("diff/widened", "warning")] * 2)
        self.assertEqual([(place["artifactLocation"]["uri"], place["region"]["startLine"]) for _, _, place in found],
                         [("new.cos", 13), ("old.cos", 16)])
        self.assertIn("for example: tcp from 10.20.0.1 ", run["results"][0]["message"]["text"])
        self.assertEqual(self.log("old.cos", "old.cos", status=0, command="diff")["results"], [])

    @staticmethod
    def places(result):
        yield from (location["physicalLocation"] for location in result["locations"])
        yield from (location["physicalLocation"] for location in result.get("relatedLocations", []))
        for fix in result.get("fixes", []):
            for change in fix["artifactChanges"]:
                for replacement in change["replacements"]:
                    yield {"artifactLocation": change["artifactLocation"], "region": replacement["deletedRegion"]}

    def check_region(self, region, uri):
        """Inside the text, and not running backwards."""
        lines = (self.directory / urllib.parse.unquote(uri)).read_bytes().decode(errors="replace").split("\n")
        start, end = ((region[k + "Line"], region[k + "Column"]) for k in ("start", "end"))
        self.assertLessEqual(start, end)
        for line, column in (start, end):
            self.assertLessEqual(line, len(lines))
            self.assertLessEqual(column, len(lines[line - 1]) + 1)

    def test_audit(self):
        """Controls that fail, that nobody could tell and that do not apply; those that pass are left out."""
        self.write("new.cos", Questions.OLD.replace("tcp 22 from", "tcp 22, 8080 from"))
        self.write("small.cos", Questions.BENCHMARK + "    unless:\n      - module dccp allowed\n")
        run = self.log("new.cos", "--against", "small.cos", status=1, command="audit")
        self.assertEqual([(result["ruleId"], result["level"]) for result in run["results"]],
                         [("small/web", "error"), ("small/boot", "note")])
        place = run["results"][0]["locations"][0]["physicalLocation"]
        self.assertEqual((place["artifactLocation"]["uri"], place["region"]["startLine"]), ("new.cos", 13))
        self.assertIn("for example: tcp from 10.20.0.1 ", run["results"][0]["message"]["text"])

    def test_clean(self):
        run = self.log("cos.cos", status=0)
        self.assertEqual((run["results"], run["artifacts"]), ([], [{"location": {"uri": "cos.cos"}}]))

    def test_findings(self):
        """The same findings as in JSON, at the same places."""
        (self.directory / "a b").mkdir()
        path = self.write("a b/b\u00e4d:1.cos", Findings.BAD.replace("policy: bad", "policy: bad  # \u00fcber"))
        run = self.log("cos.cos", path, status=1)
        self.assertEqual([a["location"]["uri"] for a in run["artifacts"]], ["cos.cos", "a%20b/b%C3%A4d:1.cos"])
        found = json.loads(self.call("check", "--format", "json", path, status=1).stdout)[0]["findings"]
        self.assertEqual([(f["id"], f["severity"]) for f in found], [(r["ruleId"], r["level"]) for r in run["results"]])
        for finding, result in zip(found, run["results"]):
            region = result["locations"][0]["physicalLocation"]["region"]
            self.assertEqual([region[k] for k in ("startLine", "startColumn", "endLine", "endColumn")],
                             [finding["place"][k] for k in ("line", "column", "end-line", "end-column")])
            self.assertTrue(result["message"]["text"].startswith(finding["message"]))
            for line in finding["help"]:
                self.assertIn(line, result["message"]["text"])
            self.assertEqual([fix["replacement"] for fix in finding["fix-its"]],
                             [fix["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"]
                              for fix in result.get("fixes", [])])

    def test_every_kind_of_finding(self):
        """All bad policies of the tests in one log each."""
        results = 0
        policies = (support.REPOSITORY / "Tests" / "CompilerTests" / "Findings").rglob("policy.cos")
        for folder in sorted(path.parent for path in policies):
            shutil.copytree(folder, self.directory, dirs_exist_ok=True)
            done = lockdown("check", "--format", "sarif", "policy.cos", cwd=self.directory)
            with self.subTest(case=str(folder)):
                results += len(self.check_log(done, done.status)["results"])
            shutil.rmtree(self.directory)
            self.directory.mkdir()
        self.assertGreater(results, 300)
        support.note("%d findings" % results)

    def test_what_cannot_be_read(self):
        run = self.log("absent.cos", status=3)
        self.assertEqual([r["ruleId"] for r in run["results"]], ["file/unreadable"])
        self.assertEqual(run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "absent.cos")


class Format(CommandLine):
    LOOSE = """policy:  loose
language: 1

target: {kernel: '6.1'} # kept
management: none
firewall:
    input:
        policy: drop
        rules:
        - accept   tcp 22,80
"""
    TIDY = """policy: loose
language: 1

target: { kernel: "6.1" } # kept
management: none
firewall:
  input:
    policy: drop
    rules:
      - accept tcp 22, 80
"""

    def setUp(self):
        super().setUp()
        self.write("loose.cos", self.LOOSE)
        self.write("tidy.cos", self.TIDY)

    def read(self, name):
        return (self.directory / name).read_text()

    def test_in_place(self):
        """Changed files are named, mode, owner and links stay, and nothing is left beside them."""
        path = self.directory / "loose.cos"
        os.chmod(path, 0o640)
        os.chown(path, 12, 34)
        (self.directory / "link.cos").symlink_to("loose.cos")
        before = (self.directory / "tidy.cos").stat()
        done = self.call("fmt", "link.cos", "tidy.cos", "cos.cos")
        self.assertEqual((done.stdout, done.stderr), ("link.cos\n", ""))
        self.assertEqual(self.read("loose.cos"), self.TIDY)
        status = path.stat()
        self.assertEqual((status.st_mode & 0o7777, status.st_uid, status.st_gid), (0o640, 12, 34))
        self.assertTrue((self.directory / "link.cos").is_symlink())
        after = (self.directory / "tidy.cos").stat()
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))
        self.assertEqual(sorted(os.listdir(self.directory)), ["cos.cos", "link.cos", "loose.cos", "tidy.cos"])
        self.assertEqual(self.call("fmt", "loose.cos").stdout, "")

    def test_check(self):
        done = self.call("fmt", "--check", "loose.cos", "tidy.cos", status=1)
        self.assertEqual(done.stdout, "loose.cos\n")
        self.assertEqual(self.read("loose.cos"), self.LOOSE)
        self.assertEqual(self.call("fmt", "--check", "tidy.cos").stdout, "")

    def test_diff(self):
        """What `patch` makes of it is what `fmt` writes."""
        done = self.call("fmt", "--diff", "loose.cos", "tidy.cos", status=1)
        self.assertEqual(self.read("loose.cos"), self.LOOSE)
        support.run(["patch", "-p0"], input=done.stdout, cwd=self.directory)
        self.assertEqual(self.read("loose.cos"), self.TIDY)
        self.assertEqual(self.call("fmt", "--diff", "loose.cos").stdout, "")

    def test_standard_input(self):
        self.assertEqual(self.call("fmt", "-", input=self.LOOSE).stdout, self.TIDY)
        self.assertEqual(self.call("fmt", "-", input=self.TIDY).stdout, self.TIDY)
        self.assertEqual(self.call("fmt", "--check", "-", input=self.LOOSE, status=1).stdout, "<stdin>\n")
        self.call("fmt", "-", "-", input="", status=64)
        self.call("fmt", status=64)

    def test_errors_change_nothing(self):
        """Neither the file with an error nor its neighbours."""
        for text, found in (("policy: bad\n - x\n", "syntax/"), (self.LOOSE.replace("accept", "acept"), "rule/"),
                            (self.LOOSE + "  bad\n", "syntax/"), ("", "syntax/empty-document")):
            with self.subTest(text=text):
                self.write("bad.cos", text)
                done = self.call("fmt", "loose.cos", "bad.cos", status=1)
                self.assertEqual(done.stdout, "")
                self.assertIn("error[%s" % found, done.stderr)
                self.assertEqual((self.read("bad.cos"), self.read("loose.cos")), (text, self.LOOSE))
        # What a policy means is not judged.
        self.call("fmt", self.write("odd.cos", "policy: odd\nextends: absent.cos\nnonsense:  1\n"))
        self.assertEqual(self.read("odd.cos"), "policy: odd\nextends: absent.cos\nnonsense: 1\n")

    def test_json(self):
        found = json.loads(self.call("fmt", "--format", "json", "--diff", "loose.cos", "tidy.cos", status=1).stdout)
        self.assertEqual([(f["file"], f["changed"], f["findings"]) for f in found],
                         [("loose.cos", True, []), ("tidy.cos", False, [])])
        self.assertEqual(found[0]["diff"], self.call("fmt", "--diff", "loose.cos", status=1).stdout)
        bad = self.write("bad.cos", "policy: bad\n - x\n")
        found = json.loads(self.call("fmt", "--format", "json", bad, status=1).stdout)
        self.assertEqual((found[0]["changed"], found[0]["findings"][0]["id"][:7]), (None, "syntax/"))

    def test_what_cannot_be_written(self):
        self.call("fmt", "absent.cos", status=3)
        self.call("fmt", ".", status=3)
        (self.directory / "device.cos").symlink_to("/dev/null")
        self.assertIn("error[syntax/empty-document]", self.call("fmt", "device.cos", status=1).stderr)

    def test_killed_while_writing(self):
        """Killed at each call that changes the file system: the old file, or the new one."""
        points = 0
        for call in ("openat", "write", "fchmod", "fsync", "rename"):
            number = 1
            while True:
                self.write("loose.cos", self.LOOSE)
                done = support.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=%s" % call, "-e",
                                    "inject=%s:signal=KILL:when=%d" % (call, number),
                                    support.LOCKDOWN, "fmt", "loose.cos"], check=False, cwd=self.directory)
                self.assertIn(self.read("loose.cos"), (self.LOOSE, self.TIDY), "%s %d" % (call, number))
                if done.status == 0:
                    break
                points += 1
                number += 1
        self.assertGreater(points, 8)
        support.note("%d kill points" % points)


class Digest(CommandLine):
    def setUp(self):
        super().setUp()
        self.call("compile", "cos.cos", "-o", "out")
        self.digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"]

    def test_files(self):
        """A policy, its document, its bundle and its directory have one digest."""
        files = ["cos.cos", "out/policy.json", "out/policy.bundle", "out"]
        done = self.call("digest", *files)
        self.assertEqual(done.stdout, "".join("%s  %s\n" % (self.digest, file) for file in files))
        found = json.loads(self.call("digest", "--format", "json", *files).stdout)
        self.assertEqual([f["kind"] for f in found], ["policy", "document", "bundle", "directory"])
        self.assertEqual({(f["name"], f["digest"]) for f in found}, {("cos", self.digest)})
        self.assertEqual(self.call("digest", "-", input=COS.read_text()).stdout, "%s  -\n" % self.digest)
        # The layout is no part of it.
        loose = COS.read_text().replace("  ", "   ").replace(", ", ",  ")
        self.assertEqual(self.call("digest", self.write("loose.cos", loose)).stdout, "%s  loose.cos\n" % self.digest)

    def test_json_policy(self):
        """A policy that is written as JSON is compiled, and not taken for a policy.json."""
        policy = {"policy": "json", "language": 1, "target": {"kernel": "6.1"}, "management": "none"}
        found = json.loads(self.call("digest", "--format", "json", self.write("json.cos", json.dumps(policy))).stdout)
        self.assertEqual((found[0]["kind"], found[0]["name"]), ("policy", "json"))

    def test_differences(self):
        other = self.write("other.cos", COS.read_text().replace("kptr_restrict: 1", "kptr_restrict: 2"))
        done = self.call("digest", "cos.cos", other, status=1)
        self.assertEqual(len(set(re.findall(r"sha256:[0-9a-f]{64}", done.stdout))), 2)
        self.call("digest", "cos.cos", self.write("bad.cos", "policy: bad\n"), status=1)
        self.call("digest", "absent.cos", status=3)
        self.call("digest", status=64)

    def change(self, name, old, new):
        path = self.directory / name
        text = path.read_bytes()
        self.assertTrue(old in text)
        path.write_bytes(text.replace(old, new, 1))

    def test_what_is_not_what_it_says(self):
        large = support.REPOSITORY / "Tests" / "CompilerTests" / "Cases" / "large-set" / "policy.cos"
        for name, old, new, found in (
                ("policy.json", b'"drop"', b'"accept"', "its digest is not the sha256:"),
                ("policy.json", b'"language"', b'"Language"', "no policy.json"),
                ("policy.bundle", b"input/ssh", b"input/sss", "refused as a bundle")):
            with self.subTest(name=name, old=old):
                self.call("compile", "cos.cos", "-o", "out")
                self.change("out/" + name, old, new)
                for path in ("out", "out/" + name):
                    self.assertIn(found, self.call("digest", path, status=1).stderr)
        # A part of another compile.
        self.call("compile", "cos.cos", "-o", "out")
        self.call("compile", large, "-o", "large")
        shutil.copy(self.directory / "large" / "policy.bundle", self.directory / "out")
        self.assertIn("policy.json is %s, policy.bundle sha256:" % self.digest, self.call("digest", "out", status=1).stderr)
        # Sets: listed ones, and those with a file.
        self.call("digest", "large")
        self.change("large/sets/blocked.netset", b"1", b"2")
        self.assertIn("large/sets/blocked.netset: it is not the set", self.call("digest", "large", status=1).stderr)
        (self.directory / "large" / "sets" / "blocked.netset").unlink()
        self.call("digest", "large", status=3)
        listed = support.small(["accept from $few"], extra="define:\n  few: [192.0.2.0/24]")
        self.call("compile", self.write("listed.cos", listed), "-o", "listed")
        self.change("listed/policy.json", b'"192.0.2.0/24"', b'"192.0.2.0/25"')
        self.assertIn("the elements of `few`", self.call("digest", "listed", status=1).stderr)

    def test_live(self):
        """The label in the kernel, against a file; none where nothing is loaded; unknown where it has no digest."""
        namespace = self.namespace()
        with namespace:
            self.assertEqual(self.call("digest", "--live", status=1).stdout, "none  kernel\n")
            self.assertEqual(self.call("digest", "--live", "out", status=1).stdout,
                             "none  kernel\n%s  out\n" % self.digest)
            support.apply(namespace, self.directory / "out" / "policy.bundle", "--force", check=False)
            self.assertEqual(self.call("digest", "--live", "cos.cos").stdout,
                             "%s  kernel\n%s  cos.cos\n" % (self.digest, self.digest))
            found = json.loads(self.call("digest", "--live", "--format", "json").stdout)
            self.assertEqual(found, [{"source": "kernel", "kind": "kernel", "name": "cos", "digest": self.digest}])
            other = self.write("other.cos", COS.read_text().replace("kptr_restrict: 1", "kptr_restrict: 2"))
            self.call("digest", "--live", other, status=1)
            # nft's text carries the digest too.
            namespace.run(["nft", "flush", "ruleset"])
            namespace.run(["nft", "-f", self.directory / "out" / "nftables.nft"])
            self.call("digest", "--live", "out")
            namespace.run(["nft", "flush", "ruleset"])
            namespace.nft("add table inet lockdown\nadd counter inet lockdown policy_digest\n")
            self.assertIn("without its digest", self.call("digest", "--live", status=2).stderr)


class Schema(CommandLine):
    def test_all(self):
        """What is printed is what schema/ holds."""
        for document in ("policy", "benchmark", "compiled"):
            text = (support.REPOSITORY / "schema" / ("%s.schema.json" % document)).read_text()
            self.assertEqual(self.call("schema", document).stdout, text)
        self.assertEqual(self.call("schema").stdout, self.call("schema", "policy").stdout)
        self.call("schema", "bundle", status=64)


class OutputDirectory(CommandLine):
    def test_default_name(self):
        """`lockdown compile policies/cos.cos` writes cos.compiled here, and nothing anywhere else."""
        (self.directory / "policies").mkdir()
        shutil.move(self.directory / "cos.cos", self.directory / "policies")
        self.call("compile", "policies/cos.cos")
        self.assertEqual(sorted(os.listdir(self.directory)), ["cos.compiled", "policies"])
        self.assertEqual(os.listdir(self.directory / "policies"), ["cos.cos"])
        self.assertEqual(
            set(self.files("cos.compiled")),
            {"policy.bundle", "policy.json", "policy.map.json", "nftables.nft", "sysctl.conf", "modprobe.conf",
             "mounts.fstab", "seccomp.json", "cmdline.txt", "nftables-late.nft", "closed.bundle",
             "nftables-closed.nft"})

    def test_standard_input(self):
        self.call("compile", "cos.cos", "-o", "one")
        self.call("compile", "-", "-o", "two", input=COS.read_text())
        one, two = self.files("one"), self.files("two")
        for name in set(one) - {"policy.map.json", "policy.bundle", "closed.bundle"}:
            self.assertEqual(one[name], two[name], name)

    def test_replaced_whole_or_not_at_all(self):
        large = support.REPOSITORY / "Tests" / "CompilerTests" / "Cases" / "large-set" / "policy.cos"
        self.call("compile", large, "-o", "out")
        self.assertIn("sets/blocked.netset", self.files("out"))
        before = self.files("out")
        # A policy with errors changes nothing.
        self.call("compile", self.write("bad.cos", "policy: bad\n"), "-o", "out", status=1)
        self.assertEqual(self.files("out"), before)
        # A good one replaces everything.
        self.call("compile", "cos.cos", "-o", "out/")
        self.call("compile", "cos.cos", "-o", "fresh")
        self.assertEqual(self.files("out"), self.files("fresh"))
        self.assertEqual(sorted(os.listdir(self.directory)), ["bad.cos", "cos.cos", "fresh", "out"])

    def test_strangers_are_not_replaced(self):
        self.call("compile", "cos.cos", "-o", "out")
        (self.directory / "out" / "notes.txt").write_text("mine")
        (self.directory / "home").mkdir()
        (self.directory / "home" / "thesis").write_text("mine")
        (self.directory / "plain").write_text("mine")
        for name, stranger in (("out", "notes.txt"), ("home", "thesis"), ("plain", "plain")):
            with self.subTest(name=name):
                done = self.call("compile", "cos.cos", "-o", name, status=3)
                self.assertIn("`%s`" % stranger, done.stderr)
        self.assertEqual((self.directory / "out" / "notes.txt").read_text(), "mine")
        self.assertEqual((self.directory / "home" / "thesis").read_text(), "mine")
        self.assertEqual((self.directory / "plain").read_text(), "mine")
        self.assertEqual(sorted(os.listdir(self.directory)), ["cos.cos", "home", "out", "plain"])

    def test_no_place_to_write(self):
        self.call("compile", "cos.cos", "-o", "absent/out", status=3)
        self.call("compile", "cos.cos", "-o", "/proc/out", status=3)
        self.assertEqual(os.listdir(self.directory), ["cos.cos"])

    def test_killed_while_writing(self):
        """Killed at each call that changes the file system: the old output, or the new one, never a mixture."""
        self.call("compile", "cos.cos", "-o", "new")
        new = self.files("new")
        small = self.write("small.cos", support.small(["accept tcp 22"]))
        points = 0
        for call in ("mkdir", "openat", "write", "fsync", "renameat2", "unlink", "rmdir"):
            number = 1
            while True:
                shutil.rmtree(self.directory / "out", ignore_errors=True)
                self.call("compile", small, "-o", "out")
                old = self.files("out")
                done = support.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=%s" % call, "-e",
                                    "inject=%s:signal=KILL:when=%d" % (call, number),
                                    support.LOCKDOWN, "compile", "cos.cos", "-o", "out"],
                                   check=False, cwd=self.directory)
                self.assertIn(self.files("out"), (old, new), "%s %d" % (call, number))
                for path in self.directory.glob("out.*"):
                    shutil.rmtree(path)
                if done.status == 0:
                    break
                points += 1
                number += 1
        self.assertGreater(points, 30)
        support.note("%d kill points" % points)


class Inspect(CommandLine):
    def test_both_formats(self):
        self.call("compile", "cos.cos", "-o", "out")
        policy = json.loads((self.directory / "out" / "policy.json").read_text())
        text = self.call("inspect", "out/policy.bundle").stdout
        self.assertIn(policy["digest"], text)
        found = json.loads(self.call("inspect", "out/policy.bundle", "--format", "json").stdout)
        self.assertEqual(found["digest"], policy["digest"])
        self.assertTrue(found["management-proved"])
        # What the messages hold, chain by chain, comes from the policy's rules in their order.
        for chain in policy["chains"]:
            rules = next(c for c in found["tables"][0]["chains"] if c["name"] == chain["id"])["rules"]
            sources = [rule["source"] for rule in rules]
            self.assertEqual(list(dict.fromkeys(sources)), [rule["id"] for rule in chain["rules"]])
        self.assertEqual([s["source"] for s in found["sysctls"]], [s["id"] for s in policy["sysctls"]])
        self.assertEqual([sorted(m["flags"]) for m in found["mounts"]], [sorted(m["flags"]) for m in policy["mounts"]])

    def test_standard_input(self):
        self.call("compile", "cos.cos", "-o", "out")
        with open(self.directory / "out" / "policy.bundle", "rb") as bundle:
            done = subprocess.run([support.LOCKDOWN, "inspect", "-"], stdin=bundle, capture_output=True, text=True)
        self.assertEqual(done.stdout, self.call("inspect", "out/policy.bundle").stdout)


class Apply(CommandLine):
    def test_runs_the_applier(self):
        """The one beside it first, then PATH; arguments and status go through."""
        tool = '#!/bin/sh\necho "%s $*"\nexit 3\n'
        (self.directory / "bin").mkdir()
        (self.directory / "path").mkdir()
        program = self.directory / "bin" / "lockdown"
        shutil.copy(support.LOCKDOWN, program)
        for place in ("bin", "path"):
            file = self.directory / place / "lockdown-apply"
            file.write_text(tool % place)
            file.chmod(0o755)
        environment = {"PATH": "%s:%s" % (self.directory / "path", os.environ["PATH"])}
        arguments = ["apply", "some.bundle", "--check", "--only", "firewall,sysctl", "--pin", "00"]
        for expected in ("bin", "path"):
            done = support.run([program, *arguments], check=False, env=environment)
            self.assertEqual((done.status, done.stdout), (3, "%s %s\n" % (expected, " ".join(arguments[1:]))))
            (self.directory / expected / "lockdown-apply").unlink()
        done = support.run([program, *arguments], check=False, env={"PATH": "/nonexistent"})
        self.assertEqual(done.status, 3)
        self.assertIn("`lockdown-apply`", done.stderr)


class Sandbox(CommandLine):
    def report(self, policy, *options):
        self.call("compile", policy, "-o", "out")
        return json.loads(
            self.call("sandbox", "out/policy.bundle", "--format", "json", *options).stdout)

    def test_report(self):
        """The digest is the kernel's; what a sandbox cannot have is listed."""
        found = self.report("cos.cos")
        digest = json.loads((self.directory / "out" / "policy.json").read_text())["digest"]
        self.assertEqual([found["digest"], found["kernel"]["digest"], found["same-policy"]], [digest, digest, True])
        self.assertIn("kernel/kptr_restrict", " ".join(found["left-out"]))
        text = self.call("sandbox", "out/policy.bundle").stdout
        self.assertIn("digest in the kernel  %s" % digest, text)
        self.assertIn("kernel/kptr_restrict", text)

    def test_probe_of_cos(self):
        """cos.cos lets in what its page says, and real packets find nothing else."""
        found = self.report("cos.cos", "--probe")["probe"]
        self.assertEqual(found["lost"], 0)
        everything = {"tcp": ["22"], "udp": {"ipv4": [], "ipv6": ["546"]}}
        for family in found["families"]:
            self.assertEqual(family["echo"], "open")
            self.assertEqual(family["tcp"]["open"], everything["tcp"])
            self.assertEqual(family["udp"]["open"], everything["udp"][family["family"]])
            for protocol in ("tcp", "udp"):
                self.assertEqual(family[protocol]["unanswered"] + family[protocol]["rejected"], [])
                self.assertEqual(self.count(family[protocol]), 65535)

    @staticmethod
    def count(fates):
        return sum(int(part.split("-")[-1]) - int(part.split("-")[0]) + 1 for ports in fates.values() for part in ports)

    def test_fates(self):
        """Open, rejected, dropped, and open without an answer are told apart."""
        policy = self.write("fates.cos", FATES)
        ipv4, ipv6 = self.report(policy, "--probe")["probe"]["families"]
        for family in (ipv4, ipv6):
            self.assertEqual(family["tcp"]["open"], ["22", "8001-8010"])
            self.assertEqual(family["tcp"]["unanswered"], ["8000"])
            self.assertEqual(family["tcp"]["rejected"], ["80"])
            self.assertEqual(family["udp"]["rejected"], ["100-110"])
            self.assertEqual(family["udp"]["open"], [])
            self.assertEqual(self.count(family["udp"]), 65535)
        self.assertEqual((ipv4["echo"], ipv6["echo"]), ("dropped", "open"))

    def test_redirected(self):
        """A port that a rule redirects is what becomes of the packets to it."""
        policy = self.write("redirected.cos", """policy: redirected
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  input:
    policy: drop
    rules:
      - accept tcp, udp 8080
      - accept icmpv6 neighbour-discovery
  nat:
    prerouting:
      - redirect to 8080 ipv4 tcp, udp 80
      - redirect to 8080 ipv6 tcp, udp 80
      - redirect to 9999 ipv4 tcp, udp 81
      - redirect to 9999 ipv6 tcp, udp 81
""")
        for family in self.report(policy, "--probe")["probe"]["families"]:
            for protocol in ("tcp", "udp"):
                self.assertEqual(family[protocol]["open"], ["80", "8080"])
                self.assertEqual(family[protocol]["rejected"] + family[protocol]["unanswered"], [])

    def test_other_sources_and_interfaces(self):
        policy = self.write("fates.cos", FATES)
        ipv4, ipv6 = self.report(
            policy, "--probe", "--from", "10.1.2.3", "--from", "2001:db8::7", "--interface", "wan0")["probe"]["families"]
        self.assertEqual((ipv4["from"], ipv6["from"]), ("10.1.2.3", "2001:db8::7"))
        self.assertEqual(ipv4["udp"]["open"], ["53"])
        self.assertEqual(ipv6["udp"]["open"], [])
        for family in (ipv4, ipv6):
            self.assertIn("5000", family["tcp"]["open"])

    def test_open_host(self):
        """Everything is open where no rule closes, and no port is missed."""
        policy = self.write("open.cos", support.small(["accept tcp 22"], default="accept"))
        for family in self.report(policy, "--probe")["probe"]["families"]:
            for protocol in ("tcp", "udp"):
                self.assertEqual(family[protocol]["open"], ["1-65535"])

    def test_command(self):
        """The command runs inside, with the policy applied; its output and status are the sandbox's."""
        self.call("compile", "cos.cos", "-o", "out")
        outside = os.readlink("/proc/self/ns/net"), os.readlink("/proc/self/ns/mnt")
        done = self.call("sandbox", "out/policy.bundle", "--", "sh", "-c",
                         "readlink /proc/self/ns/net /proc/self/ns/mnt; nft list chains; exit 7", status=7)
        self.assertFalse(set(outside) & set(done.stdout.splitlines()))
        self.assertIn("policy drop", done.stdout)
        self.assertIn("left out: sysctls of the whole host", done.stderr)
        self.call("sandbox", "out/policy.bundle", "--", "/nonexistent", status=3)

    def test_mounts(self):
        """Flags hold inside, on directories that are no mount points too; file system options never reach the host."""
        # Not below /run: a sandbox has a private one.
        data = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, data)
        policy = self.write("mounts.cos", """policy: mounts
language: 1
target: { kernel: "6.1" }
mounts:
  %s: { flags: [noexec, nosuid], options: [size=1m] }
""" % data)
        self.call("compile", policy, "-o", "out")
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        done = self.call("sandbox", "out/policy.bundle", "--", "sh", "-c",
                         "cp /bin/true %s && %s/true" % (data, data), status=126)
        self.assertIn("options of the file system", done.stderr)
        self.assertIn("%s: size=1m" % data, done.stderr)
        self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), mounts)
        # The flag was the sandbox's alone.
        support.run([data / "true"])

    def test_host_is_untouched(self):
        """Sysctls of the whole host, its rules and its mounts are as before."""
        self.call("compile", "cos.cos", "-o", "out")
        # A value that the policy would change, if it reached the host.
        keys = [s["path"] for s in json.loads(self.call("inspect", "out/policy.bundle", "--format", "json").stdout)
                ["sysctls"] if "*" not in s["path"]]

        def state():
            values = {}
            for key in keys:
                path = pathlib.Path("/proc/sys") / key
                values[key] = path.read_text() if path.exists() else None
            return values, pathlib.Path("/proc/self/mountinfo").read_text(), \
                support.run(["nft", "list", "ruleset"]).stdout
        before = state()
        self.call("sandbox", "out/policy.bundle", "--probe")
        self.assertEqual(state(), before)


class Questions(CommandLine):
    """`diff`, `refines`, `query` and `explain`: exit codes, formats and bad inputs."""

    OLD = """policy: web
language: 1
target: { kernel: "6.1" }
management: none
define:
  admin: [10.20.0.0/16]
  none: { addresses: [] }
firewall:
  input:
    policy: drop
    rules:
      - replies: accept established, related
      - ssh: accept tcp 22 from $admin
      - ping: accept icmp echo-request limit 10/second
sysctl:
  kernel.kptr_restrict: 2
"""

    def setUp(self):
        super().setUp()
        self.write("old.cos", self.OLD)
        self.write("new.cos", self.OLD.replace("tcp 22 from", "tcp 22, 8080 from"))
        self.write("broken.cos", self.OLD.replace("accept tcp 22", "accept tpc 22"))

    def test_diff(self):
        done = self.call("diff", "old.cos", "new.cos", status=1)
        self.assertIn("widened: input: dropped → accepted\n  ipv4 tcp 8080 not established, related from $admin\n",
                      done.stdout)
        self.assertIn("old: old.cos:10: input/closing: drop count\n", done.stdout)
        self.assertIn("new: new.cos:13: input/ssh: accept tcp 22, 8080 from $admin\n", done.stdout)
        self.call("diff", "old.cos", "new.cos", "--fail-on", "widen", status=1)
        self.call("diff", "new.cos", "old.cos", "--fail-on", "widen", status=0)
        self.call("diff", "new.cos", "old.cos", "--fail-on", "observe", status=0)
        self.assertEqual(self.call("diff", "old.cos", "old.cos").stdout, "old.cos and old.cos mean the same\n")
        value = json.loads(self.call("diff", "old.cos", "new.cos", "--format", "json", status=1).stdout)
        self.assertEqual([change["direction"] for change in value["changes"]], ["widened"])
        self.assertFalse(value["same"])
        self.assertIn("| widened | input |", self.call("diff", "old.cos", "new.cos", "--format", "markdown",
                                                       status=1).stdout)

    def test_examples_are_packets(self):
        """What `diff` gives as an example is what `explain` takes, and it meets what the change says."""
        rules = {
            "input": ["drop to broadcast", "drop from local", "drop status dnat", "drop tcp flags none of syn, ack",
                      "drop tcp flags syn, fin of syn, fin", "drop hours 22:00-23:30", "drop days saturday", "drop not tcp",
                      "drop not tcp, udp", "drop icmpv6 neighbour-discovery", "drop mark 0x5", "drop mark not 0x7/0xf",
                      "drop dscp 5", "drop ttl 1-9", "drop fragment", "drop from 10.0.0.0/8", "drop from 127.0.0.0/8 in eth0",
                      "drop ether from 02:00:00:00:00:01", "drop length 100-200", "drop type multicast", "drop ipsec",
                      "drop in eth*, wlan0", "drop invalid", "drop sctp 22 from 2001:db8::/32"],
            "output": ["drop user 5-9", "drop group 33", "drop user not 0", "drop out lo", "drop udp to 224.0.0.0/4"],
        }
        for place, list in rules.items():
            self.write("all.cos", support.small(["accept tcp 1"], hook=place, default="accept"))
            for rule in list:
                with self.subTest(rule):
                    self.write("one.cos", support.small(
                        [rule, "accept tcp 1"], hook=place, default="accept"))
                    changes = json.loads(
                        self.call("diff", "all.cos", "one.cos", "--format", "json", status=1).stdout)["changes"]
                    self.assertTrue(changes)
                    for change in changes:
                        packet = "%s %s" % (place, change["witness"])
                        for policy, outcome in (("all.cos", change["before"]), ("one.cos", change["after"])):
                            found = self.call("explain", policy, packet).stdout
                            self.assertEqual(found.splitlines()[-1], outcome, packet)
        self.write("one.cos", support.small(["drop from 127.0.0.0/8 in eth0"], default="accept"))
        found = self.call("diff", "all.cos", "one.cos", status=1).stdout
        self.assertIn("\n  which cannot arrive on a default host: its source is of 127.0.0.0/8\n", found)

    def test_refines(self):
        self.assertEqual(self.call("refines", "old.cos", "new.cos").stdout,
                         "old.cos refines new.cos: it permits no more\n")
        self.call("refines", "old.cos", "old.cos", status=0)
        done = self.call("refines", "new.cos", "old.cos", status=1)
        self.assertIn("new.cos does not refine old.cos: old is old.cos, new is new.cos\n\n"
                      "widened: input: dropped → accepted\n  ipv4 tcp 8080 not established, related from $admin\n",
                      done.stdout)
        # What is only narrower beside it is not shown.
        self.write("both.cos", self.OLD.replace("tcp 22 from", "tcp 8080 from").replace("restrict: 2", "restrict: 1"))
        done = self.call("refines", "both.cos", "old.cos", status=1).stdout
        self.assertIn("widened: sysctl kernel.kptr_restrict", done)
        self.assertNotIn("narrowed", done)
        value = json.loads(self.call("refines", "both.cos", "old.cos", "--format", "json", status=1).stdout)
        self.assertEqual([change["direction"] for change in value["beyond"]["changes"]], ["widened"])
        self.assertIs(value["refines"], False)
        # Of a bundle not everything is known, so nothing is claimed; what it widens is still said.
        self.call("compile", "old.cos", "-o", "held")
        self.assertIn("could not tell whether held/policy.bundle refines new.cos\n",
                      self.call("refines", "held/policy.bundle", "new.cos", status=2).stdout)
        self.assertIs(json.loads(self.call("refines", "held/policy.bundle", "new.cos", "--format", "json",
                                           status=2).stdout)["refines"], None)
        self.call("refines", "new.cos", "held/policy.bundle", status=1)
        self.call("refines", "old.cos", "missing.cos", status=3)
        self.assertIn("tpc", self.call("refines", "broken.cos", "old.cos", status=1).stderr)
        self.call("refines", "old.cos", status=64)
        self.call("refines", "-", "-", status=64)

    BENCHMARK = """benchmark: small
language: 1
source: A page that is made up
controls:
  - id: ssh
    title: SSH is closed but for the administrators
    expect:
      - input drop ipv4 tcp 22 from not 10.20.0.0/16
  - id: web
    title: no unencrypted web
    expect:
      - input drop tcp 8080
  - id: boot
    title: memory is wiped
    expect:
      - kernel init_on_alloc at least 1
"""

    def test_audit(self):
        self.write("small.cos", self.BENCHMARK)
        done = self.call("audit", "new.cos", "--against", "small.cos", status=1).stdout
        self.assertIn("fail: web: no unencrypted web\n  input drop tcp 8080: a packet of the region is accepted\n"
                      "    for example: tcp from 10.20.0.1 port 40000 to 192.0.2.1 port 8080 in eth0 new\n"
                      "    decided by new.cos:13: input/ssh: accept tcp 22, 8080 from $admin\n", done)
        self.assertTrue(done.endswith("\n3 controls: 1 pass, 1 fail, 1 could not tell\n"), done)
        for policy, threshold, status in (("new.cos", "fail", 1), ("new.cos", "none", 0), ("old.cos", "any", 2),
                                          ("old.cos", "fail", 0)):
            self.call("audit", policy, "--against", "small.cos", "--fail-on", threshold, status=status)
        value = json.loads(self.call("audit", "new.cos", "--against", "small.cos", "--format", "json", status=1).stdout)
        self.assertEqual([(control["id"], control["verdict"]) for control in value["controls"]],
                         [("ssh", "pass"), ("web", "fail"), ("boot", "unknown")])
        self.assertEqual(value["controls"][1]["findings"][0]["rule"]["line"], "new.cos:13")
        self.assertEqual(value["summary"], {"pass": 1, "fail": 1, "unknown": 1, "not-applicable": 0})
        # Of other sources, what they hold.
        self.call("compile", "new.cos", "-o", "held")
        for source in ("held/policy.bundle", "held/nftables.nft"):
            value = json.loads(self.call("audit", source, "--against", "small.cos", "--format", "json", status=1).stdout)
            self.assertEqual([control["verdict"] for control in value["controls"]], ["pass", "fail", "unknown"])
        # One of the two may come from standard input.
        self.assertEqual(self.call("audit", "-", "--against", "small.cos", input=self.OLD, status=2).stdout,
                         self.call("audit", "old.cos", "--against", "small.cos", status=2).stdout.replace(
                             "old.cos", "<stdin>"))
        self.call("audit", "-", "--against", "-", status=64)
        self.call("audit", "old.cos", status=64)
        self.call("audit", "old.cos", "--against", "small.cos", "--fail-on", "some", status=64)
        self.call("audit", "old.cos", "--against", "missing.cos", status=3)
        self.call("audit", "missing.cos", "--against", "small.cos", status=3)
        self.assertIn("benchmark/wanted", self.call("audit", "old.cos", "--against", "new.cos", status=1).stderr)
        self.assertIn("benchmark/alone", self.call("audit", "small.cos", "--against", "small.cos", status=1).stderr)
        self.assertIn("tpc", self.call("audit", "broken.cos", "--against", "small.cos", status=1).stderr)
        self.write("empty.cos", self.BENCHMARK.replace("drop tcp 8080", "drop from $none").replace(
            "controls:", "define:\n  none: { addresses: [] }\ncontrols:"))
        done = self.call("audit", "old.cos", "--against", "empty.cos", status=1)
        self.assertIn("expect/empty-region", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_test(self):
        """`test`: expectations of a file, asked of a policy, its bundle, its rules as nft reads them, and a kernel."""
        self.write("tests.cos", "fragment: tests\nlanguage: 1\ndefine:\n  office: [10.20.7.0/24]\nexpect:\n"
                                "  - ssh: input accept tcp 22 from $office\n  - web: input drop tcp 8080\n")
        self.call("compile", "new.cos", "-o", "held")
        self.call("compile", "old.cos", "-o", "kept")
        self.assertEqual(self.call("test", "tests.cos", "--against", "old.cos").stdout,
                         "tests.cos: 2 of 2 expectations hold of old.cos\n")
        for source, text in (("new.cos", ": accept tcp 22, 8080 from $admin"), ("held/policy.bundle", "")):
            done = self.call("test", "tests.cos", "--against", source, status=1)
            self.assertEqual(done.stdout, """fails: tests.cos:7: web: input drop tcp 8080
  a packet of the region is accepted
  for example: tcp from 10.20.0.1 port 40000 to 192.0.2.1 port 8080 in eth0 new
  decided by new.cos:13: input/ssh%s

tests.cos: 1 of 2 expectations hold of %s
""" % (text, source))
        self.call("test", "tests.cos", "--against", "held/nftables.nft", status=1)
        # A policy's own expectations, of what a kernel holds; and what no rule can say.
        self.write("whole.cos", self.OLD + "guarantee:\n  - ssh: input drop ipv4 tcp 22 from not $admin\n"
                                           "expect:\n  - sysctl kernel.kptr_restrict is 2\n")
        self.assertIn("whole.cos: 1 of 2 expectations hold of kept/nftables.nft\n",
                      self.call("test", "whole.cos", "--against", "kept/nftables.nft", status=2).stdout)
        self.call("test", "whole.cos", "tests.cos", "--against", "kept/policy.bundle")
        command = "nft -f held/nftables.nft && exec %s test tests.cos --against live" % support.LOCKDOWN
        done = subprocess.run(["unshare", "-n", "sh", "-c", command], cwd=self.directory, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("tests.cos: 1 of 2 expectations hold of live\n", done.stdout)
        # Coverage.
        self.assertIn("coverage: 2 of 4 rules decide about a packet of an expectation; these do not:\n"
                      "  old.cos:12: input/replies: accept established, related\n"
                      "  old.cos:14: input/ping: accept icmp echo-request limit 10/second\n",
                      self.call("test", "tests.cos", "--against", "old.cos", "--coverage").stdout)
        value = json.loads(self.call("test", "tests.cos", "--against", "new.cos", "--coverage", "--format", "json",
                                     status=1).stdout)
        self.assertEqual([one["verdict"] for one in value["files"][0]["expectations"]], ["holds", "fails"])
        self.assertEqual([rule["id"] for rule in value["coverage"]["undecided"]], ["input/replies", "input/ping"])
        # Bad input.
        self.assertIn("this file expects nothing", self.call("test", "old.cos", "--against", "old.cos", status=1).stderr)
        self.assertIn("tpc", self.call("test", "broken.cos", "--against", "old.cos", status=1).stderr)
        self.assertIn("tpc", self.call("test", "tests.cos", "--against", "broken.cos", status=1).stderr)
        self.write("nobody.cos", "fragment: nobody\nlanguage: 1\nexpect:\n  - input drop from $admin\n")
        self.call("test", "nobody.cos", "--against", "old.cos", status=1)
        self.assertIn("define/unknown", self.call("test", "nobody.cos", "--against", "held/policy.bundle", status=1).stderr)
        self.write("empty.cos", "fragment: empty\nlanguage: 1\ndefine:\n  none: { addresses: [] }\nexpect:\n  - input drop from $none\n")
        self.assertIn("expect/empty-region", self.call("test", "empty.cos", "--against", "old.cos", status=1).stderr)
        self.call("test", "missing.cos", "--against", "old.cos", status=3)
        self.call("test", "tests.cos", "--against", "missing.cos", status=3)
        self.call("test", "tests.cos", status=64)
        self.call("test", "--against", "old.cos", status=64)
        self.call("test", "-", "--against", "-", status=64)

    def test_capture(self):
        """What `--pcap` writes is read by tcpdump: the packets of the examples, with right lengths and checksums."""
        rules = ["accept tcp 8080 from 10.20.0.0/16", "accept ipv6 udp 53 in wg0", "accept icmpv6 echo-request",
                 "accept icmp 3/1", "accept sctp 99", "accept dccp 5", "accept gre", "accept ipv6 esp",
                 "accept udp 9 length 999 ttl 3 dscp 46", "accept udp 10 days tue hours 08:00-09:00",
                 "accept tcp 77 ether from 02:aa:bb:cc:dd:ee",
                 "accept tcp 81 flags fin, syn of fin, syn, ack"]
        # Only what a program cuts itself is a fragment where connections are tracked.
        sent = "  output:\n    policy: accept\n    rules:\n      - drop ipv4 fragment\nsysctl:"
        self.write("many.cos", self.OLD.replace("      - ssh:", "".join(
            "      - '%s'\n" % rule for rule in rules) + "      - ssh:").replace("sysctl:", sent))
        self.call("diff", "old.cos", "many.cos", "--pcap", "seen.pcapng", status=1)
        read = support.run(["tcpdump", "-r", self.directory / "seen.pcapng", "-nn", "-vv", "-e", "-tttt"],
                           env={"TZ": "UTC", "PATH": os.environ["PATH"]})
        self.assertNotIn("incorrect", read.stdout)
        self.assertNotIn("bad", read.stdout)
        for words in ("10.20.0.1.40000 > 192.0.2.1.8080: Flags [S], cksum", "2001:db8::9.40000 > 2001:db8:1::1.53:",
                      "ICMP6, echo request", "ICMP host 203.0.113.9 unreachable", "203.0.113.9.40000 > 192.0.2.1.99: sctp",
                      "192.0.2.1.5: DCCP", "proto GRE (47)", "ESP(spi=0x00000100,seq=0x1)", "tos 0xb8, ttl 3,",
                      "UDP (17), length 999)", "1970-01-06 08:00:00", "02:aa:bb:cc:dd:ee > 02:00:00:00:00:02",
                      "offset 1480", "81: Flags [FS]"):
            self.assertIn(words, read.stdout)
        content = (self.directory / "seen.pcapng").read_bytes()
        self.assertIn("widened: input: dropped → accepted\nudp from 2001:db8::9 ".encode(), content)
        self.assertIn(b"wg0", content)
        # The same packets, the same bytes, and an old file is replaced.
        self.call("diff", "old.cos", "many.cos", "--pcap", "seen.pcapng", status=1)
        self.assertEqual((self.directory / "seen.pcapng").read_bytes(), content)
        self.assertIn("cannot write", self.call("diff", "old.cos", "new.cos", "--pcap", "missing/seen.pcapng",
                                                status=3).stderr)
        self.call("diff", "old.cos", "old.cos", "--pcap", "none.pcapng")
        self.assertEqual(support.run(["tcpdump", "-r", self.directory / "none.pcapng"]).stdout, "")

    def test_query(self):
        self.assertIn("holds\n", self.call("query", "old.cos", "input accept tcp 22 from $admin").stdout)
        done = self.call("query", "old.cos", "input accept tcp 22 from 10.0.0.0/8", status=1)
        self.assertIn("does not hold\naccepted: some of the packets\nyes: tcp from 10.20.0.1 ", done.stdout)
        self.assertIn("decided by old.cos:13: input/ssh", done.stdout)
        self.assertIn("up to a limit", self.call("query", "old.cos", "input accept icmp echo-request").stdout)
        self.call("query", "old.cos", "sysctl kernel.kptr_restrict at least 1")
        self.call("query", "old.cos", "sysctl kernel.kptr_restrict is 1", status=1)
        value = json.loads(self.call("query", "old.cos", "input drop udp", "--format", "json").stdout)
        self.assertEqual((value["holds"], value["accepted"], value["yes"]), (True, "none", None))

    def test_query_of_several_chains(self):
        """What each base chain on the way has decided, a rule or its policy."""
        self.write("two.cos", """policy: two
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  chains: { early: { hook: prerouting, priority: -155, policy: accept, rules: [ { guard: "drop tcp 23" } ] } }
  input: { policy: drop, rules: [ { web: "accept tcp 80" } ] }
""")
        self.assertIn("  early: accepted here by the policy of the chain\n"
                      "  input: accepted here by two.cos:7: input/web: accept tcp 80\n",
                      self.call("query", "two.cos", "input accept tcp 80").stdout)
        value = json.loads(self.call("query", "two.cos", "input accept tcp 80", "--format", "json").stdout)
        self.assertEqual([(one["chain"], one["rule"], one["line"]) for one in value["yes"]["decisions"]],
                         [("early", None, None), ("input", "input/web", "two.cos:7")])
        self.assertIn("  decided by two.cos:6: early/guard: drop tcp 23\n",
                      self.call("query", "two.cos", "input accept tcp 23", status=1).stdout)

    def test_explain(self):
        done = self.call("explain", "old.cos", "input tcp 22 from 10.20.1.2 in eth0")
        self.assertEqual(done.stdout, """input: tcp from 10.20.1.2 port 40000 to 192.0.2.1 port 22 in eth0 new
  old.cos:13: input/ssh: accept tcp 22 from $admin
    accepted here
accepted
""")
        self.assertTrue(self.call("explain", "old.cos", "input udp 53").stdout.endswith("\ndropped\n"))
        # Who is in a set that others fill is not in the packet: the way and the verdict are of one that is not.
        self.write("banned.cos", support.small(["drop from $banned", "accept tcp 80"],
                                               extra="define:\n  banned: {external: addresses, size: 100}"))
        found = self.call("explain", "banned.cos", "input tcp 80").stdout
        self.assertNotIn("drop from", found)
        self.assertTrue(found.endswith("accept tcp 80\n    accepted here\naccepted\n"), found)
        value = json.loads(self.call("explain", "old.cos", "icmp echo-request", "--format", "json").stdout)
        self.assertEqual(value["outcome"], "accepted up to a limit, else dropped")

    def test_bad_inputs(self):
        for command in (["diff", "old.cos"], ["query"], ["explain"]):
            rest = [] if command[0] == "diff" else ["input tcp 22" if command[0] == "explain" else "input drop udp"]
            if command[0] == "diff":
                self.call("diff", "old.cos", "missing.cos", status=3)
                self.assertIn("tpc", self.call("diff", "old.cos", "broken.cos", status=1).stderr)
                self.call("diff", "old.cos", status=64)
                self.call("diff", "-", "-", status=64)
                continue
            self.call(*command, "missing.cos", *rest, status=3)
            self.assertIn("tpc", self.call(*command, "broken.cos", *rest, status=1).stderr)
            self.call(*command, "old.cos", status=64)
        # A statement that is none does not fail to hold.
        self.assertIn("<question>:1:", self.call("query", "old.cos", "input accept tpc 22", status=3).stderr)
        self.assertIn("expect/empty-region", self.call("query", "old.cos", "input drop tcp 22 from $none",
                                                       status=3).stderr)
        self.assertIn("define/", self.call("explain", "old.cos", "input from $nobody", status=1).stderr)
        self.call("compile", "old.cos", "-o", "out")
        damaged = bytearray((self.directory / "out" / "policy.bundle").read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (self.directory / "damaged.bundle").write_bytes(damaged)
        for arguments in (["diff", "old.cos", "damaged.bundle"], ["diff", "damaged.bundle", "old.cos"],
                          ["query", "damaged.bundle", "input drop udp"], ["explain", "damaged.bundle", "input udp"]):
            self.assertIn("`damaged.bundle`: refused as a bundle: its checksum is wrong",
                          self.call(*arguments, status=3).stderr)

    def test_no_answer(self):
        """Where there is none, a program gets a document that says why."""
        chain = "table %s {\n chain c {\n  type filter hook %s priority 0\n  %s\n }\n}\n"
        self.write("two.nft", chain % ("inet a", "input", "tcp dport 22 meta mark set 1")
                   + chain % ("ip b", "input", "meta mark 1 drop") + chain % ("netdev n", "ingress device lo", "drop"))
        asked = {
            "diff": ["old.cos"], "refines": ["old.cos"], "query": ["input drop udp"], "explain": ["input udp 1"],
            "test": ["--against", "old.cos"], "audit": ["--against", "benchmark.cos"],
        }
        self.write("benchmark.cos", self.BENCHMARK)
        for command, rest in asked.items():
            for source, code in (("two.nft", 2), ("missing.cos", 3), ("broken.cos", 1)):
                if (command, source) in (("explain", "two.nft"), ("test", "two.nft")):
                    continue
                done = lockdown(command, source, *rest, "--format", "json", cwd=self.directory)
                with self.subTest(command=command, source=source):
                    value = json.loads(done.stdout)
                    if source == "two.nft" and "exit-code" not in value:
                        continue
                    self.assertEqual((done.status, value["exit-code"]), (code, code), str(done))
                    self.assertEqual(bool(value["findings"]), source == "broken.cos")
                    self.assertEqual(bool(value["unknown"]), source != "broken.cos")
        run = json.loads(self.call("diff", "old.cos", "broken.cos", "--format", "sarif", status=1).stdout)["runs"][0]
        self.assertTrue(run["results"])
        run = json.loads(self.call("diff", "old.cos", "missing.cos", "--format", "sarif", status=3).stdout)["runs"][0]
        self.assertEqual([result["ruleId"] for result in run["results"]], ["source/no-answer"])
        value = json.loads(self.call("diff", "old.cos", self.write(
            "weak.cos", self.OLD.replace("restrict: 2", "restrict: 1")), "--format", "json", status=1).stdout)
        self.assertEqual([(one["key"], one["old"], one["new"]) for one in value["settings"]],
                         [("kernel.kptr_restrict", "2", "1")])

    def test_standard_input(self):
        """What it is, its first lines say."""
        save = "# Generated by iptables-save\n*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
        rules = "table inet t {\n\tchain in { type filter hook input priority filter; policy drop;\n" \
                "\t\ttcp dport 22 accept\n\t}\n}\n"
        for text in (save, rules, "#!/usr/sbin/nft -f\nflush ruleset\n" + rules):
            self.call("query", "-", "input accept ipv4 tcp 22", input=text)
            self.call("query", "-", "input accept ipv4 tcp 23", input=text, status=1)
        self.write("list", rules)
        self.write("list.nft", rules)
        self.assertIn("mean the same\n", self.call("diff", "-", "list.nft", input=rules).stdout)
        found = self.call("diff", "list", "-", input=rules.replace("22", "23"), status=1).stdout
        self.assertIn("old: list:3: inet t in#1: tcp dport 22 accept\n", found)
        self.assertIn("accepted: every", self.call("query", "-", "input accept tcp 22 from $admin", input=self.OLD).stdout)
        done = self.call("diff", "-", "list.nft", input="table inet t { chain \x1b[31m", status=3)
        self.assertIn("nft refuses `<stdin>`", done.stderr)
        self.assertNotIn("\x1b", done.stderr)

    def test_words_of_others(self):
        """Nothing of them moves a terminal's cursor, and nothing of them is markup."""
        self.write("one.nft", "table inet t {\n chain c {\n  type filter hook input priority 0; policy accept;\n"
                              "  tcp dport 22 drop comment \"\x1b[31m<b>|x\"\n }\n}\n")
        self.write("none.nft", "table inet t { }\n")
        done = self.call("diff", "one.nft", "none.nft", status=1).stdout
        self.assertNotIn("\x1b", done)
        self.assertIn("<U+001B>", done)
        done = self.call("diff", "one.nft", "none.nft", "--format", "markdown", status=1).stdout
        self.assertNotIn("\x1b", done)
        self.assertIn("&lt;b&gt;\\|x", done)
        self.write("\x1bname.cos", self.OLD)
        self.assertNotIn("\x1b", self.call("diff", "\x1bname.cos", "old.cos").stdout)
        self.assertNotIn("\x1b", self.call("diff", "\x1bmissing.cos", "old.cos", status=3).stderr)

    def test_claims_that_fail(self):
        """A policy whose own claims do not hold can be asked; a compile tells all of them."""
        self.write("claims.cos", self.OLD.replace("restrict: 2", "restrict: 1")
                   + "expect:\n  - sysctl kernel.kptr_restrict at least 2\n  - input accept tcp 23\n")
        self.call("query", "claims.cos", "input accept tcp 22 from $admin")
        self.call("explain", "claims.cos", "input tcp 22")
        self.call("diff", "claims.cos", "claims.cos")
        self.call("test", "claims.cos", "--against", "old.cos", status=1)
        found = self.call("check", "claims.cos", status=1).stderr
        self.assertIn("2 errors", found)

    def test_live_needs_a_capability(self):
        if os.geteuid() == 0:
            done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", support.LOCKDOWN, "query", "live",
                                   "input drop udp"], cwd="/", capture_output=True, text=True)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("CAP_NET_ADMIN", done.stderr)

    def test_kernel_rules(self):
        """Rules of an nft file, and of this network namespace."""
        self.call("compile", "old.cos", "-o", "old")
        absent = ("not compared, for one side does not hold it: "
                  "sysctl, mounts, modules, kernel, boot, syscalls, count, log\n")
        one, other = "old.cos", "old/nftables.nft"
        done = self.call("diff", one, other).stdout
        self.assertRegex(done, r"^old.cos and old/nftables.nft mean the same\nrules that could be read: all [0-9]+ of "
                               r"old/nftables.nft\n%s$" % absent)
        found = self.call("diff", other, "new.cos", status=1).stdout
        self.assertIn("widened: input: dropped → accepted\n  ipv4 tcp 8080 not established, related from $admin (new)\n", found)
        self.assertIn("accepted: every", self.call("query", other, "input accept tcp 22 from 10.20.0.0/16").stdout)
        # What nobody can read is named, and decides nothing.
        self.write("odd.nft", "table inet odd {\n chain in {\n  type filter hook input priority 0; policy drop;\n"
                              "  tcp dport 22 accept\n  tcp dport 23 numgen random mod 2 0 accept\n }\n}\n")
        self.assertIn("mean the same\n", self.call("diff", "odd.nft", "odd.nft").stdout)
        self.write("odder.nft", (self.directory / "odd.nft").read_text().replace("mod 2", "mod 3"))
        done = self.call("diff", "odd.nft", "odder.nft", status=2)
        self.assertIn("unknown: input: could not tell: inet odd in#2: rule 2 of chain `inet odd in`: the expression `numgen`",
                      done.stdout)
        self.call("query", "odd.nft", "input accept tcp 22")
        self.assertIn("could not tell", self.call("query", "odd.nft", "input accept tcp 23", status=2).stdout)
        self.call("query", "odd.nft", "input drop tcp 24")
        self.assertIn("could not tell: rule 2", self.call("explain", "odd.nft", "input tcp 23", status=2).stdout)
        # What nobody knows may be that it is accepted.
        self.write("perhaps.nft", "table inet perhaps {\n chain in {\n  type filter hook input priority 0; policy drop;\n"
                                  "  tcp dport 23 numgen random mod 2 0 accept\n }\n}\n")
        self.assertIn("could not tell", self.call("query", "perhaps.nft", "input may accept tcp 23", status=2).stdout)
        self.call("query", "perhaps.nft", "input may accept tcp 24", status=1)
        self.write("bad.nft", "table inet bad { chain")
        self.assertIn("nft refuses `bad.nft`", self.call("diff", "old.cos", "bad.nft", status=3).stderr)
        self.call("diff", "old.cos", "absent.nft", status=3)
        command = "nft -f old/nftables.nft && exec %s diff old.cos live" % support.LOCKDOWN
        done = subprocess.run(["unshare", "-n", "sh", "-c", command], cwd=self.directory, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^old.cos and live mean the same\nrules that could be read: all [0-9]+ of live\n%s$"
                                      % absent)

    def test_bundles(self):
        """A bundle is read back and stands for the policy that it was compiled from."""
        for name in ("old", "new"):
            self.call("compile", "%s.cos" % name, "-o", name)
        absent = "not compared, for one side does not hold it: modules, kernel, boot\n"
        for one, other in (("old.cos", "old/policy.bundle"), ("old/policy.bundle", "old.cos"),
                           ("new/policy.bundle", "new/policy.bundle")):
            self.assertEqual(self.call("diff", one, other).stdout, "%s and %s mean the same\n%s" % (one, other, absent))
        expected = self.call("diff", "old.cos", "new.cos", status=1).stdout
        found = self.call("diff", "old.cos", "new/policy.bundle", status=1).stdout
        # A bundle has no definitions.
        expected = expected.replace("related from $admin\n", "related from $admin (old)\n")
        self.assertEqual(found, expected.replace("input/ssh: accept tcp 22, 8080 from $admin", "input/ssh") + absent)
        value = json.loads(self.call("diff", "old/policy.bundle", "new/policy.bundle", "--format", "json", status=1).stdout)
        self.assertEqual([change["direction"] for change in value["changes"]], ["widened"])
        self.assertEqual(value["changes"][0]["regions"], ["ipv4 tcp 8080 not established, related from 10.20.0.0/16"])
        self.assertEqual(value["not-compared"], ["modules", "kernel", "boot"])
        self.assertEqual(
            self.call("query", "old/policy.bundle", "input accept tcp 22 from 10.20.0.0/16").stdout,
            self.call("query", "old.cos", "input accept tcp 22 from 10.20.0.0/16").stdout.replace(
                "input/ssh: accept tcp 22 from $admin", "input/ssh"))
        self.call("query", "old/policy.bundle", "sysctl kernel.kptr_restrict at least 1")
        self.assertIn("could not tell: a bundle does not hold it",
                      self.call("query", "old/policy.bundle", "module usb-storage denied", status=2).stdout)
        self.assertIn("define/", self.call("query", "old/policy.bundle", "input accept from $admin", status=3).stderr)
        self.assertEqual(
            self.call("explain", "old/policy.bundle", "input tcp 22 from 10.20.1.2 in eth0").stdout,
            self.call("explain", "old.cos", "input tcp 22 from 10.20.1.2 in eth0").stdout.replace(
                "input/ssh: accept tcp 22 from $admin", "input/ssh"))
