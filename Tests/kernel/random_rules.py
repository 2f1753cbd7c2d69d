"""Policies at random as text, over a world in which every clause can be met by a packet that somebody sends.

The addresses are on both sides of what the worlds of `test_campaign` send from and to, so that clauses part them.
"""

import random

NETWORKS4 = ["10.0.0.0/8", "10.1.0.0/24", "10.1.0.128/25", "172.16.0.0/12", "192.0.2.0/24", "198.51.100.0/25",
             "198.51.100.7", "198.51.100.64/26", "203.0.113.0/24", "203.0.113.9", "10.1.0.2", "198.51.100.10-198.51.100.40",
             "100.64.0.0/10", "0.0.0.0/1"]
NETWORKS6 = ["2001:db8::/32", "2001:db8:1::/64", "2001:db8:1::8000-2001:db8:1::ffff", "2001:db8:ff::/64",
             "2001:db8:ff::7", "2001:db8:ff::80/121", "2001:db8:3::/48", "2001:db8:1::2", "fd00::/8", "8000::/1"]
PORTS = ["22", "53", "80", "443", "1024-65535", "8000-8100", "1-1023", "65535", "8080", "9100-9199"]
STATES = ["new", "established", "related", "invalid", "untracked"]
FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg"]
TYPES4 = ["echo-request", "echo-reply", "destination-unreachable", "time-exceeded", "3/4", "timestamp-request", "200"]
TYPES6 = ["echo-request", "echo-reply", "destination-unreachable", "packet-too-big", "1/4", "200"]
USERS = ["0", "8", "1000-1999", "65534", "0, 8", "1000, 4294967294"]


class RandomRules:
    """One policy for each seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed = seed
        # Without a clause about connections the kernel does not put fragments together.
        self.is_stateless = self.chance(.15)
        self.chain_names = []

    def chance(self, share):
        return self.random.random() < share

    def some(self, of, most=3):
        return ", ".join(self.random.sample(of, self.random.randint(1, min(most, len(of)))))

    def text(self):
        """A policy with two or three of the five hooks."""
        lines = ["policy: random-%d" % self.seed, "language: 1", "target: { kernel: \"6.1\" }", "management: none",
                 "define:", "  mixed: [%s]" % self.quoted(3, 3), "  four: [%s]" % self.quoted(4, 0),
                 "  six: [%s]" % self.quoted(0, 3),
                 "  holes: $mixed except %s, %s" % ("10.1.0.128/25", "2001:db8:ff::80/121"),
                 "  web: [tcp 80, tcp 8000-8100, udp 443]", "firewall:"]
        self.chain_names = ["first", "second"] if self.chance(.6) else []
        hooks = self.random.sample(["input", "forward", "output"], self.random.randint(1, 3))
        if self.chance(.25):
            hooks.append("prerouting")
        for hook in hooks:
            default = "accept" if hook == "prerouting" else self.random.choice(["accept", "drop", "reject"])
            lines += ["  %s:" % hook, "    policy: %s" % default]
            if hook == "prerouting":
                lines.append("    priority: mangle - 3")
            lines.append("    rules:")
            if self.is_stateless and hook in ("forward", "prerouting") and self.chance(.7):
                # Else the kernel looks for their ports where the rules do.
                lines.append("      - pieces: '%s fragment'" % self.random.choice(["accept", "drop"]))
            lines += ["      - %s" % rule for rule in self.rules(hook, self.random.randint(2, 14))]
        if self.chain_names:
            lines.append("  chains:")
            for index, name in enumerate(self.chain_names):
                lines.append("    %s:" % name)
                # Its rules hold wherever it is entered from.
                lines += ["      - %s" % rule for rule in
                          self.rules("any", self.random.randint(1, 5), self.chain_names[index + 1:])]
        return "\n".join(lines) + "\n"

    def quoted(self, fours, sixes):
        chosen = self.random.sample(NETWORKS4, fours) + self.random.sample(NETWORKS6, sixes)
        return ", ".join('"%s"' % one for one in chosen)

    def rules(self, hook, count, targets=None):
        targets = self.chain_names if targets is None else targets
        found = []
        for number in range(count):
            if self.chance(.08):
                found.append(self.map("m%d" % number, targets))
            else:
                found.append("r%d: '%s'" % (number, self.rule(hook, targets)))
        return found

    def map(self, name, targets):
        verdicts = ["accept", "drop", "continue"] + ["jump %s" % target for target in targets]
        pick = self.random.choice
        kind = pick(["tcp", "udp", "from", "tcp . from"])
        if kind in ("tcp", "udp"):
            keys = ["22", "\"80, 443\"", "1024-7999", "8000-8100", "65535"]
        elif kind == "from":
            keys = ["10.1.0.0/24", "\"172.16.0.0/12, 203.0.113.9\"", "\"2001:db8:1::/64\"", "\"2001:db8:3::/48\""]
        else:
            keys = ["22 . 10.0.0.0/8", "22 . 172.16.0.0/12", "80-443 . 10.1.0.0/24", "1024-65535 . 203.0.113.0/24",
                    "\"22 . 2001:db8:1::/64\""]
        chosen = self.random.sample(keys, self.random.randint(1, len(keys)))
        table = ", ".join("%s: %s" % (key, pick(verdicts)) for key in chosen)
        return "%s: { dispatch: \"%s\", table: { %s }, else: %s }" % (name, kind, table, pick(verdicts[:3]))

    def rule(self, hook, targets):
        verdicts = ["accept"] * 4 + ["drop"] * 4 + ["continue"]
        if hook in ("input", "forward", "output"):
            verdicts.append("reject")
        verdicts += ["jump %s" % target for target in targets]
        if hook == "any":
            verdicts.append("return")
        verdict = self.random.choice(verdicts)
        clauses = self.clauses(hook)
        if verdict == "continue":
            clauses.append(self.random.choice(["set mark 0x10", "set mark 7", "count", "set dscp 12"]))
        elif verdict in ("accept", "drop") and self.chance(.06):
            clauses.append("limit %s%d/hour burst %d" % (
                "over " if verdict == "drop" else "", self.random.randint(1, 9), self.random.randint(1, 9)))
        elif self.chance(.1):
            clauses.append("count")
        return " ".join([verdict] + clauses)

    def clauses(self, hook):
        clauses = []
        family = None
        kind = self.random.random()
        # First the protocol, which may bring the family with it.
        if kind < .22:
            clauses.append("tcp" + self.ports())
        elif kind < .38:
            clauses.append("udp" + self.ports())
        elif kind < .46:
            family = self.random.choice([4, 6])
            types = TYPES4 if family == 4 else TYPES6
            name = "icmp" if family == 4 else "icmpv6"
            clauses.append("%s %s%s" % (name, "not " if self.chance(.25) else "", self.some(types)))
        elif kind < .52:
            wanted = self.random.sample(FLAGS, self.random.randint(1, 4))
            mask = sorted(set(wanted) | set(self.random.sample(FLAGS, self.random.randint(0, 4))), key=FLAGS.index)
            value = ", ".join(sorted(wanted, key=FLAGS.index)) if self.chance(.85) else "none"
            clauses.append("tcp flags %s%s of %s" % ("not " if self.chance(.25) else "", value, ", ".join(mask)))
        elif kind < .57:
            clauses.append("$web" if self.chance(.6) else "not $web")
        elif kind < .63:
            clauses.append(self.random.choice(
                ["gre", "not tcp, udp", "not icmp, icmpv6", "protocol 99", "tcp, udp" + self.ports(), "sctp 22"]))
        if self.chance(.2) and family is None:
            family = self.random.choice([4, 6])
            clauses.append("ipv%d" % family)
        for side in ("from", "to"):
            if self.chance(.38):
                clauses.append("%s %s" % (side, self.addresses(family)))
        if hook in ("input", "forward", "prerouting", "any") and hook != "any" and self.chance(.2):
            clauses.append(self.random.choice(
                ["in eth0", "in wan0", "in not eth0", "in \"eth*\"", "in \"w*\", lo", "in not \"wan*\""]))
        if hook in ("forward", "output") and self.chance(.15):
            clauses.append(self.random.choice(["out eth0", "out wan0", "out not wan0", "out \"wan*\""]))
        if hook == "output" and self.chance(.35):
            clauses.append("%s %s%s" % (
                self.random.choice(["user", "user", "group"]), "not " if self.chance(.4) else "",
                self.random.choice(USERS)))
        if not self.is_stateless and self.chance(.3):
            clauses.append(("not " if self.chance(.3) else "") + self.some(STATES, 2))
        # A later fragment has no ports and no flags to ask for.
        if self.is_stateless and hook in ("forward", "any") and kind >= .63 and self.chance(.5):
            clauses.append("fragment" if self.chance(.6) else "not fragment")
        if self.chance(.06):
            clauses.append(self.random.choice(["dscp 10-14", "dscp not 0", "dscp 46", "dscp 63"]))
        if hook != "prerouting" and self.chance(.06):
            clauses.append(self.random.choice(["ttl 1-63", "ttl not 64-128", "ttl 255"]))
        if self.chance(.06):
            clauses.append(self.random.choice(["length 0-99", "length 100-400", "length not 60-200"]))
        if self.chance(.05):
            clauses.append(self.random.choice(["mark 0x10", "mark 7", "mark not 0x10/0xf0"]))
        return clauses

    def ports(self):
        text = ""
        if self.chance(.75):
            text = " %s%s" % ("not " if self.chance(.25) else "", self.some(PORTS[:4] + self.random.sample(PORTS, 3)))
        return text

    def addresses(self, family):
        negated = self.chance(.3)
        lists = {4: ["$four"], 6: ["$six"], None: ["$mixed", "$holes"]}[family]
        if self.chance(.4):
            return ("not " if negated else "") + self.random.choice(lists)
        if self.chance(.1) and family is None and not self.is_stateless:
            return self.random.choice(["local", "not local", "multicast"])
        if negated and family is None:
            # Both families, or the rule would have to say which one it means.
            return "not %s, %s" % (self.random.choice(NETWORKS4), self.random.choice(NETWORKS6))
        if family is None:
            # One of each, so that both sides of a rule can be met together.
            return self.some(NETWORKS4, 2) + ", " + self.some(NETWORKS6, 2)
        return ("not " if negated else "") + self.some(NETWORKS4 if family == 4 else NETWORKS6)
