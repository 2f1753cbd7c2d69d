"""schema/policy.schema.json and schema/benchmark.schema.json against a real validator: policies as JSON, bad shapes, both kinds of scalars.

No kernel and no privilege needed.
"""

import json
import pathlib
import unittest

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(path, loader):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=loader)


class CoreLoader(yaml.SafeLoader):
    """Types as a JSON generator has them: integers and booleans, and dates left as text."""


CoreLoader.yaml_implicit_resolvers = {
    key: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class PolicySchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(ROOT / "schema/policy.schema.json", encoding="utf-8") as file:
            cls.schema = json.load(file)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def errors(self, document):
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in self.validator.iter_errors(document)]

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_policies_validate_as_text_and_as_typed_values(self):
        paths = sorted(ROOT.glob("policies/*.cos"))
        self.assertTrue(paths)
        for path in paths + sorted((ROOT / "../shared/examples").glob("*.cos")):
            for loader in (yaml.BaseLoader, CoreLoader):
                with self.subTest(path=path.name, loader=loader.__name__):
                    self.assertEqual(self.errors(load(path, loader)), [])

    def policy(self, **keys):
        return {"policy": "p", "language": 1, "target": {"kernel": "6.1"}, **keys}

    def test_every_form_of_a_rule_item(self):
        items = [
            "accept tcp 22",
            {"ssh": "accept tcp 22"},
            {"name": "ssh", "rule": "accept tcp 22", "enabled": False, "until": "2027-03-31", "controls": ["1"]},
            {"verdict": "accept", "protocol": ["tcp"], "ports": [22, "80-90"], "not": {"in": ["lo"]}},
            {"verdict": {"reject": "tcp-reset"}, "protocol": "tcp", "limit": {"rate": "5/minute", "over": True}},
            {"verdict": "drop", "flags": {"value": "syn", "mask": ["syn", "ack"]}, "count": True},
            {"ports": {"dispatch": "tcp", "table": {"22": "jump ssh"}, "else": "continue"}},
        ]
        document = self.policy(firewall={"input": {"policy": "drop", "rules": items}})
        self.assertEqual(self.errors(document), [])

    def test_what_is_refused(self):
        rules = lambda *items: {"input": {"policy": "drop", "rules": list(items)}}
        bad = {
            "no name": {"language": 1, "target": {"kernel": "6.1"}},
            "no language": {"policy": "p", "target": {"kernel": "6.1"}},
            "no target": {"policy": "p", "language": 1},
            "two names": self.policy(fragment="f"),
            "another language": self.policy(language=2),
            "a version as a number": self.policy(target={"kernel": 6.1}),
            "an unknown key": self.policy(sysctls={}),
            "an unknown key below": self.policy(modules={"denny": []}),
            "a name with capitals": self.policy(define={"Web": [80]}),
            "a list for a mapping": self.policy(sysctl=["kernel.kptr_restrict"]),
            "text for a list": self.policy(modules={"deny": "dccp"}),
            "an unknown word": self.policy(modules={"default": "denied"}),
            "an unknown flag": self.policy(mounts={"/tmp": {"flags": ["noexecute"]}}),
            "a relative mount point": self.policy(mounts={"tmp": {"flags": ["noexec"]}}),
            "a boolean for a sysctl": self.policy(sysctl={"kernel.kptr_restrict": True}),
            "two rules in one item": self.policy(firewall=rules({"a": "accept", "b": "drop"})),
            "a rule called closing": self.policy(firewall=rules({"closing": "accept"})),
            "a clause beside a text": self.policy(firewall=rules({"rule": "accept", "protocol": ["tcp"]})),
            "an unknown clause": self.policy(firewall=rules({"verdict": "accept", "proto": ["tcp"]})),
            "an empty list of values": self.policy(firewall=rules({"verdict": "accept", "protocol": []})),
            "a verdict map without else": self.policy(firewall=rules({"m": {"dispatch": "tcp", "table": {"1": "drop"}}})),
            "another word for management": self.policy(management="nobody"),
        }
        for what, document in bad.items():
            with self.subTest(what):
                self.assertNotEqual(self.errors(document), [])


class BenchmarkSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(ROOT / "schema/benchmark.schema.json", encoding="utf-8") as file:
            cls.schema = json.load(file)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)
        text = json.dumps(self.schema)
        for name in self.schema["$defs"]:
            self.assertIn(f'"#/$defs/{name}"', text)

    def test_benchmarks_validate_as_text_and_as_typed_values(self):
        paths = sorted(ROOT.glob("policies/benchmarks/*.cos"))
        self.assertGreaterEqual(len(paths), 3)
        for path in paths:
            for loader in (yaml.BaseLoader, CoreLoader):
                with self.subTest(path=path.name, loader=loader.__name__):
                    self.assertEqual([e.message for e in self.validator.iter_errors(load(path, loader))], [])

    def test_what_is_refused(self):
        control = {"id": "1.1", "title": "t", "expect": ["input drop tcp 23"]}
        good = {"benchmark": "b", "language": 1, "source": "s", "controls": [control]}
        self.assertTrue(self.validator.is_valid(good))
        bad = {
            "no source": {key: value for key, value in good.items() if key != "source"},
            "an unknown key": {**good, "policy": "p"},
            "a control without an id": {**good, "controls": [{"title": "t", "expect": ["input drop tcp 23"]}]},
            "an id that is no text": {**good, "controls": [{**control, "id": ["1.1"]}]},
            "an unknown place": {**good, "controls": [{**control, "expect": [{"closed": ["ingress"]}]}]},
            "a statement for a list": {**good, "controls": [{**control, "expect": "input drop tcp 23"}]},
            "an unknown machine": {**good, "controls": [{**control, "architectures": ["vax"]}]},
        }
        for name, document in bad.items():
            with self.subTest(name):
                self.assertFalse(self.validator.is_valid(document))


if __name__ == "__main__":
    unittest.main()
