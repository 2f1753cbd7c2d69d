"""What a verdict and its actions do besides letting a packet in or not: refusals, limits, counts, logs."""

import json
import struct
import time

import nftables
import support
from packets import ICMP, ICMPV6, RST, TCP, UDP, ip, mark, tcp, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)

# (ICMP type and code, ICMPv6 type and code) by RFC 792, RFC 1812 and RFC 4443.
REFUSALS = {"port-unreachable": ((3, 3), (1, 4)), "host-unreachable": ((3, 1), (1, 3)),
            "admin-prohibited": ((3, 13), (1, 1)), "no-route": ((3, 0), (1, 0))}


class VerdictTestCase(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1)
        self.families = ((self.link0.near4, self.link0.far4), (self.link0.near6, self.link0.far6))
        self.receiver = self.delivered(self.host, [TCP, UDP], [TCP, UDP])
        self.answers = self.capture(self.outside, "near0")

    def load(self, rules, default="drop", name="small"):
        support.compile_policy(support.small(rules, default=default, name=name)).apply(self.host)

    def send(self, count, port=53, build=udp, protocol=UDP, families=None):
        """Sends `count` packets in each family; how many arrive."""
        for source, target in families or self.families:
            for number in range(count):
                self.link0.wire.send(ip(source, target, protocol, build(
                    source, target, 20000 + number, port, payload=mark(number))))
        self.link0.wire.fence()
        return len(self.receiver.packets())


class Reject(VerdictTestCase):
    def setUp(self):
        super().setUp()
        # The kernel's own limit on ICMP errors would decide instead of the rule.
        self.host.sysctl("net.ipv4.icmp_ratelimit", 0)
        self.host.sysctl("net.ipv6.icmp.ratelimit", 0)

    def refusals(self, protocol, build):
        """What comes back for one packet in each family: `(type, code)` of an ICMP error, or "reset"."""
        found = []
        for family in self.families:
            self.answers.frames()
            self.assertEqual(self.send(1, 81, build, protocol, [family]), 0)
            seen = []
            deadline = time.monotonic() + 1
            while not seen and time.monotonic() < deadline:
                for data in self.answers.frames():
                    six = data[12:14] == b"\x86\xdd"
                    kind, header = (data[20], 54) if six else (data[23], 34)
                    if kind == TCP and data[header + 13] & RST:
                        seen.append("reset")
                    elif kind == (ICMPV6 if six else ICMP):
                        seen.append(tuple(data[header:header + 2]))
            self.assertEqual(len(seen), 1, seen)
            found.append(seen[0])
        return tuple(found)

    def test_kinds(self):
        """Each kind of refusal, in both families, as the RFCs number it."""
        for kind, expected in REFUSALS.items():
            with self.subTest(kind=kind):
                self.load(["reject udp 81 with " + kind], default="accept")
                self.assertEqual(self.refusals(UDP, udp), expected)
                self.load(["reject tcp 81 with " + kind], default="accept")
                self.assertEqual(self.refusals(TCP, tcp), expected)

    def test_reset(self):
        self.load(["reject tcp 81 with tcp-reset"], default="accept")
        self.assertEqual(self.refusals(TCP, tcp), ("reset", "reset"))

    def test_default_kind(self):
        """A bare `reject`, as a verdict and as a chain's policy, says that the port is unreachable."""
        self.load(["reject udp 81"], default="accept")
        self.assertEqual(self.refusals(UDP, udp), REFUSALS["port-unreachable"])
        self.load(["accept udp 82"], default="reject")
        self.assertEqual(self.refusals(UDP, udp), REFUSALS["port-unreachable"])


class Limits(VerdictTestCase):
    # What arrives depends on how long the sending takes.
    runs_alone = True

    def test_burst_and_rate(self):
        """Up to the burst at once, then the rate; the rest goes on to the chain's policy."""
        self.load(["accept udp 53 limit 5/second burst 12"])
        start = time.monotonic()
        first = self.send(50)
        elapsed = time.monotonic() - start
        self.assertGreaterEqual(first, 12)
        self.assertLessEqual(first, 12 + 5 * elapsed + 1)
        time.sleep(1.05)
        start = time.monotonic()
        second = self.send(50)
        elapsed = 1.05 + time.monotonic() - start
        self.assertGreaterEqual(second, 5)
        self.assertLessEqual(second, 5 * elapsed + 2)
        support.note("%d of 100 at once, %d a second later" % (first, second))

    def test_default_burst(self):
        self.load(["accept udp 53 limit 1/hour"])
        self.assertEqual(self.send(50), 5)

    def test_over(self):
        """`drop … limit over` drops the excess and lets the rest go on."""
        self.load(["drop udp 53 limit over 1/hour burst 7"], default="accept")
        self.assertEqual(self.send(50), 7)

    def test_bytes(self):
        """A byte rate counts whole packets, IP header included; its bucket is rate and burst together (nft_limit.c)."""
        self.load(["accept ipv4 udp 53 limit 1kbytes/hour burst 1000"])
        length = 20 + 8 + 8  # one probe
        self.assertEqual(self.send(100), (1024 + 1000) // length)

    def test_only_matching_packets_take_a_token(self):
        self.load(["accept udp 53 limit 1/hour burst 5"])
        self.assertEqual(self.send(50, port=54), 0)
        self.assertEqual(self.send(50), 5)


class Actions(VerdictTestCase):
    def counted(self, comment):
        """Packets counted by the rules of a comment or, for `closing`, of that name."""
        listed = json.loads(self.host.run(["nft", "-j", "list", "chain", "inet", "lockdown", "input"]).stdout)
        total = 0
        for item in listed["nftables"]:
            rule = item.get("rule")
            if rule and comment in rule.get("comment", ""):
                total += sum(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
        return total

    def test_count(self):
        """`count` counts what the rule holds for, and the closing rule what is left."""
        self.load(["accept udp 53 count", "continue udp 54 count"])
        self.assertEqual(self.send(10), 20)
        self.assertEqual(self.send(3, port=54), 0)
        self.assertEqual(self.send(4, port=55), 0)
        self.assertEqual(self.counted("closing"), 14)
        with nftables.Netlink(self.host) as netlink:
            rules = netlink.rules(nftables.INET_LOCKDOWN, "input")
        counters = []
        for rule in rules:
            for _, element in nftables.attributes_of(rule[4]):
                expression = dict(nftables.attributes_of(element))
                if nftables.text(expression[1]) == "counter":
                    counters.append(struct.unpack(">Q", dict(nftables.attributes_of(expression[2]))[2])[0])
        # IPv4 and IPv6 may be one rule or two; together they count each packet once.
        self.assertEqual(sum(counters), 20 + 6 + 14)

    def test_a_log_rate_never_decides(self):
        """`log … at most` limits the lines, not the verdict."""
        self.load(["accept udp 53 log probe at most 1/hour"])
        self.assertEqual(self.send(20), 40)
        self.load(["drop udp 53 log probe at most 1/hour"], default="accept")
        self.assertEqual(self.send(20), 0)

    def test_log_goes_on(self):
        self.load(["continue udp 53 log", "accept udp 53"])
        self.assertEqual(self.send(5), 10)


class Maps(VerdictTestCase):
    def test_marks(self):
        """Single marks, a range and a pair, and what just misses them."""
        maps = """\
policy: marks
language: 1
target: { kernel: "6.1" }
management: none
firewall:
  prerouting:
    policy: accept
    rules:
%s
  input:
    policy: drop
    rules:
      - single: { dispatch: mark, table: { 1: accept, 2: drop, 0x10-0x1f: accept }, else: continue }
      - pair: { dispatch: mark . from, table: { 5 . 10.1.0.0/16: accept, "6-7 . 10.0.0.0/8, 6-7 . 2001:db8::/32": accept }, else: drop }
""" % "".join("      - continue udp %d set mark %d\n" % (1000 + mark, mark) for mark in (1, 2, 3, 5, 6, 7, 8, 15, 16, 31, 32))
        support.compile_policy(maps).apply(self.host)
        found = {mark: self.send(1, 1000 + mark) for mark in (1, 2, 3, 5, 6, 7, 8, 15, 16, 31, 32)}
        # 5 is paired with an IPv4 network alone.
        self.assertEqual(found, {1: 2, 2: 0, 3: 0, 5: 1, 6: 2, 7: 2, 8: 0, 15: 0, 16: 2, 31: 2, 32: 0})


class Closing(VerdictTestCase):
    def test_the_chain_ends_in_a_written_drop(self):
        """Kernel policy and last rule both close: neither alone would do (see test_flood)."""
        self.load(["accept udp 53"])
        listing = self.host.listing("chain", "inet", "lockdown", "input")
        self.assertIn("policy drop;", listing)
        last = [line.strip() for line in listing.splitlines() if line.strip() not in ("", "}")][-1]
        self.assertRegex(last, r'^counter( packets \d+ bytes \d+)? drop comment "closing: policy drop"$')
