"""The other end of a machine's network card: frames over a stream socket, each behind its length, as qemu's netdev
`stream` has them. Nothing of the host's own network is touched.
"""

import pathlib
import select
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernel"))
import packets  # noqa: E402 (the other tests' own)

MACHINE, OUTSIDE = bytes.fromhex("525400000002"), bytes.fromhex("525400000001")
IPV4, ARP = 0x0800, 0x0806


class Wire:
    def __init__(self, address):
        """`address` is the one that the outside has."""
        self.address = socket.inet_aton(address)
        self.here, self.there = socket.socketpair()
        self.pending = b""
        self.port = 40000

    def arguments(self):
        return ["-netdev", "stream,id=n0,addr.type=fd,addr.str=%d" % self.there.fileno(),
                "-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + MACHINE.hex(":")]

    def close(self):
        self.here.close()
        self.there.close()

    def send(self, kind, payload):
        frame = MACHINE + OUTSIDE + struct.pack(">H", kind) + payload
        self.here.sendall(struct.pack(">I", len(frame)) + frame)

    def frames(self, seconds):
        """(ethernet type, payload) of what comes until nothing has come for that long; questions for our address are answered."""
        while select.select([self.here], [], [], seconds)[0]:
            self.pending += self.here.recv(1 << 16)
            while len(self.pending) >= 4 and len(self.pending) >= 4 + struct.unpack_from(">I", self.pending)[0]:
                length, = struct.unpack_from(">I", self.pending)
                frame, self.pending = self.pending[4:4 + length], self.pending[4 + length:]
                kind, payload = struct.unpack_from(">H", frame, 12)[0], frame[14:]
                # struct arphdr: a request for our address.
                if kind == ARP and payload[6:8] == b"\0\1" and payload[24:28] == self.address:
                    self.send(ARP, payload[:6] + b"\0\2" + OUTSIDE + self.address + payload[8:18])
                yield kind, payload

    def answers(self, target, ports):
        """What the machine says to a SYN at each port: {port: flags}, and all else that it sends of IPv4."""
        source = socket.inet_ntoa(self.address)
        # What is sent again of another call's connections is not of this one.
        self.port += 1
        found, others = {}, []

        def take(seconds):
            for kind, payload in self.frames(seconds):
                if kind != IPV4 or payload[16:20] != self.address:
                    continue
                if payload[9] != packets.TCP:
                    others.append(payload)
                elif payload[22:24] == struct.pack(">H", self.port):
                    found[struct.unpack_from(">H", payload, 20)[0]] = payload[33]

        for place, port in enumerate(ports):
            self.send(IPV4, packets.ip(source, target, packets.TCP, packets.tcp(source, target, self.port, port)))
            if place % 256 == 0:
                take(0)
        # Until nothing more comes.
        take(3)
        return found, others

    def greeting(self, target, port, seconds=10):
        """The first bytes that a server sends behind the handshake of TCP; empty: it sends none in that time."""
        source = socket.inet_ntoa(self.address)
        self.port += 1

        def say(flags, sequence, acknowledgement):
            self.send(IPV4, packets.ip(source, target, packets.TCP, packets.tcp(
                source, target, self.port, port, flags=flags, sequence=sequence, acknowledgement=acknowledgement)))

        say(packets.SYN, 1000, 0)
        for kind, payload in self.frames(seconds):
            if kind != IPV4 or payload[9] != packets.TCP or payload[22:24] != struct.pack(">H", self.port):
                continue
            sequence, = struct.unpack_from(">I", payload, 24)
            if payload[33] == packets.SYN | packets.ACK:
                say(packets.ACK, 1001, sequence + 1)
            data = payload[20 + 4 * (payload[32] >> 4):struct.unpack_from(">H", payload, 2)[0]]
            if data:
                # Nobody waits for the rest.
                say(packets.RST, 1001, 0)
                return data
        return b""
