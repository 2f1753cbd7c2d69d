"""Writes policies at random, and says beside each what it means.

The meaning is a second reading of the language, written from its definition and not from the compiler: beside its
text each clause has a predicate over the probes of `universe.py`.
"""

import ipaddress
import json
import random

import support
from packets import GRE, ICMP, ICMPV6, SCTP, TCP, UDP
from universe import SOURCES

PORT_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
PROTOCOLS = {**PORT_PROTOCOLS, "gre": GRE, "icmp": ICMP, "icmpv6": ICMPV6, "protocol 47": GRE}
SERVICES = {"ssh": 22, "http": 80, "https": 443, "domain": 53}
# Ends of port ranges.
BOUNDS = (1, 20, 22, 23, 53, 79, 80, 90, 124, 443, 1023, 40000, 65534, 65535)
STATES = ("new", "established", "related", "invalid", "untracked")
# What the probes' kinds are in the language's words, for each family.
ICMP_TYPES = {
    "icmp": {"echo-request": {"echo"}, "echo-reply": {"echo reply"}, "destination-unreachable": {"error"},
             "3/3": {"error"}, "3/4": set(), "200": {"other"}, "8": {"echo"}},
    "icmpv6": {"echo-request": {"echo"}, "echo-reply": {"echo reply"}, "destination-unreachable": {"error"},
               "1/4": {"error"}, "1/0": set(), "200": {"other"}, "neighbour-discovery": set()},
}
INTERFACES = {"eth0": {"eth0"}, "wan0": {"wan0"}, '"wan*"': {"wan0"}, '"eth*"': {"eth0", "eth1"}, "eth01": set(),
              "lo": set()}


def is_broadcast(address):
    return address in ("10.1.0.255", "255.255.255.255")


def is_multicast(address):
    return ipaddress.ip_address(address).is_multicast


def is_local(address):
    """Of what arrives at the host: addressed to itself and nobody else."""
    return not is_broadcast(address) and not is_multicast(address)


class Clause:
    """Text of a rule and the predicate it stands for."""

    def __init__(self, text, holds):
        self.text, self.holds = text, holds


class Author:
    """Writes rules at random, within what the language allows."""

    def __init__(self, seed, hook="input"):
        self.random = random.Random(seed)
        self.hook = hook

    def some(self, values, most=3):
        values = sorted(values)
        return self.random.sample(values, self.random.randint(1, min(most, len(values))))

    def chance(self, share):
        return self.random.random() < share

    def negated(self, share=0.35):
        """(word, whether the clause is turned round)"""
        return ("not ", True) if self.chance(share) else ("", False)

    def family(self):
        """An explicit family, which then holds for the whole rule."""
        if self.chance(0.25):
            number = self.random.choice((4, 6))
            return number, [Clause("ipv%d" % number, lambda probe: probe.family == number)]
        return None, []

    def ports(self):
        """(text, predicate over a port number)"""
        texts, tests = [], []
        for _ in range(self.random.randint(1, 4)):
            if self.chance(0.2):
                name = self.random.choice(sorted(SERVICES))
                texts.append(name)
                tests.append((SERVICES[name], SERVICES[name]))
            elif self.chance(0.5):
                number = self.random.choice((21, 22, 23, 53, 54, 67, 80, 85, 90, 91, 123, 443, 546, 6000, 8080, 65535))
                texts.append(str(number))
                tests.append((number, number))
            else:
                first, last = sorted(self.random.sample(BOUNDS, 2))
                texts.append("%d-%d" % (first, last))
                tests.append((first, last))
        return ", ".join(texts), lambda port: port is not None and any(a <= port <= b for a, b in tests)

    def transport(self, family):
        kind = self.random.randrange(6)
        if kind == 0:
            word, is_negated = self.negated()
            names = self.some(PROTOCOLS)
            if family:
                # `icmp` is IPv4 and `icmpv6` is IPv6; under the other family neither can match.
                names = [name for name in names if name not in ("icmp", "icmpv6")] or ["tcp"]
            families = {"icmp": 4, "icmpv6": 6}

            def holds(probe):
                inside = any(probe.protocol == PROTOCOLS[name] and families.get(name, probe.family) == probe.family
                             for name in names)
                return inside != is_negated
            return [Clause(word + ", ".join(names), holds)]
        if kind in (1, 2):
            names = self.some(PORT_PROTOCOLS, 2)
            numbers = {PORT_PROTOCOLS[name] for name in names}
            word, is_negated = self.negated()
            text, matches = self.ports()
            return [Clause("%s %s%s" % (", ".join(names), word, text), lambda probe: (
                probe.protocol in numbers and matches(probe.port) != is_negated))]
        if kind == 5:
            # The ports of the source stand with the addresses of the source, in one clause.
            names = self.some(PORT_PROTOCOLS, 2)
            numbers = {PORT_PROTOCOLS[name] for name in names}
            word, is_negated = self.negated()
            text, matches = self.ports()
            where = [Clause("from", lambda probe: True)]
            if self.chance(0.5):
                where = self.addresses("from", family)
            return [Clause(", ".join(names), lambda probe: probe.protocol in numbers),
                    Clause("%s port %s%s" % (where[0].text, word, text), lambda probe: (
                        where[0].holds(probe) and matches(probe.source_port) != is_negated))]
        if kind == 3:
            name = {4: "icmp", 6: "icmpv6"}.get(family) or self.random.choice(("icmp", "icmpv6"))
            word, is_negated = self.negated()
            types = self.some(ICMP_TYPES[name])
            kinds = set().union(*(ICMP_TYPES[name][item] for item in types))
            return [Clause("%s %s%s" % (name, word, ", ".join(types)), lambda probe: (
                probe.protocol == PROTOCOLS[name] and (probe.kind in kinds) != is_negated))]
        return []

    def prefixes(self, family):
        """A list of networks and ranges of one family, as (text, [(first, last)])."""
        pool = [source for source in SOURCES + ("10.1.0.1", "2001:db8:1::1") if (":" in source) == (family == 6)]
        texts, ranges = [], []
        for _ in range(self.random.randint(1, 3)):
            address = ipaddress.ip_address(self.random.choice(pool))
            if self.chance(0.25):
                last = ipaddress.ip_address(self.random.choice(pool))
                first, last = sorted((address, last))
                texts.append("%s-%s" % (first, last))
                ranges.append((first, last))
                continue
            lengths = (8, 9, 16, 17, 24, 25, 31, 32) if family == 4 else (16, 32, 33, 47, 48, 64, 65, 127, 128)
            network = ipaddress.ip_network((address, self.random.choice(lengths)), strict=False)
            texts.append(str(network) if network.num_addresses > 1 or self.chance(0.3) else str(address))
            ranges.append((network[0], network[-1]))
        return texts, ranges

    def addresses(self, side, family):
        texts, ranges, holes, hole_texts = [], [], [], []
        for number in ([family] if family else [4, 6]):
            more, found = self.prefixes(number)
            texts += more
            ranges += found
            first, last = found[0]
            if self.chance(0.3) and int(last) - int(first) > 8:
                # A hole that leaves something: one address inside.
                hole = first + self.random.randint(1, int(last) - int(first) - 1)
                hole_texts.append(str(hole))
                holes.append(hole)
        self.random.shuffle(texts)
        word, is_negated = self.negated()
        text = "%s %s%s" % (side, word, ", ".join(texts))
        if holes:
            text += " except " + ", ".join(hole_texts)

        def holds(probe):
            address = ipaddress.ip_address(probe.source if side == "from" else probe.target)
            inside = address not in holes and any(
                a.version == address.version and a <= address <= b for a, b in ranges)
            return inside != is_negated
        return [Clause(text, holds)]

    def kinds_of_address(self, family):
        """`local`, `broadcast` and `multicast`; the second is IPv4 only and stands under `ipv4`."""
        word, is_negated = self.negated()
        meanings = {"local": is_local, "multicast": is_multicast, "local, multicast": lambda address: (
            is_local(address) or is_multicast(address))}
        if family == 4:
            meanings["broadcast"] = is_broadcast
        name = self.random.choice(sorted(meanings))
        return [Clause("to %s%s" % (word, name), lambda probe: meanings[name](probe.target) != is_negated)]

    def states(self):
        word, is_negated = self.negated()
        chosen = self.some(STATES)
        return [Clause(word + ", ".join(chosen), lambda probe: (probe.state in chosen) != is_negated)]

    def interfaces(self):
        word, is_negated = self.negated()
        chosen = self.some(INTERFACES)
        meaning = set().union(*(INTERFACES[name] for name in chosen))
        return [Clause("in %s%s" % (word, ", ".join(chosen)), lambda probe: (probe.interface in meaning) != is_negated)]

    def out(self):
        word, is_negated = self.negated()
        chosen = self.some(["eth1", "eth0", '"eth*"', "wan0", "eth10"])
        return [Clause("out %s%s" % (word, ", ".join(chosen)), lambda probe: (
            any(name in ("eth1", '"eth*"') for name in chosen) != is_negated))]

    def status(self):
        word, is_negated = self.negated(0.5)
        return [Clause("status %sdnat" % word, lambda probe: probe.is_translated != is_negated)]

    def refusal(self):
        """`reject` has no place in prerouting."""
        return "drop" if self.hook == "prerouting" else "reject"

    # Keys of verdict maps that no packet meets two of, and what they stand for.
    MAP_KEYS = {
        "tcp": [(text, lambda probe, a=first, b=last: a <= probe.port <= b) for text, first, last in (
            ("22", 22, 22), ("http", 80, 80), ("85-90", 85, 90), ("91, 443", 91, 91), ("1000-65535", 1000, 65535))],
        "in": [(name, lambda probe, name=name: probe.interface == name) for name in ("eth0", "wan0", "lo")],
        "from": [(text, lambda probe, net=ipaddress.ip_network(text): ipaddress.ip_address(probe.source) in net)
                 for text in ("10.1.0.1", "10.0.0.0/16", "10.1.0.128/25", "2001:db8:1::1", "2001:db8:1:8000::/64")],
    }

    def map(self, chains):
        """A verdict map, as `rule` gives a rule; the decision is a function of the probe."""
        self.maps = getattr(self, "maps", 0) + 1
        fields = self.random.sample(sorted(self.MAP_KEYS), self.random.choice((1, 2)))
        firsts = [key for key in self.MAP_KEYS[fields[0]] if "," not in key[0]]
        self.random.shuffle(firsts)

        def verdict():
            choices = [("accept", True), ("drop", False), ("continue", None), ("return", ("return",))]
            for name in chains:
                choices += [("jump " + name, ("jump", name)), ("goto " + name, ("goto", name))]
            return self.random.choice(choices)

        table, lines = {}, []
        for text, holds in firsts[:self.random.randint(1, 3)]:
            second = self.random.choice([key for key in self.MAP_KEYS[fields[-1]] if "," not in key[0]])
            word, decision = verdict()
            if len(fields) == 2:
                text += " . " + second[0]
                lines.append((lambda probe, a=holds, b=second[1]: a(probe) and b(probe), decision))
            else:
                lines.append((holds, decision))
            table[text] = word
        otherwise, rest = verdict()
        text = json.dumps({"map%d" % self.maps: {"dispatch": " . ".join(fields), "table": table, "else": otherwise}})

        def present(probe):
            return "tcp" not in fields or (probe.protocol == TCP and probe.port is not None)

        def decide(probe):
            return next((decision for holds, decision in lines if holds(probe)), rest)
        return text, present, decide

    def rule(self, chains=()):
        """(text, predicate, verdict); the verdict is True or False, None where the rule decides nothing, or what it
        does with the chains named: `("jump", name)`, `("goto", name)`, `("return",)`."""
        if self.chance(0.12):
            return self.map(chains)
        family, clauses = self.family()
        if self.chance(0.7):
            clauses += self.transport(family)
        if self.chance(0.35) and not any(clause.text.startswith("from") for clause in clauses):
            clauses += self.addresses("from", family)
        if self.chance(0.25):
            clauses += (self.addresses("to", family) if self.chance(0.6) or self.hook == "forward"
                        else self.kinds_of_address(family))
        # States would start connection tracking, and a router's fragments would be fragments no more.
        for share, write in (((0.3, self.states), (0.3, self.interfaces), (0.15, self.status))
                             if self.hook != "forward" else ((0.3, self.interfaces), (0.3, self.out))):
            if self.chance(share):
                clauses += write()
        if self.chance(0.2):
            clauses.append(Clause("count", lambda probe: True))
        # A rule without clauses would end the list too often.
        if not clauses:
            clauses = self.interfaces()
        self.random.shuffle(clauses)
        verdict, decision = self.random.choice((
            ("accept", True), ("accept", True), ("accept", True), ("drop", False), ("drop", False),
            (self.refusal(), False), ("continue", None)))
        if chains and self.chance(0.35):
            decision = (self.random.choice(("jump", "goto")), self.random.choice(chains))
            verdict = " ".join(decision)
        elif self.chance(0.12):
            verdict, decision = "return", ("return",)
        if verdict == "continue" and not any(clause.text == "count" for clause in clauses):
            clauses.append(Clause("count", lambda probe: True))
        text = " ".join([verdict] + [clause.text for clause in clauses])
        return text, lambda probe: all(clause.holds(probe) for clause in clauses), decision

    def policy(self):
        # Each chain leads to the ones behind it only.
        names = ["first", "policy", "the-third-of-the-chains-with-a-long-name"][:self.random.choice((0, 1, 3, 3))]
        chains = {name: [self.rule(names[index + 1:]) for _ in range(self.random.randint(1, 4))]
                  for index, name in enumerate(names)}
        rules = [self.rule(names) for _ in range(self.random.randint(3, 8))]
        default = self.random.choice(("accept", "drop", "drop", self.refusal()))

        def walk(rules, probe, at_end):
            """What the rules decide; `at_end` says what `return` and the end of the list do."""
            for index, (_, holds, decision) in enumerate(rules):
                if decision is None or not holds(probe):
                    continue
                if callable(decision):
                    decision = decision(probe)
                    if decision is None:
                        continue
                if isinstance(decision, bool):
                    return decision
                if decision[0] == "return":
                    return at_end()
                rest = rules[index + 1:]
                return walk(chains[decision[1]], probe, at_end if decision[0] == "goto" else (
                    lambda: walk(rest, probe, at_end)))
            return at_end()

        text = support.small([text for text, _, _ in rules], hook=self.hook, default=default)
        if chains:
            text += "  chains:\n"
            for name, chain in chains.items():
                text += "    %s:\n" % name + "".join("      - %s\n" % support.item(rule) for rule, _, _ in chain)
        return text, lambda probe: walk(rules, probe, lambda: default == "accept")
