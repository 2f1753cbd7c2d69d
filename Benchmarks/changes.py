"""Many rules checked and compared: `lockdown check` beside `lockdown compile` of the same rules, and `lockdown diff`."""

import tempfile
from pathlib import Path

import rules
from compile import LOCKDOWN
from timing import checked, paired, run

# Of check, beside compile, which writes all outputs and does not lint.
CHECK_LIMIT = 2
# Whole process, seconds: one rule of so many was changed.
EDIT_LIMITS = {10_000: 0.3, 100_000: 5}
# The same rules in another order, which means the same.
REWRITTEN_LIMITS = {10_000: 1}


def edited(policy: str) -> str:
    """One rule in the middle drops what it accepted."""
    lines = policy.splitlines()
    middle = (len(lines) + lines.index("    rules:")) // 2
    lines[middle] = lines[middle].replace("accept", "drop")
    return "\n".join(lines) + "\n"


def rewritten(policy: str) -> str:
    lines = policy.splitlines()
    first = lines.index("    rules:") + 1
    return "\n".join(lines[:first] + lines[:first - 1:-1]) + "\n"


def rows() -> list[dict]:
    result = []

    def row(what: str, command: list[str], status: int, limit: float, rounds: int) -> None:
        checked(command, (status,))
        runs = [run(command) for _ in range(rounds)]
        seconds = sorted(one.seconds for one in runs)[rounds // 2]
        peak = max(one.peak_kib for one in runs) / 1024
        result.append({
            "what": what, "ours": seconds, "peer": None, "ratio": None, "limit": f"{limit} s",
            "holds": seconds <= limit, "note": f"median of {rounds}, peak RSS {peak:.0f} MiB"})

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for count, limit in EDIT_LIMITS.items():
            rounds = 9 if count == 10_000 else 3
            (old, new, other) = (root / f"{name}{count}.cos" for name in ("old", "edited", "rewritten"))
            policy = rules.policy(count)
            old.write_text(policy)
            new.write_text(edited(policy))
            other.write_text(rewritten(policy))
            # A check's findings do not count: lint may warn.
            pair = paired(
                lambda: checked([LOCKDOWN, "check", str(old)]),
                lambda: checked([LOCKDOWN, "compile", str(old), "-o", f"{root}/rules.compiled"]), rounds, warmup=1)
            result.append({
                "what": f"`lockdown check`, {count:,} rules, beside `lockdown compile`", "ours": pair.left,
                "peer": pair.right, "ratio": pair.ratio, "limit": f"{CHECK_LIMIT} ×",
                "holds": pair.ratio <= CHECK_LIMIT, "note": f"{pair.count} pairs"})
            row(f"`lockdown diff`, {count:,} rules, one of them changed", [LOCKDOWN, "diff", str(old), str(new)], 1, limit,
                rounds)
            if count in REWRITTEN_LIMITS:
                row(f"`lockdown diff`, {count:,} rules, in reverse order", [LOCKDOWN, "diff", str(old), str(other)], 0,
                    REWRITTEN_LIMITS[count], rounds)
    return result
