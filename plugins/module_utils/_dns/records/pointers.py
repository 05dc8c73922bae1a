# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses back to names: which PTR records follow from the wanted record sets. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..._core.errors import Problem
from ..protocol import names, rdata
from ..protocol.rrset import Change, RRset, Sets
from .record_sets import KEEPING, Aim, WantedSet
from .zone_plan import ZoneState

_NOTHING: frozenset[bytes] = frozenset()
_ADDRESSES = (rdata.A, rdata.AAAA)


@dataclass(frozen=True, slots=True)
class Pointers:
    """What PTR records shall be and which not, by reverse name."""

    present: Mapping[bytes, Mapping[bytes, int]] = field(default_factory=dict)
    """The names that it points to, with their TTL."""
    stale: Mapping[bytes, set[bytes]] = field(default_factory=dict)
    """The names that it must no longer point to."""

    @property
    def owners(self) -> list[bytes]:
        """All reverse names."""
        return list({**self.present, **dict.fromkeys(self.stale)})


def pointers_of(wanted: Sequence[WantedSet], sets: Sets, pruned: Iterable[Change] = ()) -> Pointers:
    """Derive the pointers from the addresses.

    :param pruned: record sets that go because they are not listed; the pointers of their addresses go too.
    """
    present: dict[bytes, dict[bytes, int]] = {}
    stale: dict[bytes, set[bytes]] = {}
    for item in wanted:
        if not item.ptr:
            continue
        before = sets.get((item.name, item.rdtype))
        held = before.data if before else _NOTHING
        kept = item.data if item.aim in KEEPING else _NOTHING
        for data in kept:
            present.setdefault(reverse(data), {})[item.name] = item.ttl
        gone = {Aim.EXACTLY: held - item.data, Aim.GONE: held, Aim.WITHOUT: item.data}
        for data in gone.get(item.aim, _NOTHING):
            stale.setdefault(reverse(data), set()).add(item.name)
    for change in pruned:
        if change.before is not None and change.rdtype in _ADDRESSES:
            for data in change.before.data:
                stale.setdefault(reverse(data), set()).add(change.name)
    return Pointers(present, stale)


def _plan_zone(state: ZoneState, pointers: Pointers) -> list[Change]:
    """Plan the PTR records of one reverse zone.

    An address that this call gives to a name points to that name and to no other. Where an address was taken from a
    name, only the pointer to that name goes.
    """
    changes = []
    for name in pointers.owners:
        before = state.sets.get((name, rdata.PTR))
        if targets := pointers.present.get(name):
            after: RRset | None = RRset(min(targets.values()), frozenset(targets))
        elif before is None:
            continue
        else:
            left = before.data - pointers.stale[name]
            after = RRset(before.ttl, left) if left else None
        if after != before:
            changes.append(Change(name, rdata.PTR, before, after))
    return changes


def reverse(data: bytes) -> bytes:
    """Return the reverse name of an A or AAAA record's data."""
    if len(data) == 4:
        labels = [b"%d" % octet for octet in reversed(data)]
        return b"".join([b"%c%b" % (len(label), label) for label in labels]) + _V4
    nibbles = data.hex()[::-1].encode()
    return b"".join([b"\x01%c" % nibble for nibble in nibbles]) + _V6


_V4 = b"\x07in-addr\x04arpa\0"
_V6 = b"\x03ip6\x04arpa\0"


def neighbourhood(name: bytes) -> bytes:
    """Return the name under which reverse names share a zone in practice: a /24, or a /64."""
    for _number in range(16 if name.endswith(_V6) else 1):
        name = names.parent(name)
    return name


def address_text(data: bytes) -> str:
    """Return an address as people write it."""
    return str(ipaddress.ip_address(data))


def plan_pointers(
    states: Sequence[ZoneState], pointers: Pointers
) -> list[tuple[ZoneState, list[Change]]]:
    """Plan the PTR records: each reverse name belongs to the deepest of the zones that it is in."""
    apexes = sorted((state.name for state in states), key=len, reverse=True)
    home = {
        name: next((apex for apex in apexes if names.is_below(name, apex)), None)
        for name in pointers.owners
    }

    def of(state: ZoneState) -> Pointers:
        return Pointers(
            {name: to for name, to in pointers.present.items() if home[name] == state.name},
            {name: to for name, to in pointers.stale.items() if home[name] == state.name},
        )

    return [(state, _plan_zone(state, of(state))) for state in states]


def check_reverse_zones(
    records: Sequence[WantedSet], without_reverse_zone: frozenset[bytes]
) -> list[Problem]:
    """Find the addresses whose pointers no zone of the server could hold."""
    return [
        Problem(
            f"records[{item.position}].ptr",
            f"the server holds no reverse zone for {address_text(data)}",
        )
        for item in records
        if without_reverse_zone and item.ptr
        for data in sorted(item.data)
        if reverse(data) in without_reverse_zone
    ]
