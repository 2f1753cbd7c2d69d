"""Sets that packets and other programs fill, and limits and connections of each address, on the wire."""

import re
import socket
import time

import support
from support import setUpModule  # noqa: F401 (unittest finds it here)

DEFINITIONS = """\
define:
  scanners: { dynamic: addresses, size: 4096, timeout: 2s }
  seen: { dynamic: addresses, size: 2, timeout: never }
  banned: { external: addresses, size: 1000, timeout: 1d }
"""


class SetsTestCase(support.KernelTestCase):
    # Elements end after two seconds, and packets are awaited for a twentieth of one.
    runs_alone = True

    def setUp(self):
        super().setUp()
        self.host, self.peer = self.namespace(), self.namespace()
        self.wire = self.link(self.peer, self.host, 1)
        # Two further machines, as far as the host can tell.
        for number in (7, 8):
            self.peer.ip("addr add 10.1.0.%d/24 dev near0\naddr add 2001:db8:1::%d/64 dev near0 nodad" % (
                number, number))
            self.host.ip("neigh replace 10.1.0.%d lladdr %s nud permanent dev eth0\n"
                         "neigh replace 2001:db8:1::%d lladdr %s nud permanent dev eth0" % (
                             number, self.wire.near_mac, number, self.wire.near_mac))
        self.listeners = {}

    def apply(self, rules, name="sets", more="", fill=None, below=""):
        rules = ([fill] if fill else []) + rules
        extra = (DEFINITIONS + more).rstrip()
        return support.compile_policy(support.small(rules, extra=extra, name=name) + below).apply(self.host)

    def source(self, number, family=socket.AF_INET):
        return "10.1.0.%d" % number if family == socket.AF_INET else "2001:db8:1::%d" % number

    def arrives(self, port, number=1, family=socket.AF_INET, count=1):
        """How many of `count` datagrams to a port arrive."""
        key = (port, family)
        if key not in self.listeners:
            made = self.host.socket(family, socket.SOCK_DGRAM)
            self.addCleanup(made.close)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setblocking(False)
            made.bind(("", port))
            self.listeners[key] = made
        target = self.wire.far4 if family == socket.AF_INET else self.wire.far6
        with self.peer.socket(family, socket.SOCK_DGRAM) as sending:
            sending.bind((self.source(number, family), 0))
            for _ in range(count):
                try:
                    sending.sendto(b"x", (target, port))
                except OSError:
                    pass  # the refusal of the packet before
        time.sleep(0.05)
        found = 0
        while True:
            try:
                self.listeners[key].recv(10)
                found += 1
            except BlockingIOError:
                return found

    def elements(self, name):
        return self.host.listing("set", "inet", "lockdown", name)

    FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Filled(SetsTestCase):
    def test_a_scanner_is_banned_for_a_while(self):
        self.apply(["drop from $scanners", "drop udp 23 add source $scanners", "accept udp 53"])
        for family in self.FAMILIES:
            with self.subTest(family=family):
                self.assertEqual(self.arrives(53, 1, family), 1)
                self.assertEqual(self.arrives(23, 1, family), 0)
                self.assertEqual(self.arrives(53, 1, family), 0, "the scanner is in the set")
                self.assertEqual(self.arrives(53, 7, family), 1, "another source is not")
                time.sleep(2.1)
                self.assertEqual(self.arrives(53, 1, family), 1, "its time is over")

    def test_update_begins_the_time_again(self):
        self.apply(["drop udp 53 from $scanners update source $scanners",
                    "drop udp 54 from $scanners add source $scanners",
                    "drop udp 23 add source $scanners", "accept udp 53-54"])
        self.arrives(23, 1)
        self.arrives(23, 7)
        for _ in range(3):
            time.sleep(0.8)
            self.assertEqual(self.arrives(53, 1), 0)
            if _ < 2:
                self.assertEqual(self.arrives(54, 7), 0)
        self.assertEqual(self.arrives(54, 7), 1, "`add` leaves the time of one that is there")

    def test_delete_and_a_time_of_its_own(self):
        self.apply(["drop udp 24 delete source $scanners", "drop from $scanners",
                    "drop udp 23 add source $scanners timeout 1h", "accept udp 53"])
        self.arrives(23)
        time.sleep(2.1)
        self.assertEqual(self.arrives(53), 0, "the rule's time, not the set's")
        self.arrives(24)
        self.assertEqual(self.arrives(53), 1)

    def test_a_rule_acts_once_on_what_changes_its_own_answer(self):
        """A source in two sets that the rule asks leaves one of them, by the rule or by the chain it jumps to."""
        self.apply(["continue udp 70 from $scanners, $seen delete source $scanners count direct",
                    "jump leave udp 71 from $scanners, $seen", "accept udp 70-71"],
                   below="  chains:\n    leave:\n      - continue udp 71 delete source $scanners count below\n")
        for family, suffix in zip(self.FAMILIES, "46"):
            for port in (70, 71):
                for name in ("scanners", "seen"):
                    self.host.run(["nft", "add element inet lockdown %s_%s { %s }" % (
                        name, suffix, self.source(1, family))])
                with self.subTest(family=family, port=port):
                    self.assertEqual(self.arrives(port, 1, family), 1)
        listing = self.host.run(["nft", "list", "counters", "table", "inet", "lockdown"]).stdout
        for name in ("direct", "below"):
            found = re.search(r"counter %s \{\s*packets (\d+)" % name, listing)
            self.assertEqual(found and found.group(1), "2", listing)

    def test_a_full_set_takes_no_more_and_the_verdict_acts(self):
        self.apply(["accept udp 23 add source $seen", "accept udp 53 from $seen"])
        self.assertEqual([self.arrives(23, number) for number in (1, 7, 8)], [1, 1, 1])
        self.assertEqual([self.arrives(53, number) for number in (1, 7, 8)], [1, 1, 0])

    def test_a_prefix_stands_for_all_its_addresses(self):
        """One machine of a network fills the set, and another of it is found; one just beside is not."""
        self.apply(["drop from $scanners", "drop udp 24 delete source/29:125 $scanners",
                    "drop udp 23 add source/29:125 $scanners timeout 1h", "accept udp 53"])
        for family in self.FAMILIES:
            with self.subTest(family=family):
                self.assertEqual([self.arrives(53, number, family) for number in (1, 7, 8)], [1, 1, 1])
                self.arrives(23, 1, family)
                self.assertEqual([self.arrives(53, number, family) for number in (1, 7, 8)], [0, 0, 1])
        self.host.nft("flush set inet lockdown scanners_4\n")
        self.assertEqual(self.arrives(53, 7), 1)

    def test_an_exception_of_a_part(self):
        """What one part excepts, another part of the list may hold."""
        self.apply(["drop from $banned except 10.1.0.7, 2001:db8:1::7", "accept udp 53 from $most, $kept",
                    "accept udp 54 from 10.0.0.0/8, 2001:db8::/32 except $most"],
                   more="  most: { addresses: [10.1.0.0/29, \"2001:db8:1::/125\"], except: [$seen] }\n"
                        "  kept: [10.1.0.1, \"2001:db8:1::1\"]\n", fill="accept udp 23 add source $seen")
        for family in self.FAMILIES:
            with self.subTest(family=family):
                self.assertEqual([self.arrives(53, number, family) for number in (1, 7, 8)], [1, 1, 0])
                self.assertEqual([self.arrives(54, number, family) for number in (1, 7, 8)], [0, 0, 1])
                for number in (1, 7):
                    self.arrives(23, number, family)
                self.assertEqual([self.arrives(53, number, family) for number in (1, 7, 8)], [1, 0, 0])
                self.assertEqual([self.arrives(54, number, family) for number in (1, 7, 8)], [1, 1, 1])

    def test_an_external_set_and_its_exception(self):
        self.apply(["drop from $banned except 10.1.0.7, 2001:db8:1::7", "accept udp 53"])
        for family, suffix in zip(self.FAMILIES, "46"):
            self.assertEqual([self.arrives(53, number, family) for number in (1, 7)], [1, 1])
            for number in (1, 7):
                self.host.nft("add element inet lockdown banned_%s { %s timeout 5m }" % (
                    suffix, self.source(number, family)))
            self.assertEqual([self.arrives(53, number, family) for number in (1, 7)], [0, 1])

    def test_a_limit_for_each_source(self):
        self.apply(["accept udp 53 limit 1/hour burst 3 per source", "accept udp 54 limit 1/hour burst 3",
                    "drop udp 55 limit over 1/hour burst 2 per source/24:64", "accept udp 55"])
        for family in self.FAMILIES:
            self.assertEqual([self.arrives(53, number, family, count=5) for number in (1, 7)], [3, 3])
            self.assertEqual([self.arrives(55, number, family, count=5) for number in (1, 7)], [2, 0],
                             "one bucket for the network")
        self.assertEqual([self.arrives(54, number, count=5) for number in (1, 7)], [3, 0])

    def test_connections(self):
        """The connection after the last one that is allowed is refused, and one that ends makes room."""
        self.apply(["accept established", "reject tcp 80 new connections over 2 per source with tcp-reset",
                    "accept tcp 80", "accept tcp 81 new connections up to 2"])
        servers = []
        for port in (80, 81):
            server = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.addCleanup(server.close)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("", port))
            server.listen(16)
            servers.append(server)

        def connected(port, number):
            made = self.peer.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.addCleanup(made.close)
            made.bind((self.source(number), 0))
            made.settimeout(0.3)
            try:
                made.connect((self.wire.far4, port))
            except (ConnectionRefusedError, ConnectionResetError, socket.timeout):
                made.close()
                return None
            return made

        open_ones = [connected(80, 1) for _ in range(2)]
        self.assertNotIn(None, open_ones)
        self.assertIsNone(connected(80, 1), "the third of one source")
        self.assertIsNotNone(connected(80, 7), "another source has its own number")
        # A reset ends the connection at once, here and in the table of connections.
        open_ones[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        open_ones[0].close()
        deadline = time.monotonic() + 15
        while (again := connected(80, 1)) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertIsNotNone(again, "one has ended")

        self.assertIsNotNone(connected(81, 1))
        self.assertIsNotNone(connected(81, 7))
        self.assertIsNone(connected(81, 8), "all sources together")
        # The number is kept where the policy is replaced: connections are not forgotten.
        self.apply(["accept established", "accept tcp 81 new connections up to 2", "accept udp 99"], "other")
        self.assertIsNone(connected(81, 8), "known from the policy before")


class Reapply(SetsTestCase):
    """What sets hold survives another policy with the same definition."""

    def setUp(self):
        super().setUp()
        self.rules = ["drop from $banned, $seen", "drop udp 23 add source $seen",
                      "accept udp 53 limit 1/hour burst 3 per source"]
        self.apply(self.rules)
        self.host.nft("add element inet lockdown banned_4 { 10.1.0.8 }")
        self.arrives(23, 7)
        self.arrives(53, 1, count=5)

    def test_the_same_policy_is_unchanged(self):
        before = self.elements("banned_4"), self.elements("seen_4")
        outcome = self.apply(self.rules)
        self.assertIn("firewall: unchanged", outcome.stderr)
        self.assertEqual((self.elements("banned_4"), self.elements("seen_4")), before)

    def test_contents_are_kept(self):
        outcome = self.apply(self.rules + ["accept udp 99"])
        self.assertIn("firewall: replaced", outcome.stderr)
        self.assertNotIn("lost", outcome.stderr)
        self.assertIn("10.1.0.8", self.elements("banned_4"))
        self.assertIn("10.1.0.7", self.elements("seen_4"))
        self.assertEqual([self.arrives(53, number) for number in (7, 8)], [0, 0])
        self.assertEqual(self.arrives(53, 1), 0, "its bucket is as empty as before")

    def test_another_definition_loses_them_and_says_so(self):
        text = support.small(self.rules[:2] + ["accept udp 53 limit 1/hour burst 9 per source"], name="sets",
                             extra=DEFINITIONS.replace("size: 2", "size: 3").rstrip())
        outcome = support.compile_policy(text).apply(self.host)
        self.assertIn("contents lost: set seen_4", outcome.stderr)
        self.assertNotIn("10.1.0.7", self.elements("seen_4"))
        self.assertIn("10.1.0.8", self.elements("banned_4"))
        self.assertNotIn("lost: set banned_4", outcome.stderr)
        self.assertEqual(self.arrives(53, 1, count=12), 9, "another limit has buckets of its own")

    def test_stock_nft_reads_the_listing(self):
        listing = self.host.listing("table", "inet", "lockdown")
        other = self.namespace()
        other.nft(listing)
        self.assertIn("10.1.0.8", other.listing("set", "inet", "lockdown", "banned_4"))

