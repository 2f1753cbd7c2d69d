"""No packet slips through while the policy is exchanged under a flood.

A process floods a closed and an open port from another namespace, while the applier exchanges two policies
thousands of times. What reaches a socket on the closed port is a leak. The same tool must see the leak that
exchanging a table by `delete` and `add` is known to have, or its zero would mean nothing.
"""

import os
import signal
import socket
import struct
import time

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

CLOSED, OPEN = 9999, 7777
ROUNDS = int(os.environ.get("LOCKDOWN_FLOOD_ROUNDS", 2000))

# Both accept UDP 7777 and close 9999; rules, sets and order differ.
FIRST = """\
policy: first
language: 1
target:
  kernel: "6.1"
management: none
define:
  friends: [10.0.0.0/8, "2001:db8::/32"]
firewall:
  input:
    policy: drop
    rules:
      - replies: accept established, related
      - service: accept udp 7777 from $friends
      - ssh: accept tcp 22, 80, 443
"""
SECOND = """\
policy: second
language: 1
target:
  kernel: "6.1"
management: none
define:
  friends: [10.0.0.0/9, 192.0.2.0/24, "2001:db8::/33"]
firewall:
  input:
    policy: drop
    rules:
      - noise: drop udp 1000-2000 count
      - service: accept udp 7000-8000 from $friends in eth0
      - ssh: accept tcp 22 from not $friends
"""
# The input chain at another place: the new chain must close before the old one goes.
MOVED = SECOND.replace("policy: second", "policy: moved").replace(
    "    policy: drop\n", "    policy: drop\n    priority: filter - 20\n")


class Flood:
    """A process that sends to the closed and the open port in both families by turns, until stopped."""

    def __init__(self, link):
        sockets = []
        for family, address in ((socket.AF_INET, link.far4), (socket.AF_INET6, link.far6)):
            for port in (CLOSED, OPEN):
                opened = link.near.socket(family, socket.SOCK_DGRAM)
                opened.connect((address, port))
                sockets.append(opened)
        counts, report = os.pipe()
        self.identity = os.fork()
        if self.identity == 0:
            try:
                flood(sockets, report)
            finally:
                os._exit(1)
        os.close(report)
        self.counts = counts
        for opened in sockets:
            opened.close()

    def stop(self):
        """Ends the flood; how many packets went to each port."""
        if self.identity == 0:
            return None
        os.kill(self.identity, signal.SIGTERM)
        with os.fdopen(self.counts, "rb") as pipe:
            data = pipe.read()
        os.waitpid(self.identity, 0)
        self.identity = 0
        return struct.unpack("=Q", data)[0]


def flood(sockets, report):
    stopped = False

    def stop(*_):
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rounds = 0
    sends = [opened.send for opened in sockets]
    while not stopped:
        for send in sends:
            try:
                send(b"flood")
            except ConnectionRefusedError:
                send(b"flood")  # An ICMP error of a moment without listener; the packet itself is sent now.
        rounds += 1
    os.write(report, struct.pack("=Q", rounds * 2))
    os._exit(0)


class Listener:
    """Counts what arrives at a UDP port, both families. Read it often: its buffer holds about 60,000 packets."""

    def __init__(self, namespace, port):
        self.socket = namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.bind(("::", port))
        self.socket.setblocking(False)
        self.count = 0

    def read(self):
        try:
            while True:
                self.socket.recv(16)
                self.count += 1
        except BlockingIOError:
            return self.count

    def close(self):
        self.socket.close()


class FloodTestCase(support.KernelTestCase):
    def setUp(self):
        # Not pinned: the flood has one processor, the applier the other.
        self.host, self.outside = self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1)
        self.closed, self.open = Listener(self.host, CLOSED), Listener(self.host, OPEN)
        self.addCleanup(self.closed.close)
        self.addCleanup(self.open.close)

    def during_flood(self, exchange, rounds, until_leak=False):
        """Runs `exchange(round)` under the flood. (rounds, sent per port, open arrivals, leaks, windows without arrival)"""
        flood = Flood(self.link0)
        self.addCleanup(flood.stop)
        silent = done = 0
        for done in range(1, rounds + 1):
            before = self.open.count
            exchange(done)
            self.closed.read()
            # The flood may be between two time slices; silence is a window of several exchanges.
            if self.open.read() == before:
                time.sleep(0.005)
                silent += self.open.read() == before
            if until_leak and self.closed.count and done >= 100:
                break
        sent = flood.stop()
        time.sleep(0.05)
        return done, sent, self.open.read(), self.closed.read(), silent

    def alternate(self, policies, rounds):
        bundles = [support.compile_policy(policy).bundle for policy in policies]
        support.apply(self.host, bundles[0])
        self.assertEqual((self.open.read(), self.closed.read()), (0, 0))
        start = time.monotonic()
        done, sent, arrived, leaked, silent = self.during_flood(
            lambda number: support.apply(self.host, bundles[number % 2]), rounds)
        support.note("%d re-applies in %.0f s, %d packets to each port: %d leaked, %d of the open port lost" % (
            done, time.monotonic() - start, sent, leaked, sent - arrived))
        self.assertGreater(sent, rounds * 10, "the flood was too thin to show anything")
        self.assertEqual(leaked, 0)
        # Both policies accept the port: it never falls silent, and loses nothing.
        self.assertEqual(silent, 0)
        self.assertEqual(sent - arrived, 0)


class Exchange(FloodTestCase):
    def test_same_places(self):
        """Two policies with the same base chains, by turns."""
        self.alternate((FIRST, SECOND), ROUNDS)

    def test_another_priority(self):
        """The base chain moves to another priority and back: another chain, and no gap between them."""
        bundles = [support.compile_policy(policy).bundle for policy in (FIRST, MOVED)]
        support.apply(self.host, bundles[0])
        rounds = ROUNDS // 10
        done, sent, arrived, leaked, _ = self.during_flood(
            lambda number: support.apply(self.host, bundles[number % 2]), rounds)
        support.note("%d re-applies, %d packets to each port: %d leaked, %d of the open port lost" % (
            done, sent, leaked, sent - arrived))
        self.assertGreater(arrived, 0)
        self.assertEqual(leaked, 0)


class Control(FloodTestCase):
    TABLE = """
        table inet control
        delete table inet control
        table inet control {
          chain input { type filter hook input priority filter - 5; policy drop;
            udp dport 7777 accept
          }
        }
        """

    def test_the_tool_sees_a_leak(self):
        """The classic exchange without a written drop lets packets through, and the count shows it."""
        self.host.nft(self.TABLE)
        path = support.scratch() / "control.nft"
        path.write_text(self.TABLE)
        self.open.read(), self.closed.read()
        self.closed.count = 0
        done, sent, _, leaked, _ = self.during_flood(
            lambda _: self.host.run(["nft", "-f", path]), 600, until_leak=True)
        support.note("control: %d exchanges, %d packets: %d leaked" % (done, sent, leaked))
        self.assertGreater(leaked, 0)
