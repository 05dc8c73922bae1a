# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is connected to this machine by TCP, from the kernel (proc(5), /proc/net/tcp and tcp6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from . import ip_addresses

FOLDER = Path("/proc/net")
_ESTABLISHED, _LISTEN = "01", "0A"


def incoming() -> frozenset[tuple[str, int]]:
    """Return the address of everybody who opened a connection to us that still stands, and the port of ours.

    Who opened a connection is told by the port: it is one that we listen at.
    """
    sockets = [line.split() for line in _lines()]
    listening = {
        _end(local)[1] for _slot, local, _peer, state, *_rest in sockets if state == _LISTEN
    }
    ends = {
        (_end(peer)[0], _end(local)[1])
        for _slot, local, peer, state, *_rest in sockets
        if state == _ESTABLISHED
    }
    own = ip_addresses.here()
    return frozenset(
        (client, port) for client, port in ends if port in listening and client not in own
    )


def _lines() -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        path = FOLDER / name
        if path.exists():  # tcp6 is not, in a kernel without IPv6
            yield from path.read_text().splitlines()[1:]


def _end(written: str) -> tuple[str, int]:
    """Read ``0B01000A:1A2C``. Addresses are words in the order of this machine's bytes, ports are numbers."""
    address, port = written.split(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(words) == 1:
        return str(IPv4Address(packed)), int(port, 16)
    found = IPv6Address(packed)
    return str(found.ipv4_mapped or found), int(port, 16)
