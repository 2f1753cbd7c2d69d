"""All benchmarks: ratios against named peers, in one run. `--write FILE` also writes the table there."""

import argparse
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import apply  # noqa: E402
import changes  # noqa: E402
import compile  # noqa: E402
import lists  # noqa: E402
import rules  # noqa: E402
import shapes  # noqa: E402
import translation  # noqa: E402
from timing import undisturbed  # noqa: E402


def milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.2f}"


def table(rows: list[dict]) -> str:
    lines = [
        "| what | ours, ms | peer, ms | ratio | limit | holds | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        holds = "yes" if row["holds"] else "**no**"
        lines.append(
            f"| {row['what']} | {milliseconds(row['ours'])} | {milliseconds(row['peer'])} | {ratio} "
            f"| {row['limit']} | {holds} | {row['note']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", metavar="FILE", help="also write the table to this Markdown file")
    arguments = parser.parse_args()
    undisturbed()
    rows = compile.rows() + translation.rows() + rules.rows() + changes.rows() + shapes.rows() + apply.rows() + lists.rows()
    text = table(rows)
    sys.stdout.write(text)
    if arguments.write:
        head = (
            "# Benchmarks\n\n"
            "Made by `make bench`; every ratio is of one run on one machine, medians of pairs taken in turn. "
            "Absolute times are of that machine: compare ratios.\n\n"
            f"Linux {platform.release().split('-')[0]}, {platform.machine()}.\n\n"
        )
        Path(arguments.write).write_text(head + text)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
