# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file that says what is blocked: the sets as they are in the kernel, and where each network was written.

It is what the packet filter is loaded from at boot, what the next change is reckoned against, and what answers "why is
this address blocked". One file, so that all of it changes at once.

Layout: eight bytes of magic; the length of the header (4 bytes, big endian); the header, JSON; then sections of bytes,
whose places the header tells. Searching takes a mapped file, and touches a few pages of it.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from .._core.errors import DebvisorError
from .lists import Column
from .networks import FAMILIES, LENGTH, LENGTH_BITS, Family, key, places_in_order, split_key
from .packed import Packed, pack

MAGIC = b"dvlists1"
ALLOW, BLOCK = "allow", "block"
PROTECTED = "protected"
"""The list that nobody writes: what stays reachable."""


class StoreTorn(DebvisorError):
    """The file is not ours, or was damaged."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Where networks were written, sorted by network: addresses, prefix lengths, sources and lines, side by side."""

    addresses: Packed
    lengths: bytes | memoryview
    sources: bytes | memoryview
    lines: array[int] | memoryview
    used: tuple[int, ...]
    """The prefix lengths that occur, ascending."""

    def meeting(self, network: int) -> Iterator[tuple[int, int, int]]:
        """Yield network, source and line of every entry that has an address in common with a network."""
        family = self.addresses.family
        address, length = split_key(network)
        for shorter in takewhile(lambda each: each < length, self.used):
            base = address & ~family.spans[shorter]
            for place in self._places(base, base):
                if self.lengths[place] == shorter:
                    yield key(base, shorter), self.sources[place], self.lines[place]
        for place in self._places(address, address + family.spans[length]):
            if self.lengths[place] >= length:
                found = key(int.from_bytes(self.addresses[place], "big"), self.lengths[place])
                yield found, self.sources[place], self.lines[place]

    def _places(self, first: int, last: int) -> range:
        width = self.addresses.family.bytes
        return range(
            bisect_left(self.addresses, first.to_bytes(width, "big")),
            bisect_right(self.addresses, last.to_bytes(width, "big")),
        )


@dataclass(slots=True)
class Content:
    """The elements of one set, and since when each of them is there, in seconds since 1970."""

    addresses: Packed
    since: array[int] | memoryview


Sets = dict[int, Content]
"""By prefix length."""


@dataclass(slots=True)
class KeptList:
    """One list as it is in force. ``sources`` has what the operator calls each of them, and what it was like."""

    name: str
    action: str
    sources: list[dict[str, Any]] = field(default_factory=list)
    sets: dict[Family, Sets] = field(default_factory=dict)
    entries: dict[Family, Entries] = field(default_factory=dict)

    def count(self, family: Family) -> int:
        """Return how many elements it has in the kernel."""
        return sum(len(content.addresses) for content in self.sets.get(family, {}).values())


@dataclass(slots=True)
class Store:
    """Everything in the file. ``inputs`` stands for the options and files that it was made from."""

    lists: list[KeptList] = field(default_factory=list)
    inputs: str = ""
    changed: int = 0
    rules: str = ""
    """A digest of the table's rules as the kernel listed them after the load, to see what others did to them."""
    fingerprint: str = ""
    """What the elements of all sets come to. The kernel's table carries it, as a sign that both agree."""

    @property
    def client(self) -> str | None:
        """Where the last connection for a change came from."""
        kept = self.list(PROTECTED)
        return kept.sources[0]["client"] if kept else None

    def list(self, name: str) -> KeptList | None:
        """Return the list of that name."""
        return next((each for each in self.lists if each.name == name), None)


def fingerprint(lists: Iterable[KeptList]) -> str:
    """Return what the elements of all sets come to."""
    digest = hashlib.sha256()
    for each in lists:
        for family in FAMILIES:
            for length, content in sorted(each.sets.get(family, {}).items()):
                digest.update(f"{each.name}/{each.action}/{family.name}/{length}:".encode())
                digest.update(content.addresses.data)
    return digest.hexdigest()[:16]


def indexed(family: Family, columns: Iterable[Column]) -> Entries:
    """Sort what several sources hold by network; sources are numbered in their order."""
    keys: list[int] = []
    lines = array("I")
    sources = bytearray()
    for number, column in enumerate(columns):
        keys += column.keys
        lines.extend(column.lines)
        sources += bytes([number]) * len(column)
    order = places_in_order(family, keys)
    lengths = bytes([keys[place] & LENGTH for place in order])
    return Entries(
        pack(family, [keys[place] >> LENGTH_BITS for place in order]),
        lengths,
        bytes(map(sources.__getitem__, order)),
        array("I", map(lines.__getitem__, order)),
        tuple(sorted(set(lengths))),
    )


def encode(store: Store) -> Iterator[bytes]:
    """Yield the file's content in pieces."""
    sections: list[bytes | memoryview] = []
    places: dict[str, tuple[int, int]] = {}
    reached = 0

    def put(name: str, data: bytes | memoryview) -> None:
        nonlocal reached
        padding = -len(data) % 8  # numbers of 4 bytes are read in place, and have to be aligned
        places[name] = (reached, len(data))
        sections.append(data)
        if padding:
            sections.append(bytes(padding))
        reached += len(data) + padding

    for each in store.lists:
        for family in FAMILIES:
            for length, content in sorted(each.sets.get(family, {}).items()):
                put(f"set/{each.name}/{family.name}/{length}", content.addresses.data)
                put(f"since/{each.name}/{family.name}/{length}", _bytes(content.since))
            if family in each.entries:
                entries = each.entries[family]
                put(f"addresses/{each.name}/{family.name}", entries.addresses.data)
                put(f"lengths/{each.name}/{family.name}", entries.lengths)
                put(f"sources/{each.name}/{family.name}", entries.sources)
                put(f"lines/{each.name}/{family.name}", _bytes(entries.lines))
    header = json.dumps(
        {
            "inputs": store.inputs,
            "changed": store.changed,
            "rules": store.rules,
            "fingerprint": store.fingerprint,
            "lists": [
                {
                    "name": each.name,
                    "action": each.action,
                    "sources": each.sources,
                    "used": {family.name: entries.used for family, entries in each.entries.items()},
                }
                for each in store.lists
            ],
            "sections": places,
        }
    ).encode()
    header += b" " * (-(len(MAGIC) + 4 + len(header)) % 8)
    yield MAGIC + len(header).to_bytes(4, "big") + header
    yield from map(bytes, sections)


def _bytes(numbers: array[int] | memoryview) -> bytes:
    return numbers.tobytes()


def decode(data: bytes | memoryview, where: str) -> Store:
    """Read the file's content, which may be a mapped file and is not copied.

    :raises StoreTorn: where it is not what :func:`encode` wrote.
    """
    view = memoryview(data)
    try:
        if bytes(view[: len(MAGIC)]) != MAGIC:
            raise ValueError("it begins otherwise")
        start = len(MAGIC) + 4
        body = start + int.from_bytes(view[len(MAGIC) : start], "big")
        header: dict[str, Any] = json.loads(bytes(view[start:body]))
        sections = {
            name: view[body + first : body + first + length]
            for name, (first, length) in header["sections"].items()
        }
        if any(
            len(sections[name]) != length for name, (first, length) in header["sections"].items()
        ):
            raise ValueError("it is cut short")
        store = Store(
            [_list(each, sections) for each in header["lists"]],
            header["inputs"],
            header["changed"],
            header["rules"],
            header["fingerprint"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise StoreTorn(
            f"{where} is no store of lists, or is damaged",
            why=str(cause),
            hint="Remove it and run again: it is made anew from the lists",
        ) from cause
    return store


def _list(described: Mapping[str, Any], sections: Mapping[str, memoryview]) -> KeptList:
    kept = KeptList(described["name"], described["action"], list(described["sources"]))
    for family in FAMILIES:
        prefix = f"set/{kept.name}/{family.name}/"
        kept.sets[family] = {
            int(length): Content(
                Packed(family, sections[f"{prefix}{length}"]),
                sections[f"since/{kept.name}/{family.name}/{length}"].cast("I"),
            )
            for length in (
                name.removeprefix(prefix) for name in sections if name.startswith(prefix)
            )
        }
        tail = f"{kept.name}/{family.name}"
        if f"addresses/{tail}" in sections:
            kept.entries[family] = Entries(
                Packed(family, sections[f"addresses/{tail}"]),
                sections[f"lengths/{tail}"],
                sections[f"sources/{tail}"],
                sections[f"lines/{tail}"].cast("I"),
                tuple(described["used"][family.name]),
            )
    return kept
