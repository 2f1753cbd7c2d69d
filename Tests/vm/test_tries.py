"""Tries on Debian's kernel: it goes back by itself with every process of ours killed, on the first start too, and so does
what is opened; and what waits in a queue stays there while a policy is applied again."""

import json
import time

import machine
from machine import setUpModule  # noqa: F401 (unittest finds it here)
from test_apply import APPLY, INSIDE, bundle, programs

HEADER = 'language: 1\ntarget: { kernel: "6.1" }\nmanagement: ["tcp 22"]\n'
POLICY = """\
policy: %s
""" + HEADER + """\
firewall:
  input:
    policy: drop
    rules: ['accept established, related', 'accept tcp 22', 'accept tcp %d']
"""
# Which of two ports can be reached over a veth pair; a listener waits on each.
PROBE = """\
import socket
found = []
for port in (1000, 2000):
    try:
        socket.create_connection(("10.9.0.2", port), 0.5).close()
        found.append(port)
    except OSError:
        pass
print(found)
"""
LISTEN = """\
import socket, time
kept = []
for port in (1000, 2000):
    kept.append(socket.create_server(("10.9.0.2", port)))
time.sleep(100000)
"""
# Holds each packet of a queue, a thousand of them, and lets them go at the end.
QUEUE = """\
import socket, struct, sys, time
def message(kind, payload):
    body = struct.pack("=BBH", 0, 0, socket.htons(1)) + payload
    return struct.pack("=IHHII", 16 + len(body), 3 << 8 | kind, 1, 0, 0) + body
def attribute(number, payload):
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)
queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
queue.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
queue.bind((0, 0))
queue.send(message(2, attribute(1, struct.pack(">BxH", 1, 2))))
queue.send(message(2, attribute(2, struct.pack(">IB", 0, 1)) + attribute(3, struct.pack(">I", 5000))))
open("/tmp/ready", "w").close()
held = []
while len(held) < int(sys.argv[1]):
    data = queue.recv(1 << 16)
    at = 0
    while at + 20 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == 3 << 8:
            held.append(struct.unpack_from(">I", data, at + 24)[0])
        at += (length + 3) & ~3
open("/tmp/held", "w").close()
while True:
    try:
        open("/tmp/release").close()
        break
    except OSError:
        time.sleep(0.1)
for number in held:
    queue.send(message(1, attribute(2, struct.pack(">II", 1, number))))
print(len(held))
"""
# Counts what arrives, or sends that many.
PACKETS = """\
import socket, sys, time
if sys.argv[1] == "send":
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(int(sys.argv[2])):
        out.sendto(str(number).encode(), ("10.9.0.2", 5000))
        if number % 20 == 0:
            time.sleep(0.005)
else:
    arriving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    arriving.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
    arriving.bind(("10.9.0.2", 5000))
    arriving.settimeout(60)
    found = set()
    open("/tmp/listening", "w").close()
    try:
        while len(found) < int(sys.argv[2]):
            found.add(arriving.recv(100))
            arriving.settimeout(15)
    except TimeoutError:
        pass
    print(len(found))
"""


class Tries(machine.MachineTestCase):
    @classmethod
    def files(cls):
        return {**programs(), **bundle(POLICY % ("old", 1000), "old"), **bundle(POLICY % ("new", 2000), "new"),
                **bundle((POLICY % ("queued", 1000)).replace("'accept tcp 22'", "'accept tcp 22', 'accept udp 5000'"), "queued"),
                "/probe.py": PROBE, "/listen.py": LISTEN, "/queue.py": QUEUE, "/packets.py": PACKETS}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.machine.run(
            "ip netns add near && ip link add near0 type veth peer name eth0 && ip link set near0 netns near && "
            "ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up && ip -n near addr add 10.9.0.1/24 dev near0 && "
            "ip -n near link set near0 up && (python3 /listen.py >/dev/null 2>&1 &) ; sleep 2")

    def reached(self):
        return json.loads(self.machine.run("ip netns exec near python3 /probe.py").stdout)

    def waits_for(self, wanted, seconds):
        end = time.monotonic() + seconds
        while self.reached() != wanted:
            self.assertLess(time.monotonic(), end, "never %s" % wanted)

    def begin(self, seconds):
        """A try, behind whose commit nothing of ours lives."""
        self.machine.run(
            APPLY + " /etc/lockdown/new.bundle --try %d; status=$?; kill -9 $(pidof lockdown-apply) 2>/dev/null; "
            "! pidof lockdown-apply && exit $status" % seconds)

    def test_1_on_the_first_start(self):
        """There was no firewall: the host is as open as before, when the kernel's clock has run out."""
        self.begin(20)
        self.assertEqual(self.reached(), [2000])
        self.waits_for([1000, 2000], 60)

    def test_2_over_a_policy(self):
        self.machine.run(APPLY + " /etc/lockdown/old.bundle")
        self.assertEqual(self.reached(), [1000])
        self.begin(20)
        self.assertEqual(self.reached(), [2000])
        self.waits_for([1000], 60)

    def test_3_reverted_and_confirmed(self):
        self.begin(300)
        self.machine.run(APPLY + " --revert")
        self.assertEqual(self.reached(), [1000])
        self.begin(300)
        self.assertEqual(self.machine.run(APPLY + " --confirm", check=False).status, 1)
        self.machine.run(APPLY + " --confirm --console")
        self.assertEqual(self.reached(), [2000])
        self.assertNotIn("trying", self.machine.run("nft list ruleset").stdout)

    def test_3b_killed_between_its_batches(self):
        """The new policy says nothing yet, or rules for seconds beside the old one; at no moment does neither rule."""
        self.machine.run(APPLY + " /etc/lockdown/old.bundle")
        for number, states in ((1, ([1000],)), (2, ([], [1000]))):
            done = self.machine.run("cd %s && python3 between.py %d %s /etc/lockdown/new.bundle --try 20" % (INSIDE, number, APPLY))
            self.assertEqual(done.stdout, "%d\n" % number)
            self.machine.run("! pidof lockdown-apply")
            end = time.monotonic() + 30
            while True:
                reached = self.reached()
                self.assertIn(reached, states)
                if reached == [1000]:
                    break
                self.assertLess(time.monotonic(), end)
            # The next run takes away what is left.
            self.assertIn("firewall: unchanged", self.machine.run(
                "%s /etc/lockdown/old.bundle; %s /etc/lockdown/old.bundle" % (APPLY, APPLY)).stderr)
            self.assertNotIn("trying", self.machine.run("nft list ruleset").stdout)

    def test_3c_opened_for_a_time(self):
        """Recorded, with how long; and the kernel alone ends it."""
        self.machine.run(APPLY + " --open 20; status=$?; ! pidof lockdown-apply && exit $status")
        self.assertEqual(self.reached(), [1000, 2000])
        self.assertIn("op=open seconds=20 exit=0 res=success", self.machine.run("dmesg").stdout)
        self.waits_for([1000], 60)
        self.assertIn("firewall: replaced", self.machine.run(APPLY + " /etc/lockdown/old.bundle").stderr)

    def test_4_what_waits_in_a_queue(self):
        """1,000 packets held by another program stay held over re-applies with the same base chains."""
        self.machine.run(APPLY + " /etc/lockdown/queued.bundle")
        self.machine.run("nft 'add table ip other; add chain ip other in { type filter hook input priority -10; }; "
                         "add rule ip other in udp dport 5000 queue num 1'")
        self.machine.run("rm -f /tmp/held /tmp/release /tmp/ready; (python3 /queue.py 1000 > /tmp/queue.out 2>&1 &); "
                         "(python3 /packets.py receive 1000 > /tmp/arrived 2>&1 &); "
                         "until [ -e /tmp/ready ] && [ -e /tmp/listening ]; do sleep 0.1; done; "
                         "ip netns exec near python3 /packets.py send 1000; "
                         "for i in $(seq 100); do [ -e /tmp/held ] && break; sleep 0.2; done; [ -e /tmp/held ]")
        done = self.machine.run("for i in 1 2 3 4 5; do for name in old new queued; do "
                                + APPLY + " /etc/lockdown/$name.bundle || exit; done; done 2>&1 | grep -c replaced")
        self.assertGreater(int(done.stdout), 10)
        self.machine.run("touch /tmp/release; for i in $(seq 150); do [ -s /tmp/arrived ] && break; sleep 0.2; done")
        machine.note("%s held, %s arrived" % (self.machine.read("/tmp/queue.out").strip(),
                                              self.machine.read("/tmp/arrived").strip()))
        self.assertEqual(self.machine.read("/tmp/arrived"), "1000\n")


if __name__ == "__main__":
    machine.unittest.main()
