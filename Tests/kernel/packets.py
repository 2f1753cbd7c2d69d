"""Packets built byte by byte, and the sockets that see which of them arrive.

A probe carries `MAGIC` and a number at its end. Whoever receives bytes looks for the mark, so the same
probe is recognised as a whole packet, behind an IP header or inside an error message.
"""

import os
import select
import socket
import struct
import time

MAGIC = b"lkdn"
MARK_LENGTH = 8

ICMP, TCP, UDP, GRE, ICMPV6, NO_NEXT_HEADER, SCTP = 1, 6, 17, 47, 58, 59, 132

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
# An experimental ethertype (IEEE 802): seen by packet sockets and by nothing else.
ETHERTYPE_FENCE = 0x88B5

# linux/if_packet.h, asm-generic/socket.h.
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33


def mark(number):
    """The bytes by which a probe is recognised."""
    return MAGIC + struct.pack(">I", number)


def marks_in(data):
    """The number of the probe that `data` belongs to, or None."""
    place = data.rfind(MAGIC)
    if place < 0 or place + MARK_LENGTH > len(data):
        return None
    return struct.unpack_from(">I", data, place + 4)[0]


def checksum(data):
    """The Internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    """An address as its 4 or 16 bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def pseudo_header(source, destination, protocol, length):
    if ":" in source:
        return packed(source) + packed(destination) + struct.pack(">II", length, protocol)
    return packed(source) + packed(destination) + struct.pack(">BBH", 0, protocol, length)


def ip(source, destination, protocol, payload, *, ttl=64, dscp=0, identification=0, more=False, offset=0):
    """An IPv4 or IPv6 packet by the form of `source`. IPv4 only: fragment fields, `offset` in bytes."""
    if ":" in source:
        return (struct.pack(">IHBB", 6 << 28 | dscp << 22, len(payload), protocol, ttl)
                + packed(source) + packed(destination) + payload)
    fragment = (0x2000 if more else 0) | offset // 8
    header = struct.pack(">BBHHHBBH", 0x45, dscp << 2, 20 + len(payload), identification, fragment, ttl, protocol, 0)
    header += packed(source) + packed(destination)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def tcp(source, destination, source_port, port, *, flags=SYN, sequence=1000, acknowledgement=0, payload=b""):
    header = struct.pack(">HHIIBBHHH", source_port, port, sequence, acknowledgement, 5 << 4, flags, 65535, 0, 0)
    total = checksum(pseudo_header(source, destination, TCP, len(header) + len(payload)) + header + payload)
    return header[:16] + struct.pack(">H", total) + header[18:] + payload


def udp(source, destination, source_port, port, payload=b""):
    length = 8 + len(payload)
    header = struct.pack(">HHHH", source_port, port, length, 0)
    total = checksum(pseudo_header(source, destination, UDP, length) + header + payload) or 0xFFFF
    return header[:6] + struct.pack(">H", total) + payload


def icmp(source, destination, kind, code=0, body=b"\0\0\0\0"):
    """ICMP, or ICMPv6 by the form of `source`; `body` begins behind the checksum."""
    header = struct.pack(">BBH", kind, code, 0)
    covered = header + body
    if ":" in source:
        covered = pseudo_header(source, destination, ICMPV6, len(covered)) + covered
    return header[:2] + struct.pack(">H", checksum(covered)) + body


def sctp_init(source_port, port, payload):
    """An SCTP packet with one INIT chunk; `payload` stands in it as an unknown parameter (RFC 9260 §3.2.1)."""
    parameter = struct.pack(">HH", 0x8001, 4 + len(payload)) + payload
    chunk = struct.pack(">BBHIIHHI", 1, 0, 20 + len(parameter), 1, 65536, 1, 1, 1) + parameter
    header = struct.pack(">HHI", source_port, port, 0)
    return header + struct.pack("<I", crc32c(header + b"\0\0\0\0" + chunk)) + chunk


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit."""
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def fragments(source, destination, protocol, payload, at, identification):
    """The two fragments of one packet, cut `at` bytes (a multiple of 8) behind the IP header."""
    assert at % 8 == 0 and at < len(payload)
    if ":" not in source:
        return [ip(source, destination, protocol, payload[:at], identification=identification, more=True),
                ip(source, destination, protocol, payload[at:], identification=identification, offset=at)]

    def part(data, offset, more):
        header = struct.pack(">BBHI", protocol, 0, offset | more, identification)  # RFC 8200 §4.5
        return ip(source, destination, 44, header + data)

    return [part(payload[:at], 0, 1), part(payload[at:], at, 0)]


def frame(packet, destination, source):
    """An Ethernet frame around an IP packet."""
    kind = ETHERTYPE_IPV6 if packet[0] >> 4 == 6 else ETHERTYPE_IPV4
    return hardware(destination) + hardware(source) + struct.pack(">H", kind) + packet


def hardware(text):
    return bytes.fromhex(text.replace(":", ""))


class Capture:
    """A packet socket on one interface: every frame that comes in from the wire, before any hook but ingress."""

    def __init__(self, namespace, interface, ethertype=3):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        enlarge(self.socket)
        self.socket.bind((interface, ethertype))
        self.socket.setblocking(False)
        self.fences = {}

    def frames(self):
        """The frames received since the last call."""
        found = []
        while True:
            try:
                data, address = self.socket.recvfrom(65536)
            except BlockingIOError:
                return found
            if address[2] != PACKET_OUTGOING:
                found.append(data)

    def marks(self):
        return {number for number in map(marks_in, self.frames()) if number is not None}

    def send_fence(self, namespace, interface, frame):
        """Sends a frame by `interface`, by a socket that stays: the kernel takes 10 ms and more to close one."""
        key = namespace.descriptor, interface
        if key not in self.fences:
            self.fences[key] = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.fences[key].bind((interface, 0))
        self.fences[key].send(frame)

    def close(self):
        for opened in (self.socket, *self.fences.values()):
            opened.close()


def frames_until_fence(namespace, interface, capture):
    """What a capture at the other end of `interface` sees up to a frame sent now by the namespace itself.

    The namespace's own packets left in the same order, on the same CPU, before it.
    """
    end = mark(0xFFFFFFFF)
    capture.send_fence(namespace, interface, b"\xff" * 12 + struct.pack(">H", ETHERTYPE_FENCE) + end.ljust(46, b"\0"))
    found, deadline = [], time.monotonic() + 5
    while time.monotonic() < deadline:
        found += capture.frames()
        for index, data in enumerate(found):
            if data[12:14] == struct.pack(">H", ETHERTYPE_FENCE) and end in data:
                return found[:index]
    raise AssertionError("a fence frame was lost on %s" % interface)


def marks_until_fence(namespace, interface, capture):
    found = {marks_in(data) for data in frames_until_fence(namespace, interface, capture)}
    return found - {None}


class Wire:
    """Sends frames from one end of a veth pair and knows when the other end has dealt with them."""

    def __init__(self, link):
        self.link = link
        self.socket = link.near.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((link.near_name, 0))
        self.fence_socket = link.far.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_FENCE))
        self.fence_socket.bind((link.far_name, ETHERTYPE_FENCE))
        self.prefix = hardware(link.far_mac) + hardware(link.near_mac)
        self.fences = 0

    def send(self, packet):
        self.socket.send(self.prefix + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet)

    def fence(self):
        """Returns when all frames sent so far have gone through the other end's hooks.

        veth hands frames to the backlog of the sending CPU, in order; the process is pinned to one CPU
        (see `support`), so a later frame is delivered after an earlier one.
        """
        self.fences += 1
        number = struct.pack(">I", self.fences)
        self.socket.send(self.prefix + struct.pack(">H", ETHERTYPE_FENCE) + number.ljust(46, b"\0"))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.fence_socket], [], [], 1)
            if ready and self.fence_socket.recv(2048)[14:18] == number:
                return
        raise AssertionError("a fence frame was lost on %s" % self.link.near_name)

    def close(self):
        self.socket.close()
        self.fence_socket.close()


class Delivered:
    """Raw IP sockets for many protocols: what the host itself receives, after the input hook.

    Linux hands a copy of each packet to raw sockets before any protocol looks at it (raw_local_deliver,
    raw6_local_deliver), closed ports and unknown types included.
    """

    def __init__(self, namespace, protocols, protocols6):
        self.sockets = []
        self.poll = select.epoll()
        self.by_descriptor = {}
        for family, numbers in ((socket.AF_INET, protocols), (socket.AF_INET6, protocols6)):
            for number in numbers:
                opened = namespace.socket(family, socket.SOCK_RAW, number)
                enlarge(opened)
                opened.setblocking(False)
                self.by_descriptor[opened.fileno()] = (opened, family, number)
                self.poll.register(opened.fileno(), select.EPOLLIN)

    def packets(self):
        """(family, protocol, bytes) of what was delivered since the last call. IPv4 bytes begin with the IP header."""
        found = []
        while True:
            ready = self.poll.poll(0, len(self.by_descriptor) or 1)
            if not ready:
                return found
            for descriptor, _ in ready:
                opened, family, number = self.by_descriptor[descriptor]
                while True:
                    try:
                        found.append((family, number, opened.recv(65536)))
                    except BlockingIOError:
                        break

    def marks(self):
        return {number for number in (marks_in(data) for _, _, data in self.packets()) if number is not None}

    def close(self):
        self.poll.close()
        for opened, _, _ in self.by_descriptor.values():
            opened.close()


def enlarge(opened, size=64 << 20):
    """A receive buffer so large that the test never loses what arrived; needs CAP_NET_ADMIN."""
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)


def pin():
    """Keeps this process on one CPU, so that frames stay in order. Undone by `unpin`."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    return allowed


def unpin(allowed):
    os.sched_setaffinity(0, allowed)
