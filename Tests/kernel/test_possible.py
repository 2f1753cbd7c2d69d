"""Packets that a kernel cannot have: no rule about them counts one, and the analyser leaves them out.

Each condition is loaded as rules that count, in a chain of its hook, and real packets of all states and kinds come by.
What is said to be met never counts none, what is said to be met always counts what an empty rule counts, and the rest
counts some. `diff` must say the same: a rule that drops under such a condition is as good as none, or as one without it.

Root, and Debian's nftables.
"""

import json
import socket
import unittest

import support
from packets import UDP, fragments, mark, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)
from universe import SERVER_PORT, HostUniverse, ProbeTestCase, RouterUniverse

NEVER, ALWAYS, SOMETIMES = "never", "always", "sometimes"

#: (hook, condition, how often it is met) where connections are tracked.
TRACKED = [
    # No entry, so no status and no mark; an entry, so both (nft_ct_get_eval).
    ("input", "ct state { invalid, untracked } ct mark 0", NEVER),
    ("input", "ct state { invalid, untracked } ct mark != 5", NEVER),
    ("input", "ct state invalid ct status & dnat == 0", NEVER),
    ("input", "ct state new ct mark 0", SOMETIMES),
    ("input", "ct state related ct mark 0", SOMETIMES),
    ("input", "ct state established ct mark 0", SOMETIMES),
    # resolve_normal_ct.
    ("input", "ct state new ct status seen-reply", NEVER),
    ("input", "ct state new ct status expected", NEVER),
    ("input", "ct state established ct status & seen-reply == 0", NEVER),
    ("input", "ct state established ct status & confirmed == 0", NEVER),
    ("input", "ct state established ct status seen-reply", SOMETIMES),
    ("output", "ct state established ct status & seen-reply == 0", NEVER),
    ("output", "ct state established ct status confirmed", SOMETIMES),
    # nft_meta_store_ifname and nft_meta_store_ifindex without a device.
    ("output", 'iifname "lo"', NEVER),
    ("output", 'iifname != "lo"', ALWAYS),
    ("output", 'iifname "e*"', NEVER),
    ("output", "iif 1", NEVER),
    ("output", "iif != 1", ALWAYS),
    ("input", 'oifname "eth0"', NEVER),
    ("input", 'oifname != "eth0"', ALWAYS),
    ("prerouting", 'oifname != "lo"', ALWAYS),
    ("prerouting", 'oifname { "eth0", "wan0", "lo" }', NEVER),
    # The socket of what comes in is looked for behind prerouting.
    ("prerouting", "meta skuid 0-4294967294", NEVER),
    ("output", "meta skuid 0", SOMETIMES),
    ("input", "meta skuid 0", SOMETIMES),
    # Whole again at -400.
    ("input", "ip frag-off & 0x1fff != 0", NEVER),
    ("input", "frag frag-off != 0", NEVER),
    ("prerouting", "ip frag-off & 0x1fff != 0", NEVER),
    ("prerouting", "frag frag-off != 0", NEVER),
]
#: The same of a host that tracks none.
UNTRACKED = [
    ("input", "ip frag-off & 0x1fff != 0", NEVER),
    ("input", "frag frag-off != 0", SOMETIMES),
    ("prerouting", "ip frag-off & 0x1fff != 0", SOMETIMES),
    ("prerouting", "frag frag-off != 0", SOMETIMES),
]
#: Of a router that tracks none.
ROUTED = [
    ("forward", "meta skuid 0-4294967294", NEVER),
    ("forward", "meta skgid 0-4294967294", NEVER),
    ("postrouting", 'iifname "eth0"', SOMETIMES),
    ("prerouting", 'oifname != "eth1"', ALWAYS),
    ("forward", 'oifname "eth1"', SOMETIMES),
    ("forward", "ip frag-off & 0x1fff != 0", SOMETIMES),
    ("forward", "frag frag-off != 0", SOMETIMES),
]
#: And of one that does.
ROUTED_TRACKED = [
    ("forward", "ip frag-off & 0x1fff != 0", NEVER),
    ("forward", "frag frag-off != 0", NEVER),
]

#: Makes the kernel track connections, and nothing else.
TRACKING = "ct state established counter"


class PossibleTestCase(ProbeTestCase):
    def drive(self):
        self.send()

    def check(self, conditions, tracking):
        self.check_kernel(conditions, tracking)
        for hook, condition, expected in conditions:
            with self.subTest(hook=hook, condition=condition):
                self.check_analyser(hook, condition, expected, tracking)

    @staticmethod
    def table(rules_of_hooks):
        return "table inet seen {\n%s}\n" % "".join(
            "chain %s { type filter hook %s priority 10; policy accept;\n%s\n}\n" % (hook, hook, "\n".join(rules))
            for hook, rules in rules_of_hooks.items())

    def check_kernel(self, conditions, tracking):
        rules = {}
        for number, (hook, condition, _) in enumerate(conditions):
            own = rules.setdefault(hook, ['counter comment "all"'])
            own.append('%s counter comment "%d"' % (condition, number))
        if tracking:
            rules.setdefault("input", []).append(tracking)
        self.host.nft(self.table(rules))
        try:
            self.drive()
            listing = json.loads(self.host.run(["nft", "-j", "list", "table", "inet", "seen"]).stdout)
        finally:
            self.host.nft("delete table inet seen")
        counts, totals = {}, {}
        for item in listing["nftables"]:
            rule = item.get("rule", {})
            packets = [part["counter"]["packets"] for part in rule.get("expr", []) if "counter" in part]
            if rule.get("comment") == "all":
                totals[rule["chain"]] = packets[0]
            elif "comment" in rule:
                counts[int(rule["comment"])] = packets[0]
        for number, (hook, condition, expected) in enumerate(conditions):
            with self.subTest(hook=hook, condition=condition):
                count, total = counts[number], totals[hook]
                self.assertGreater(total, 0)
                found = ALWAYS if count == total else SOMETIMES if count else NEVER
                self.assertEqual(found, expected, "%d of %d packets" % (count, total))

    def check_analyser(self, hook, condition, expected, tracking):
        directory = support.scratch() / ("possible-" + self.id())
        directory.mkdir(exist_ok=True)
        for name, rule in (("asked", condition + " drop"), ("none", ""), ("all", "drop")):
            (directory / (name + ".nft")).write_text(self.table({hook: [tracking, rule]}))
        for other, meaning in (("none", NEVER), ("all", ALWAYS)):
            done = support.run([support.LOCKDOWN, "diff", "asked.nft", other + ".nft"], check=False, cwd=directory)
            self.assertEqual(done.status, 0 if expected == meaning else 1, str(done)[:2000])
            self.assertNotIn("could not tell", done.stdout)


class Host(HostUniverse, PossibleTestCase):
    """Connections are tracked by the table of others."""

    def drive(self):
        self.send()
        for link in self.links.values():
            send_in_fragments(link)
        talk(self.left, self.host, self.links["eth0"].far4)

    def test_tracked(self):
        self.check(TRACKED, TRACKING)


class HostAlone(HostUniverse, PossibleTestCase):
    FOREIGN = ""

    def probes(self):
        # Translated and related ones are none here.
        for probe in super().probes():
            if not probe.is_translated and probe.state != "related":
                yield probe

    def drive(self):
        self.send()
        for link in self.links.values():
            send_in_fragments(link)

    def test_untracked(self):
        self.check(UNTRACKED, "")


class Router(RouterUniverse, PossibleTestCase):
    def drive(self):
        self.send()
        link, other = self.link0, self.link1
        for source, target in ((link.near4, other.near4), (link.near6, other.near6)):
            send(link, source, target, 900)
            send(other, target, source, 901)
        link.wire.fence()
        other.wire.fence()
        with self.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"hello", (link.near4, SERVER_PORT))

    def test_untracked(self):
        self.check(ROUTED, "")

    def test_tracked(self):
        self.check(ROUTED_TRACKED, TRACKING)


def send(link, source, target, number):
    datagram = udp(source, target, 40000, 123, b"x" * 40 + mark(number))
    for part in fragments(source, target, UDP, datagram, 40, number):
        link.wire.send(part)


def send_in_fragments(link):
    for source, target in ((link.near4, link.far4), (link.near6, link.far6)):
        send(link, source, target, 901)
    link.wire.fence()


def talk(client, server, address):
    """A TCP connection with a few segments: the kernel finds the socket of those that are not the first."""
    with server.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", SERVER_PORT))
        listener.listen()
        with client.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.connect((address, SERVER_PORT))
            accepted, _ = listener.accept()
            with accepted:
                for _ in range(3):
                    connection.sendall(b"hello")
                    accepted.recv(5)
                    accepted.sendall(b"hello")
                    connection.recv(5)


if __name__ == "__main__":
    unittest.main()
