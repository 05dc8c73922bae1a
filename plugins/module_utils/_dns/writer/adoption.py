# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server that is about to write may take from a secondary that is ahead of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..protocol import names, rdata, wire
from ..protocol.incremental import Delta, Record
from ..protocol.rrset import Key as SetKey
from . import epoch
from .attestation import Attestation
from .content import Content
from .divergence import SERVERS_OWN_TYPES

TRUSTED = 500
"""Changes of records that are taken over although no primary attested them. It is a second's worth of updates."""
LARGEST = 40_000
"""Bytes of records in an update; a message takes 65,535."""


class Grants:
    """What clients may change in a zone, by the update policy of named.conf.j2: names below one, and types."""

    def __init__(
        self, apex: bytes, given: Iterable[Mapping[str, Any]], children: Iterable[bytes]
    ) -> None:
        self._apex = apex
        self._closed = [epoch.owner(apex), *children]
        self._given = [
            (
                names.parse(f"{each['below']}.") if "below" in each else apex,
                frozenset(rdata.type_number(name) for name in each["types"] if name != "ANY"),
                "ANY" in each["types"],
            )
            for each in given
        ]

    def allow(self, key: SetKey) -> bool:
        """Return whether some client may change this record set."""
        name, rdtype = key
        if name == self._apex or any(names.is_below(name, closed) for closed in self._closed):
            return False
        return any(
            names.is_below(name, below) and (everything or rdtype in types)
            for below, types, everything in self._given
        )


@dataclass(frozen=True, slots=True)
class Step:
    """Changes that are made together, in one update or several.

    ``start`` is the serial up to which nothing is left out once they are made; None where that is not known.
    """

    changes: tuple[tuple[Record, bool], ...]
    """Records, each with whether it goes."""
    start: int | None = None

    def updates(self) -> list[list[bytes]]:
        """Return the records of each update, in their order."""
        found: list[list[bytes]] = [[]]
        size = 0
        for record, gone in self.changes:
            text = _change(record, gone=gone)
            if found[-1] and size + len(text) > LARGEST:
                found.append([])
                size = 0
            found[-1].append(text)
            size += len(text)
        return found


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken over from a server that is ahead, and what is not."""

    proved: Step | None = None
    """What the writer attested."""
    trusted: tuple[Step, ...] = ()
    """What any client might have done, and nobody attested: each as it was done."""
    refused: tuple[Record, ...] = ()
    """Records that were changed by whoever may not, or by too many at once."""

    @property
    def empty(self) -> bool:
        return not (self.proved or self.trusted or self.refused)


def take(
    content: Content, deltas: Sequence[Delta], attested: Attestation | None, grants: Grants
) -> Taken:
    """Judge what another server has beyond our content.

    The epoch that begins with it starts at the attested serial. What came after that is "already there" when the former
    writer returns; what was kept from us comes back with it.

    :param deltas: from our serial on.
    :param attested: the writer's last word on the zone.
    """
    proved, reached = _proved(content, deltas, attested)
    trusted: list[Step] = []
    refused: list[Record] = []
    count = size = 0
    for delta in deltas[reached:]:
        kept: list[tuple[Record, bool]] = []
        for gone, records in ((True, delta.removed), (False, delta.added)):
            for record in records:
                if record.key[1] in SERVERS_OWN_TYPES:
                    continue
                count, size = count + 1, size + len(record.key[0]) + len(record.data)
                if count <= TRUSTED and size <= LARGEST and grants.allow(record.key):
                    kept.append((record, gone))
                else:
                    refused.append(record)
        if kept:
            trusted.append(Step(tuple(kept)))
    return Taken(proved, tuple(trusted), tuple(refused))


def _proved(
    content: Content, deltas: Sequence[Delta], attested: Attestation | None
) -> tuple[Step | None, int]:
    """Return what leads to the attested content, as a sum, and how many deltas that is.

    The sum of hashes proves the sum of changes, and not the way: so the way is not gone. A record can come or go once.
    """
    if attested is None:
        return None, 0
    ours, net = content.copy(), Counter[Record]()
    ttls: dict[tuple[SetKey, bytes], int] = {}
    for number, delta in enumerate(deltas, 1):
        ours.take([delta])
        for sign, records in ((-1, delta.removed), (1, delta.added)):
            for record in records:
                ttls[record.key, record.data] = record.ttl
                net[record._replace(ttl=0)] += sign
        if (ours.serial, ours.digest) != (attested.serial, attested.digest):
            continue
        if any(abs(times) > 1 for times in net.values()):
            return None, 0
        changes = [
            (record._replace(ttl=ttls[record.key, record.data]), times < 0)
            for record, times in net.items()
            if times and record.key[1] not in SERVERS_OWN_TYPES
        ]
        return Step(tuple(sorted(changes, key=lambda each: not each[1])), attested.serial), number
    return None, 0


def _change(record: Record, *, gone: bool) -> bytes:
    (name, rdtype), ttl, data = record
    if gone:
        return wire.record(name, rdtype, wire.NONE, 0, data)
    return wire.record(name, rdtype, wire.IN, ttl, data)
