# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``_writer`` TXT record of a zone: who took over the writing, when, and at which serial.

One record, and in it a text for each epoch, the youngest first. It travels with the zone, so every server knows the
history, and a former writer can find the serial at which its successor took over: what it accepted after that serial,
the successor never saw. Before, each epoch was a record of its own; those are read, too, until the next take-over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..protocol import fields

ROOM = 768
"""Bytes of the record: with the longest name of a zone, and signed, the answer still fits into a datagram
(:data:`wire.LONGEST_DATAGRAM`). That is ten epochs or more. A server that missed more has to compare whole zones."""

LEAP = 65536
"""The serial jumps by this much, times the node's rank, on a take-over (docs/ARCHITECTURE.md says why)."""

_FORM = re.compile(r"(?:v=1 )?epoch=(\d{1,9}) node=(\S{1,63}) from=(\d{1,10}) time=(\S{1,40})")


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """One writer's term: its number, the serial it took over at, its node, and the time it began."""

    number: int
    start: int
    node: str
    time: str

    def text(self) -> str:
        """Return it as one text of the record."""
        return f"epoch={self.number} node={self.node} from={self.start} time={self.time}"


def owner(zone: bytes) -> bytes:
    """Return the name that holds the record of ``zone``."""
    return b"\x07_writer" + zone


def held(data: Iterable[bytes]) -> frozenset[Epoch]:
    """Read the TXT records at the name."""
    return parse(
        text.decode("ascii", "replace") for record in data for text in fields.strings(record)
    )


def recorded(history: Collection[Epoch]) -> bytes:
    """Return the data of the record: the youngest epochs, as many as it has room for."""
    data = b""
    for one in sorted(history, reverse=True):
        text = one.text().encode()
        if len(data) + 1 + len(text) > ROOM:
            break
        data += bytes([len(text)]) + text
    return data


def parse(texts: Iterable[str]) -> frozenset[Epoch]:
    """Read the texts of the records. What is not ours is passed over."""
    found = set()
    for text in texts:
        if match := _FORM.fullmatch(text):
            number, node, start, time = match.groups()
            found.add(Epoch(int(number), int(start), node, time))
    return frozenset(found)


def latest(history: Collection[Epoch]) -> Epoch | None:
    """Return the youngest epoch."""
    return max(history, default=None)


def following(
    history: Collection[Epoch], node: str, serial: int, time: str, term: int = 0
) -> Epoch:
    """Return the epoch that ``node`` begins now, at ``serial``.

    :param term: of the node's lease. No epoch is older, so that whoever reads the zone knows that term, too.
    """
    last = latest(history)
    return Epoch(max(last.number + 1 if last else 1, term), serial, node, time)


def leap(serial: int, rank: int) -> int:
    """Return the serial after a take-over.

    ``rank`` (0, 1, ...) differs between the primaries. Two that took over from the same serial on both sides of a cut
    would else reach the same one with different zones, unnoticed.
    """
    return (serial + LEAP * (rank + 1)) % (1 << 32)


@dataclass(frozen=True, slots=True)
class Fork:
    """Where another writer's history leaves ours. ``base`` is None where the common serial is not known."""

    base: int | None
    successor: Epoch


def fork(ours: Collection[Epoch], theirs: Collection[Epoch]) -> Fork | None:
    """Return where ``theirs`` left ``ours``, or None while no server took over after us."""
    younger = set(theirs) - set(ours)
    if not younger:
        return None
    successor = min(younger)
    common = set(theirs) & set(ours)
    known = bool(common) or successor.number == 1
    return Fork(successor.start if known else None, successor)
