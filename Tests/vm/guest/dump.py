"""Prints what our table holds, as `nftables.everything` gives it, or with the word `generation` the ruleset's generation."""

import socket
import sys

import nftables


class Here:
    """Stands for the namespace that this program runs in."""

    def socket(self, *arguments):
        return socket.socket(*arguments)


if sys.argv[1:] == ["generation"]:
    print(nftables.generation(Here()))
else:
    print(repr(nftables.everything(Here(), nftables.INET_LOCKDOWN)))
