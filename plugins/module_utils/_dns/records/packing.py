# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes into UPDATE messages (RFC 2136): as few as fit in 64 KiB, each with prerequisites for all it touches.

Sizes are not estimated: each change is written out, and the bytes are counted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..protocol import rdata, wire
from ..protocol.rrset import Change, RRset

_FIXED = struct.Struct("!HHIH")
_ZONE_AT = b"\xc0\x0c"
"""A compression pointer to the zone's name, which stands right behind the header."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One message and the changes in it. It has no identity yet, and no signature."""

    zone: bytes
    changes: tuple[Change, ...]
    message: bytes = field(repr=False)


class TooLarge(ValueError):
    """The changes at one name do not fit in one message."""

    def __init__(self, change: Change, size: int, room: int) -> None:
        super().__init__(f"needs {size} bytes in an update message, and {room} is the most")
        self.change = change


def pack(zone: bytes, changes: Sequence[Change], reserve: int = 0) -> list[Batch]:
    """Pack changes in their order; all changes at one name share a message.

    :param reserve: bytes to leave in each message for its signature.
    :raises TooLarge: naming the change at whose name too much happens.
    """
    room = wire.LONGEST_MESSAGE - reserve - wire.HEADER.size - len(zone) - 4
    batches: list[Batch] = []
    mine: list[Change] = []
    prerequisites: list[bytes] = []
    updates: list[bytes] = []
    needed = done = used = 0

    def flush() -> None:
        head = wire.HEADER.pack(0, wire.UPDATE << 11, 1, needed, done, 0)
        section = zone + struct.pack("!HH", rdata.SOA, wire.IN)
        body = b"".join([head, section, *prerequisites, *updates])
        batches.append(Batch(zone, tuple(mine), body))

    for group in _by_name(changes):
        needs, does, more_needed, more_done = _write(group, zone)
        size = len(needs) + len(does)
        if size > room:
            raise TooLarge(group[0], size, room)
        if used + size > room or needed + more_needed > 65535 or done + more_done > 65535:
            flush()
            mine, prerequisites, updates = [], [], []
            needed = done = used = 0
        mine += group
        prerequisites.append(needs)
        updates.append(does)
        needed += more_needed
        done += more_done
        used += size
    if mine:
        flush()
    return batches


def _by_name(changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
    groups: dict[bytes, list[Change]] = {}
    if len({change[0] for change in changes}) == len(changes):
        return zip(changes, strict=True)  # each by itself
    for change in changes:
        groups.setdefault(change[0], []).append(change)
    return groups.values()


def _write(group: Sequence[Change], zone: bytes) -> tuple[bytes, bytes, int, int]:
    """Return the prerequisites and the updates of the changes at one name, and how many records each are."""
    name, rdtype, before, after = group[0]
    owner = name[: -len(zone)] + _ZONE_AT if zone != b"\0" else name
    if before is None and after is not None and len(group) == 1 and rdtype != rdata.CNAME:
        # A new record set, alone at its name in this call: nearly all there is in a bulk call.
        needs = owner + _FIXED.pack(rdtype, wire.NONE, 0, 0)
        ttl, held = after
        if len(held) == 1:
            [data] = held
            return needs, owner + _FIXED.pack(rdtype, wire.IN, ttl, len(data)) + data, 1, 1
        return needs, b"".join(_records(owner, rdtype, wire.IN, ttl, held)), 1, len(held)
    return _write_any(group, owner, at_apex=name == zone)


def _write_any(
    group: Sequence[Change], owner: bytes, *, at_apex: bool
) -> tuple[bytes, bytes, int, int]:
    needs: list[bytes] = []
    does: list[bytes] = []
    makes_cname = any(change.rdtype == rdata.CNAME and change.after for change in group)
    if makes_cname and all(change.before is None for change in group):
        needs.append(owner + _FIXED.pack(wire.ANY_TYPE, wire.NONE, 0, 0))  # name is not in use
    else:
        for change in group:
            if change.before is None:
                needs.append(owner + _FIXED.pack(change.rdtype, wire.NONE, 0, 0))
            else:
                needs += _records(owner, change.rdtype, wire.IN, 0, change.before.data)
    # What goes, goes first: a CNAME makes room for other data, and the other way round.
    for change in sorted(group, key=lambda change: change.after is not None):
        if at_apex and change.rdtype == rdata.NS:
            does += _replaced_at_apex(owner, change)
            continue
        if change.before is not None:
            does.append(owner + _FIXED.pack(change.rdtype, wire.ANY, 0, 0))
        if change.after is not None:
            does += _records(owner, change.rdtype, wire.IN, change.after.ttl, change.after.data)
    return b"".join(needs), b"".join(does), len(needs), len(does)


def _replaced_at_apex(owner: bytes, change: Change) -> list[bytes]:
    """Add first and delete one by one: a server ignores what would leave a zone without NS (RFC 2136, 3.4.2.4)."""
    before = change.before.data if change.before else frozenset()
    after = change.after or RRset(0, frozenset())
    return [
        *_records(owner, change.rdtype, wire.IN, after.ttl, after.data),
        *_records(owner, change.rdtype, wire.NONE, 0, before - after.data),
    ]


def _records(
    owner: bytes, rdtype: int, rdclass: int, ttl: int, data: Iterable[bytes]
) -> list[bytes]:
    return [owner + _FIXED.pack(rdtype, rdclass, ttl, len(item)) + item for item in sorted(data)]
