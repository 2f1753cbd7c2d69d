"""`lockdown-apply` as a whole process in a fresh network namespace, beside C programs and `nft -f`.

The peers get the same finished messages (`peers/replay.c`), or our own nft text. The namespace is made before
the clock starts. One bundle is the firewall of cos.cos alone.
"""

import ctypes
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from timing import checked, paired

ROOT = Path(__file__).resolve().parent.parent
LOCKDOWN = os.environ.get("LOCKDOWN", str(ROOT / "dist/lockdown"))
APPLY = os.environ.get("LOCKDOWN_APPLY", str(ROOT / "dist/lockdown-apply"))
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
# What a firewall-only policy keeps of cos.cos.
SECTIONS = ("policy", "language", "target", "management", "define", "firewall")

libc = ctypes.CDLL(None, use_errno=True)


def fresh_namespace() -> None:
    """This process, and what it starts from now on, gets a network namespace of its own."""
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare: run as root, or under `unshare -r`")


def mount_scratch() -> Path:
    """A tmpfs over /run that this process alone sees: hosts have one there, and a disk would be what is timed."""
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "unshare: run as root, or under `unshare -rm`")
    if libc.mount(b"benchmark", b"/run", b"tmpfs", 0, b"mode=755") != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return Path("/run")


def firewall_only(text: str) -> str:
    """The sections of a policy that a firewall needs."""
    kept, keeps = [], True
    for line in text.splitlines(keepends=True):
        if line[:1].isalpha():
            keeps = line.split(":")[0] in SECTIONS
        if keeps:
            kept.append(line)
    return "".join(kept)


def messages(bundle: bytes) -> bytes:
    """The section of kernel messages: number 4 of docs/bundle-format.md."""
    entry = struct.unpack_from("<IIQQ", bundle, 96 + 3 * 24)
    assert entry[0] == 4, "the sections are not where docs/bundle-format.md says"
    return bundle[entry[2]:entry[2] + entry[3]]


def batch(body: bytes) -> bytes:
    """One nf_tables batch; its last message asks for an acknowledgement."""
    start = 0
    while start + struct.unpack_from("=I", body, start)[0] < len(body):
        start += struct.unpack_from("=I", body, start)[0]
    flags = struct.unpack_from("=H", body, start + 6)[0] | 4
    body = body[:start + 6] + struct.pack("=H", flags) + body[start + 8:]

    def edge(kind: int) -> bytes:
        return struct.pack("=IHHII", 20, kind, 1, 0, 0) + struct.pack(">BBH", 0, 0, 10)

    return edge(0x10) + body + edge(0x11)


def rows(count: int = 25) -> list[dict]:
    with tempfile.TemporaryDirectory(dir=mount_scratch()) as scratch:
        policy = Path(scratch) / "firewall.cos"
        policy.write_text(firewall_only((ROOT / "policies/cos.cos").read_text()))
        output = Path(scratch) / "compiled"
        subprocess.run([LOCKDOWN, "compile", policy, "-o", output], check=True, stdout=subprocess.DEVNULL)
        bundle = output / "policy.bundle"
        raw = Path(scratch) / "batch"
        raw.write_bytes(batch(messages(bundle.read_bytes())))
        replay = f"{scratch}/replay"
        # musl-gcc has no kernel headers of its own; the distribution's are architecture by architecture.
        headers = Path(scratch) / "include"
        headers.mkdir()
        machine = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True).stdout.strip()
        for name, origin in (("linux", "linux"), ("asm-generic", "asm-generic"), ("asm", f"{machine}/asm")):
            (headers / name).symlink_to(f"/usr/include/{origin}")
        subprocess.run(
            ["musl-gcc", "-O2", "-static", "-s", "-isystem", headers, ROOT / "Benchmarks/peers/replay.c", "-o", replay],
            check=True)

        def measured(command: list, expected: tuple = (0,)):
            def once() -> float:
                fresh_namespace()
                return checked([str(word) for word in command], expected)
            return once

        apply = [APPLY, bundle, "--only", "firewall", "--status", f"{scratch}/status.json"]
        # Nothing is claimed without a read-back, hence status 2, "could not tell".
        cases = [
            ("sends only (`--no-read-back`)", "C, sends the same bytes", 1.3,
             measured([*apply, "--no-read-back"], (2,)), measured([replay, raw])),
            ("sends and reads back", "C, sends and dumps", 2.0,
             measured(apply), measured([replay, raw, "--dump"])),
            ("sends and reads back", "`nft -f nftables.nft`", 0.6,
             measured(apply), measured(["nft", "-f", output / "nftables.nft"])),
        ]
        result = []
        for what, peer, limit, ours, theirs in cases:
            pair = paired(ours, theirs, count)
            result.append({
                "what": f"`lockdown-apply`, firewall of cos.cos, fresh, {what}; beside {peer}",
                "ours": pair.left, "peer": pair.right, "ratio": pair.ratio, "limit": f"{limit} ×",
                "holds": pair.ratio <= limit, "note": f"{pair.count} pairs",
            })
        return result
