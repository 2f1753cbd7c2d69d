"""A million prefixes from a list file: compiled as a whole process, and loaded beside `nft -f` of the equivalent text."""

import ipaddress
import random
import tempfile
from pathlib import Path

from apply import APPLY, fresh_namespace, mount_scratch
from compile import LOCKDOWN
from timing import checked, paired, peak_mib, run

COUNT = 1_000_000
# Whole process, seconds and MiB.
LIMITS = {4: (1.5, 400), 6: (2.5, None)}


def prefixes(family: int) -> list[str]:
    """Different prefixes that do not touch, in random order, with fixed seed."""
    numbers = random.Random(family).sample(range(1 << 23), COUNT)
    if family == 4:
        # Every other /28 from 1.0.0.0 on, of which some are taken.
        return [f"{ipaddress.IPv4Address((1 << 24) + (number << 5))}/28" for number in numbers]
    return [f"{ipaddress.IPv6Address((0x2001_0db8 << 96) + (number << 65))}/64" for number in numbers]


def policy(family: int) -> str:
    return f"""policy: list
language: 1
target:
  kernel: '6.1'
management: none
define:
  blocked: {{ file: blocked{family}.netset }}
firewall:
  input:
    policy: accept
    rules:
      - drop from $blocked
"""


def rows(count: int = 3) -> list[dict]:
    result = []
    with tempfile.TemporaryDirectory(dir=mount_scratch()) as scratch:
        root = Path(scratch)
        for family, (limit, memory) in LIMITS.items():
            lines = prefixes(family)
            (root / f"blocked{family}.netset").write_text("# a list\n" + "\n".join(lines) + "\n")
            source = root / f"list{family}.cos"
            source.write_text(policy(family))
            output = root / f"list{family}.compiled"
            ours = [LOCKDOWN, "compile", str(source), "-o", str(output)]
            runs = [run(ours) for _ in range(count)]
            seconds = sorted(one.seconds for one in runs)[count // 2]
            peak = peak_mib(ours)
            result.append({
                "what": f"`lockdown compile`, {len(lines):,} IPv{family} prefixes from a file", "ours": seconds,
                "peer": None, "ratio": None, "limit": f"{limit} s" + (f", {memory} MiB" if memory else ""),
                "holds": seconds <= limit and (memory is None or peak <= memory),
                "note": f"median of {count}, peak RSS {peak:.0f} MiB"})

            def measured(command: list, expected: tuple = (0,)):
                def once() -> float:
                    fresh_namespace()
                    return checked([str(word) for word in command], expected)
                return once

            pair = paired(
                measured([APPLY, output / "policy.bundle", "--only", "firewall", "--deadline", "300",
                          "--status", root / "status.json"]),
                measured(["nft", "-f", output / "nftables.nft"]), count, warmup=1)
            result.append({
                "what": "`lockdown-apply` of that bundle, sent and read back, beside `nft -f nftables.nft`",
                "ours": pair.left, "peer": pair.right, "ratio": pair.ratio, "limit": "0.67 ×",
                "holds": pair.ratio <= 1 / 1.5, "note": f"{pair.count} pairs"})
    return result
