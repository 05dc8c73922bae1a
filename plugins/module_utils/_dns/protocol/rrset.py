# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record sets and changes of them, as values."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import names, rdata

Key = tuple[bytes, int]
"""A record set's name and type."""


class RRset(NamedTuple):
    """What a record set holds: one TTL, and data without order."""

    ttl: int
    data: frozenset[bytes]


Sets = Mapping[Key, RRset]


class Change(NamedTuple):
    """One record set before and after; None where there is none."""

    name: bytes
    rdtype: int
    before: RRset | None
    after: RRset | None

    @property
    def title(self) -> str:
        """Name the record set for people."""
        return f"{names.render(self.name)} {rdata.type_text(self.rdtype)}"


def as_plain(rdtype: int, rrset: RRset | None) -> dict[str, Any] | None:
    """Return a record set as plain data, for results."""
    if rrset is None:
        return None
    ttl, held = rrset
    if len(held) == 1:
        [data] = held
        return {"ttl": ttl, "value": [rdata.render(rdtype, data)]}
    return {"ttl": ttl, "value": sorted([rdata.render(rdtype, data) for data in held])}


def packed(changes: Iterable[Change]) -> str:
    """Return changes as text for a journal, exact and quick to write: all of them in wire form, as base64.

    Each is its name and type, then the record set before and the one after: how many records, the TTL, and each
    record's data with their length.
    """
    pieces: list[bytes] = []
    add = pieces.append
    for name, rdtype, before, after in changes:
        if before is None and after is not None and len(after[1]) == 1:
            # One new record: nearly all there is in a bulk call.
            [data] = after[1]
            add(name + _NEW.pack(rdtype, _ABSENT, 0, 1, after[0], len(data)) + data)
        else:
            add(name + _RDTYPE.pack(rdtype) + _packed(before) + _packed(after))
    return base64.b64encode(b"".join(pieces)).decode()


_ABSENT = 0xFFFF
_RDTYPE = struct.Struct("!H")
_HEAD = struct.Struct("!HI")
_LENGTH = struct.Struct("!H")
_NEW = struct.Struct("!HHIHIH")


def _packed(rrset: RRset | None) -> bytes:
    if rrset is None:
        return _HEAD.pack(_ABSENT, 0)
    pieces = [_LENGTH.pack(len(data)) + data for data in rrset.data]
    return _HEAD.pack(len(pieces), rrset.ttl) + b"".join(pieces)


def unpacked(text: str) -> list[Change]:
    """Read back what :func:`packed` wrote."""
    changes = []
    whole = base64.b64decode(text)
    position = 0
    while position < len(whole):
        end = names.end_of(whole, position)
        [rdtype] = _RDTYPE.unpack_from(whole, end)
        before, after_at = _unpacked(whole, end + _RDTYPE.size)
        after, following = _unpacked(whole, after_at)
        changes.append(Change(whole[position:end], rdtype, before, after))
        position = following
    return changes


def _unpacked(whole: bytes, position: int) -> tuple[RRset | None, int]:
    count, ttl = _HEAD.unpack_from(whole, position)
    position += _HEAD.size
    if count == _ABSENT:
        return None, position
    found = []
    for _number in range(count):
        [length] = _LENGTH.unpack_from(whole, position)
        position += _LENGTH.size + length
        found.append(whole[position - length : position])
    return RRset(ttl, frozenset(found)), position
