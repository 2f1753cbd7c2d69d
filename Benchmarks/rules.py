"""Many rules: `lockdown compile` as a whole process, beside `nft -c -f` on the text it wrote, and Aerleon and foomuuri
on the same rules.

Each rule is `accept tcp PORT from A/24`, as the peers' own figures are taken with. Aerleon comes from PyPI into a
virtual environment of its own and only compiles: its text is not loaded. foomuuri has nft check what it made, so that
our side does that too. A peer that cannot be had ends the run.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import foomuuri
from compile import LOCKDOWN
from timing import checked, paired, peak_mib, run

AERLEON = "aerleon==1.18.0"
# Whole process, seconds.
LIMITS = {10_000: 0.25, 100_000: 2.5}


def rules(count: int) -> list[tuple[int, str]]:
    """A port and a network each, all different."""
    return [(1024 + number % 60_000, f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24")
            for number in range(count)]


def policy(count: int) -> str:
    lines = ["policy: rules", "language: 1", "target:", "  kernel: '6.1'", "management: none", "firewall:", "  input:",
             "    policy: drop", "    rules:", "      - accept established, related", "      - accept in lo"]
    lines += [f"      - accept tcp {port} from {network}" for port, network in rules(count)]
    return "\n".join(lines) + "\n"


def write_aerleon(directory: Path, count: int) -> None:
    """The same rules as definitions and one policy of Aerleon's."""
    for name in ("def", "policies/pol", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    ports = sorted({port for port, _ in rules(count)})
    (directory / "def/rules.yaml").write_text(
        "services:\n" + "".join(f"  P{port}:\n  - protocol: tcp\n    port: {port}\n" for port in ports)
        + "networks:\n" + "".join(
            f"  N{index}:\n    values:\n    - address: {network}\n" for index, (_, network) in enumerate(rules(count))))
    (directory / "policies/pol/rules.yaml").write_text(
        "filename: rules\nfilters:\n- header:\n    targets:\n      nftables: inet input drop\n  terms:\n" + "".join(
            f"  - name: t{index}\n    source-address: N{index}\n    destination-port: P{port}\n    protocol: tcp\n"
            "    action: accept\n" for index, (port, _) in enumerate(rules(count))))


def aerleon(directory: Path) -> str:
    """The program, installed if the index of packages can be reached."""
    venv.create(directory, with_pip=True)
    try:
        subprocess.run([directory / "bin/pip", "install", "--quiet", AERLEON], check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"Aerleon, a peer of this benchmark, cannot be installed: {error}") from error
    return str(directory / "bin/aclgen")


def expect_rules(file: Path, word: str, count: int) -> None:
    """A peer that was given wrong options ends well too, and has compiled nothing."""
    found = sum(word in line for line in file.read_text().splitlines())
    if found < count:
        raise SystemExit(f"{file.name} holds {found} lines with `{word}`, not one for each of {count} rules")


def rows() -> list[dict]:
    result = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        program = aerleon(root / "venv")
        zones = foomuuri.fetch(root / "foomuuri")
        for count, limit in LIMITS.items():
            source = root / f"rules{count}.cos"
            source.write_text(policy(count))
            output = root / f"rules{count}.compiled"
            ours = [LOCKDOWN, "compile", str(source), "-o", str(output)]
            peak = peak_mib(ours)
            rounds = 9 if count == 10_000 else 3
            # `nft -c` asks the kernel, so it runs in a namespace, as root: others may not send such a batch. unshare is in
            # both times.
            pair = paired(
                lambda: checked(["unshare", "-n", *ours]),
                lambda: checked(["unshare", "-n", "nft", "-c", "-f", f"{output}/nftables.nft"]), rounds, warmup=1)
            alone = sorted(run(ours).seconds for _ in range(rounds))[rounds // 2]
            result.append({
                "what": f"`lockdown compile`, {count:,} rules, all outputs written", "ours": alone, "peer": None,
                "ratio": None, "limit": f"{limit} s", "holds": alone <= limit,
                "note": f"median of {rounds}, peak RSS {peak:.0f} MiB"})
            result.append({
                "what": "the same in `unshare -n`, beside `nft -c -f nftables.nft`", "ours": pair.left,
                "peer": pair.right, "ratio": pair.ratio, "limit": "1 ×", "holds": pair.ratio < 1,
                "note": f"{pair.count} pairs"})
            if count > 10_000:
                continue
            write_aerleon(root / "aerleon", count)
            theirs = [program, "--base_directory", str(root / "aerleon/policies"), "--definitions_directory",
                      str(root / "aerleon/def"), "--output_directory", str(root / "aerleon/out")]

            def compiles() -> float:
                # What is there and equal is not written again.
                (root / "aerleon/out/rules.nft").unlink(missing_ok=True)
                return checked(theirs)

            pair = paired(lambda: checked(ours), compiles, 3, warmup=1)
            expect_rules(root / "aerleon/out/rules.nft", "accept", count)
            result.append({
                "what": "the same, beside Aerleon on the same rules, its nftables output", "ours": pair.left,
                "peer": pair.right, "ratio": pair.ratio, "limit": "1 ×", "holds": pair.ratio < 1,
                "note": f"{pair.count} pairs, {AERLEON}"})
            foomuuri.write(root / "zones", rules(count))
            both = f"{' '.join(ours)} && nft -c -f {output}/nftables.nft"
            pair = paired(
                lambda: checked(["unshare", "-n", "sh", "-c", both]),
                lambda: checked(["unshare", "-n", *zones.check(root / "zones")]), 3, warmup=1)
            expect_rules(root / "zones/state/next.fw", "saddr", count)
            result.append({
                "what": "the same with `nft -c -f nftables.nft` behind it, beside `foomuuri check`, which has nft check too",
                "ours": pair.left, "peer": pair.right, "ratio": pair.ratio, "limit": "1 ×", "holds": pair.ratio < 1,
                "note": f"{pair.count} pairs, foomuuri {zones.version} of Debian 13"})
    return result
