# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates that only a former writer has: found in its journal, and merged three ways, RRset by RRset.

``base`` is the zone where the successor took over, ``ours`` what the former writer made of it, ``theirs`` what is
served now. Nothing is lost: every change is replayed, already there, or a conflict for a person to solve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..protocol import names, rdata, rrset
from ..protocol.incremental import Delta, Record
from ..protocol.rrset import Key, RRset, Sets
from ..protocol.serials import ahead
from ..protocol.zone_file import Texts, Typed

SERVERS_OWN = {
    "SOA": rdata.SOA,
    "RRSIG": rdata.RRSIG,
    "NSEC": rdata.NSEC,
    "NSEC3": rdata.NSEC3,
    "NSEC3PARAM": rdata.NSEC3PARAM,
    "DNSKEY": rdata.DNSKEY,
    "CDS": rdata.CDS,
    "CDNSKEY": rdata.CDNSKEY,
    "TYPE65534": 65534,
}
"""Types that the server itself keeps, as BIND writes them; they are left out."""
SERVERS_OWN_TYPES = frozenset(SERVERS_OWN.values())

EMPTY = RRset(0, frozenset())
"""Two sets are the same where their data are: RFC 2136 compares no TTL."""


@dataclass(frozen=True, slots=True)
class Change:
    """One RRset that the former writer changed."""

    key: Key
    base: RRset
    ours: RRset
    theirs: RRset

    @property
    def update(self) -> rrset.Change:
        """What replays it."""
        return rrset.Change(
            *self.key, self.base if self.base.data else None, self.ours if self.ours.data else None
        )


@dataclass(frozen=True, slots=True)
class Merge:
    """Where every change belongs. ``apply`` may be replayed, with the base as its prerequisite."""

    apply: tuple[Change, ...] = ()
    already: tuple[Change, ...] = ()
    conflicts: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.apply or self.already or self.conflicts)


def unshared(deltas: Sequence[Delta], base: int) -> tuple[Delta, ...] | None:
    """Return the deltas from ``base`` on, or None where the journal does not reach back to it."""
    if not deltas:
        return None
    for position, delta in enumerate(deltas):
        if delta.start == base:
            return tuple(deltas[position:])
    if ahead(base, deltas[-1].end) >= 0:
        return ()
    return None


def rewind(final: Sets, deltas: Sequence[Delta]) -> dict[Key, RRset]:
    """Take ``deltas`` back from ``final``; return what each RRset was that they touch."""
    state = dict(final)
    touched: set[Key] = set()
    for delta in reversed(deltas):
        for record in delta.added:
            touched.add(record.key)
            now = state.get(record.key, EMPTY)
            state[record.key] = RRset(now.ttl, now.data - {record.data})
        for record in delta.removed:
            touched.add(record.key)
            now = state.get(record.key, EMPTY)
            state[record.key] = RRset(record.ttl, now.data | {record.data})
    return {key: state.get(key, EMPTY) for key in touched}


def merge(base: Sets, ours: Sets, theirs: Sets, *, skip: Iterable[bytes] = ()) -> Merge:
    """Sort the changes from ``base`` to ``ours`` by what ``theirs`` holds now.

    :param base: only the RRsets that were touched.
    :param skip: names that are bookkeeping, such as the writer's own.
    """
    skipped = frozenset(skip)
    rdtypes = _rdtypes_by_name(theirs)
    apply, already, conflicts = [], [], []
    for key in sorted(base):
        name, rdtype = key
        if rdtype in SERVERS_OWN_TYPES or name in skipped:
            continue
        change = Change(key, base[key], ours.get(key, EMPTY), theirs.get(key, EMPTY))
        if change.ours.data in (change.base.data, change.theirs.data):
            already.append(change)
        elif change.theirs.data != change.base.data or _clashes(change, rdtypes.get(name, set())):
            conflicts.append(change)
        else:
            apply.append(change)
    # What belongs together, as a CNAME that made room for an address, is not done by halves.
    disputed = {change.key[0] for change in conflicts}
    conflicts += [change for change in apply if change.key[0] in disputed]
    apply = [change for change in apply if change.key[0] not in disputed]
    return Merge(tuple(apply), tuple(already), tuple(conflicts))


def compare(ours: Sets, theirs: Sets, *, skip: Iterable[bytes] = ()) -> Merge:
    """Compare whole zones where no common base is known: every difference is left to a person."""
    skipped = frozenset(skip)
    conflicts = [
        Change(key, EMPTY, ours[key], theirs.get(key, EMPTY))
        for key in sorted(ours)
        if key[1] not in SERVERS_OWN_TYPES
        and key[0] not in skipped
        and ours[key].data != theirs.get(key, EMPTY).data
    ]
    return Merge(conflicts=tuple(conflicts))


def _rdtypes_by_name(zone: Sets) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for (name, rdtype), held in zone.items():
        if held.data and rdtype not in SERVERS_OWN_TYPES:
            found.setdefault(name, set()).add(rdtype)
    return found


def _clashes(change: Change, present: set[int]) -> bool:
    """Return whether a CNAME would stand beside other data; RFC 2136 section 3.4.2.2 drops such an add silently."""
    if not change.ours.data:
        return False
    others = present - {change.key[1]}
    return bool(others) if change.key[1] == rdata.CNAME else rdata.CNAME in others


def described(
    changes: Sequence[Change], to_text: Callable[[Sequence[Typed]], Sequence[Texts]]
) -> list[dict[str, Any]]:
    """Return the changes as text, for reports and scripts."""
    records = {
        (change.key[1], data)
        for change in changes
        for held in (change.base, change.ours, change.theirs)
        for data in held.data
    }
    ordered = sorted(records)
    shown = dict(zip(ordered, to_text(ordered), strict=True))
    rdtypes = {rdtype: text for (rdtype, _data), (text, _shown) in shown.items()}

    def texts(rdtype: int, held: RRset) -> list[str]:
        return sorted(shown[rdtype, data][1] for data in held.data)

    return [
        {
            "name": names.render(name),
            "type": rdtypes.get(rdtype) or rdata.type_text(rdtype),
            "ttl": change.ours.ttl,
            "base": texts(rdtype, change.base),
            "ours": texts(rdtype, change.ours),
            "theirs": texts(rdtype, change.theirs),
        }
        for change in changes
        for name, rdtype in [change.key]
    ]


def script(zone: str, server: str, changes: Iterable[dict[str, Any]], header: Iterable[str]) -> str:
    """Return described changes as an ``nsupdate`` script, each sent by itself with what it rests on as prerequisite."""
    lines = [f"; {line}" for line in header]
    lines += [f"server {server}", f"zone {zone}"]
    for change in changes:
        place = f"{change['name']} {change['type']}"
        lines.append("")
        if change["base"]:
            lines += [f"prereq yxrrset {place} {data}" for data in change["base"]]
            lines.append(f"update delete {place}")
        else:
            lines.append(f"prereq nxrrset {place}")
        lines += [
            f"update add {change['name']} {change['ttl']} {change['type']} {data}"
            for data in change["ours"]
        ]
        lines.append("send")
    return "\n".join(lines) + "\n"


class _Line(NamedTuple):
    sign: str
    name: str
    ttl: int
    rdtype: str
    data: str


def journal(
    text: str, zone: str, to_wire: Callable[[Sequence[Texts]], Sequence[Typed]]
) -> tuple[Delta, ...]:
    """Read what ``named-journalprint`` prints: ``add`` or ``del`` and a record. A delta begins with ``del`` of a SOA.

    :param zone: absolute, in lower case.
    :param to_wire: turns texts into wire form.
    :raises ValueError: for a line that is not of that form.
    """
    lines = [_journal_line(line) for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if line.rdtype not in SERVERS_OWN]
    # A name is what a PTR record can hold, and so goes the same way as the data.
    owners = sorted({line.name for line in kept})
    found = to_wire(
        [*(("PTR", name) for name in owners), *((line.rdtype, line.data) for line in kept)]
    )
    wire_names = {
        name: data for name, (_rdtype, data) in zip(owners, found[: len(owners)], strict=True)
    }
    typed = iter(found[len(owners) :])
    deltas: list[Delta] = []
    removed: list[Record] = []
    added: list[Record] = []
    start: int | None = None
    end = 0

    def close() -> None:
        if start is not None:
            deltas.append(Delta(start, end, tuple(removed), tuple(added)))

    for line in lines:
        if line.rdtype not in SERVERS_OWN:
            rdtype, data = next(typed)
            record = Record((wire_names[line.name], rdtype), line.ttl, data)
            (added if line.sign == "add" else removed).append(record)
        elif (line.rdtype, line.name) == ("SOA", zone):
            serial = int(line.data.split()[2])
            if line.sign == "add":
                end = serial
                continue
            close()
            start, removed, added = serial, [], []
    close()
    return tuple(deltas)


def _journal_line(line: str) -> _Line:
    try:
        sign, name, ttl, _rdclass, rdtype, data = line.split(None, 5)
        if sign not in ("add", "del"):
            raise ValueError(f"it begins with {sign!r}")
        return _Line(sign, name.lower(), int(ttl), rdtype.upper(), data)
    except ValueError as cause:
        raise ValueError(f"not a line of a journal: {line[:80]!r}") from cause
