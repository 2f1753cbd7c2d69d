"""Sets too large for a dump: what the run itself made is known from its batch, anything else is asked for by key."""

import json

import nftables
import support
from support import setUpModule  # noqa: F401 (unittest finds it here)
from test_bundle import sealed

# Ranges; their messages are longer than what the applier dumps (2 MiB).
COUNT = 70_000
NEWSET, NEWSETELEM = 10 << 8 | 9, 10 << 8 | 12


def policy(count, port=22):
    return support.small(
        ["drop from $blocked", "accept tcp %d" % port], name="large",
        extra="define:\n  blocked: { file: blocked%d.netset }" % count)


def compiled(count, port=22):
    """Every other /28 from 1.0.0.0 on: nothing merges."""
    numbers = ((1 << 24) + (number << 5) for number in range(count))
    lines = ["%d.%d.%d.%d/28" % tuple(number.to_bytes(4)) for number in numbers]
    (support.scratch() / ("blocked%d.netset" % count)).write_text("\n".join(lines) + "\n")
    return support.compile_policy(policy(count, port))


def messages(bundle, kind):
    """Where the messages of a kind lie, as (start, end)."""
    start = int.from_bytes(bundle[96 + 3 * 24 + 8:][:8], "little")
    end = start + int.from_bytes(bundle[96 + 3 * 24 + 16:][:8], "little")
    found = []
    while start < end:
        length = int.from_bytes(bundle[start:start + 4], "little")
        if int.from_bytes(bundle[start + 4:start + 6], "little") == kind:
            found.append((start, start + length))
        start += length + 3 & ~3
    return found


class LargeSets(support.KernelTestCase):
    def setUp(self):
        super().setUp()
        self.host = self.namespace()
        self.good = compiled(COUNT)

    def apply_bytes(self, content, *options, check=True):
        path = support.scratch() / "large.bundle"
        path.write_bytes(content)
        return support.apply(self.host, path, *options, check=check)

    def status(self):
        return json.loads((support.scratch() / "status.json").read_text())["firewall"]

    def everything(self):
        with nftables.Netlink(self.host) as netlink:
            return netlink.everything(nftables.INET_LOCKDOWN)

    def assert_repaired(self):
        """The true bundle is seen to differ in its set, replaces it, and then the kernel holds it and nothing else."""
        looked = self.good.apply(self.host, "--check", check=False)
        self.assertEqual(looked.status, 1, looked)
        self.assertRegex(" ".join(self.status()["differences"]), "set `blocked_4_")
        self.assertEqual(self.good.apply(self.host).status, 0)
        self.assertEqual(self.status()["result"], "replaced")
        repaired = self.everything()
        self.good.apply(self.host)
        self.assertEqual(self.status()["result"], "unchanged")
        other = self.namespace()
        self.good.apply(other)
        with nftables.Netlink(other) as netlink:
            self.assertEqual(netlink.everything(nftables.INET_LOCKDOWN), repaired)

    def test_again_is_unchanged(self):
        self.good.apply(self.host)
        self.assertEqual(self.status()["result"], "applied")
        generation = nftables.generation(self.host)
        self.good.apply(self.host)
        self.assertEqual(self.status()["result"], "unchanged")
        self.assertEqual(self.good.apply(self.host, "--check").status, 0)
        self.assertEqual(nftables.generation(self.host), generation)

    def test_it_is_kept_beside_other_rules(self):
        self.good.apply(self.host)

        def handle():
            with nftables.Netlink(self.host) as netlink:
                return [values[16] for _, values in netlink.ask(10, nftables.NLM_F_DUMP)]

        before = handle()
        compiled(COUNT, port=2222).apply(self.host)
        self.assertEqual(self.status()["result"], "replaced")
        self.assertEqual(handle(), before)

    def test_another_list(self):
        compiled(COUNT + 1).apply(self.host)
        self.good.apply(self.host)
        self.assertEqual(self.status()["result"], "replaced")
        self.good.apply(self.host)
        self.assertEqual(self.status()["result"], "unchanged")

    def test_an_element_differs(self):
        for place in ("first", "last"):
            with self.subTest(place):
                content = bytearray(self.good.bundle.read_bytes())
                parts = messages(content, NEWSETELEM)
                if place == "first":
                    # 1.0.0.16, the end of the first range, becomes 1.0.0.17.
                    at = content.index(bytes([1, 0, 0, 16]), parts[0][0], parts[0][1])
                else:
                    at = content.rindex(bytes([1, 34, 45, 240]), parts[-1][0], parts[-1][1])
                content[at + 3] += 1
                self.apply_bytes(sealed(content))
                self.assert_repaired()

    def test_an_element_too_much(self):
        # The elements of a longer list under the name of this one.
        content = bytearray(compiled(COUNT + 1).bundle.read_bytes())
        ours = self.good.bundle.read_bytes()
        (start, end), (ours_start, ours_end) = messages(content, NEWSET)[0], messages(ours, NEWSET)[0]
        name = nftables.text(dict(nftables.attributes_of(bytes(content[start + 20:end])))[2]).encode()
        ours_name = nftables.text(dict(nftables.attributes_of(ours[ours_start + 20:ours_end]))[2]).encode()
        content[start:end] = ours[ours_start:ours_end]
        content = content.replace(name, ours_name)
        applied = self.apply_bytes(sealed(content), check=False)
        if applied.status:
            # Up to Linux 6.13 the set's size is the number of its elements to the last.
            self.assertIn("ENFILE", applied.stderr)
        else:
            self.assert_repaired()
