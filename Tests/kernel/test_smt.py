"""`diff` and `query` beside an SMT solver: z3 decides the same questions about the same text.

The text is read here by a few lines of its own, and first match becomes a nest of `If` over bit vectors. Asked is
whether both say the same directions, whether the regions together are the difference to the last packet, and whether
every example is one. Fragments are left out: packets here have ports.
"""

import ipaddress
import json
import os
import random
import unittest

import z3

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

# `LOCKDOWN_SMT_POLICIES=500 python3 -m unittest test_smt` is the long run.
POLICIES = int(os.environ.get("LOCKDOWN_SMT_POLICIES", "40"))
SIZES = [2, 4, 8, 15, 30, 60, 120, 300]

INTERFACES = ["lo", "eth0", "eth1", "wg0"]
STATES = ["new", "established", "related", "invalid", "untracked"]
PROTOCOLS = {"tcp": 6, "udp": 17}
VERDICTS = {"accept": 0, "drop": 1, "reject": 2}
OUTCOMES = {"accepted": 0, "dropped": 1, "rejected": 2}

IPV6 = z3.Bool("ipv6")
ADDRESS = {side: {4: z3.BitVec(side + "4", 32), 6: z3.BitVec(side + "6", 128)} for side in ("from", "to")}
PORT = {side: z3.BitVec(side + "port", 16) for side in ("from", "to")}
PROTOCOL, INTERFACE, STATE = z3.BitVec("protocol", 8), z3.BitVec("interface", 3), z3.BitVec("state", 3)
# Four interfaces with names and one more, five states.
HAS_PORTS = z3.Or([PROTOCOL == number for number in (6, 17, 33, 132, 136)])
REAL = z3.And(z3.ULE(INTERFACE, len(INTERFACES)), z3.ULT(STATE, len(STATES)))


# Reading clauses

class Words:
    """The words of a rule, a region or a packet, commas apart."""

    def __init__(self, text):
        self.words = text.replace(",", " , ").split()

    def peek(self):
        return self.words[0] if self.words else None

    def take(self):
        return self.words.pop(0)

    def takes(self, word):
        if self.peek() == word:
            self.take()
            return True
        return False

    def list(self):
        found = [self.take()]
        while self.takes(","):
            found.append(self.take())
        return found


def port(variable, word):
    """A packet without ports has none of them."""
    low, _, high = word.partition("-")
    return z3.And(HAS_PORTS, z3.UGE(variable, int(low)), z3.ULE(variable, int(high or low)))


def address(side, word):
    low, _, high = word.partition("-")
    if high:
        first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
    else:
        network = ipaddress.ip_network(low)
        first, last = network.network_address, network.broadcast_address
    variable = ADDRESS[side][first.version]
    inside = z3.And(z3.UGE(variable, int(first)), z3.ULE(variable, int(last)))
    return first.version, z3.And(IPV6 if first.version == 6 else z3.Not(IPV6), inside)


def matches(words):
    """What the clauses say, as a formula."""
    parts = []

    def negated(is_not, formula):
        parts.append(z3.Not(formula) if is_not else formula)

    while words.peek():
        is_not = words.takes("not")
        word = words.peek()
        if word in ("ipv4", "ipv6"):
            words.take()
            parts.append(IPV6 if word == "ipv6" else z3.Not(IPV6))
        elif word in PROTOCOLS:
            negated(is_not, z3.Or([PROTOCOL == PROTOCOLS[name] for name in words.list()]))
            if words.peek() and (words.peek()[0].isdigit() or words.peek() == "not" and words.words[1][0].isdigit()):
                is_not = words.takes("not")
                negated(is_not, z3.Or([port(PORT["to"], item) for item in words.list()]))
        elif word in STATES:
            negated(is_not, z3.Or([STATE == STATES.index(name) for name in words.list()]))
        elif word in ("from", "to"):
            words.take()
            if words.peek() != "port":
                is_not = words.takes("not")
                found = [address(word, item) for item in words.list()]
                if is_not and {version for version, _ in found} == {4, 6}:
                    raise AssertionError("both families in a negated list")
                negated(is_not, z3.Or([formula for _, formula in found]))
            if words.takes("port"):
                is_not = words.takes("not")
                negated(is_not, z3.Or([port(PORT[word], item) for item in words.list()]))
        elif word == "in":
            words.take()
            is_not = words.takes("not")
            negated(is_not, z3.Or([INTERFACE == INTERFACES.index(name) for name in words.list()]))
        else:
            raise AssertionError("no clause: %s" % words.words)
    return z3.And(parts) if parts else z3.BoolVal(True)


def outcome(rules, default):
    """First match, as a number of `VERDICTS`."""
    result = z3.BitVecVal(VERDICTS[default], 2)
    for text in reversed(rules):
        words = Words(text)
        verdict = VERDICTS[words.take()]
        result = z3.If(matches(words), z3.BitVecVal(verdict, 2), result)
    return result


def packet(text):
    """An example of a packet, as values of the variables."""
    words, values = Words(text), {}
    values[PROTOCOL] = z3.BitVecVal(6, 8)
    while words.peek():
        word = words.take()
        if word in PROTOCOLS:
            values[PROTOCOL] = z3.BitVecVal(PROTOCOLS[word], 8)
        elif word == "protocol":
            values[PROTOCOL] = z3.BitVecVal(int(words.take()), 8)
        elif word in ("icmp", "icmpv6", "gre", "esp", "ah", "sctp", "dccp", "udplite", "igmp", "vrrp", "ospf"):
            number = {"icmp": 1, "icmpv6": 58, "gre": 47, "esp": 50, "ah": 51, "sctp": 132, "dccp": 33,
                      "udplite": 136, "igmp": 2, "vrrp": 112, "ospf": 89}[word]
            values[PROTOCOL] = z3.BitVecVal(number, 8)
            if number in (1, 58) and words.peek() and words.peek()[0].isdigit():
                words.take()  # Type and code, which no rule here asks for.
        elif word in ("from", "to"):
            one = ipaddress.ip_address(words.take())
            values[IPV6] = z3.BoolVal(one.version == 6)
            values[ADDRESS[word][one.version]] = z3.BitVecVal(int(one), one.max_prefixlen)
            if words.takes("port"):
                values[PORT[word]] = z3.BitVecVal(int(words.take()), 16)
        elif word == "in":
            name = words.take()
            number = INTERFACES.index(name) if name in INTERFACES else len(INTERFACES)
            values[INTERFACE] = z3.BitVecVal(number, 3)
        elif word in STATES:
            values[STATE] = z3.BitVecVal(STATES.index(word), 3)
        elif word == "type":
            words.take()
        else:
            raise AssertionError("no word of a packet: %s in %s" % (word, text))
    return values


def is_satisfied(formula):
    solver = z3.Solver()
    solver.add(REAL, formula)
    answer = solver.check()
    if answer == z3.unknown:
        raise AssertionError("z3 could not tell: %s" % solver.reason_unknown())
    return solver.model() if answer == z3.sat else None


# Policies at random

def random_address(rng, family):
    if family == 4:
        length = rng.choice([8, 12, 16, 20, 24, 24, 28, 32])
        value = rng.choice([0x0a000000, 0xc0000200, 0xc6336400, 0xac100000]) | rng.getrandbits(22)
        first = ipaddress.IPv4Address(value >> 32 - length << 32 - length)
        if rng.random() < .15:
            return "%s-%s" % (first, first + rng.randrange(1, 900))
        return str(first) if length == 32 else "%s/%d" % (first, length)
    length = rng.choice([32, 48, 56, 64, 96, 128])
    value = 0x20010db8 << 96 | rng.getrandbits(20) << 76 | rng.getrandbits(8) << 60
    first = ipaddress.IPv6Address(value >> 128 - length << 128 - length)
    return str(first) if length == 128 else "%s/%d" % (first, length)


def random_ports(rng):
    found = set()
    for _ in range(rng.randrange(1, 4)):
        first = rng.choice([22, 53, 80, 443, 8000, 8080, rng.randrange(1, 65000)])
        found.add((first, first if rng.random() < .7 else first + rng.randrange(1, 400)))
    return ", ".join("%d" % low if low == high else "%d-%d" % (low, high) for low, high in sorted(found))


def random_rule(rng):
    words = [rng.choice(["accept", "accept", "drop", "drop", "reject"])]
    family = rng.choice([0, 0, 0, 4, 6])
    if family:
        words.append("ipv%d" % family)
    protocols = rng.choice([["tcp"], ["tcp"], ["udp"], ["tcp", "udp"], []])
    if protocols:
        words.append(", ".join(protocols))
        if rng.random() < .75:
            words.append(("not " if rng.random() < .1 else "") + random_ports(rng))
    if rng.random() < .25:
        names = rng.sample(["new", "established", "related", "invalid"], rng.randrange(1, 3))
        words.append(("not " if rng.random() < .2 else "") + ", ".join(names))
    families = [family] if family else rng.choice([[4], [6], [4, 6]])
    for side, likely in (("from", .6), ("to", .25)):
        parts = []
        if rng.random() < likely:
            # Each family in turn: a rule whose two ends have no family in common is refused.
            count = rng.randrange(len(families), 4)
            found = sorted({random_address(rng, families[number % len(families)]) for number in range(count)})
            parts.append(("not " if family and rng.random() < .2 else "") + ", ".join(found))
        if protocols and rng.random() < .1:
            parts.append("port " + random_ports(rng) if side == "from" else "")
        if any(parts):
            words.append(side + " " + " ".join(filter(None, parts)))
    if rng.random() < .3:
        names = rng.sample(INTERFACES, rng.randrange(1, 3))
        words.append("in " + ("not " if rng.random() < .3 else "") + ", ".join(names))
    return " ".join(words)


def edited(rng, rules):
    """Another policy: one edit of a few kinds."""
    rules = list(rules)
    place = rng.randrange(len(rules))
    kind = rng.randrange(5)
    if kind == 0 and len(rules) > 1:
        del rules[place]
    elif kind == 1:
        rules.insert(place, random_rule(rng))
    elif kind == 2 and place:
        rules[place - 1], rules[place] = rules[place], rules[place - 1]
    elif kind == 3:
        words = rules[place].split(" ", 1)
        rules[place] = " ".join([rng.choice(sorted(VERDICTS))] + words[1:])
    else:
        rules[place] = random_rule(rng)
    return rules


def rewritten(rng, rules):
    """The same meaning in other words: prefixes in halves, port lists in two rules, useless rules."""
    result = []
    for text in rules:
        words = text.split(" ")
        for index, word in enumerate(words):
            plain = word.rstrip(",")
            if "/" in plain and "not" not in words and rng.random() < .5:
                halves = ipaddress.ip_network(plain).subnets() if "/32" not in plain and "/128" not in plain else [plain]
                words[index] = ", ".join(str(half) for half in halves) + word[len(plain):]
        text = " ".join(words)
        if rng.random() < .3 and len(words) > 1 and "in" not in words:
            # In two: one interface, and whatever else.
            result.append("%s in eth0" % text)
        result.append(text)
        if rng.random() < .2:
            result.append(text)
    return result


def policy(rules, default):
    return support.small(rules, default=default, name="random").replace("target:", "target:", 1)


class Solver(unittest.TestCase):
    def diff(self, old, new):
        old_path, new_path = support.scratch() / "smt-old.cos", support.scratch() / "smt-new.cos"
        old_path.write_text(old)
        new_path.write_text(new)
        answer = support.run([support.LOCKDOWN, "diff", old_path, new_path, "--format", "json"], check=False)
        self.assertIn(answer.status, (0, 1), answer)
        return json.loads(answer.stdout)

    def assert_diff(self, old, new, default):
        """What `diff` says is what z3 finds; the number of changes."""
        before, after = outcome(old, default), outcome(new, default)
        found = self.diff(policy(old, default), policy(new, default))
        self.assertEqual(found["unknown"], [])
        seen, cut = {}, set()
        for change in found["changes"]:
            pair = OUTCOMES[change["before"]], OUTCOMES[change["after"]]
            difference = z3.And(before == pair[0], after == pair[1])
            example = [name == value for name, value in packet(change["witness"]).items()]
            self.assertIsNotNone(is_satisfied(z3.And(difference, *example)), change)
            regions = z3.Or([matches(Words(region)) for region in change["regions"]])
            self.assertIsNone(is_satisfied(z3.And(regions, z3.Not(difference))), change)
            others = seen.setdefault(pair, [])
            # One change for each pair of rules that decide: they do not overlap.
            self.assertIsNone(is_satisfied(z3.And(regions, z3.Or(others))), change)
            others.append(regions)
            if not change["regions-complete"]:
                cut.add(pair)
        for pair in [(first, second) for first in range(3) for second in range(3) if first != second]:
            if pair in cut:
                continue  # Not all of its regions are printed.
            left = z3.And(before == pair[0], after == pair[1], z3.Not(z3.Or(seen.get(pair, []))))
            self.assertIsNone(is_satisfied(left), "not said: %s" % (pair,))
        self.assertEqual(found["same"], not seen)
        return len(found["changes"])

    def test_edited(self):
        rng, changes, rules = random.Random(11), 0, 0
        for number in range(POLICIES):
            size, default = SIZES[number % len(SIZES)], rng.choice(["drop", "accept"])
            old = [random_rule(rng) for _ in range(size)]
            new = edited(rng, old)
            rules += size
            with self.subTest(number=number, old=old, new=new):
                changes += self.assert_diff(old, new, default)
        support.note("%d policies of up to %d rules (%d in all), %d changes" % (POLICIES, max(SIZES), rules, changes))
        self.assertGreater(changes, POLICIES // 4)

    def test_rewritten(self):
        rng, same = random.Random(12), 0
        for number in range(POLICIES):
            old = [random_rule(rng) for _ in range(SIZES[number % len(SIZES)])]
            new = rewritten(rng, old)
            with self.subTest(number=number, old=old, new=new):
                same += self.assert_diff(old, new, "drop") == 0
        support.note("%d of %d mean the same" % (same, POLICIES))
        self.assertGreater(same, POLICIES // 2)

    def test_query(self):
        rng, counts = random.Random(13), {}
        for number in range(POLICIES):
            rules = [random_rule(rng) for _ in range(SIZES[number % len(SIZES)])]
            path = support.scratch() / "smt-query.cos"
            path.write_text(policy(rules, "drop"))
            words = (random_rule(rng) if number % 2 else rng.choice(rules)).split(" ", 1)
            region = words[1] if len(words) > 1 else "any"
            verdict = rng.choice(["accept", "drop", "reject", "may accept"])
            with self.subTest(number=number, rules=rules, region=region, verdict=verdict):
                asked = support.run([support.LOCKDOWN, "query", path, "input %s %s" % (verdict, region)], check=False)
                space = matches(Words(region)) if region != "any" else z3.BoolVal(True)
                if not any(state in region for state in STATES):
                    space = z3.And(space, z3.Or(STATE == 0, STATE == 4))
                if not any(word in region.split() for word in ("in",)):
                    space = z3.And(space, INTERFACE != 0)
                result = outcome(rules, "drop")
                if verdict == "may accept":
                    holds = is_satisfied(z3.And(space, result == 0)) is not None
                else:
                    wrong = {"accept": result != 0, "drop": result == 0, "reject": result != 2}[verdict]
                    holds = is_satisfied(z3.And(space, wrong)) is None
                self.assertEqual(asked.status, 0 if holds else 1, asked)
                counts[verdict, holds] = counts.get((verdict, holds), 0) + 1
        support.note(", ".join("%s %s: %d" % (verdict, holds, count)
                               for (verdict, holds), count in sorted(counts.items())))
