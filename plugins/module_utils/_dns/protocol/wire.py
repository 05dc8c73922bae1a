# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages, byte for byte: what we write and what we read (RFC 1035, RFC 2136).

dnspython could do it, at ten times the cost for each record. The tests hold this reader and writer against dnspython.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import names, rdata

HEADER = struct.Struct("!6H")
LONGEST_MESSAGE = 65535
LONGEST_DATAGRAM = 1232
"""What no network has to cut into pieces."""

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
YXDOMAIN, YXRRSET, NXRRSET, NOTAUTH, NOTZONE = range(6, 11)
RCODES = {
    NOERROR: "NOERROR",
    FORMERR: "FORMERR",
    SERVFAIL: "SERVFAIL",
    NXDOMAIN: "NXDOMAIN",
    NOTIMP: "NOTIMP",
    REFUSED: "REFUSED",
    YXDOMAIN: "YXDOMAIN",
    YXRRSET: "YXRRSET",
    NXRRSET: "NXRRSET",
    NOTAUTH: "NOTAUTH",
    NOTZONE: "NOTZONE",
}

QUERY, UPDATE = 0, 5
QR, AA, TC, RD, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0020, 0x0010
IN, CHAOS, NONE, ANY = 1, 3, 254, 255
OPT, TSIG, AXFR, ANY_TYPE = 41, 250, 252, 255


class Malformed(ValueError):
    """Bytes are not a DNS message."""


class Record(NamedTuple):
    """A record as it came, with names lower-cased and uncompressed."""

    name: bytes
    rdtype: int
    rdclass: int
    ttl: int
    data: bytes


@dataclass(slots=True)
class Message:
    """A message taken apart. ``tsig_at`` is where its TSIG record starts, or -1."""

    message_id: int
    flags: int
    questions: list[tuple[bytes, int, int]]
    answers: list[Record]
    authority: list[Record]
    additional: list[Record]
    tsig_at: int = -1
    tsig: Record | None = None
    wire: bytes = field(default=b"", repr=False)

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def rcode_text(self) -> str:
        return RCODES.get(self.rcode, f"RCODE{self.rcode}")

    @property
    def authoritative(self) -> bool:
        return bool(self.flags & AA)


def query(
    message_id: int,
    name: bytes,
    rdtype: int,
    *,
    flags: int = 0,
    rdclass: int = IN,
    edns: bool = False,
    dnssec: bool = False,
) -> bytes:
    """Return a query.

    :param edns: say by EDNS that a datagram may have :data:`LONGEST_DATAGRAM` bytes, and not 512.
    :param dnssec: ask for signatures, too; needs ``edns``.
    """
    head = HEADER.pack(message_id, flags, 1, 0, 0, 1 if edns else 0)
    question = name + struct.pack("!HH", rdtype, rdclass)
    options = struct.pack("!HHIH", OPT, LONGEST_DATAGRAM, 0x8000 if dnssec else 0, 0)
    return head + question + (names.ROOT + options if edns else b"")


def read(wire: bytes) -> Message:
    """Take a message apart.

    :raises Malformed: saying what is wrong.
    """
    try:
        return _read(wire)
    except (IndexError, struct.error) as cause:
        raise Malformed("it ends in the middle") from cause


def _read(wire: bytes) -> Message:
    message_id, flags, *counts = HEADER.unpack_from(wire)
    cache: dict[int, bytes] = {}
    position = HEADER.size
    questions = []
    for _number in range(counts[0]):
        name, position = read_name(wire, position, cache)
        rdtype, rdclass = struct.unpack_from("!HH", wire, position)
        position += 4
        questions.append((name, rdtype, rdclass))
    message = Message(message_id, flags, questions, [], [], [], wire=wire)
    position = _read_records(wire, position, counts[1], message.answers, cache)
    position = _read_records(wire, position, counts[2], message.authority, cache)
    if counts[3]:
        position = _read_records(wire, position, counts[3] - 1, message.additional, cache)
        last: list[Record] = []
        start = position
        position = _read_records(wire, position, 1, last, cache)
        if last[0].rdtype == TSIG:
            message.tsig_at, message.tsig = start, last[0]
        else:
            message.additional.append(last[0])
    if position != len(wire):
        raise Malformed(f"{len(wire) - position} bytes follow after its end")
    return message


_RECORD = struct.Struct("!HHIH")


def record(name: bytes, rdtype: int, rdclass: int, ttl: int, data: bytes) -> bytes:
    """Return a record as it stands in a message."""
    return name + _RECORD.pack(rdtype, rdclass, ttl, len(data)) + data


def update(zone: bytes, prerequisites: Sequence[bytes], updates: Sequence[bytes]) -> bytes:
    """Return an UPDATE message of records that are written out. It has no identity yet."""
    head = HEADER.pack(0, UPDATE << 11, 1, len(prerequisites), len(updates), 0)
    section = zone + struct.pack("!HH", rdata.SOA, IN)
    return b"".join([head, section, *prerequisites, *updates])


def _read_records(
    wire: bytes, position: int, count: int, into: list[Record], cache: dict[int, bytes]
) -> int:
    """Read ``count`` records. The inner loop of a zone transfer."""
    unpack = _RECORD.unpack_from
    append = into.append
    make = Record._make
    known = cache.get
    embedded = rdata.LAYOUTS
    end = len(wire)
    for _number in range(count):
        first = wire[position]
        name = known((first & 63) << 8 | wire[position + 1]) if first >= 192 else None
        if name is None:
            name, position = read_name(wire, position, cache)
        else:
            position += 2
        rdtype, rdclass, ttl, length = unpack(wire, position)
        position += 10
        after = position + length
        if after > end:
            raise Malformed("a record is longer than its message")
        if rdtype in embedded and length:
            data = _read_embedded(wire, position, after, rdtype, cache)
        else:
            data = wire[position:after]
        position = after
        append(make((name, rdtype, rdclass, ttl, data)))
    return position


def _read_embedded(
    wire: bytes, position: int, after: int, rdtype: int, cache: dict[int, bytes]
) -> bytes:
    before, strings, count, more = rdata.LAYOUTS[rdtype]
    start = position
    position += before
    for _number in range(strings):
        position += wire[position] + 1
    data = wire[start:position]
    for _number in range(count):
        name, position = read_name(wire, position, cache)
        data += name
    if position > after or (position != after and not more):
        raise Malformed(f"a {rdata.type_text(rdtype)} record does not hold what its length says")
    return data + wire[position:after]


def canonical(rdtype: int, data: bytes) -> bytes:
    """Return record data as :func:`read` gives it: the names in it in lower case."""
    embedded = rdtype in rdata.LAYOUTS and data
    return _read_embedded(data, 0, len(data), rdtype, {}) if embedded else data


def read_name(wire: bytes, position: int, cache: dict[int, bytes]) -> tuple[bytes, int]:
    """Read a name that may be compressed; return it in lower case, and the position after it.

    ``cache`` holds the names already read in this message by their position, and learns this one.
    """
    starts = []
    pieces = []
    tail = names.ROOT
    start = lowest = position
    length = 0
    end = 0
    while count := wire[position]:
        if count >= 192:
            target = (count & 63) << 8 | wire[position + 1]
            end = end or position + 2
            known = cache.get(target)
            if known is not None:
                tail = known
                break
            if target >= lowest:
                raise Malformed("a name's compression points forward, or at itself")
            position = lowest = target
            continue
        if count > names.LONGEST_LABEL:
            raise Malformed("a label of an unknown kind")
        starts.append(position)
        piece = wire[position : position + count + 1]
        pieces.append(piece)
        length += count + 1
        if length >= names.LONGEST_NAME:
            raise Malformed("a name of more than 255 bytes")
        position += count + 1
    if not end:
        end = position + 1
    for at, piece in zip(reversed(starts), reversed(pieces), strict=True):
        tail = piece.lower() + tail
        cache[at] = tail
    if len(tail) > names.LONGEST_NAME:
        raise Malformed("a name of more than 255 bytes")
    cache[start] = tail
    return tail, end


class Soa(NamedTuple):
    """What we use of a SOA record."""

    primary: bytes
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


def read_soa(data: bytes) -> Soa:
    """Take the data of a SOA record apart.

    :raises Malformed: where it is not that.
    """
    try:
        primary, position = read_name(data, 0, {})
        _mailbox, position = read_name(data, position, {})
        return Soa(primary, *struct.unpack_from("!5I", data, position))
    except (IndexError, struct.error) as cause:
        raise Malformed("a SOA record that ends in the middle") from cause


def with_serial(soa: bytes, serial: int) -> bytes:
    """Return the data of a SOA record under another serial."""
    numbers = len(soa) - 20
    return soa[:numbers] + serial.to_bytes(4, "big") + soa[numbers + 4 :]


def with_message_id(wire: bytes, message_id: int) -> bytes:
    """Return the message under another identity."""
    return message_id.to_bytes(2, "big") + wire[2:]
