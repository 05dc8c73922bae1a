# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that this machine has, from the kernel itself (rtnetlink(7)), and a wake-up when they change."""

from __future__ import annotations

import errno
import json
import socket
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..host import command

IP = "/usr/sbin/ip"
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg
_ATTRIBUTE = struct.Struct("=HH")  # rtattr
_NEW, _GET, _ERROR, _DONE = 20, 22, 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_GROUPS = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR


def here() -> frozenset[str]:
    """Return every address of this machine, as text.

    :raises OSError: where the kernel does not say.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(1.0)
        body = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        link.send(_HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST | _DUMP, 1, 0) + body)
        found: set[str] = set()
        while True:
            data = link.recv(1 << 18)
            for kind, payload in _messages(data):
                if kind == _DONE:
                    return frozenset(found)
                if kind == _ERROR:
                    raise OSError("the kernel refused to list addresses")
                if kind == _NEW:
                    found.update(_addresses(payload))


class Link(NamedTuple):
    """An address where it is."""

    interface: str
    mac: str
    address: str
    length: int


def links(addresses: Collection[str]) -> list[Link]:
    """Return those of these addresses that are here.

    :raises DebvisorError: where they cannot be listed.
    """
    listing = command.run([IP, "-json", "address", "show"])
    return [
        Link(link["ifname"], link.get("address", ""), entry["local"], entry["prefixlen"])
        for link in json.loads(listing.stdout)
        for entry in link.get("addr_info", ())
        if entry.get("local") in addresses
    ]


def remove(addresses: Collection[str]) -> list[str]:
    """Take addresses off whatever interfaces have them; return those that were there.

    :raises DebvisorError: where one stays.
    """
    found = links(addresses)
    for interface, _mac, address, length in found:
        command.run([IP, "address", "delete", f"{address}/{length}", "dev", interface])
    return [link.address for link in found]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _pid = _HEADER.unpack_from(data, position)
        if length < _HEADER.size:
            return
        yield kind, data[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _addresses(payload: bytes) -> Iterator[str]:
    family = _ADDRESS.unpack_from(payload)[0]
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    position = _ADDRESS.size
    while position + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, position)
        if length < _ATTRIBUTE.size:
            return
        if kind in (_IFA_ADDRESS, _IFA_LOCAL):
            yield socket.inet_ntop(family, payload[position + _ATTRIBUTE.size : position + length])
        position += (length + 3) & ~3


def changes() -> Iterator[None]:
    """Yield whenever an address comes or goes, at first, and once a second. What it is now, :func:`here` tells.

    :raises OSError: where the kernel does not let us listen.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.bind((0, _GROUPS))
        link.settimeout(1.0)
        while True:
            yield
            try:
                link.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError as trouble:
                if trouble.errno != errno.ENOBUFS:  # we missed some, so something changed
                    raise
