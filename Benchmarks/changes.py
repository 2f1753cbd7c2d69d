"""Many rules and addresses checked and compared: `lockdown check` beside `lockdown compile`, and `lockdown diff`."""

import tempfile
from pathlib import Path

import lists
import rules
from compile import LOCKDOWN, ROOT
from timing import checked, paired, peak_mib, run

# Of check, beside compile, which writes all outputs and does not lint.
CHECK_LIMIT = 2
# Whole process, seconds and MiB: one rule of so many was changed.
EDIT_LIMITS = {10_000: (0.3, 250), 100_000: (5, 1536)}
# The same rules in another order, which means the same.
REWRITTEN_LIMITS = {10_000: 1}
# One of a million IPv6 prefixes is another.
LIST_LIMIT = 4
# Real rules of a router, four months apart.
CAMPUS = ROOT / "Tests/kernel/campus"
CAMPUS_LIMIT = 2


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


def write_lists(root: Path) -> list[str]:
    """Two policies whose lists differ in one prefix."""
    prefixes = lists.prefixes(6)
    policies = []
    for name, last in (("old", prefixes[-1]), ("new", "2001:db9:ffff::/64")):
        (root / name).mkdir()
        (root / name / "blocked6.netset").write_text("\n".join(prefixes[:-1] + [last]) + "\n")
        policies.append(root / name / "list6.cos")
        policies[-1].write_text(lists.policy(6))
    return [str(policy) for policy in policies]


def rows() -> list[dict]:
    result = []

    def row(
        what: str, command: list[str], status: int, limit: float, rounds: int, memory: int | None = None
    ) -> None:
        checked(command, (status,))
        runs = [run(command) for _ in range(rounds)]
        seconds = sorted(one.seconds for one in runs)[rounds // 2]
        peak = peak_mib(command)
        result.append({
            "what": what, "ours": seconds, "peer": None, "ratio": None,
            "limit": f"{limit} s" + (f", {memory} MiB" if memory else ""),
            "holds": seconds <= limit and (memory is None or peak <= memory),
            "note": f"median of {rounds}, peak RSS {peak:.0f} MiB"})

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for count, (limit, memory) in EDIT_LIMITS.items():
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
                rounds, memory)
            if count in REWRITTEN_LIMITS:
                row(f"`lockdown diff`, {count:,} rules, in reverse order", [LOCKDOWN, "diff", str(old), str(other)], 0,
                    REWRITTEN_LIMITS[count], rounds)
        row("`lockdown diff`, a list of 1,000,000 IPv6 prefixes, one of them changed",
            [LOCKDOWN, "diff", *write_lists(root)], 1, LIST_LIMIT, 3)
        row("`lockdown diff`, 432 and 417 rules of a campus router, as iptables-save writes them",
            [LOCKDOWN, "diff", str(CAMPUS / "may.rules"), str(CAMPUS / "september.rules")], 1, CAMPUS_LIMIT, 9)
    return result
