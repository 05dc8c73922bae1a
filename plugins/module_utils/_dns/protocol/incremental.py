# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zone lost and gained between two serials, as journals hold it and IXFR (RFC 1995) brings it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from . import rdata, wire
from .rrset import Key, RRset, Sets
from .serials import ahead

IXFR = 251


class Record(NamedTuple):
    """One record of a zone."""

    key: Key
    ttl: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Delta:
    """What the zone lost and gained between two serials."""

    start: int
    end: int
    removed: tuple[Record, ...]
    added: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class News:
    """What a server has since a serial: the deltas, oldest first; or the whole zone, where it has no deltas."""

    serial: int
    deltas: tuple[Delta, ...] = ()
    whole: Mapping[Key, RRset] | None = None


def query(message_id: int, zone: bytes, serial: int) -> bytes:
    """Return the question for what came after ``serial``, which stands in a SOA record of no other use."""
    soa = b"\0\0" + struct.pack("!5I", serial, 0, 0, 0, 0)
    head = wire.HEADER.pack(message_id, 0, 1, 0, 1, 0)
    question = zone + struct.pack("!HH", IXFR, wire.IN)
    return head + question + wire.record(zone, rdata.SOA, wire.IN, 0, soa)


class Reader:
    """Takes the records of an answer as they come, until :attr:`ended`."""

    def __init__(self, since: int, most: int) -> None:
        self._since = since
        self._left = most
        self._serial: int | None = None
        self._whole: dict[Key, tuple[int, list[bytes]]] | None = None
        self._deltas: list[Delta] = []
        self._start: int | None = None
        self._end: int | None = None
        self._removed: list[Record] = []
        self._added: list[Record] = []
        self.ended = False

    def take(self, records: Iterable[wire.Record]) -> None:
        """Take records of one message.

        :raises Malformed: where they are in no order that RFC 1995 knows, or too many.
        """
        for record in records:
            self._left -= 1
            if not self._left:
                raise wire.Malformed("a transfer of too many records")
            if self.ended:
                raise wire.Malformed("records follow the end of a transfer")
            if record.rdtype == rdata.SOA:
                self._take_soa(wire.read_soa(record.data).serial)
            elif self._serial is None:
                raise wire.Malformed("a transfer begins without the SOA record")
            elif self._start is None:
                self._whole = {} if self._whole is None else self._whole
                entry = self._whole.setdefault((record.name, record.rdtype), (record.ttl, []))
                entry[1].append(record.data)
            else:
                held = Record((record.name, record.rdtype), record.ttl, record.data)
                (self._removed if self._end is None else self._added).append(held)

    def _take_soa(self, serial: int) -> None:
        if self._serial is None:
            self._serial = serial
            self.ended = ahead(serial, self._since) <= 0
        elif self._whole is not None:
            self.ended = True
        elif self._start is None and serial == self._serial:
            self._whole, self.ended = {}, True  # a zone that holds its SOA record alone
        elif self._start is None:
            if serial != self._since:
                raise wire.Malformed("deltas that do not begin where they were asked for")
            self._start = serial
        elif self._end is None:
            if ahead(serial, self._start) <= 0:
                raise wire.Malformed("a delta that goes back")
            self._end = serial
        elif serial != self._end:
            raise wire.Malformed("deltas that do not follow one another")
        else:
            delta = Delta(self._start, self._end, tuple(self._removed), tuple(self._added))
            self._deltas.append(delta)
            self._removed, self._added = [], []
            self.ended = serial == self._serial
            self._start, self._end = serial, None

    def news(self) -> News:
        """Return what was taken, once it ended."""
        if self._serial is None or not self.ended:
            raise wire.Malformed("a transfer that does not end")
        if self._whole is None:
            return News(self._serial, tuple(self._deltas))
        return News(
            self._serial,
            whole={key: RRset(ttl, frozenset(data)) for key, (ttl, data) in self._whole.items()},
        )


def difference(start: int, before: Sets, end: int, after: Sets) -> Delta:
    """Return what makes one content of a zone the other."""

    def records(ones: Sets, others: Sets) -> tuple[Record, ...]:
        return tuple(
            Record(key, held.ttl, data)
            for key, held in ones.items()
            for data in held.data - (others[key].data if key in others else frozenset())
        )

    return Delta(start, end, records(before, after), records(after, before))
