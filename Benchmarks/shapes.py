"""Policies of other shapes beside the same ones written otherwise: `lockdown diff` as a whole process.

Host-like rules have a port and a network each. Those of a router ask for two networks of lengths at random and one of a
few services. Boxes at random in four fields are the worst there is for any decision diagram: the table says how many of
them are told, and from where on the answer is "could not tell".
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterable, NamedTuple

import rules
from compile import LOCKDOWN
from timing import checked, peak_mib, run

# Whole process, seconds.
REWRITTEN_LIMIT = 1
ROUTER_LIMIT = 2
# How long z3 may think, in seconds.
PATIENCE = 60
BOXES = (160, 640, 2_560, 5_120)
SERVICES = ("tcp 22", "tcp 80", "tcp 443", "udp 53", "tcp 1024-65535", "tcp", "udp")


class Range(NamedTuple):
    """Addresses of IPv4 from the first to the last."""

    first: int
    last: int

    def __str__(self) -> str:
        return "-".join(".".join(str(byte) for byte in end.to_bytes(4, "big")) for end in self)

    def halves(self) -> Iterable["Range"]:
        """The second one first; of one address, that."""
        if self.first == self.last:
            return (self,)
        middle = (self.first + self.last) // 2
        return Range(middle + 1, self.last), Range(self.first, middle)


class Rule(NamedTuple):
    verdict: str
    clauses: str
    source: Range
    port: str = ""

    def __str__(self) -> str:
        return f"{self.verdict} {self.clauses} from {self.source}{self.port}"

    def halves(self) -> list["Rule"]:
        return [self._replace(source=half) for half in self.source.halves()]


def network(address: int, length: int) -> Range:
    first = address >> 32 - length << 32 - length
    return Range(first, first + (1 << 32 - length) - 1)


def policy(place: str, rules_of_it: Iterable[Rule]) -> str:
    head = ["policy: shape", "language: 1", "target:", "  kernel: '6.1'", "management: none", "firewall:", f"  {place}:",
            "    policy: drop", "    rules:"]
    return "\n".join(head + [f"      - {rule}" for rule in rules_of_it]) + "\n"


def host(count: int) -> list[Rule]:
    def address(text: str) -> int:
        return int.from_bytes(bytes(int(byte) for byte in text.split("/")[0].split(".")), "big")

    return [Rule("accept", f"tcp {port}", network(address(text), 24)) for port, text in rules.rules(count)]


def router(count: int) -> list[Rule]:
    """Seven of ten networks are near one of 64 places."""
    chance = random.Random(1)
    places = [chance.getrandbits(32) for _ in range(64)]

    def some() -> Range:
        near = chance.random() < .7
        address = chance.choice(places) ^ chance.getrandbits(20) if near else chance.getrandbits(32)
        return network(address, chance.choice((8, 16, 16, 20, 24, 24, 24, 28, 32)))

    return [Rule(chance.choice(("accept", "drop")), f"{chance.choice(SERVICES)} to {some()}", some()) for _ in range(count)]


def boxes(count: int) -> list[Rule]:
    """Ranges of both ports and both addresses, each at most half as long as there is room."""
    chance = random.Random(1)

    def some(bits: int) -> Range:
        length = chance.randrange(1, 1 << bits - 1)
        first = chance.randrange((1 << bits) - length)
        return Range(first, first + length)

    found = []
    for _ in range(count):
        source, target, near, far = some(32), some(32), some(16), some(16)
        found.append(Rule(chance.choice(("accept", "drop")), f"tcp {far.first}-{far.last} to {target}", source,
                          f" port {near.first}-{near.last}"))
    return found


def halved(all_rules: Iterable[Rule]) -> list[Rule]:
    return [half for rule in all_rules for half in rule.halves()]


def z3(old: list[Rule], new: list[Rule], root: Path) -> tuple[str, float]:
    """What z3 says of host-like rules, whether some packet is accepted by one list and not by the other, and its seconds."""
    for name, side in (("old", old), ("new", new)):
        lines = [f"{rule.clauses.split()[1]} {rule.source.first} {rule.source.last}\n" for rule in side]
        (root / name).write_text("".join(lines))
    peer = Path(__file__).resolve().parent / "peers/solve.py"
    done = subprocess.run([sys.executable, peer, root / "old", root / "new", str(PATIENCE)], check=True, capture_output=True,
                          text=True)
    said, seconds = done.stdout.split()
    return said, float(seconds)


def rows() -> list[dict]:
    result = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)

        def command(place: str, old: Iterable[Rule], new: Iterable[Rule]) -> list[str]:
            (root / "old.cos").write_text(policy(place, old))
            (root / "new.cos").write_text(policy(place, new))
            return [LOCKDOWN, "diff", str(root / "old.cos"), str(root / "new.cos")]

        def row(what: str, asked: list[str], status: int, limit: float, rounds: int) -> None:
            checked(asked, (status,))
            runs = [run(asked) for _ in range(rounds)]
            seconds = sorted(one.seconds for one in runs)[rounds // 2]
            result.append({
                "what": what, "ours": seconds, "peer": None, "ratio": None, "limit": f"{limit} s", "holds": seconds <= limit,
                "note": f"median of {rounds}, peak RSS {peak_mib(asked):.0f} MiB"})

        old = host(10_000)
        new = halved(old)[::-1]
        row("`lockdown diff`, 10,000 rules beside the same with each network as its halves, from last to first; beside z3",
            command("input", old, new), 0, REWRITTEN_LIMIT, 9)
        said, seconds = z3(old, new, root)
        last = result[-1]
        last.update(peer=seconds, ratio=last["ours"] / seconds,
                    note=f"{last['note']}; z3 once, which has {PATIENCE} s to think: `{said}`")

        old = router(5_000)
        edited = [rule if place != 2_500 else rule._replace(verdict="accept" if rule.verdict == "drop" else "drop")
                  for place, rule in enumerate(old)]
        row("`lockdown diff`, 5,000 rules of a router, networks at random, one of them changed",
            command("forward", old, edited), 1, ROUTER_LIMIT, 9)
        row("`lockdown diff`, the same beside the same with each source as its halves",
            command("forward", old, halved(old)), 0, ROUTER_LIMIT, 9)

        for count in BOXES:
            old = boxes(count)
            asked = command("forward", old, halved(old))
            one = run(asked)
            if one.status not in (0, 2):
                raise SystemExit(f"{count} boxes and their halves: exit {one.status}")
            said = "told to mean the same" if one.status == 0 else "could not tell: too many nodes"
            result.append({
                "what": f"`lockdown diff`, {count:,} boxes at random in four fields, beside their halves",
                "ours": one.seconds, "peer": None, "ratio": None, "limit": "–", "holds": True,
                "note": f"{said}; once, peak RSS {peak_mib(asked):.0f} MiB"})
    return result
