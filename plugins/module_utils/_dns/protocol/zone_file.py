# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of any type between text and wire form, by BIND's own tool: it knows every type that its server holds.

named-compilezone(8) reads and writes whole zones. So records go into a zone made for the purpose, each at a name of its
own: nothing there is a duplicate, or must not stand beside something else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from . import wire
from .rrset import Key, RRset

Compile = Callable[[str], bytes]
"""Takes the text of the zone ``x.`` and returns it raw, or as text with one record a line."""
Typed = tuple[int, bytes]
"""A record's type and data."""
Texts = tuple[str, str]
"""The texts of a record's type and data."""

_APEX = "x. 0 IN SOA . . 0 0 0 0 0\nx. 0 IN NS .\n"
_RAW = (2, 0)
"""The format that ``raw=0`` asks for, as its header says it."""
_HEADER = struct.Struct("!III")
_RRSET = struct.Struct("!IHHHIIH")


def to_wire(texts: Sequence[Texts], to_raw: Compile) -> list[Typed]:
    """Turn texts into wire form. Names in them have to be absolute, as BIND writes them."""
    lines = [f"{number}.x. 0 IN {rdtype} {data}\n" for number, (rdtype, data) in enumerate(texts)]
    found: dict[int, Typed] = {}
    for (name, rdtype), rrset in read_raw(to_raw(_APEX + "".join(lines))).items():
        if (number := _number(name[1 : 1 + name[0]].decode())) is not None:
            [data] = rrset.data
            found[number] = (rdtype, data)
    return [found[number] for number in range(len(texts))]


def to_text(records: Sequence[Typed], to_full: Compile) -> list[Texts]:
    """Turn wire form into texts."""
    lines = [
        f"{number}.x. 0 IN TYPE{rdtype} \\# {len(data)} {data.hex()}\n"
        for number, (rdtype, data) in enumerate(records)
    ]
    found: dict[int, Texts] = {}
    for line in to_full(_APEX + "".join(lines)).decode("ascii").splitlines():
        name, _ttl, _rdclass, rdtype, text = line.split(None, 4)
        if (number := _number(name.partition(".")[0])) is not None:
            found[number] = (rdtype, text)
    return [found[number] for number in range(len(records))]


def _number(label: str) -> int | None:
    return int(label) if label.isdigit() else None  # else it is the apex


def read_raw(raw: bytes) -> dict[Key, RRset]:
    """Read a zone in BIND's raw format.

    :raises Malformed: where it is something else.
    """
    found: dict[Key, RRset] = {}
    try:
        form, version, _written_at = _HEADER.unpack_from(raw)
        if (form, version) != _RAW:
            raise wire.Malformed(f"a zone file of the format {form}, version {version}")
        position = _HEADER.size
        while position < len(raw):
            _size, _rdclass, rdtype, _covers, ttl, count, length = _RRSET.unpack_from(raw, position)
            position += _RRSET.size
            name = raw[position : position + length].lower()
            position += length
            data = []
            for _record in range(count):
                (length,) = struct.unpack_from("!H", raw, position)
                position += 2
                data.append(wire.canonical(rdtype, raw[position : position + length]))
                position += length
            earlier = found.get((name, rdtype), RRset(ttl, frozenset()))
            found[name, rdtype] = RRset(ttl, earlier.data.union(data))
    except (IndexError, struct.error) as cause:
        raise wire.Malformed("a zone file that ends in the middle") from cause
    if position > len(raw):
        raise wire.Malformed("a zone file that ends in the middle")
    return found
