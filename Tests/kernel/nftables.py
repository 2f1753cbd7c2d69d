"""Reads nf_tables from the kernel over netlink, with nothing but sockets: an oracle beside `nft`.

Message and attribute numbers are those of linux/netfilter/nfnetlink.h and nf_tables.h.
"""

import os
import socket
import struct

NETLINK_NETFILTER = 12
SUBSYSTEM = 10
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
GETGEN = 16
# linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_DELETE; without a tuple it deletes all entries.
CONNTRACK_SUBSYSTEM, CONNTRACK_DELETE = 1, 2

# What a dump asks for, and the top-level attributes that differ between two identical loads.
KINDS = {
    "table": (1, {4}),        # HANDLE
    "chain": (4, {2}),        # HANDLE
    "object": (19, {6}),      # HANDLE
    "set": (10, {16, 19}),    # HANDLE; 19 is the back end's type, a kernel address on some builds
    "rule": (7, {3, 6}),      # HANDLE, POSITION
    "flowtable": (23, {5}),   # HANDLE
}
GETSETELEM, DELSETELEM = 13, 14

RULE_USERDATA, SET_USERDATA, OBJECT_USERDATA = 7, 13, 8


class Netlink:
    """One NETLINK_NETFILTER socket inside a namespace."""

    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.sequence = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, message, flags, attributes=b"", family=0, subsystem=SUBSYSTEM):
        """The answers to one request, as (family, {attribute: bytes}); an error raises OSError."""
        self.sequence += 1
        body = struct.pack(">BBH", family, 0, 0) + attributes
        self.socket.send(struct.pack(
            "=IHHII", 16 + len(body), subsystem << 8 | message, NLM_F_REQUEST | flags, self.sequence, 0) + body)
        answers = []
        while True:
            data = self.socket.recv(1 << 20)
            offset = 0
            while offset < len(data):
                length, kind, seen, _, _ = struct.unpack_from("=IHHII", data, offset)
                part = data[offset + 16:offset + length]
                offset += length + 3 & ~3
                if kind == NLMSG_DONE:
                    return answers
                if kind == NLMSG_ERROR:
                    number = struct.unpack_from("=i", part)[0]
                    if number:
                        raise OSError(-number, os.strerror(-number))
                    return answers
                if seen & NLM_F_DUMP_INTR:
                    raise AssertionError("the ruleset changed while it was read")
                answers.append((part[0], dict(attributes_of(part[4:]))))
                if not flags & NLM_F_DUMP:
                    return answers

    def generation(self):
        """The generation id: it moves with every transaction that changes something, and with nothing else."""
        return struct.unpack(">I", self.ask(GETGEN, 0)[0][1][1])[0]

    def everything(self, table=None, *, without_userdata=False):
        """All objects, as a sorted list of comparable values with what differs between identical loads left out.

        `table` narrows to one (family number, name). Rules keep their order.
        """
        found = []
        for kind, (message, masked) in KINDS.items():
            place = 0
            for family, values in self.ask(message, NLM_F_DUMP):
                owner = (family, text(values[1]))
                if table is not None and owner != table:
                    continue
                if without_userdata:
                    masked = masked | {{"rule": RULE_USERDATA, "set": SET_USERDATA, "object": OBJECT_USERDATA}.get(
                        kind, 0)}
                place += 1
                kept = tuple((number, data) for number, data in sorted(values.items()) if number not in masked)
                found.append((kind, owner, place if kind == "rule" else 0, kept))
                if kind == "set":
                    found.append(("elements", owner, 0, (values[2], self.elements(family, values))))
        return sorted(found)

    def elements(self, family, values):
        """The elements of a set as a sorted multiset: a hash set keeps no order."""
        request = attribute(1, values[1]) + attribute(2, values[2])
        found = []
        for _, answer in self.ask(GETSETELEM, NLM_F_DUMP, request, family):
            found += [data for _, data in attributes_of(answer.get(3, b""))]
        return tuple(sorted(found))

    def empty(self, table, sets):
        """Takes all elements out of sets, in one batch; 16 and 17 are NFNL_MSG_BATCH_BEGIN and END."""
        def message(kind, family, attributes=b"", flags=0, resource=0):
            body = struct.pack(">BBH", family, 0, resource) + attributes
            return struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, self.sequence, 0) + body

        self.sequence += 1
        family, name = table
        delete = [message(SUBSYSTEM << 8 | DELSETELEM, family, attribute(1, name.encode() + b"\0") + attribute(
            2, one.encode() + b"\0"), NLM_F_ACK) for one in sets]
        self.socket.send(b"".join([message(16, 0, resource=SUBSYSTEM), *delete, message(17, 0, resource=SUBSYSTEM)]))
        for _ in sets:
            number = struct.unpack_from("=i", self.socket.recv(1 << 16), 16)[0]
            if number:
                raise OSError(-number, os.strerror(-number))

    def rules(self, table, chain=None):
        """The rules of a table, as dictionaries of attributes, in order."""
        return [values for family, values in self.ask(KINDS["rule"][0], NLM_F_DUMP)
                if (family, text(values[1])) == table and (chain is None or text(values[2]) == chain)]

    def objects(self, table):
        """The named objects of a table by name."""
        return {text(values[2]): values for family, values in self.ask(KINDS["object"][0], NLM_F_DUMP)
                if (family, text(values[1])) == table}


class Traces:
    """What the kernel tells of packets that `meta nftrace set 1` has met."""

    # linux/netlink.h; NFNLGRP_NFTRACE and NFT_MSG_TRACE of linux/netfilter.
    SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
    GROUP, MESSAGE = 9, 17
    POLICY, RETURN, RULE = 1, 2, 3

    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(self.SOL_NETLINK, self.NETLINK_ADD_MEMBERSHIP, self.GROUP)
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def steps(self, table):
        """(type, handle of the rule or None, code of the verdict) of each step in a table since the last call, in order."""
        found = []
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return found
            offset = 0
            while offset < len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if kind == SUBSYSTEM << 8 | self.MESSAGE:
                    values = dict(attributes_of(data[offset + 20:offset + length]))
                    if (data[offset + 16], text(values.get(1, b""))) == table:
                        # NFTA_TRACE_RULE_HANDLE, TYPE, VERDICT {NFTA_VERDICT_CODE}, POLICY.
                        handle = struct.unpack(">Q", values[3])[0] if 3 in values else None
                        verdict = dict(attributes_of(values[5]))[1] if 5 in values else values.get(15, bytes(4))
                        found.append((struct.unpack(">I", values[4])[0], handle, struct.unpack(">i", verdict)[0]))
                offset += length + 3 & ~3


INET_LOCKDOWN = (1, "lockdown")


def attributes_of(data):
    """(number, bytes) of a run of netlink attributes, flag bits taken off."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            raise AssertionError("a netlink attribute of length %d" % length)
        yield kind & 0x3FFF, data[offset + 4:offset + length]
        offset += length + 3 & ~3


def attribute(number, data):
    padding = b"\0" * (-len(data) % 4)
    return struct.pack("=HH", 4 + len(data), number) + data + padding


def text(data):
    return data.rstrip(b"\0").decode()


def userdata(data):
    """The TLVs of a userdata blob by type: one byte type, one byte length (libnftnl udata.h)."""
    found, offset = {}, 0
    while offset + 2 <= len(data):
        kind, length = data[offset], data[offset + 1]
        found[kind] = data[offset + 2:offset + 2 + length]
        offset += 2 + length
    return found


def generation(namespace):
    with Netlink(namespace) as netlink:
        return netlink.generation()


def forget_connections(namespace):
    """Deletes all entries of connection tracking, as `conntrack -F` does."""
    with Netlink(namespace) as netlink:
        netlink.ask(CONNTRACK_DELETE, NLM_F_ACK, subsystem=CONNTRACK_SUBSYSTEM)


def everything(namespace, table=None, **options):
    with Netlink(namespace) as netlink:
        return netlink.everything(table, **options)


def digest_in_kernel(namespace):
    """The label of the live policy, as (comment text, digest bytes of the message section)."""
    with Netlink(namespace) as netlink:
        label = userdata(netlink.objects(INET_LOCKDOWN)["policy_digest"][OBJECT_USERDATA])
    return text(label[0]), label.get(0x80, b"")
