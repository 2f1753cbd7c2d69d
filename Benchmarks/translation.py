"""What reading a compile's messages back and comparing them with the policy adds to it, in instructions.

Times of two threads swing by more than what is looked for; instructions do not. They are counted by Valgrind, of the
program with its symbols, once in all and once inside the check.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import rules
from compile import ROOT

PROGRAM = ROOT / ".build/dist/release/lockdown"
CHECK = "*TranslationCheckV5check__8messages*"
# The half of a long list, on a thread of its own, where nothing else is counted.
BESIDE = "*TranslationCheckV10plainRules*U_"
# Of what the compile takes without it.
LIMIT = 0.25
COUNT = 10_000


def other_shapes(count: int) -> str:
    """Rules that are more than a conjunction and a verdict: limiters, several protocols, sets that are filled, logs."""
    lines = ["policy: shapes", "language: 1", "target:", "  kernel: '6.1'", "management: none", "define:",
             "  seen: { dynamic: addresses, size: 65535, timeout: 1h }", "  web: [tcp 80, tcp 443, udp 443]",
             "firewall:", "  input:",
             "    policy: drop", "    rules:"]
    for number in range(count):
        port, network = 1024 + number % 50_000, f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24"
        lines.append("      - " + (
            f"accept tcp {port} from {network} limit 10/second per source",
            f"accept $web from {network}",
            f"drop udp {port} from $seen log at most 3/minute",
            f"reject tcp {port} from {network} with tcp-reset",
            f"accept tcp {port} mark 7 from not $seen")[number % 5])
    return "\n".join(lines) + "\n"



def instructions(policy: Path, output: str, *options: str) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *options, str(PROGRAM), "compile",
               str(policy), "-o", output]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise SystemExit(f"Valgrind counted nothing:\n{done.stderr}")
    return int(found[1])


def rows() -> list[dict]:
    result = []
    with tempfile.TemporaryDirectory() as scratch:
        many, others = Path(scratch) / "rules.cos", Path(scratch) / "shapes.cos"
        many.write_text(rules.policy(COUNT))
        others.write_text(other_shapes(COUNT // 10))
        for what, policy in (("policies/cos.cos", ROOT / "policies/cos.cos"), (f"{COUNT:,} rules", many),
                             (f"{COUNT // 10:,} rules with limiters, sets and logs", others)):
            output = f"{scratch}/policy.compiled"
            check = sum(instructions(policy, output, f"--toggle-collect={part}") for part in (CHECK, BESIDE))
            rest = instructions(policy, output) - check
            result.append({
                "what": f"reading back what was compiled of {what}, beside all else", "ours": None, "peer": None,
                "ratio": check / rest, "limit": f"{LIMIT} ×", "holds": check / rest <= LIMIT,
                "note": f"{check / 1e6:.1f} of {rest / 1e6:.1f} million instructions"})
    return result
