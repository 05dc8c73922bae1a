# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the neighbours on the link who has an address: by ARP announcements (RFC 5227) and advertisements (RFC 4861)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Collection

from . import ip_addresses

_ARP, _IPV6, _ICMPV6 = 0x0806, 0x86DD, 58
_ALL_NODES = ipaddress.IPv6Address("ff02::1")
_OVERRIDE = 0x20000000


def announce(addresses: Collection[str]) -> None:
    """Say on each link that has one of these addresses that it is here.

    :raises DebvisorError: where the interfaces cannot be listed.
    :raises OSError: where a frame cannot be sent.
    """
    for link in ip_addresses.links(addresses):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as channel:
            channel.bind((link.interface, 0))
            channel.send(frame(link.address, bytes.fromhex(link.mac.replace(":", ""))))


def frame(address: str, mac: bytes) -> bytes:
    """Return the Ethernet frame that claims the address for this MAC."""
    own = ipaddress.ip_address(address)
    if isinstance(own, ipaddress.IPv4Address):
        claim = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + own.packed + bytes(6) + own.packed
        return b"\xff" * 6 + mac + _ARP.to_bytes(2, "big") + claim
    body = struct.pack("!I", _OVERRIDE) + own.packed + b"\x02\x01" + mac
    message = b"\x88\0" + _checksum(own, body) + body
    head = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255)
    packet = head + own.packed + _ALL_NODES.packed + message
    return b"\x33\x33\0\0\0\x01" + mac + _IPV6.to_bytes(2, "big") + packet


def _checksum(own: ipaddress.IPv6Address, body: bytes) -> bytes:
    """Return the checksum of a neighbour advertisement (RFC 4443 section 2.3)."""
    message = b"\x88\0\0\0" + body
    pseudo = own.packed + _ALL_NODES.packed + struct.pack("!II", len(message), _ICMPV6)
    words = struct.unpack(f"!{(len(pseudo) + len(message)) // 2}H", pseudo + message)
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
