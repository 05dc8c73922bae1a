# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options into wanted record sets. Everything that is wrong is reported at once, each by its position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from ..._core.errors import Problem
from ..protocol import fields, names, rdata
from ..writer import epoch
from ..writer.divergence import SERVERS_OWN_TYPES

LONGEST_TTL = 2**31 - 1
RECORD_OPTIONS = frozenset({"name", "type", "value", "values", "ttl", "state", "exact", "ptr"})


class Aim(Enum):
    """What shall become of a record set."""

    EXACTLY = "exactly"
    """It holds the given data and no other."""
    AT_LEAST = "at least"
    """It holds the given data, beside what others keep there."""
    WITHOUT = "without"
    """It does not hold the given data."""
    GONE = "gone"
    """There is no such record set."""


KEEPING = (Aim.EXACTLY, Aim.AT_LEAST)
"""The aims after which there is a record set."""


class WantedSet(NamedTuple):
    """One wanted record set. ``position`` is its index in the option ``records``."""

    name: bytes
    rdtype: int
    ttl: int
    data: frozenset[bytes]
    aim: Aim
    ptr: bool
    position: int


@dataclass(frozen=True, slots=True)
class Prune:
    """Where record sets that are not wanted are removed: at and below a name, of these types only."""

    below: bytes
    rdtypes: frozenset[int]


def parse_records(
    records: Sequence[Any],
    zone: bytes,
    default_ttl: int,
    default_ptr: bool,
    problems: list[Problem],
) -> list[WantedSet]:
    """Read the option ``records``; what is wrong goes into ``problems``."""
    wanted: list[WantedSet] = []
    seen: dict[tuple[bytes, int], WantedSet] = {}
    append = wanted.append
    for position, record in enumerate(records):
        found = _quick(record, position, zone, default_ttl, default_ptr) or _Reader(
            record, position, zone, problems
        ).read(default_ttl, default_ptr)
        if found is None:
            continue
        earlier = seen.setdefault(found[:2], found)
        if earlier is found:
            append(found)
        elif earlier._replace(position=position) != found:
            problems.append(
                Problem(
                    f"records[{position}]",
                    f"{names.render(found.name)} {rdata.type_text(found.rdtype)} is also records"
                    f"[{earlier.position}], and says something else",
                )
            )
    if any(rdtype == rdata.CNAME for _name, rdtype in seen):
        _check_cnames(wanted, problems)
    return wanted


def _quick(
    record: Any, position: int, zone: bytes, default_ttl: int, default_ptr: bool
) -> WantedSet | None:
    """Read what nearly all entries of a bulk call are: one good address. None sends it to the thorough reader."""
    try:
        rdtype, parse = _ADDRESS_TYPES[record["type"]]
        name = names.parse_below(record["name"], zone)
        [value] = record["value"]
        data = parse(value, zone)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    get = record.get
    ttl, ptr, state = get("ttl"), get("ptr"), get("state")
    if ttl is None:
        ttl = default_ttl
    if ptr is None:
        ptr = default_ptr
    if (
        name is None
        or not isinstance(ttl, int)
        or isinstance(ttl, bool)
        or not 0 <= ttl <= LONGEST_TTL
        or (ptr is not True and ptr is not False)
        or (state is not None and state != "present")
        or get("exact") is not None
        or not RECORD_OPTIONS.issuperset(record)
    ):
        return None
    return _make((name, rdtype, ttl, frozenset((data,)), _EXACTLY, ptr, position))


_ADDRESS_TYPES = {"A": (rdata.A, fields.ipv4), "AAAA": (rdata.AAAA, fields.ipv6)}
_EXACTLY = Aim.EXACTLY
_make = WantedSet._make


def _check_cnames(wanted: Sequence[WantedSet], problems: list[Problem]) -> None:
    kept: dict[bytes, list[WantedSet]] = {}
    for found in wanted:
        if found.aim in KEEPING:
            kept.setdefault(found.name, []).append(found)
    for name, sets in kept.items():
        if len(sets) < 2:
            continue
        cnames = [found for found in sets if found.rdtype == rdata.CNAME]
        for other in sets:
            if cnames and other.rdtype != rdata.CNAME:
                problems.append(
                    Problem(
                        f"records[{other.position}]",
                        f"{names.render(name)} cannot hold {rdata.type_text(other.rdtype)} beside the CNAME"
                        f" of records[{cnames[0].position}]",
                    )
                )


class _Reader:
    """Reads one entry of ``records``."""

    __slots__ = ("position", "problems", "record", "zone")

    def __init__(self, record: Any, position: int, zone: bytes, problems: list[Problem]) -> None:
        self.record = record
        self.position = position
        self.zone = zone
        self.problems = problems

    def read(self, default_ttl: int, default_ptr: bool) -> WantedSet | None:
        record = self.record
        if not isinstance(record, dict):
            self._wrong("", "is not a mapping with name, type and value")
            return None
        before = len(self.problems)
        if not record.keys() <= RECORD_OPTIONS:
            for unknown in sorted(map(str, record.keys() - RECORD_OPTIONS)):
                self._wrong(unknown, f"is no option; there are {', '.join(sorted(RECORD_OPTIONS))}")
        get = record.get
        rdtype = self._rdtype(get("type"))
        name = self._name(get("name"))
        ttl = get("ttl")
        ttl = default_ttl if ttl is None else self._ttl(ttl)
        aim = self._aim(get("state"), get("exact"), get("value"))
        if name is not None and rdtype is not None:
            self._check_place(name, rdtype, aim, get("exact"))
        data = self._data(get("value"), rdtype, aim)
        ptr = get("ptr")
        ptr = default_ptr if ptr is None else ptr
        if not isinstance(ptr, bool):
            self._wrong("ptr", "is neither true nor false")
        if len(self.problems) > before or name is None or rdtype is None or aim is None:
            return None
        return WantedSet(name, rdtype, ttl, data, aim, ptr and rdtype in _ADDRESSES, self.position)

    def _wrong(self, option: str, what: str) -> None:
        where = f"records[{self.position}]"
        self.problems.append(Problem(f"{where}.{option}" if option else where, what))

    def _rdtype(self, text: Any) -> int | None:
        if not isinstance(text, str):
            self._wrong("type", "is missing" if text is None else f"{text!r} is not text")
            return None
        try:
            return own_type(text)
        except fields.DataProblem as cause:
            self._wrong("type", str(cause))
            return None

    def _check_place(self, name: bytes, rdtype: int, aim: Aim | None, exact: Any) -> None:
        """Find types that cannot be at the name, and what would take the zone's own name servers away unasked."""
        if rdtype in (rdata.NS, rdata.DNAME) and name.startswith(b"\x01*"):
            self._wrong("type", f"a wildcard cannot have a {rdata.type_text(rdtype)}")
        if name != self.zone:
            return
        if rdtype == rdata.CNAME:
            self._wrong("type", "the zone itself cannot be a CNAME")
        elif rdtype == rdata.DS:
            self._wrong("type", "the zone's own DS stands in its parent zone: name that zone")
        elif rdtype == rdata.NS and aim is Aim.GONE:
            self._wrong("state", "the zone's own NS record set cannot be removed")
        elif rdtype == rdata.NS and aim is Aim.EXACTLY and exact is None:
            self._wrong(
                "exact",
                "is missing: these are the zone's own name servers. Say true to have these and no other,"
                " false to keep those that are there",
            )

    def _name(self, text: Any) -> bytes | None:
        if not isinstance(text, str):
            self._wrong("name", "is missing" if text is None else f"{text!r} is not text")
            return None
        try:
            name = names.parse(text, self.zone)
        except names.NameProblem as cause:
            self._wrong("name", f"{fields.shortened(text)} {cause}")
            return None
        if not name.endswith(self.zone) or not names.is_below(name, self.zone):
            self._wrong(
                "name", f"{fields.shortened(text)} is not in the zone {names.render(self.zone)}"
            )
        elif b"*" in name and b"*" in names.labels_of(name)[1:]:
            self._wrong("name", f"{fields.shortened(text)} has a * that is not its first label")
        elif name == epoch.owner(self.zone):
            self._wrong(
                "name", "is where the servers keep who the writer is; it is not yours to set"
            )
        return name

    def _ttl(self, ttl: Any) -> int:
        if isinstance(ttl, str) and ttl.isascii() and ttl.isdigit() and len(ttl) <= 10:
            ttl = int(ttl)
        if not isinstance(ttl, int) or isinstance(ttl, bool) or not 0 <= ttl <= LONGEST_TTL:
            self._wrong(
                "ttl", f"{fields.shortened(str(ttl))} is not a number from 0 to {LONGEST_TTL}"
            )
            return 0
        return ttl

    def _aim(self, state: Any, exact: Any, value: Any) -> Aim | None:
        if exact is not None and not isinstance(exact, bool):
            self._wrong("exact", "is neither true nor false")
        if state in (None, "present"):
            return Aim.AT_LEAST if exact is False else Aim.EXACTLY
        if state == "absent":
            if exact is not None:
                self._wrong("exact", "goes with state=present only")
            return Aim.GONE if value is None else Aim.WITHOUT
        self._wrong("state", f"{state!r} is neither present nor absent")
        return None

    def _data(self, value: Any, rdtype: int | None, aim: Aim | None) -> frozenset[bytes]:
        if aim is Aim.GONE:
            return frozenset()
        entries = value if isinstance(value, (list, tuple)) else [value]
        if value is None or not entries:
            self._wrong("value", "is missing" if value is None else "is an empty list")
            return frozenset()
        if rdtype is None:
            return frozenset()
        found = []
        for number, entry in enumerate(entries):
            if isinstance(entry, (int, float)) and not isinstance(entry, bool):
                entry = str(entry)
            if not isinstance(entry, str):
                self._wrong(_at(number, entries), f"{entry!r} is not text")
                continue
            try:
                found.append(rdata.parse(rdtype, entry, self.zone))
            except fields.DataProblem as cause:
                self._wrong(_at(number, entries), str(cause))
        if rdtype in rdata.SINGLE and len(entries) > 1:
            self._wrong("value", f"a {rdata.type_text(rdtype)} has one value")
        return frozenset(found)


_ADDRESSES = (rdata.A, rdata.AAAA)


def _at(number: int, entries: Sequence[Any]) -> str:
    return f"value[{number}]" if len(entries) > 1 else "value"


def parse_prune(
    option: Mapping[str, Any] | None, zone: bytes, problems: list[Problem]
) -> Prune | None:
    """Read the option ``prune``."""
    if option is None:
        return None
    below = zone
    try:
        below = names.parse(str(option["below"]), zone)
        if not names.is_below(below, zone):
            problems.append(Problem("prune.below", f"is not in the zone {names.render(zone)}"))
    except names.NameProblem as cause:
        problems.append(Problem("prune.below", f"{fields.shortened(str(option['below']))} {cause}"))
    types = option["types"]
    if not types:
        problems.append(Problem("prune.types", "is an empty list"))
    rdtypes = set()
    for text in types:
        try:
            rdtypes.add(own_type(text))
        except fields.DataProblem as cause:
            problems.append(Problem("prune.types", str(cause)))
    return Prune(below, frozenset(rdtypes))


def own_type(text: str) -> int:
    """Return the number of a type that users may set.

    :raises DataProblem: saying what is wrong.
    """
    rdtype = rdata.type_number(text)
    if rdtype in SERVERS_OWN_TYPES:
        raise fields.DataProblem(
            f"{fields.shortened(text)} is a type that the servers keep themselves"
        )
    return rdtype
