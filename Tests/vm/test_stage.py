"""The policy stage takes at most half the time that a script of `nft -f`, `sysctl -p` and `mount -o remount` takes on the
same machine: firewall, keys and mounts of cos.cos, with read-back, medians of 15."""

import json
import statistics

import machine
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import APPLY, COS, HERE, bundle, programs, support

ROUNDS = 15


class Stage(machine.MachineTestCase):
    # A clock decides.
    runs_alone = True

    @classmethod
    def files(cls):
        out = support.compile_policy(COS).directory
        return {**programs(), **bundle(COS, "policy"), "/etc/cos-layout": HERE / "guest" / "cos-layout",
                "/stage.py": HERE / "guest" / "stage.py", "/policy.nft": out / "nftables.nft",
                "/sysctl.conf": out / "sysctl.conf", "/mounts.fstab": out / "mounts.fstab"}

    def test_half_the_time(self):
        self.machine.run(". /etc/cos-layout")
        done = self.machine.run("python3 /stage.py %d %s /etc/lockdown/policy.bundle /policy.nft /sysctl.conf /mounts.fstab"
                                % (ROUNDS, APPLY), timeout=300)
        seconds = {name: statistics.median(times) for name, times in json.loads(done.stdout).items()}
        machine.note("applier %.1f ms, script %.1f ms, ratio %.2f" % (
            seconds["ours"] * 1000, seconds["peer"] * 1000, seconds["ours"] / seconds["peer"]))
        self.assertLess(seconds["ours"], seconds["peer"] / 2)


if __name__ == "__main__":
    machine.unittest.main()
