"""foomuuri, a zone firewall that compiles to nftables, as Debian 13 ships it.

Debian 12 has no such package, and PyPI none either. The package is fetched by apt, which checks its signature, with
lists and a cache of its own, and unpacked: nothing is installed. Its libraries are Debian's (`.ci/setup bench`).
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = "deb http://deb.debian.org/debian trixie main"
PYTHON = "/usr/bin/python3"


@dataclass
class Foomuuri:
    program: Path
    share: Path
    version: str

    def check(self, directory: Path) -> list[str]:
        """Compiles the rules below `directory`, and has nft check what it made of them."""
        folders = {"etc_dir": directory / "etc", "share_dir": self.share, "state_dir": directory / "state",
                   "run_dir": directory / "run"}
        return [PYTHON, str(self.program), *(f"--set={name}={path}" for name, path in folders.items()), "check"]


def fetch(directory: Path) -> Foomuuri:
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "sources.list").write_text(SOURCE + "\n")
    options = [f"Dir::Etc::SourceList={directory}/sources.list", "Dir::Etc::SourceParts=/dev/null",
               f"Dir::State::lists={directory}/lists", f"Dir::Cache={directory}/cache", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    try:
        subprocess.run([*apt, "update"], check=True, stdout=sys.stderr)
        subprocess.run([*apt, "download", "foomuuri"], check=True, stdout=sys.stderr, cwd=directory)
        package = next(directory.glob("foomuuri_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, directory / "root"], check=True)
        program = directory / "root/usr/sbin/foomuuri"
        version = subprocess.run([PYTHON, program, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, StopIteration, subprocess.CalledProcessError) as error:
        raise SystemExit(f"foomuuri, a peer of this benchmark, cannot be fetched or run: {error}") from error
    return Foomuuri(program, directory / "root/usr/share/foomuuri", version.strip())


def write(directory: Path, rules: list[tuple[int, str]]) -> None:
    """The same rules for a host with one zone around it."""
    for name in ("etc", "state", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "etc/rules.conf").write_text(
        "zone {\n  localhost\n  public eth0\n}\n\npublic-localhost {\n"
        + "".join(f"  tcp {port} saddr {network} accept\n" for port, network in rules)
        + "  drop\n}\n\nlocalhost-public {\n  accept\n}\n")
