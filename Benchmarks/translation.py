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
CHECK = "*TranslationCheckV10mismatches__8messages*"
# Of what the compile takes without it.
LIMIT = 0.25
# So many rules are read back at most.
COUNT = 1_990


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
        many = Path(scratch) / "rules.cos"
        many.write_text(rules.policy(COUNT))
        for what, policy in (("policies/cos.cos", ROOT / "policies/cos.cos"), (f"{COUNT:,} rules", many)):
            output = f"{scratch}/policy.compiled"
            check = instructions(policy, output, f"--toggle-collect={CHECK}")
            rest = instructions(policy, output) - check
            result.append({
                "what": f"reading back what was compiled of {what}, beside all else", "ours": None, "peer": None,
                "ratio": check / rest, "limit": f"{LIMIT} ×", "holds": check / rest <= LIMIT,
                "note": f"{check / 1e6:.1f} of {rest / 1e6:.1f} million instructions"})
    return result
