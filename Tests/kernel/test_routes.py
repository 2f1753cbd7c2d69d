"""Two routes into the kernel, one result; and nothing of anybody else's is touched.

Every policy is loaded twice, as nft text by stock `nft` and as netlink messages by the applier, each in a
namespace of its own. Both are then read back three ways: nft's listing, nft's bytecode, and the kernel's own
dump read by `nftables.py`. The listing alone would not do: it leaves out guards that decide packets.
"""

import json
import re
import socket
import struct

import authors
import nftables
import support
from test_bundle import sealed
from support import setUpModule  # noqa: F401 (unittest finds it here)

# Everything a neighbour may have: objects, sets with time-outs, maps, NAT, counters that have counted.
FOREIGN = """
    table inet filter {
      comment "somebody else's"
      counter visits { packets 12 bytes 3456; }
      quota monthly { over 100 mbytes used 7 mbytes; }
      limit slow { rate 5/minute burst 9 packets; }
      set banned { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 }; }
      map ports { type inet_service : verdict; elements = { 80 : accept, 443 : jump web }; }
      chain web { counter packets 3 bytes 180 accept; }
      chain input { type filter hook input priority filter; policy accept;
        ip saddr @banned counter packets 1 bytes 60 drop
        tcp dport vmap @ports
        counter name visits
        limit name slow log prefix "slow: "
      }
    }
    table ip nat {
      chain prerouting { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 172.17.0.2:80; }
    }
    table inet lockdownish { chain input { type filter hook input priority 7; policy accept; counter; }; }
    """

SIMPLE = """\
policy: simple
language: 1
target:
  kernel: "6.1"
management: none
firewall:
  input:
    policy: drop
    rules:
      - web: accept tcp 80, 443
"""

# Regular chains under names that stay, change and go; one leads to another.
CHAINS = SIMPLE.replace("policy: simple", "policy: chains") + """\
      - jump ssh tcp 22
      - goto rest not tcp
  chains:
    ssh:
      - accept from 10.0.0.0/8
      - jump rest
    rest:
      - return not icmp, icmpv6 limit 5/second
      - accept
"""
OTHER_CHAINS = SIMPLE.replace("policy: simple", "policy: other-chains") + """\
      - jump shell tcp 22
      - jump rest
  chains:
    rest:
      - jump shell tcp 2222
    shell:
      - accept from 10.0.0.0/8
"""


def bytecode(namespace):
    """What `nft --debug=netlink list ruleset` prints, without what two loads may differ in."""
    text = namespace.run(["nft", "--debug=netlink", "list", "ruleset"]).stdout
    blocks, order = [], {}
    for line in text.splitlines():
        # Labels cannot be written in text; where they stand, nft leaves out an empty line.
        if not line.strip() or line.strip().startswith("userdata ="):
            continue
        # Handle and position behind the chain's name.
        line = re.sub(r"^(\S+ \S+ [^@\s]\S*) \d+( \d+)?\s*$", r"\1", line)
        line = re.sub(r"__(set|map)\d+", lambda found: order.setdefault(
            found.group(), "__%s#%d" % (found.group(1), len(order))), line)
        if line.startswith("\t") and blocks and "@" in blocks[-1][0]:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    # Elements of a hash set are in no order.
    return [line for block in blocks for line in (block[:1] + sorted(block[1:]))]


class Routes(support.KernelTestCase):
    def test_text_and_netlink_are_one(self):
        rules = 0
        paths = support.policies()
        self.assertTrue(any(path.name == "cos.cos" for path in paths))
        self.assertGreater(len(paths), 10, "the golden policies were not found")
        # Beside the policies of the repository, some that nobody thought of.
        sources = {support.name_of(path): path for path in paths}
        for hook in ("input", "forward", "prerouting"):
            for seed in range(10):
                sources["%s of author %d" % (hook, seed)] = authors.Author(seed, hook).policy()[0]
        for name, source in sources.items():
            with self.subTest(policy=name):
                policy = support.compile_policy(source)
                text, netlink, again = support.Namespace(), support.Namespace(), support.Namespace()
                try:
                    text.run(["nft", "-f", policy.directory / "nftables.nft"])
                    policy.apply(netlink)
                    listing = netlink.listing()
                    self.assertEqual(text.listing(), listing)
                    code = bytecode(netlink)
                    rules += sum(1 for line in code if line.startswith("inet ") and "@" not in line)
                    self.assertEqual(bytecode(text), code)
                    self.assertEqual(nftables.everything(text, without_userdata=True),
                                     nftables.everything(netlink, without_userdata=True))
                    # What nft prints, nft reads. (The bytecode may differ then: nft hides guards when it prints.)
                    again.nft(listing)
                    self.assertEqual(again.listing(), listing)
                finally:
                    for namespace in (text, netlink, again):
                        namespace.close()
        support.note("%d policies, %d rules equal" % (len(sources), rules))

    def test_text_twice(self):
        """The text replaces what it loaded before, also by `nft -f` twice, and leaves the neighbours alone."""
        policy = support.compile_policy(support.REPOSITORY / "policies" / "cos.cos")
        namespace = self.namespace()
        namespace.nft(FOREIGN)
        before = foreign(namespace)
        namespace.run(["nft", "-f", policy.directory / "nftables.nft"])
        listing = namespace.listing("table", "inet", "lockdown")
        namespace.run(["nft", "-f", policy.directory / "nftables.nft"])
        self.assertEqual(namespace.listing("table", "inet", "lockdown"), listing)
        self.assertEqual(foreign(namespace), before)

    def test_labels(self):
        """Each rule carries its id: the comment the user wrote, and a label that text cannot carry."""
        namespace = self.namespace()
        support.compile_policy(support.REPOSITORY / "policies" / "cos.cos").apply(namespace)
        labels = set()
        with nftables.Netlink(namespace) as netlink:
            rules = netlink.rules(nftables.INET_LOCKDOWN)
        for rule in rules:
            label = nftables.userdata(rule.get(nftables.RULE_USERDATA, b"")).get(0x80)
            self.assertIsNotNone(label, "a rule without a label in %s" % nftables.text(rule[2]))
            self.assertEqual(len(label), 8)
            labels.add(label)
        self.assertEqual(len(labels), len(rules), "two rules of one label")


def foreign(namespace):
    """All of the namespace that is not ours, with handles and counters: in nft's words and the kernel's bytes."""
    listing = []
    for table in namespace.run(["nft", "list", "tables"]).stdout.splitlines():
        if table != "table inet lockdown":
            listing.append(namespace.run(["nft", "-a", "list", *table.split()]).stdout)
    return "".join(listing), [item for item in nftables.everything(namespace)
                              if item[1] != nftables.INET_LOCKDOWN]


class Again(support.KernelTestCase):
    """Applying once more, applying something else, and failing to apply."""

    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.host.nft(FOREIGN)
        self.foreign = foreign(self.host)
        self.assertIn("somebody else's", self.foreign[0])
        self.cos = support.compile_policy(support.REPOSITORY / "policies" / "cos.cos")
        self.simple = support.compile_policy(SIMPLE)

    def digests(self):
        """(name, policy digest) as stock nft prints them."""
        printed = self.host.run(["nft", "list", "counters", "table", "inet", "lockdown"]).stdout
        found = re.findall(r'counter policy_digest \{\s*comment "(\S+) sha256:([0-9a-f]{64})"', printed)
        self.assertEqual(len(found), 1, printed)
        return found[0]

    def wanted_digest(self, policy):
        return json.loads(policy.text("policy.json"))["digest"].removeprefix("sha256:")

    def test_twice_changes_nothing(self):
        self.cos.apply(self.host)
        before, generation = nftables.everything(self.host), nftables.generation(self.host)
        for _ in range(3):
            self.cos.apply(self.host)
        self.assertEqual(nftables.generation(self.host), generation, "a batch was sent for nothing")
        self.assertEqual(nftables.everything(self.host), before)
        self.assertEqual(foreign(self.host), self.foreign)

    def test_check_changes_nothing(self):
        generation = nftables.generation(self.host)
        self.assertEqual(self.cos.apply(self.host, "--check", check=False).status, 1, "it differs")
        self.assertEqual(nftables.generation(self.host), generation)
        self.cos.apply(self.host)
        generation = nftables.generation(self.host)
        self.assertEqual(self.cos.apply(self.host, "--check", check=False).status, 0, "it is the same")
        self.assertEqual(nftables.generation(self.host), generation)
        self.assertEqual(foreign(self.host), self.foreign)

    def test_another_policy(self):
        """After another policy the kernel names that one and holds what a fresh load of it holds."""
        chains, others = support.compile_policy(CHAINS), support.compile_policy(OTHER_CHAINS)
        for policy in (self.cos, self.simple, self.cos, self.simple, chains, others, chains, self.cos):
            policy.apply(self.host)
            name, digest = self.digests()
            self.assertEqual(digest, self.wanted_digest(policy))
            self.assertEqual(name, json.loads(policy.text("policy.json"))["policy"])
            fresh = self.namespace()
            policy.apply(fresh)
            self.assertEqual(without_use(nftables.everything(self.host, nftables.INET_LOCKDOWN)),
                             without_use(nftables.everything(fresh, nftables.INET_LOCKDOWN)))
            fresh.close()
            self.assertEqual(foreign(self.host), self.foreign)
        self.assertNotEqual(self.wanted_digest(self.cos), self.wanted_digest(self.simple))

    def test_drift_is_repaired(self):
        """Someone edits our table by hand: the next run puts the policy back."""
        self.cos.apply(self.host)
        wanted = self.host.listing("table", "inet", "lockdown")
        for edit in ("insert rule inet lockdown input accept", "flush chain inet lockdown forward",
                     "add set inet lockdown stray { type ipv4_addr; }", "add chain inet lockdown stray",
                     "chain inet lockdown input { policy accept; }", "delete table inet lockdown"):
            with self.subTest(edit=edit):
                self.host.nft(edit)
                self.cos.apply(self.host)
                self.assertEqual(self.host.listing("table", "inet", "lockdown"), wanted)
                self.assertEqual(foreign(self.host), self.foreign)

    def test_refused_bundle(self):
        """A damaged bundle changes nothing, neither before nor after a good one."""
        damaged = support.scratch() / "damaged.bundle"
        content = bytearray(self.simple.bundle.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        for first in (None, self.cos):
            if first:
                first.apply(self.host)
            before, generation = nftables.everything(self.host), nftables.generation(self.host)
            outcome = support.apply(self.host, damaged, check=False)
            self.assertNotEqual(outcome.status, 0)
            self.assertNotEqual(outcome.stderr.strip(), "")
            self.assertEqual(nftables.generation(self.host), generation)
            self.assertEqual(nftables.everything(self.host), before)

    def test_refused_by_the_kernel(self):
        """The kernel refuses the batch, for the table belongs to another process: all stays as it was."""
        # A table of ours is held by a socket with NFT_TABLE_F_OWNER: others get EPERM (linux/netfilter/nf_tables.h).
        holder = nftables.Netlink(self.host)
        self.addCleanup(holder.close)
        hold_table(holder, b"lockdown")
        before, generation = nftables.everything(self.host), nftables.generation(self.host)
        outcome = self.cos.apply(self.host, check=False)
        self.assertNotEqual(outcome.status, 0)
        self.assertIn("lockdown", outcome.stderr)
        self.assertEqual(nftables.everything(self.host), before)
        self.assertEqual(nftables.generation(self.host), generation)
        self.assertEqual(foreign(self.host), self.foreign)


class SetsAhead(support.KernelTestCase):
    """Changed interval sets go in a batch before the rules, so there is a state between the two."""

    POLICY = """\
policy: ranges
language: 1
target:
  kernel: "6.1"
management: none
define:
  banned: [10.0.0.0/8, %s, "2001:db8::/32", "2001:db9::/32"]
firewall:
  input:
    policy: accept
    rules:
      - banned: drop udp 9000-9999, %s from $banned
"""

    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.old = support.compile_policy(self.POLICY % ("192.0.2.0/24", "100-200"))
        self.new = support.compile_policy(self.POLICY % ("198.51.100.0/24", "100-300"))
        self.old.apply(self.host)

    def held(self):
        return without_use(nftables.everything(self.host, nftables.INET_LOCKDOWN))

    def wanted(self, policy):
        fresh = self.namespace()
        policy.apply(fresh)
        return without_use(nftables.everything(fresh, nftables.INET_LOCKDOWN))

    def test_nothing_is_left(self):
        """Sets of the policy before are gone, and those that both use were not sent again."""
        for policy in (self.new, self.old):
            policy.apply(self.host)
            self.assertEqual(self.held(), self.wanted(policy))

    def test_rules_are_refused(self):
        """The kernel takes the sets and refuses the rules: the old table, to the last set."""
        content = self.new.bundle.read_bytes()
        # One of them is the closed stage's, which this apply does not send.
        self.assertEqual(content.count(b"lookup\0"), 5)
        broken = support.scratch() / "broken.bundle"
        broken.write_bytes(sealed(content.replace(b"lookup\0", b"lookuq\0")))
        before, generation = self.held(), nftables.generation(self.host)
        outcome = support.apply(self.host, broken, check=False)
        self.assertEqual(outcome.status, 1)
        self.assertIn("refused by the kernel", outcome.stderr)
        self.assertIn("`input/banned`", outcome.stderr)
        self.assertEqual(self.held(), before)
        self.assertEqual(nftables.generation(self.host), generation + 2, "sets in, sets out")

    def test_sets_are_refused(self):
        """The kernel refuses the sets already: nothing happened, and the rule that wants them is named."""
        content = self.new.bundle.read_bytes()
        # NFTA_SET_KEY_LEN of the set of ports: 2 bytes, of which the kernel takes at most 64.
        length = b"\x08\x00\x05\x00\x00\x00\x00\x02"
        self.assertEqual(content.count(length), 1)
        broken = support.scratch() / "broken.bundle"
        broken.write_bytes(sealed(content.replace(length, b"\x08\x00\x05\x00\x00\x00\x00\xff")))
        before, generation = self.held(), nftables.generation(self.host)
        outcome = support.apply(self.host, broken, check=False)
        self.assertEqual(outcome.status, 1)
        self.assertIn("`input/banned`", outcome.stderr)
        self.assertEqual(self.held(), before)
        self.assertEqual(nftables.generation(self.host), generation)

    def test_killed_in_between(self):
        """Killed at every message that is sent: the old rules or the new ones, and the next run ends the same."""
        def rules(items):
            return [item for item in items if item[0] == "rule"]

        old, new = self.wanted(self.old), self.wanted(self.new)
        number, ends = 0, set()
        while True:
            number += 1
            self.old.apply(self.host)
            with self.host:
                done = support.run(
                    ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e",
                     "inject=sendmsg:signal=KILL:when=%d" % number, support.LOCKDOWN_APPLY, self.new.bundle,
                     "--only", "firewall", "--status", support.scratch() / "killed.json"], check=False)
            held = self.held()
            if held != old:
                ends.add("between" if rules(held) == rules(old) else "new")
            self.assertIn(rules(held), (rules(old), rules(new)))
            self.new.apply(self.host)
            self.assertEqual(self.held(), new)
            if done.status == 0:
                break
        self.assertEqual(ends, {"between", "new"})
        support.note("%d kill points" % (number - 1))


def hold_table(netlink, name):
    """Makes a table that only the socket of `netlink` may change, and that goes with it."""
    def message(kind, number, body):
        return struct.pack("=IHHII", 16 + len(body), kind, 0x401 if number == 1 else 1, number, 0) + body

    frame = struct.pack(">BBH", 0, 0, nftables.SUBSYSTEM)
    table = (struct.pack(">BBH", 1, 0, 0) + nftables.attribute(1, name + b"\0")
             + nftables.attribute(2, struct.pack(">I", 2)))
    netlink.socket.send(message(0x10, 0, frame) + message(nftables.SUBSYSTEM << 8, 1, table) + message(0x11, 2, frame))
    netlink.socket.settimeout(0.2)
    try:
        answer = netlink.socket.recv(4096)
        raise AssertionError("the kernel refused an owned table: %r" % answer)
    except (TimeoutError, socket.timeout):
        netlink.socket.settimeout(None)


def without_use(items):
    """Use counts and, on some kernels, element counts and names of anonymous sets depend on the history."""
    names = {}

    def plain(value):
        if isinstance(value, bytes):
            return re.sub(rb"__(set|map)\d+", lambda found: names.setdefault(
                found.group(), b"__%s#%d" % (found.group(1), len(names))), value)
        return value

    result = []
    for kind, owner, place, content in sorted(items, key=lambda item: (item[0] != "rule", item)):
        if kind == "elements":
            result.append((kind, plain(content[0]), content[1]))
        else:
            result.append((kind, place, tuple((number, plain(data)) for number, data in content)))
    return sorted(result)
