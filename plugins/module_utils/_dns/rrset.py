# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record sets and changes of them, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    kind: int
    before: RRset | None
    after: RRset | None

    @property
    def title(self) -> str:
        """Name the record set for people."""
        return f"{names.render(self.name)} {rdata.type_text(self.kind)}"

    def inverse(self) -> Change:
        """Return the change that takes this one back."""
        return Change(self.name, self.kind, self.after, self.before)


def as_plain(kind: int, rrset: RRset | None) -> dict[str, Any] | None:
    """Return a record set as plain data, for results."""
    if rrset is None:
        return None
    ttl, held = rrset
    if len(held) == 1:
        [data] = held
        return {"ttl": ttl, "value": [rdata.render(kind, data)]}
    return {"ttl": ttl, "value": sorted([rdata.render(kind, data) for data in held])}


def packed(change: Change) -> list[Any]:
    """Return a change as JSON data for a journal: wire form in hexadecimal, quick to write and exact to read."""
    name, kind, before, after = change
    return [
        name.hex(),
        kind,
        None if before is None else [before.ttl, *[data.hex() for data in before.data]],
        None if after is None else [after.ttl, *[data.hex() for data in after.data]],
    ]


def unpacked(entry: Sequence[Any]) -> Change:
    """Read back what :func:`packed` wrote."""
    name, kind, before, after = entry
    return Change(bytes.fromhex(name), kind, _unpacked(before), _unpacked(after))


def _unpacked(entry: Sequence[Any] | None) -> RRset | None:
    if entry is None:
        return None
    return RRset(entry[0], frozenset(bytes.fromhex(data) for data in entry[1:]))
