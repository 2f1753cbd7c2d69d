"""`lockdown compile` as a whole process, beside `nft -c -f` on the text it wrote."""

import os
import subprocess
import tempfile
from pathlib import Path

from timing import checked, paired, peak_mib, run

ROOT = Path(__file__).resolve().parent.parent
LOCKDOWN = os.environ.get("LOCKDOWN", str(ROOT / "dist/lockdown"))


def rows(count: int = 21) -> list[dict]:
    result = []
    with tempfile.TemporaryDirectory() as scratch:
        output = f"{scratch}/cos.compiled"
        compile_cos = [LOCKDOWN, "compile", str(ROOT / "policies/cos.cos"), "-o", output]
        subprocess.run(compile_cos, check=True, stdout=subprocess.DEVNULL)
        peak = peak_mib(compile_cos)
        # `nft -c` needs a namespace only because it asks the kernel; unshare is in its time, so it is in ours.
        check = ["unshare", "-rn", "nft", "-c", "-f", f"{output}/nftables.nft"]
        pair = paired(
            lambda: checked(["unshare", "-rn", *compile_cos]), lambda: checked(check), count
        )
        alone = sorted(run(compile_cos).seconds for _ in range(count))[count // 2]
        result.append(
            {
                "what": "`lockdown compile policies/cos.cos`, whole process, all outputs written",
                "ours": alone,
                "peer": None,
                "ratio": None,
                "limit": "30 ms",
                "holds": alone <= 0.030,
                "note": f"median of {count}, peak RSS {peak:.1f} MiB",
            }
        )
        result.append(
            {
                "what": "the same in `unshare -rn`, beside `nft -c -f nftables.nft`",
                "ours": pair.left,
                "peer": pair.right,
                "ratio": pair.ratio,
                "limit": "–",
                "holds": True,
                "note": f"{pair.count} pairs",
            }
        )
    return result
