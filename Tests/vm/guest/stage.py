"""Times the applier against a script of `nft -f`, `sysctl -p` and `mount -o remount`, in turn, each from the same state.

    stage.py ROUNDS APPLIER BUNDLE NFT SYSCTL FSTAB

Prints JSON: seconds of each round, of both.
"""

import glob
import json
import subprocess
import sys
import time

ROUNDS, (APPLIER, BUNDLE, NFT, SYSCTL, FSTAB) = int(sys.argv[1]), sys.argv[2:]
# What the script does too; no script denies modules or seals.
OURS = [APPLIER, BUNDLE, "--only", "firewall,sysctl,mounts"]


def mounts():
    with open("/proc/self/mountinfo") as table:
        return {fields[4]: fields[5] for fields in map(str.split, table)}


def keys():
    """Path and value of each key of the policy, as `sysctl -p` would set it; more specific ones behind."""
    found = {}
    for line in open(SYSCTL):
        if "=" in line and not line.startswith("#"):
            name, value = (part.strip() for part in line.lstrip("-").split("=", 1))
            for path in sorted(glob.glob("/proc/sys/" + name.replace(".", "/"))):
                found[path] = value
    return found


def script():
    """The peer: one shell, and a process for each thing to do."""
    lines = ["nft -f " + NFT, "sysctl -q -p /tmp/keys.conf"]
    with open("/tmp/keys.conf", "w") as file:
        for path, value in keys().items():
            file.write("%s = %s\n" % (path[len("/proc/sys/"):], value))
    for line in open(FSTAB):
        if line.strip() and not line.startswith("#"):
            source, place, _, options = line.split()[:4]
            if place in BEFORE or options == "bind" or place in BOUND:
                lines.append("mount -o %s %s %s" % (options, source, place))
    with open("/tmp/peer.sh", "w") as file:
        file.write("\n".join(lines) + "\n")


def reset():
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    for path, value in VALUES.items():
        with open(path, "w") as file:
            file.write(value)
    for place in mounts():
        if place not in BEFORE:
            subprocess.run(["umount", place], check=True)
    for place, options in BEFORE.items():
        if place in NAMED and mounts()[place] != options:
            subprocess.run(["mount", "-o", "remount,bind," + options, place], check=True)


def timed(command):
    reset()
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 3):
        raise SystemExit("%s: %d\n%s" % (command, done.returncode, done.stdout.decode(errors="replace")))
    return seconds


BEFORE = mounts()
NAMED = {line.split()[1] for line in open(FSTAB) if line.strip() and not line.startswith("#")}
BOUND = {line.split()[1] for line in open(FSTAB) if line.split()[3:4] == ["bind"]}
VALUES = {}
# Once before: modules are loaded, and what neither can take back is done.
subprocess.run(OURS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
for place in set(mounts()) - set(BEFORE):
    subprocess.run(["umount", place], check=True)
for path in keys():
    with open(path) as file:
        VALUES[path] = file.read()
for path in list(VALUES):
    # Values that differ, where the kernel takes one.
    other = "0\n" if VALUES[path] == "1\n" else "1\n"
    try:
        with open(path, "w") as file:
            file.write(other)
        VALUES[path] = other
    except OSError:
        pass
script()
ours, peer = [], []
for _ in range(ROUNDS):
    ours.append(timed(OURS))
    peer.append(timed(["sh", "/tmp/peer.sh"]))
print(json.dumps({"ours": ours, "peer": peer}))
