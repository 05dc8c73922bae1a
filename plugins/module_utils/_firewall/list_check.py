# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong or odd in lists of addresses, where, and what the lists come to."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import networks
from .blocklist import percent
from .lists import Reading
from .networks import FAMILIES, Family

FAULT, HOST_BITS, DUPLICATE, OVERLAP = "fault", "host_bits", "duplicate", "overlap"


@dataclass(frozen=True, slots=True)
class Source:
    """A list, by its name."""

    name: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one line. Only a fault keeps a list from being loaded; the other kinds are notices."""

    file: str
    line: int
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Total:
    """What is blocked of one family in the end, and how many of its networks have which prefix length."""

    networks: int
    addresses: int
    percent: float
    lengths: dict[int, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, by file and line, and what is blocked in the end, by family."""

    findings: tuple[Finding, ...]
    totals: dict[str, Total]

    def fails(self, *, strict: bool) -> bool:
        """Return whether there is a fault, or, where ``strict``, anything at all."""
        return any(strict or finding.kind == FAULT for finding in self.findings)

    def public(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "effective": {name: asdict(total) for name, total in self.totals.items()},
        }


class _Merged:
    """The networks of several lists in one order: by network, then by list and line."""

    def __init__(self, sources: Sequence[Source], family: Family) -> None:
        written: list[int] = []
        self._lines = array("I")
        self._names = [source.name for source in sources]
        self._starts: list[int] = []
        for source in sources:
            column = source.reading.columns[family]
            self._starts.append(len(written))
            written += column.keys
            self._lines.extend(column.lines)
        self._order = networks.places_in_order(family, written)
        self.keys = [written[place] for place in self._order]

    def where(self, place: int) -> tuple[str, int]:
        """Return file and line of a network, by its place in ``keys``."""
        written = self._order[place]
        return self._names[bisect_right(self._starts, written) - 1], self._lines[written]

    def first(self, key: int) -> int:
        """Return the place of a network that is among ``keys``."""
        return bisect_left(self.keys, key)


def check(block: Sequence[Source], allow: Sequence[Source]) -> Report:
    """Look at lists together, as they would be loaded."""
    findings: list[Finding] = []
    totals: dict[str, Total] = {}
    for source in (*block, *allow):
        findings += _alone(source)
    for family in FAMILIES:
        blocked, allowed = _Merged(block, family), _Merged(allow, family)
        findings += _duplicates(family, blocked)
        findings += _duplicates(family, allowed)
        findings += _overlaps(family, blocked, allowed)
        totals[family.name] = _total(family, blocked, allowed)
    files = {source.name: number for number, source in enumerate((*block, *allow))}
    findings.sort(key=lambda finding: (files[finding.file], finding.line))
    return Report(tuple(findings), totals)


def _alone(source: Source) -> Iterator[Finding]:
    for fault in source.reading.faults:
        yield Finding(source.name, fault.line, FAULT, fault.what)
    if not source.reading.whole:
        what = "is the last line that was read, because so many before it are wrong"
        yield Finding(source.name, source.reading.lines, FAULT, what)
    for notice in source.reading.notices:
        yield Finding(source.name, notice.line, HOST_BITS, notice.what)


def _duplicates(family: Family, merged: _Merged) -> Iterator[Finding]:
    first = 0
    for place, key in enumerate(merged.keys):
        if key != merged.keys[first]:
            first = place
        elif place != first:
            name, line = merged.where(first)
            what = f"{networks.text(family, key)} is in {name}:{line} already"
            yield Finding(*merged.where(place), DUPLICATE, what)


def _overlaps(family: Family, blocked: _Merged, allowed: _Merged) -> Iterator[Finding]:
    outermost = networks.without_nested(family, blocked.keys)
    for place, key in enumerate(allowed.keys):
        hit = networks.finds(family, outermost, key)
        if hit is not None:
            name, line = blocked.where(blocked.first(hit))
            what = (
                f"{networks.text(family, key)} is allowed, and {name}:{line} blocks"
                f" {networks.text(family, hit)}; it stays allowed"
            )
            yield Finding(*allowed.where(place), OVERLAP, what)


def _total(family: Family, blocked: _Merged, allowed: _Merged) -> Total:
    """Reckon as nft_blocklist does for one list of all that is blocked."""
    holes = networks.ungroup(networks.aggregate(family, allowed.keys))
    by_length = networks.effective(family, blocked.keys, holes)
    lengths = {length: len(found) for length, found in by_length.items()}
    addresses = networks.size(by_length, family)
    return Total(sum(lengths.values()), addresses, percent(family, addresses), lengths)
