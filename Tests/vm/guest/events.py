"""Notes in which order the kernel tells of links and of rulesets: a line each, with the time it was heard.

It is forked off when it listens, so that what is ordered behind it misses nothing.
"""

import os
import select
import socket
import struct
import sys
import time

NETLINK_ROUTE, NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP = 0, 12, 270, 1
# RTMGRP_LINK; NFNLGRP_NFTABLES, linux/netfilter/nfnetlink.h.
LINKS, RULESETS = 1, 7
RTM_NEWLINK, IFLA_IFNAME, IFF_UP = 16, 3, 1
NEWTABLE, NEWGEN = 10 << 8, 10 << 8 | 15


def attributes(data):
    at = 0
    while at + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield number & 0x3fff, data[at + 4:at + length]
        at += (length + 3) & ~3


def text(kind, body):
    """What a message says; None: nothing of interest."""
    if kind == RTM_NEWLINK:
        name = dict(attributes(body[16:]))[IFLA_IFNAME].rstrip(b"\0").decode()
        return "link %s %s" % (name, "up" if struct.unpack_from("=I", body, 8)[0] & IFF_UP else "down")
    if kind == NEWTABLE:
        return "table " + dict(attributes(body[4:]))[1].rstrip(b"\0").decode()
    return "generation" if kind == NEWGEN else None


links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
links.bind((0, LINKS))
rulesets = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
rulesets.bind((0, 0))
rulesets.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, RULESETS)
if os.fork() > 0:
    os._exit(0)
with open(sys.argv[1], "w", buffering=1) as log:
    # Links first: of two that wait the link is then noted before, so that its place behind a ruleset is no accident.
    print("%d listening" % time.monotonic_ns(), file=log)
    while True:
        ready, _, _ = select.select([links, rulesets], [], [])
        for source in ready:
            data, at = source.recv(1 << 18), 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                said = text(kind, data[at + 16:at + length])
                if said:
                    print("%d %s" % (time.monotonic_ns(), said), file=log)
                at += (length + 3) & ~3
