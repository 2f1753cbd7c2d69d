"""Real packets against `policies/cos.cos`: each gets exactly the verdict Container-Optimized OS documents.

Closed means that nothing arrives behind the input hook. Whether a port refuses or is silent says little:
an open port without a listener refuses too. Every sweep first runs on the host without a policy, where
everything must arrive; a sweep that could not see an open port would pass for the wrong reason.
"""

import os
import socket
import struct
import time

import nftables
import packets
import support
from packets import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, URG, icmp, ip, mark, tcp, udp
from support import setUpModule  # noqa: F401 (unittest finds it here)

COS = support.REPOSITORY / "policies" / "cos.cos"

# Next headers that IPv6 reads as extension headers; what follows them decides, not they themselves. The
# mobility header, 135, is checked for its form before a raw socket sees it.
EXTENSION_HEADERS = {0, 43, 44, 51, 59, 60, 135}


class HostTestCase(support.KernelTestCase):
    """A host under cos.cos with one link, `eth0`, to the outside."""

    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1)
        self.families = ((self.link0.near4, self.link0.far4), (self.link0.near6, self.link0.far6))

    def load(self):
        support.compile_policy(COS).apply(self.host)

    def sweep(self, probes, protocols, protocols6):
        """Sends `{number: packet}` and gives the numbers of what was delivered to the host."""
        arrived = set()
        if not hasattr(self, "receiver"):
            self.receiver = self.delivered(self.host, protocols, protocols6)
        for index, packet in enumerate(probes.values()):
            self.link0.wire.send(packet)
            if index % 4096 == 4095:
                self.link0.wire.fence()
                arrived |= self.receiver.marks()
        self.link0.wire.fence()
        return arrived | self.receiver.marks()

    def expect(self, probes, expected, protocols=(), protocols6=()):
        """Without a policy all probes arrive; under cos.cos exactly `expected`."""
        self.assertEqual(set(probes) - self.sweep(probes, protocols, protocols6), set(), "control: all must arrive")
        self.load()
        nftables.forget_connections(self.host)
        self.assertEqual(self.sweep(probes, protocols, protocols6), set(expected))
        support.note("%d packets, %d arrive" % (len(probes), len(expected)))


class Input(HostTestCase):
    def test_every_tcp_port(self):
        """65,536 ports in both families: only 22 lets a SYN in, and only 22 answers."""
        answers = self.capture(self.outside, "near0")
        for source, target in self.families:
            base = 0 if ":" not in source else 1 << 16
            probes = {base + port: ip(source, target, TCP, tcp(source, target, 40000, port, payload=mark(base + port)))
                      for port in range(1 << 16)}
            with self.subTest(source=source):
                if base:
                    self.host.run(["nft", "delete", "table", "inet", "lockdown"])
                answers.frames()
                self.assertEqual(set(probes) - self.sweep(probes, [TCP], [TCP]), set(), "control: all must arrive")
                # Port 0 is answered like any closed port.
                self.assertEqual(self.answering_ports(answers), set(range(1 << 16)))
                self.load()
                nftables.forget_connections(self.host)
                self.assertEqual(self.sweep(probes, [TCP], [TCP]), {base + 22})
                self.assertEqual(self.answering_ports(answers), {22})
                support.note("%d SYN, 1 arrives, 1 answered" % len(probes))

    def answering_ports(self, answers):
        """Source ports of the TCP segments the host sent since the last call."""
        found = set()
        for data in answers.frames():
            header = 14 + (40 if data[12:14] == b"\x86\xdd" else 20)
            protocol = data[20] if header == 54 else data[23]
            if protocol == TCP:
                found.add(struct.unpack_from(">H", data, header)[0])
        return found

    def test_every_udp_port(self):
        """65,536 ports in both families: only 546 over IPv6 is open, the DHCPv6 client."""
        probes = {}
        for index, (source, target) in enumerate(self.families):
            for port in range(1 << 16):
                number = index << 16 | port
                probes[number] = ip(source, target, UDP, udp(source, target, 40000, port, mark(number)))
        self.expect(probes, {1 << 16 | 546}, [UDP], [UDP])

    def test_tcp_flags(self):
        """No combination of TCP flags opens a closed port; port 22 has no condition on flags, as on COS."""
        probes, open_probes = {}, set()
        for family, (source, target) in enumerate(self.families):
            for flags in range(64):
                for place, port in enumerate((22, 23, 80, 65535)):
                    number = family << 16 | flags << 4 | place
                    segment = tcp(source, target, 10000 + flags, port, flags=flags,
                                  acknowledgement=7 if flags & ACK else 0, payload=mark(number))
                    probes[number] = ip(source, target, TCP, segment)
                    if port == 22:
                        open_probes.add(number)
        self.expect(probes, open_probes, [TCP], [TCP])

    def test_every_icmp_type(self):
        """All 256 types of ICMP over IPv4 and of ICMPv6 over IPv6, and all codes of four types."""
        probes = {}
        kinds = [(kind, 0) for kind in range(256)] + [(kind, code) for kind in (0, 3, 8, 128) for code in range(1, 256)]
        for family, (source, target) in enumerate(self.families):
            for kind, code in kinds:
                number = family << 16 | kind << 8 | code
                message = icmp(source, target, kind, code, b"\0\0\0\0" + mark(number))
                probes[number] = ip(source, target, ICMPV6 if family else ICMP, message, ttl=255)
        self.expect(probes, probes, [ICMP], [ICMPV6])

    def test_icmp_of_the_other_family(self):
        """Protocol 58 inside IPv4 and protocol 1 inside IPv6 are not what the rules mean, and stay out."""
        probes = {}
        for family, (source, target) in enumerate(self.families):
            for kind in range(256):
                number = family << 16 | kind
                body = bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + mark(number)
                probes[number] = ip(source, target, ICMP if family else ICMPV6, body)
        self.expect(probes, (), [ICMPV6], [ICMP])

    def test_every_other_protocol(self):
        """No other transport protocol gets in, in either family."""
        others = [number for number in range(1, 255) if number not in (TCP, UDP)]
        protocols = [number for number in others if number != ICMP]
        protocols6 = [number for number in others if number != ICMPV6 and number not in EXTENSION_HEADERS]
        probes = {}
        for family, (source, target) in enumerate(self.families):
            for protocol in (protocols6 if family else protocols):
                number = family << 16 | protocol
                probes[number] = ip(source, target, protocol, b"\0" * 16 + mark(number))
        self.expect(probes, (), protocols, protocols6)

    def test_fragments(self):
        """A fragmented packet has the verdict of the whole one, and no later fragment slips through alone."""
        probes, expected = {}, set()
        number = 0
        for source, target in self.families:
            family = ":" in source
            for protocol, port, is_open in ((TCP, 22, True), (TCP, 80, False), (UDP, 53, False), (UDP, 546, family)):
                number += 1
                build = tcp if protocol == TCP else udp
                whole = build(source, target, 40000, port, payload=b"x" * 40 + mark(number))
                first, second = packets.fragments(source, target, protocol, whole, 32, number)
                probes[number << 8], probes[number] = first, second
                if is_open:
                    expected.add(number)
            number += 1
            # Alone, the later fragment of an open port waits for its first one and is never delivered.
            probes[number] = packets.fragments(source, target, TCP, tcp(
                source, target, 40001, 22, payload=b"x" * 40 + mark(number)), 32, number)[1]
        lonely = {number, number // 2}
        self.assertEqual(self.sweep(probes, [TCP, UDP], [TCP, UDP]),
                         {key for key in probes if key < 256} - lonely, "control: all whole packets must arrive")
        self.load()
        nftables.forget_connections(self.host)
        # Other identifications: those of the control may still wait in a reassembly queue.
        self.assertEqual(self.sweep(probes, [TCP, UDP], [TCP, UDP]), expected)

    def test_loopback(self):
        """The host talks to itself on any port, in both families."""
        self.load()
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"),
                                (socket.AF_INET, self.link0.far4), (socket.AF_INET6, self.link0.far6)):
            with self.subTest(address=address):
                self.assertEqual(exchange_tcp(self.host, self.host, family, address, 8080), b"pong")
                self.assertEqual(exchange_udp(self.host, self.host, family, address, 8080), b"pong")


class Replies(HostTestCase):
    def setUp(self):
        super().setUp()
        self.load()

    def test_outgoing_connections(self):
        """What the host starts is answered: TCP and UDP to any port, both families."""
        for family, address in ((socket.AF_INET, self.link0.near4), (socket.AF_INET6, self.link0.near6)):
            for port in (22, 53, 443, 8080, 65535):
                with self.subTest(address=address, port=port):
                    self.assertEqual(exchange_tcp(self.host, self.outside, family, address, port), b"pong")
                    self.assertEqual(exchange_udp(self.host, self.outside, family, address, port), b"pong")

    def test_incoming_ssh(self):
        """Port 22 completes a handshake and carries data, both families; 23 with a listener does not."""
        for family, address in ((socket.AF_INET, self.link0.far4), (socket.AF_INET6, self.link0.far6)):
            with self.subTest(address=address):
                self.assertEqual(exchange_tcp(self.outside, self.host, family, address, 22), b"pong")
                with self.assertRaises(TimeoutError):
                    exchange_tcp(self.outside, self.host, family, address, 23, timeout=0.3)

    def test_only_the_peer_of_a_connection(self):
        """An established connection admits its own segments and those of no other port or address."""
        for family, (source, target) in zip((socket.AF_INET, socket.AF_INET6), self.families):
            with self.subTest(source=source):
                server, client = connected(self.host, self.outside, family, source, 8080)
                self.addCleanup(server.close)
                self.addCleanup(client.close)
                local = client.getsockname()[1]
                receiver = self.delivered(self.host, [TCP] if family == socket.AF_INET else [],
                                          [] if family == socket.AF_INET else [TCP])
                stranger = source[:-1] + "9"
                send = self.link0.wire.send
                for number, (address, port) in enumerate(((source, 8081), (stranger, 8080), (stranger, 8081))):
                    send(ip(address, target, TCP, tcp(address, target, port, local, flags=ACK | PSH, sequence=1,
                                                      acknowledgement=1, payload=mark(number))))
                    send(ip(address, target, TCP, tcp(address, target, port, local, payload=mark(number + 10))))
                self.link0.wire.fence()
                self.assertEqual(receiver.marks(), set())
                server.sendall(b"data" + mark(99))
                self.assertEqual(client.recv(100), b"data" + mark(99))
                self.assertEqual(receiver.marks(), {99})

    def test_related_errors(self):
        """An ICMP error that answers our packet reaches its socket: a closed port at the peer is refused at once."""
        for family, address in ((socket.AF_INET, self.link0.near4), (socket.AF_INET6, self.link0.near6)):
            with self.subTest(address=address):
                client = self.host.socket(family, socket.SOCK_DGRAM)
                self.addCleanup(client.close)
                client.settimeout(2)
                client.connect((address, 9))
                client.send(b"anyone?")
                with self.assertRaises(ConnectionRefusedError):
                    client.recv(10)

    def test_ping_both_ways(self):
        for near, far in ((self.outside, self.host), (self.host, self.outside)):
            for address in ((self.link0.far4, self.link0.far6) if far is self.host
                            else (self.link0.near4, self.link0.near6)):
                with self.subTest(address=address):
                    self.assertTrue(ping(near, address))


class NeighbourDiscovery(support.KernelTestCase):
    """IPv6 links live under cos.cos as without it."""

    def setUp(self):
        super().setUp()
        self.host, self.outside = self.namespace(), self.namespace()
        self.link0 = self.link(self.outside, self.host, 1, neighbours=False)
        support.compile_policy(COS).apply(self.host)

    def test_resolution_both_ways(self):
        """Neighbour solicitation and advertisement, for a global and a link-local address, each side first."""
        for asking, answering, device in ((self.outside, self.host, "near0"), (self.host, self.outside, "eth0")):
            other = "eth0" if device == "near0" else "near0"
            local = answering.run(["ip", "-6", "-o", "addr", "show", "dev", other, "scope", "link"]).stdout.split()[3]
            local = local.split("/")[0]
            for address in (self.link0.far6 if answering is self.host else self.link0.near6, local + "%" + device):
                with self.subTest(address=address):
                    for side, name in ((self.host, "eth0"), (self.outside, "near0")):
                        side.run(["ip", "neigh", "flush", "dev", name])
                    self.assertTrue(ping(asking, address))
                    known = asking.run(["ip", "-6", "neigh", "show", address.split("%")[0], "dev", device]).stdout
                    self.assertRegex(known, "REACHABLE|DELAY|STALE")

    def test_duplicate_address_detection(self):
        """A new address is announced, and one that the neighbour has is found out."""
        for key in ("all", "eth0"):
            self.host.sysctl("net.ipv6.conf.%s.accept_dad" % key, 1)
        self.host.ip("addr add 2001:db8:1::77/64 dev eth0\naddr add %s/64 dev eth0" % self.link0.near6)
        self.await_text(self.addresses, lambda text: "tentative" not in text.replace("dadfailed tentative", ""))
        lines = {line.split()[3]: line for line in self.addresses().splitlines()}
        self.assertNotIn("dadfailed", lines["2001:db8:1::77/64"])
        self.assertIn("dadfailed", lines[self.link0.near6 + "/64"])

    def test_router_advertisement(self):
        """The host asks for a router, and an advertisement gives it an address and a route."""
        self.host.ip("link set eth0 down")
        self.host.sysctl("net.ipv6.conf.eth0.accept_ra", 1)
        self.host.ip("link set eth0 up")
        # A packet socket does not outlive its interface going down.
        self.link0.close()
        self.link0.wire = packets.Wire(self.link0)
        frames = self.capture(self.outside, "near0")
        solicited = self.await_text(
            lambda: b"".join(data for data in frames.frames() if data[20] == ICMPV6 and data[54] == 133), bool)
        self.assertTrue(solicited, "no router solicitation was seen")
        router, everyone = "fe80::1", "ff02::1"
        prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0) + packets.packed("2001:db8:aa::")
        body = struct.pack(">BBHII", 64, 0, 1800, 0, 0) + prefix
        advertisement = ip(router, everyone, ICMPV6, icmp(router, everyone, 134, 0, body), ttl=255)
        self.link0.wire.send(advertisement)
        self.link0.wire.fence()
        self.assertIn("2001:db8:aa:", self.await_text(self.addresses, lambda text: "2001:db8:aa:" in text))
        self.assertIn("fe80::1", self.host.run(["ip", "-6", "route", "show", "default"]).stdout)

    def addresses(self):
        return self.host.run(["ip", "-6", "-o", "addr", "show", "dev", "eth0"]).stdout

    def await_text(self, read, accept, seconds=6):
        deadline = time.monotonic() + seconds
        while True:
            found = read()
            if accept(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


class Output(HostTestCase):
    """What leaves the host: everything new, established or related; nothing invalid; IPv6 ND always."""

    def setUp(self):
        super().setUp()
        self.seen = self.capture(self.outside, "near0")

    def emit(self, probes):
        """Sends `{number: (family, protocol, payload, destination)}` from raw sockets of the host."""
        for number, (family, protocol, payload, destination) in probes.items():
            with self.host.socket(family, socket.SOCK_RAW, protocol) as raw:
                try:
                    raw.sendto(payload, (destination, 0))
                except PermissionError:
                    pass  # That is how a drop in output looks to the sender.
        return packets.marks_until_fence(self.host, "eth0", self.seen)

    def probes(self):
        """(probes, numbers that COS lets out). Raw ICMPv6 sockets fill in the checksum themselves."""
        probes, allowed = {}, set()
        for family, mine, yours in ((socket.AF_INET, self.link0.far4, self.link0.near4),
                                    (socket.AF_INET6, self.link0.far6, self.link0.near6)):
            base = 100 if family == socket.AF_INET else 200
            for number, flags in enumerate((SYN, SYN | ACK, RST, FIN | PSH | URG, 0, SYN | FIN)):
                probes[base + number] = (family, TCP, tcp(
                    mine, yours, 50000 + number, 80, flags=flags, acknowledgement=9 if flags & ACK else 0,
                    payload=mark(base + number)), yours)
            allowed.add(base)  # SYN alone is the only one that opens a connection
            probes[base + 10] = (family, UDP, udp(mine, yours, 50000, 53, mark(base + 10)), yours)
            allowed.add(base + 10)
            # An error about a packet that never was: invalid.
            inner = ip(yours, mine, UDP, udp(yours, mine, 1, 2, b"never sent"))
            if family == socket.AF_INET:
                error = icmp(mine, yours, 3, 3, b"\0\0\0\0" + inner + mark(base + 11))
                probes[base + 11] = (family, ICMP, error, yours)
            else:
                body = bytes([1, 4, 0, 0]) + b"\0\0\0\0" + inner + mark(base + 11)
                probes[base + 11] = (family, ICMPV6, body, yours)
                allowed.add(base + 11)  # all ICMPv6 leaves
                for kind in (128, 133, 134, 135, 136, 143, 200):
                    probes[300 + kind] = (family, ICMPV6, bytes([kind, 0, 0, 0]) + b"\0" * 20 + mark(300 + kind), yours)
                    allowed.add(300 + kind)
        return probes, allowed

    def test_invalid_stays_in(self):
        probes, allowed = self.probes()
        self.assertEqual(self.emit(probes), set(probes), "control: all must leave")
        self.load()
        nftables.forget_connections(self.host)
        self.assertEqual(self.emit(probes), allowed)
        support.note("%d packets, %d leave" % (len(probes), len(allowed)))

    def test_untracked_stays_in(self):
        """Packets another table took out of connection tracking: only ICMPv6 leaves."""
        self.host.nft("table inet other { chain raw { type filter hook output priority -300; notrack; }; }")
        probes, allowed = self.probes()
        self.load()
        self.assertEqual(self.emit(probes), {number for number in probes if probes[number][1] == ICMPV6})

    def test_loopback_untracked(self):
        self.host.nft("table inet other { chain raw { type filter hook output priority -300; notrack; }; }")
        self.load()
        self.assertEqual(exchange_tcp(self.host, self.host, socket.AF_INET, "127.0.0.1", 8080), b"pong")


class Containers(support.KernelTestCase):
    """Forwarding on a Docker host: published ports and the containers' own traffic pass, the rest does not.

    outside --- eth0 host docker0 --- web, other      (bridge br-app --- app)
    """

    FOREIGN = """
        table ip nat {
          chain prerouting { type nat hook prerouting priority dstnat;
            iifname eth0 tcp dport 8080 dnat to 172.17.0.2:80
            iifname eth0 udp dport 5300 dnat to 172.17.0.2:53
            iifname eth0 tcp dport 9090 dnat to 10.2.0.1:80
          }
          chain postrouting { type nat hook postrouting priority srcnat;
            ip saddr 172.17.0.0/16 oifname eth0 masquerade
          }
        }
        table ip6 nat {
          chain prerouting { type nat hook prerouting priority dstnat;
            iifname eth0 tcp dport 8080 dnat to [fd17::2]:80
          }
        }
        """

    def setUp(self):
        super().setUp()
        self.host, self.outside, self.web, self.app, self.elsewhere = (self.namespace() for _ in range(5))
        self.link0 = self.link(self.outside, self.host, 1)
        self.link1 = self.link(self.elsewhere, self.host, 2, "near0", "eth1")
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.bridge("docker0", "172.17.0.1/16", "fd17::1/64", self.web, "172.17.0.2/16", "fd17::2/64", "vethweb")
        self.bridge("br-app", "172.18.0.1/16", "fd18::1/64", self.app, "172.18.0.2/16", "fd18::2/64", "vethapp")
        self.outside.ip("route add default via %s\nroute add default via %s" % (self.link0.far4, self.link0.far6))
        self.elsewhere.ip("route add default via %s\nroute add default via %s" % (self.link1.far4, self.link1.far6))
        self.host.nft(self.FOREIGN)
        self.policy = support.compile_policy(COS)

    def bridge(self, name, address4, address6, container, inner4, inner6, port):
        # Without the delay its ports would stay silent for 15 seconds.
        self.host.ip("\n".join([
            "link add name %s type bridge forward_delay 0" % name, "addr add %s dev %s" % (address4, name),
            "addr add %s dev %s nodad" % (address6, name), "link set %s up" % name,
            "link add name %s type veth peer name eth0 netns /proc/%d/fd/%d" % (
                port, os.getpid(), container.descriptor),
            "link set %s master %s" % (port, name), "link set %s up" % port]))
        container.ip("\n".join([
            "addr add %s dev eth0" % inner4, "addr add %s dev eth0 nodad" % inner6, "link set eth0 up",
            "route add default via %s" % address4.split("/")[0], "route add default via %s" % address6.split("/")[0]]))

    def reachable(self):
        """Which of the named exchanges work. What must not pass has half a second to prove it does."""
        far4, far6 = self.link0.far4, self.link0.far6
        v4, v6 = socket.AF_INET, socket.AF_INET6
        cases = {
            "published tcp": lambda: exchange_tcp(self.outside, self.web, v4, far4, 8080, listen=80),
            "published tcp over IPv6": lambda: exchange_tcp(self.outside, self.web, v6, far6, 8080, listen=80),
            "published udp": lambda: exchange_udp(self.outside, self.web, v4, far4, 5300, listen=53),
            "container to outside": lambda: exchange_tcp(self.web, self.outside, v4, self.link0.near4, 443),
            "container to outside over IPv6": lambda: exchange_tcp(self.web, self.outside, v6, self.link0.near6, 443),
            "container to outside by udp": lambda: exchange_udp(self.app, self.outside, v4, self.link0.near4, 53),
            "container to container of another network": lambda: exchange_tcp(self.web, self.app, v4, "172.18.0.2", 80),
            "not published: own address": lambda: exchange_tcp(self.outside, self.web, v4, "172.17.0.2", 80),
            "not published: over IPv6": lambda: exchange_tcp(self.outside, self.web, v6, "fd17::2", 80),
            "not published: udp": lambda: exchange_udp(self.outside, self.web, v4, "172.17.0.2", 53),
            "not published: user network": lambda: exchange_tcp(self.outside, self.app, v4, "172.18.0.2", 80),
            "routed through the host": lambda: exchange_tcp(self.outside, self.elsewhere, v4, self.link1.near4, 80),
            "routed through the host, IPv6": lambda: exchange_tcp(
                self.outside, self.elsewhere, v6, self.link1.near6, 80),
            "translated, but to no container": lambda: exchange_tcp(
                self.outside, self.elsewhere, v4, far4, 9090, listen=80),
        }
        working = set()
        for name, attempt in cases.items():
            try:
                if attempt() == b"pong":
                    working.add(name)
            except (TimeoutError, ConnectionError):
                pass
        return working, set(cases)

    def test_containers(self):
        working, everything = self.reachable()
        self.assertEqual(working, everything, "control: all must work without a policy")
        self.policy.apply(self.host)
        nftables.forget_connections(self.host)
        working, _ = self.reachable()
        self.assertEqual(working, {
            "published tcp", "published tcp over IPv6", "published udp", "container to outside",
            "container to outside over IPv6", "container to outside by udp",
            "container to container of another network"})
        support.note("%d of %d exchanges pass" % (len(working), len(everything)))

    def test_without_the_item(self):
        """The compiler says what is cut, by the policy's own expectations; without these too, nothing is forwarded."""
        text = COS.read_text().replace("- docker: containers docker", "- replies: accept established, related")
        self.assertNotIn("containers docker\n", text)
        path = support.scratch() / "no-containers.cos"
        path.write_text(text)
        done = support.run([support.LOCKDOWN, "check", path], check=False)
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.stderr, r"error\[expect/failed\](.*\n)+.*published-ports: forward accept .* status dnat")
        lines = [line for line in text.splitlines() if "forward accept" not in line]
        working, everything = self.reachable()
        self.assertEqual(working, everything, "control: all must work without a policy")
        support.compile_policy("\n".join(lines) + "\n").apply(self.host)
        nftables.forget_connections(self.host)
        working, _ = self.reachable()
        self.assertEqual({name for name in working if "published" in name or "container" in name}, set())


def connected(near, far, family, address, port, *, listen=None, timeout=0.5):
    """A TCP connection from `near` to `address`; the server side listens in `far`. (server side, client side)"""
    with far.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(("", listen or port))
        listener.listen(4)
        listener.settimeout(timeout)
        client = near.socket(family, socket.SOCK_STREAM)
        try:
            client.settimeout(timeout)
            client.connect((address, port))
            server = listener.accept()[0]
            server.settimeout(timeout)
            return server, client
        except OSError:
            client.close()
            raise


def exchange_tcp(near, far, family, address, port, **options):
    """Connects, sends `ping`, and gives what comes back."""
    server, client = connected(near, far, family, address, port, **options)
    with server, client:
        client.sendall(b"ping")
        if server.recv(10) == b"ping":
            server.sendall(b"pong")
        return client.recv(10)


def exchange_udp(near, far, family, address, port, *, listen=None, timeout=0.5):
    with far.socket(family, socket.SOCK_DGRAM) as server, near.socket(family, socket.SOCK_DGRAM) as client:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(("", listen or port))
        server.settimeout(timeout)
        client.settimeout(timeout)
        client.connect((address, port))
        client.send(b"ping")
        data, sender = server.recvfrom(10)
        if data == b"ping":
            server.sendto(b"pong", sender)
        return client.recv(10)


def ping(near, address, seconds=2):
    """Whether an echo request from `near` is answered."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    address, _, device = address.partition("%")
    with near.socket(family, socket.SOCK_RAW, ICMPV6 if family == socket.AF_INET6 else ICMP) as raw:
        raw.settimeout(seconds)
        body = struct.pack(">HH", 77, 1) + mark(1)
        if family == socket.AF_INET6:
            scope = 0
            if device:
                with near:
                    scope = socket.if_nametoindex(device)
            raw.sendto(bytes([128, 0, 0, 0]) + body, (address, 0, 0, scope))
        else:
            raw.sendto(icmp(address, address, 8, 0, body), (address, 0))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                data = raw.recv(2048)
            except TimeoutError:
                return False
            reply = data if family == socket.AF_INET6 else data[20:]
            if reply[0] == (129 if family == socket.AF_INET6 else 0) and reply[4:] == body:
                return True
    return False
