# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates that only a former writer has: found in its journal, and merged three ways, RRset by RRset.

``base`` is the zone where the successor took over, ``ours`` what the former writer made of it, ``theirs`` what is
served now. Nothing is lost: every change is replayed, already there, or a conflict for a person to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .serials import ahead

LEFT_OUT = frozenset(
    {"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534"}
)
"""Types that the server itself keeps."""


class Key(NamedTuple):
    """An RRset's name (absolute, lower case) and type."""

    name: str
    kind: str


class Record(NamedTuple):
    """One record, with its data in canonical text."""

    name: str
    kind: str
    ttl: int
    data: str

    @property
    def key(self) -> Key:
        return Key(self.name, self.kind)


class RRset(NamedTuple):
    """A TTL and the data under one key. Two are the same where their data are: RFC 2136 compares no TTL."""

    ttl: int
    data: frozenset[str]


EMPTY = RRset(0, frozenset())
Content = Mapping[Key, RRset]


@dataclass(frozen=True, slots=True)
class Delta:
    """One entry of the journal: what the zone lost and gained between two serials."""

    start: int
    end: int
    removed: tuple[Record, ...]
    added: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One RRset that the former writer changed."""

    key: Key
    base: RRset
    ours: RRset
    theirs: RRset


@dataclass(frozen=True, slots=True)
class Merge:
    """Where every change belongs. ``apply`` may be replayed, with the base as its prerequisite."""

    apply: tuple[Change, ...] = ()
    already: tuple[Change, ...] = ()
    conflicts: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.apply or self.already or self.conflicts)


def content(records: Iterable[Record]) -> dict[Key, RRset]:
    """Gather records into RRsets."""
    found: dict[Key, RRset] = {}
    for record in records:
        before = found.get(record.key, EMPTY)
        found[record.key] = RRset(record.ttl, before.data | {record.data})
    return found


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


def rewind(final: Content, deltas: Sequence[Delta]) -> dict[Key, RRset]:
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


def merge(base: Content, ours: Content, theirs: Content, *, skip: Iterable[str] = ()) -> Merge:
    """Sort the changes from ``base`` to ``ours`` by what ``theirs`` holds now.

    :param base: only the RRsets that were touched.
    :param skip: names that are bookkeeping, such as the writer's own.
    """
    skipped = frozenset(skip)
    kinds = _kinds_by_name(theirs)
    apply, already, conflicts = [], [], []
    for key in sorted(base):
        if key.kind in LEFT_OUT or key.name in skipped:
            continue
        change = Change(key, base[key], ours.get(key, EMPTY), theirs.get(key, EMPTY))
        if change.ours.data in (change.base.data, change.theirs.data):
            already.append(change)
        elif change.theirs.data != change.base.data or _clashes(change, kinds.get(key.name, set())):
            conflicts.append(change)
        else:
            apply.append(change)
    return Merge(tuple(apply), tuple(already), tuple(conflicts))


def compare(ours: Content, theirs: Content, *, skip: Iterable[str] = ()) -> Merge:
    """Compare whole zones where no common base is known: every difference is left to a person."""
    skipped = frozenset(skip)
    conflicts = [
        Change(key, EMPTY, ours[key], theirs.get(key, EMPTY))
        for key in sorted(ours)
        if key.kind not in LEFT_OUT
        and key.name not in skipped
        and ours[key].data != theirs.get(key, EMPTY).data
    ]
    return Merge(conflicts=tuple(conflicts))


def _kinds_by_name(zone: Content) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key, rrset in zone.items():
        if rrset.data and key.kind not in LEFT_OUT:
            found.setdefault(key.name, set()).add(key.kind)
    return found


def _clashes(change: Change, present: set[str]) -> bool:
    """Tell whether a CNAME would stand beside other data; RFC 2136 section 3.4.2.2 drops such an add silently."""
    if not change.ours.data:
        return False
    others = present - {change.key.kind}
    return bool(others) if change.key.kind == "CNAME" else "CNAME" in others


def script(zone: str, server: str, changes: Iterable[Change], header: Iterable[str]) -> str:
    """Return the changes as an ``nsupdate`` script, each sent by itself with what it rests on as prerequisite."""
    lines = [f"; {line}" for line in header]
    lines += [f"server {server}", f"zone {zone}"]
    for change in changes:
        name, kind = change.key
        lines.append("")
        if change.base.data:
            lines += [f"prereq yxrrset {name} {kind} {data}" for data in sorted(change.base.data)]
        else:
            lines.append(f"prereq nxrrset {name} {kind}")
        if change.base.data:
            lines.append(f"update delete {name} {kind}")
        lines += [
            f"update add {name} {change.ours.ttl} {kind} {data}"
            for data in sorted(change.ours.data)
        ]
        lines.append("send")
    return "\n".join(lines) + "\n"


def journal(text: str, zone: str) -> tuple[Delta, ...]:
    """Read what ``named-journalprint`` prints: ``add`` or ``del`` and a record. A delta begins with ``del`` of a SOA.

    :param zone: absolute, in lower case.
    :raises ValueError: for a line that is not of that form.
    """
    deltas: list[Delta] = []
    removed: list[Record] = []
    added: list[Record] = []
    start: int | None = None
    end = 0

    def close() -> None:
        if start is not None:
            deltas.append(Delta(start, end, tuple(removed), tuple(added)))

    for line in text.splitlines():
        if not line.strip():
            continue
        sign, record = _journal_line(line)
        is_apex = record.kind == "SOA" and record.name == zone
        if is_apex and sign == "del":
            close()
            start, removed, added = int(record.data.split()[2]), [], []
        elif is_apex:
            end = int(record.data.split()[2])
        elif start is not None:
            (added if sign == "add" else removed).append(record)
    close()
    return tuple(deltas)


def _journal_line(line: str) -> tuple[str, Record]:
    try:
        sign, name, ttl, _klass, kind, data = line.split(None, 5)
        if sign not in ("add", "del"):
            raise ValueError(f"it begins with {sign!r}")
        return sign, Record(name.lower(), kind.upper(), int(ttl), data)
    except ValueError as cause:
        raise ValueError(f"not a line of a journal: {line[:80]!r}") from cause
