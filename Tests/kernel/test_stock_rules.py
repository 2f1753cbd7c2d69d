"""What stock nft writes: read back, it means what the kernel does with packets.

Each pair is one rule in two ways to write it: the short one that people write, and one of single conditions that other
tests hold against packets. `diff` must say that they mean the same, and the kernel must let through the same packets of a
universe. Where the model has no word for a part of a rule, only packets that meet the rest of it may be in doubt.

Root, and Debian's nftables.
"""

import json
import struct
import unittest

import support
from packets import ACK, FIN, PSH, RST, SYN, TCP, UDP, ip, mark, tcp, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)
from universe import HostUniverse, Probe, ProbeTestCase

#: (policy of the chain, declarations, as people write it, with single conditions).
PAIRS = [
    ("drop", "", "iif lo accept\niif != lo udp dport 53 accept", 'iifname "lo" accept\niifname != "lo" udp dport 53 accept'),
    ("drop", "", "ct state vmap { established : accept, related : accept, invalid : drop }",
     "ct state established,related accept"),
    ("accept", "", "tcp dport 22 ct state vmap { new : drop, untracked : continue } counter",
     "tcp dport 22 ct state new drop"),
    ("drop", "", "ct state vmap { new : jump fresh, untracked : return, invalid : goto fresh }\naccept",
     "ct state new jump fresh\nct state untracked return\nct state invalid goto fresh\naccept"),
    ("drop", "", "meta l4proto vmap { tcp : accept, udp : drop, icmp : accept }", "meta l4proto { tcp, icmp } accept"),
    ("drop", "", "ip protocol vmap { tcp : accept }", "meta nfproto ipv4 meta l4proto tcp accept"),
    ("drop", "", "icmp type vmap { echo-request : accept, 3 : accept }", "icmp type { echo-request, 3 } accept"),
    ("drop", "", "ip saddr . tcp dport vmap { 10.1.0.1 . 22-23 : accept, 10.2.0.0/16 . 80 : accept }",
     "ip saddr 10.1.0.1 tcp dport 22-23 accept\nip saddr 10.2.0.0/16 tcp dport 80 accept"),
    ("drop", "", "meta mark . tcp dport vmap { 0 . 22 : accept }", "meta mark 0 tcp dport 22 accept"),
    ("drop", "", "tcp dport 22 meta pkttype vmap { unicast : accept }", "tcp dport 22 meta pkttype unicast accept"),
    ("drop", "", "ip ttl vmap { 1 : accept, 255 : accept }", "ip ttl { 1, 255 } accept"),
    ("drop", "", "tcp flags vmap { syn : accept }", "tcp flags & 0xff == syn accept"),
    ("drop", "", "ip protocol tcp accept", "meta nfproto ipv4 meta l4proto tcp accept"),
    ("drop", "", "ip protocol { tcp, udp } th dport 22 accept",
     "meta nfproto ipv4 tcp dport 22 accept\nmeta nfproto ipv4 udp dport 22 accept"),
    ("drop", "", "ip protocol != tcp accept", "meta nfproto ipv4 meta l4proto != tcp accept"),
    ("drop", "", "tcp flags == syn accept", "tcp flags & 0xff == syn accept"),
    ("drop", "", "tcp flags { fin, rst } accept", "tcp flags & 0xff == fin accept\ntcp flags & 0xff == rst accept"),
    ("accept", "", "tcp flags != { syn, ack } drop",
     "tcp flags & 0xff != syn tcp flags & 0xff != ack drop"),
    ("drop", "", "tcp flags { syn, ack } limit rate 400/second burst 200 packets accept",
     "tcp flags { syn, ack } jump limited"),
    ("drop", "", "tcp dport < 80 accept", "tcp dport 0-79 accept"),
    ("drop", "", "tcp dport > 80 accept", "tcp dport 81-65535 accept"),
    ("drop", "", "udp sport <= 53 accept", "udp sport 0-53 accept"),
    ("drop", "", "ip ttl < 64 accept", "ip ttl 0-63 accept"),
    ("drop", "", "ip ttl > 64 accept", "ip ttl 65-255 accept"),
    ("drop", "", "ip saddr > 10.1.0.128 accept", "ip saddr 10.1.0.129-255.255.255.255 accept"),
    ("drop", "", "ip saddr & 255.255.0.255 == 10.1.0.1 accept",
     "ip saddr { %s } accept" % ", ".join("10.1.%d.1" % byte for byte in range(256))),
    ("drop", "", "meta length > 80 accept", "meta length 81-4294967295 accept"),
    ("drop", "", "ip dscp > af11 accept", "ip dscp 11-63 accept"),
    ("drop", "", "ip dscp <= af11 accept", "ip dscp 0-10 accept"),
    ("drop", "", "meta l4proto { tcp, udp } th dport < 53 accept", "tcp dport 0-52 accept\nudp dport 0-52 accept"),
    ("drop", "", "icmp code 3 accept", "icmp type . icmp code { 0-255 . 3 } accept"),
    ("drop", "", "fib daddr type { local, broadcast } ip daddr 0.0.0.0/0 accept",
     "meta nfproto ipv4 fib daddr type local accept\nmeta nfproto ipv4 fib daddr type broadcast accept"),
    ("drop", "", "fib daddr type { local, multicast } accept",
     "fib daddr type local accept\nip daddr 224.0.0.0/4 accept\nip6 daddr ff00::/8 accept"),
    ("accept", "", "tcp dport 22 drop\nfib daddr type != { local, broadcast, multicast } drop",
     "tcp dport 22 drop\nip daddr 224.0.0.0/4 accept\nip6 daddr ff00::/8 accept\nfib daddr type local accept\n"
     "fib daddr type broadcast accept\ndrop"),
    ("accept", "", "fib saddr . iif oif eq 0 drop", "fib saddr . iif oif missing drop"),
    ("drop", "", "meta protocol ip accept", "meta nfproto ipv4 accept"),
    ("drop", "", "meta protocol != ip accept", "meta nfproto ipv6 accept"),
    ("drop", "", "ct status & (dnat|confirmed) == dnat accept", "ct status dnat ct status & confirmed == 0 accept"),
    ("drop", "", "udp dport 53 log flags all accept", "udp dport 53 accept"),
    ("drop", "", "udp dport 53 log group 3 snaplen 64 queue-threshold 5 counter log prefix \"x\" accept",
     "udp dport 53 accept"),
    ("drop", "", "udp dport 53 meta priority set 1:1 meta nftrace set 0 accept", "udp dport 53 accept"),
    ("drop", "ct helper files { type \"ftp\" protocol tcp; }", "tcp dport 21 ct helper set \"files\" accept",
     "tcp dport 21 accept"),
    ("drop", "counter seen { }", "tcp dport 22 counter name seen counter accept", "tcp dport 22 accept"),
    ("drop", "limit rate1 { rate 400/second burst 200 packets }", "tcp dport 22 limit name \"rate1\" accept",
     "tcp dport 22 limit rate 400/second burst 200 packets accept"),
    ("drop", "quota few { 100 mbytes }", "tcp dport 22 quota name \"few\" accept", "tcp dport 22 quota 100 mbytes accept"),
    ("drop", "set s { type ipv4_addr; counter; elements = { 10.1.0.1 comment \"x\", 10.2.0.1 } }", "ip saddr @s accept",
     "ip saddr { 10.1.0.1, 10.2.0.1 } accept"),
    ("drop", "set s { type ipv4_addr; flags interval; counter; elements = { 10.1.0.0/25 comment \"x\", "
     "10.1.0.128-10.1.255.255, 10.2.0.1 } }", "ip saddr @s accept", "ip saddr { 10.1.0.0/16, 10.2.0.1 } accept"),
    ("drop", "set s { type ipv4_addr . inet_service; flags interval; elements = { 10.1.0.0/16 . 22-23 comment \"x\" } }",
     "ip saddr . tcp dport @s accept", "ip saddr 10.1.0.0/16 tcp dport 22-23 accept"),
    ("drop", "map m { type ipv4_addr : mark; elements = { 10.1.0.1 : 5, 10.2.0.1 : 6 } }",
     "meta mark set ip saddr map @m\nmeta mark 5 accept",
     "ip saddr 10.1.0.1 meta mark set 5\nip saddr 10.2.0.1 meta mark set 6\nmeta mark 5 accept"),
    ("accept", "", "meta mark set meta mark or 0x10\nmeta mark set meta mark & 0xfffffff7\n"
     "tcp dport 22 meta mark set meta mark or 0x3\nmeta mark & 0x1b == 0x13 drop\nmeta mark set 0",
     "tcp dport 22 drop\nmeta mark & 0x3 == 0x3 drop\nmeta mark set 0"),
    ("drop", "", "tcp dport 22 ct mark set ct mark or 0x4\nct mark & 0x6 == 0x4 accept",
     "tcp dport 22 ct mark set ct mark | 0x4\nct mark & 0x4 == 0x4 ct mark & 0x2 == 0 accept"),
    ("accept", "", "tcp dport 22 reject with icmp type host-prohibited",
     "meta nfproto ipv4 tcp dport 22 reject with icmp type host-prohibited"),
    ("accept", "", "udp dport 53 ct count over 0 drop", "udp dport 53 jump counted"),
    ("drop", "", "tcp dport { 22 } tcp flags { syn } ip saddr . tcp dport { 10.1.0.1 . 22, 10.2.0.1 . 22 } accept",
     "tcp dport 22 tcp flags syn ip saddr { 10.1.0.1, 10.2.0.1 } accept"),
]

#: Chains that rules above lead to.
CHAINS = """
    chain fresh { meta l4proto tcp accept; }
    chain limited { limit rate 400/second burst 200 packets accept; }
    chain counted { ct count over 0 drop; }
"""

#: In a chain of type nat in front of an input chain that takes what is sent to the other address of the host.
TRANSLATIONS = [
    ("tcp dport 80 dnat ip to WAN4", "meta nfproto ipv4 tcp dport 80 dnat to WAN4"),
    ("tcp dport 80 dnat ip6 to WAN6", "meta nfproto ipv6 tcp dport 80 dnat to WAN6"),
    ("tcp dport 80 dnat ip to WAN4:22 random,persistent", "meta nfproto ipv4 tcp dport 80 dnat to WAN4:22"),
    ("dnat ip to tcp dport map { 80 : WAN4, 22 : WAN4, 443 : 10.9.9.9 }",
     "meta nfproto ipv4 tcp dport 22 dnat to WAN4\nmeta nfproto ipv4 tcp dport 80 dnat to WAN4\n"
     "meta nfproto ipv4 tcp dport 443 dnat to 10.9.9.9"),
    ("dnat ip addr . port to tcp dport map { 80 : WAN4 . 22, 21 : WAN4 . 23 }",
     "meta nfproto ipv4 tcp dport 80 dnat to WAN4:22\nmeta nfproto ipv4 tcp dport 21 dnat to WAN4:23"),
    ("dnat ip to ip saddr map { 10.1.0.1 : WAN4, 10.2.0.1 : 10.9.9.9 }",
     "ip saddr 10.1.0.1 dnat to WAN4\nip saddr 10.2.0.1 dnat to 10.9.9.9"),
    ("fib daddr type local tcp dport 80 dnat ip to WAN4", "meta nfproto ipv4 fib daddr type local tcp dport 80 dnat to WAN4"),
]

#: Rules of which only a part can be read: the rule, what is certain, and what nobody can tell.
DOUBTS = [
    ("th dport 53 accept", ["accept tcp, udp, sctp 53", "drop tcp 80"], "drop gre"),
    ("ip6 nexthdr tcp accept", ["drop ipv4 tcp", "drop ipv6 udp"], "accept ipv6 tcp"),
    ("ct direction original accept", ["accept new", "drop invalid, untracked"], "accept established"),
    ("ct direction reply accept", ["drop new, invalid, untracked"], "accept related"),
    ("fib daddr type unicast accept", ["drop to local", "drop to multicast"], "drop to 192.0.2.1"),
    ("ip saddr 10.0.0.0/8 ct helper \"ftp\" tcp dport 22 accept",
     ["drop udp", "drop tcp 23", "drop ipv4 from 192.0.2.1"], "accept ipv4 tcp 22 from 10.0.0.1 new"),
    ("tcp window 0 tcp dport 22 accept", ["drop udp", "drop tcp 23"], "accept tcp 22"),
    ("tcp dport 22 numgen random mod 2 0 accept", ["drop tcp 23"], "accept tcp 22"),
    ("tcp option sack-perm exists tcp dport 22 accept", ["drop udp", "drop tcp 23"], "accept tcp 22"),
    ("ip frag-off & 0x3fff != 0 accept", ["accept ipv4 fragment", "drop ipv6"], "accept ipv4 tcp 22"),
    ("meta iifgroup 7 counter log prefix \"x\"\ntcp dport 22 accept", ["accept tcp 22", "drop udp"], None),
]


class StockRules(HostUniverse, ProbeTestCase):
    def setUp(self):
        super().setUp()
        self.directory = support.scratch() / ("stock-" + self.id())
        self.directory.mkdir()

    def probes(self):
        number = 0
        for probe in super().probes():
            number = max(number, probe.number)
            yield probe
        for link in [self.links["eth0"]]:
            for source, target in ((link.near4, link.far4), (link.near6, link.far6)):
                family = 6 if ":" in source else 4
                for flags in (FIN, RST, SYN | FIN, ACK, PSH | ACK, 0):
                    number += 1
                    segment = tcp(source, target, 40001, 22, flags=flags, payload=mark(number))
                    yield Probe(number, ip(source, target, TCP, segment), "eth0", family=family, protocol=TCP)
                for ttl, dscp, size in ((1, 0, 0), (63, 10, 100), (65, 11, 0), (255, 46, 0)):
                    number += 1
                    datagram = udp(source, target, 40001, 53, b"x" * size + mark(number))
                    yield Probe(number, ip(source, target, UDP, datagram, ttl=ttl, dscp=dscp), "eth0", family=family,
                                protocol=UDP)
            # A destination option stands between IPv6 and UDP (RFC 8200 §4.6).
            number += 1
            options = struct.pack(">BBBB4x", UDP, 0, 1, 4)
            datagram = udp(link.near6, link.far6, 40001, 53, mark(number))
            yield Probe(number, ip(link.near6, link.far6, 60, options + datagram), "eth0", family=6, protocol=UDP)

    def write(self, name, text):
        (self.directory / name).write_text(text)
        return name

    def call(self, *arguments):
        return support.run([support.LOCKDOWN, *arguments], check=False, cwd=self.directory)

    def through(self, text):
        self.host.nft(text)
        try:
            return self.send()
        finally:
            self.host.nft("delete table inet stock")

    def compare(self, short, plain, empty):
        self.write("short.nft", short)
        self.write("plain.nft", plain)
        self.write("empty.nft", empty)
        done = self.call("diff", "short.nft", "plain.nft")
        self.assertEqual((done.status, done.stdout.splitlines()[:1]),
                         (0, ["short.nft and plain.nft mean the same"]), str(done)[:3000])
        done = self.call("diff", "short.nft", "empty.nft")
        self.assertEqual(done.status, 1, str(done)[:3000])
        self.assertNotIn("could not tell", done.stdout)
        found = self.through(short)
        self.assert_probes(found, self.through(plain), plain)
        self.assertTrue(found and len(found) < len(self.universe), "the universe does not tell")

    def test_pairs(self):
        def table(rules, policy, declarations):
            return ("table inet stock {\n%s\n%s\nchain input { type filter hook input priority 0; policy %s;\n%s\n}\n}\n"
                    % (declarations, CHAINS, policy, rules))
        for policy, declarations, short, plain in PAIRS:
            with self.subTest(rule=short):
                self.compare(table(short, policy, declarations), table(plain, policy, ""), table("", policy, ""))
        support.note("%d rules, %d packets each" % (len(PAIRS), len(self.universe)))

    def test_translations(self):
        wan = self.links["wan0"]

        def table(rules):
            return ("""table inet stock {
                chain arrival { type nat hook prerouting priority -101; policy accept;
                  %s
                }
                chain input { type filter hook input priority 0; policy drop;
                  ip daddr WAN4 accept
                  ip6 daddr WAN6 accept
                }
            }
            """ % rules).replace("WAN4", wan.far4).replace("WAN6", wan.far6)
        for short, plain in TRANSLATIONS:
            with self.subTest(rule=short):
                self.compare(table(short), table(plain), table(""))

    def test_doubts(self):
        """What cannot be read leaves no packet in doubt that the rest of the rule is not about."""
        for rule, certain, open in DOUBTS:
            self.write("doubt.nft", "table inet stock {\nchain input { type filter hook input priority 0; policy drop;\n"
                       "%s\n}\n}\n" % rule)
            for statement in certain:
                with self.subTest(rule=rule, statement=statement):
                    done = self.call("query", "doubt.nft", "input %s" % statement)
                    self.assertEqual(done.status, 0, str(done)[:2000])
            if open is not None:
                with self.subTest(rule=rule, statement=open):
                    done = self.call("query", "doubt.nft", "input %s" % open)
                    self.assertEqual(done.status, 2, str(done)[:2000])

    def test_a_set_that_may_be_full(self):
        """What stands behind `add` is done only while the set has room: sometimes, and never for others."""
        self.write("add.nft", "table inet stock {\nset s { type ipv4_addr; flags dynamic; size 2; }\n"
                   "chain input { type filter hook input priority 0; policy drop;\nudp dport 123 add @s { ip saddr } accept\n}\n}\n")
        self.assertEqual(self.call("query", "add.nft", "input drop tcp").status, 0)
        done = self.call("query", "add.nft", "input accept ipv4 udp 123 new")
        self.assertIn("up to a limit for some", done.stdout)
        done = self.call("explain", "add.nft", "input udp 123 from 192.0.2.1")
        self.assertIn("up to room in inet stock s", done.stdout)
        self.assertNotEqual(self.call("query", "add.nft", "input always accept ipv4 udp 123 new").status, 0)
        found = self.through((self.directory / "add.nft").read_text())
        self.assertEqual(len({probe.source for probe in self.universe if probe.number in found}), 2)

    def test_interfaces_by_number(self):
        """Of a running kernel each interface has its name."""
        text = "table inet stock { chain input { type filter hook input priority 0; policy drop; iif near0 accept; }; }"
        self.left.nft(text)
        for statement, status in (("input accept in near0", 0), ("input drop in eth0", 0), ("input drop in near0", 1)):
            with self.subTest(statement=statement):
                done = self.left.run([support.LOCKDOWN, "query", "live", statement], check=False)
                self.assertEqual(done.status, status, str(done))
        # A file is loaded where there is none but the first.
        self.write("number.nft", text.replace("iif near0", "iif 7"))
        done = self.call("query", "number.nft", "input accept any")
        self.assertEqual(done.status, 2, str(done))

    def test_regions_and_rules_are_told(self):
        """Each link-layer address of a region, and of each rule the line and the words."""
        self.write("before.nft", "table inet stock {\n  chain input { type filter hook input priority 0; policy accept; }\n}\n")
        self.write("after.nft", """# Two rules.
table inet stock {
  set unused {
    type ipv4_addr
    elements = { 192.0.2.1,
      192.0.2.2 }
  }
  chain input {
    type filter hook input priority 0; policy accept;
    # The first.
    ether saddr { 02:00:00:00:00:01, 02:00:00:00:00:02 } drop
    tcp dport { 22,
      23 } drop
  }
}
""")
        done = self.call("diff", "before.nft", "after.nft")
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("  ether from 02:00:00:00:00:01, 02:00:00:00:00:02\n", done.stdout)
        self.assertIn("new: after.nft:11: ", done.stdout)
        self.assertIn("ether saddr { 02:00:00:00:00:01, 02:00:00:00:00:02 } drop\n", done.stdout)
        self.assertIn("new: after.nft:12: ", done.stdout)

    def test_what_is_dropped_either_way(self):
        """Whether a packet is tracked that is dropped anyway makes no difference, and of one that is refused aloud it does."""
        for name, rules in (("tracked", "udp dport 53 drop"), ("untracked", "udp dport 53 notrack\nudp dport 53 drop"),
                            ("passed", "udp dport 53 notrack")):
            self.write(name + ".nft", "table inet stock {\nchain raw { type filter hook prerouting priority raw; policy accept;\n"
                       "%s\n}\n}\n" % rules)
        self.assertIn("mean the same", self.call("diff", "tracked.nft", "untracked.nft").stdout)
        self.assertEqual(self.call("diff", "tracked.nft", "passed.nft").status, 1)

    def test_the_same_doubt_on_both_sides(self):
        """What nobody can read is the same on both sides where its words are, and stands before the same."""
        table = "table inet stock {\nchain input { type filter hook input priority 0; policy drop;\n%s\n}\n}\n"
        odd = "numgen random mod %d 0 tcp dport 22 accept\n"
        self.write("one.nft", table % (odd % 2 + "tcp dport 22 drop"))
        self.write("other.nft", table % (odd % 3 + "tcp dport 22 drop"))
        self.write("behind.nft", table % (odd % 2 + "tcp dport 22 accept"))
        self.write("beside.nft", table % (odd % 2 + "tcp dport 22 drop\nudp dport 53 accept"))
        self.assertIn("one.nft and one.nft mean the same", self.call("diff", "one.nft", "one.nft").stdout)
        self.assertEqual(self.call("diff", "one.nft", "other.nft").status, 2)
        self.assertEqual(self.call("diff", "one.nft", "behind.nft").status, 2)
        done = self.call("diff", "one.nft", "beside.nft")
        self.assertEqual(done.status, 1, str(done))
        self.assertNotIn("could not tell", done.stdout)

    def test_the_same_programs(self):
        """What nobody can read does the same where all of it, and all besides, is the same: of marks and translations too."""
        rules = ("table ip stock {\nset web { type inet_service; elements = { 80 } }\n"
                 "chain arrival { type nat hook prerouting priority -100; policy accept;\ntcp dport @web jump choose\n"
                 "numgen random mod 2 0 tcp dport @web redirect to :8080\n}\n"
                 "chain mangle { type filter hook prerouting priority -150; policy accept;\nmeta mark set meta mark xor 1\n}\n"
                 "chain choose { numgen random mod 2 vmap { 0 : goto one, 1 : goto two }\n}\n"
                 "chain one { meta l4proto tcp dnat to 10.0.0.1:80\n}\nchain two { meta l4proto tcp dnat to 10.0.0.2:80\n}\n}\n")
        self.write("programs.nft", rules)
        done = self.call("diff", "programs.nft", "programs.nft")
        self.assertIn("programs.nft and programs.nft mean the same\n", done.stdout)
        self.assertEqual(done.status, 0, str(done))
        self.assertIn("meets 3 of the others", done.stdout)
        for old, new in (("mark xor 1", "mark xor 2"), ("{ 80 }", "{ 81 }"), ("1 : goto two", "1 : goto one"),
                         ("10.0.0.2:80", "10.0.0.3:80"), ("mod 2 0", "mod 3 0"), ("to :8080", "to :8081")):
            with self.subTest(old=old):
                self.write("others.nft", rules.replace(old, new))
                done = self.call("diff", "programs.nft", "others.nft")
                self.assertIn(done.status, (1, 2), str(done))
                self.assertNotIn("mean the same", done.stdout)

    def test_a_limit_that_rules_share(self):
        """Two rules that take from one bucket let by less than two with a bucket each; one alone has its own."""
        def table(*rules):
            return ("table inet stock {\nlimit one { rate 400/second burst 200 packets; }\n"
                    "limit two { rate 400/second burst 200 packets; }\nquota q { over 1 mbytes; }\nquota r { over 1 mbytes; }\n"
                    "chain input { type filter hook input priority 0; policy drop;\n%s\n}\n}\n" % "\n".join(rules))
        dns, ssh = "udp dport 53 limit %s accept", "tcp dport 22 limit %s accept"
        own = "rate 400/second burst 200 packets"
        self.write("shared.nft", table(dns % "name one", ssh % "name one"))
        self.write("apart.nft", table(dns % "name one", ssh % "name two"))
        self.write("plain.nft", table(dns % own, ssh % own))
        self.write("quota.nft", table("udp dport 53 quota name q drop", "tcp dport 22 quota name q drop", "accept"))
        self.write("quotas.nft", table("udp dport 53 quota name q drop", "tcp dport 22 quota name r drop", "accept"))
        for one, other, regions in (("shared", "apart", 2), ("shared", "plain", 2), ("apart", "plain", 0), ("shared", "shared", 0),
                                    ("quota", "quotas", 1), ("quota", "quota", 0)):
            with self.subTest(one=one, other=other):
                done = self.call("diff", one + ".nft", other + ".nft")
                self.assertEqual((done.status, done.stdout.count("\nincomparable: ") + done.stdout.startswith("incomparable: ")),
                                 (1 if regions else 0, regions), str(done))
                if regions:
                    self.assertIn("of `inet stock %s`" % ("q" if one == "quota" else "one"), done.stdout)

    def test_chains_of_one_priority(self):
        """Which of two comes first nobody can tell, and it does not matter to who is let through."""
        first = ("table inet stock {\nchain input { type filter hook input priority 0; policy accept;\n"
                 "tcp dport 22 drop\nudp dport 53 limit rate 400/second burst 200 packets accept\n}\n}\n")
        second = ("table ip other4 {\nchain INPUT { type filter hook input priority 0; policy drop;\n"
                  "ct state established,related accept\ntcp dport { 22, 80 } accept\nudp dport 53 accept\n}\n}\n")
        one = ("table inet stock {\nchain input { type filter hook input priority 0; policy accept;\ntcp dport 22 drop\n"
               "udp dport 53 limit rate 400/second burst 200 packets jump four\njump four\n}\nchain four {\n"
               "meta nfproto ipv6 return\nct state established,related accept\ntcp dport 80 accept\nudp dport 53 accept\n"
               "drop\n}\n}\n")
        self.write("first.nft", first + second)
        self.write("second.nft", second + first)
        self.write("one.nft", one)
        for other in ("second.nft", "one.nft"):
            done = self.call("diff", "first.nft", other)
            self.assertEqual((done.status, done.stdout.splitlines()[:1]),
                             (0, ["first.nft and %s mean the same" % other]), str(done)[:3000])
        for statement, status in (("input drop tcp 22", 0), ("input always accept ipv4 tcp 80", 0),
                                  ("input always accept ipv6 tcp 80", 0), ("input accept ipv4 tcp 81", 1)):
            with self.subTest(statement=statement):
                done = self.call("query", "first.nft", statement)
                self.assertEqual(done.status, status, str(done)[:2000])
        done = self.call("explain", "first.nft", "input tcp 80 from 192.0.2.1")
        self.assertEqual(done.stdout.splitlines()[-1:], ["accepted"], str(done)[:2000])
        expected = self.through(one)
        for text in (first + second, second + first):
            self.host.nft(text)
            try:
                self.assert_probes(self.send(), expected, text)
            finally:
                self.host.nft("delete table inet stock\ndelete table ip other4")

    def test_an_order_that_matters(self):
        """Where one chain asks what the other sets, what becomes of the packet is not known, and the rest is."""
        tables = [("table inet stock {\nchain %s { type filter hook input priority 0; policy accept;\n%s\n}\n}\n" % each)
                  for each in (("marks", "udp dport 53 meta mark set 1"), ("asks", "meta mark 1 drop"))]
        self.write("marks.nft", "".join(tables))
        for statement, status in (("input accept tcp 22 mark 0", 0), ("input drop tcp 22 mark 1", 0),
                                  ("output accept udp 53", 0), ("input always accept udp 53 mark 0", 1)):
            with self.subTest(statement=statement):
                done = self.call("query", "marks.nft", statement)
                self.assertEqual(done.status, status, str(done)[:2000])
        done = self.call("explain", "marks.nft", "input udp 53 from 192.0.2.1")
        self.assertIn("it depends on which of the chains of one priority comes first", done.stdout)
        found = []
        for text in ("".join(tables), "".join(reversed(tables))):
            found.append(self.through(text))
        self.assertNotEqual(*found)

    def test_frames(self):
        """Chains on frames of a device leave open what comes by it, or leaves by it, and nothing else."""
        plain = "table inet stock {\nchain input { type filter hook input priority 0; policy drop;\ntcp dport 22 accept\n}\n}\n"
        self.write("plain.nft", plain)
        for hook, open, certain in (("ingress", "input accept tcp 22 in lo", ("input drop tcp 23 in lo", "output accept any")),
                                    ("egress", "output accept tcp 22 out lo", ("input accept tcp 22 in lo",
                                                                              "output accept tcp 22 out eth0"))):
            self.write("frames.nft", plain + "table netdev frames {\nchain c { type filter hook %s device \"lo\" priority 0; "
                       "policy accept;\nmeta length 100 drop\n}\n}\n" % hook)
            for statement in certain:
                with self.subTest(hook=hook, statement=statement):
                    done = self.call("query", "frames.nft", statement)
                    self.assertEqual(done.status, 0, str(done)[:2000])
            with self.subTest(hook=hook, statement=open):
                done = self.call("query", "frames.nft", open)
                self.assertEqual(done.status, 2, str(done)[:2000])
            with self.subTest(hook=hook):
                self.assertIn("frames.nft and frames.nft mean the same", self.call("diff", "frames.nft", "frames.nft").stdout)
                done = self.call("diff", "plain.nft", "frames.nft")
                self.assertEqual(done.status, 2, str(done)[:2000])
                self.assertIn("of family netdev", done.stdout)

    def test_what_is_not_looked_at(self):
        """Is named, and then nobody says that two sides mean the same in all."""
        plain = "table inet stock {\nchain input { type filter hook input priority 0; policy accept;\n}\n}\n"
        self.write("plain.nft", plain)
        self.write("tests.cos", "fragment: tests\nlanguage: 1\nexpect:\n  - input accept tcp 22\n")
        self.write("benchmark.cos", "benchmark: own\nlanguage: 1\nsource: here\ncontrols:\n  - id: ssh\n    title: SSH is open\n"
                   "    expect:\n      - input accept tcp 22\n")
        for name, text, words in (
                ("bridge", "table bridge b {\nchain f { type filter hook forward priority 0; policy drop;\n}\n}\n",
                 "table `bridge b`"),
                ("arp", "table arp a {\nchain i { type filter hook input priority 0; policy accept;\narp operation reply drop\n}\n}\n",
                 "table `arp a`"),
                ("route", "table inet r {\nchain o { type route hook output priority mangle; policy accept;\n"
                 "tcp dport 25 meta mark set 5\n}\n}\n", "where chain `inet r o` of type route sends packets")):
            self.write(name + ".nft", plain + text)
            with self.subTest(name):
                done = self.call("diff", name + ".nft", name + ".nft")
                self.assertEqual(done.stdout.splitlines()[0],
                                 "%s.nft and %s.nft mean the same, but for what was not looked at" % (name, name))
                self.assertIn("not looked at: %s of %s.nft" % (words, name), done.stdout)
                value = json.loads(self.call("diff", "--format", "json", name + ".nft", name + ".nft").stdout)
                self.assertIsNone(value["same"])
                self.assertIn("%s of %s.nft" % (words, name), value["not-compared"])
                done = self.call("query", name + ".nft", "input accept tcp 22")
                said = "lockdown: `%s.nft`: not looked at: %s\n" % (name, words)
                self.assertEqual((done.status, done.stderr), (0, said))
                for command in (["query", name + ".nft", "input accept tcp 22"], ["explain", name + ".nft", "input tcp 22"],
                                ["test", "tests.cos", "--against", name + ".nft"],
                                ["audit", name + ".nft", "--against", "benchmark.cos"]):
                    done = self.call(*command, "--format", "json")
                    self.assertEqual((done.status, done.stderr), (0, said), command)
                    self.assertEqual(json.loads(done.stdout)["not-looked-at"], [words])
        # One that asks nothing decides nothing.
        self.write("empty.nft", plain + "table arp a {\nchain i { type filter hook input priority 0; policy accept;\n}\n}\n")
        self.assertNotIn("not looked at", self.call("diff", "empty.nft", "plain.nft").stdout)

    def test_the_unsound_merge(self):
        """What `nft -o` of 1.0.6 makes of two tests for a bit is a set of exact values, and lets more through."""
        for name, rules in (("before", "tcp flags fin drop\ntcp flags rst drop"), ("after", "tcp flags { fin, rst } drop")):
            self.write(name + ".nft", "table inet stock {\nchain input { type filter hook input priority 0; policy accept;\n"
                       "%s\n}\n}\n" % rules)
        done = self.call("diff", "before.nft", "after.nft")
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("widened: input: dropped → accepted\n  tcp flags in ", done.stdout)
        self.assertRegex(done.stdout, r"for example: tcp from .* flags fin, syn")
        self.assertNotIn("could not tell", done.stdout)


if __name__ == "__main__":
    unittest.main()
