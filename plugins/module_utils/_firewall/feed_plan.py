# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a publisher delivered to what becomes of the copy of a feed. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._core.errors import DebvisorError, Unreachable
from .._core.limits import OPTION, exceeds
from .._core.plan import Action, Difference, Plan
from . import blocklist, feed, lists, networks
from .feed import BadFeed, Record, Trouble
from .feed_options import Wanted

SHOWN_FAULTS = 20
SAMPLE = 20
"""Entries that a diff shows of those that came, and of those that went."""


class TooOld(DebvisorError):
    """The copy could not be refreshed for longer than is allowed."""


class Spool(Protocol):
    """Content on its way."""

    size: int

    @property
    def sha256(self) -> str: ...

    def write(self, block: bytes) -> None: ...

    def blocks(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """New content that was found fit: what the copy and its record will be."""

    content: Spool
    reading: lists.Reading
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The copy, where it is a good one of this very feed, and what the publisher said now.

    Neither ``delivery`` nor ``trouble`` means that the copy is the present one. ``present`` holds the networks of the
    copy, where they are to be compared with those of a delivery.
    """

    now: int
    held: Record | None
    delivery: Delivery | None = None
    trouble: DebvisorError | None = None
    present: Mapping[networks.Family, frozenset[int]] | None = None


@dataclass(frozen=True, slots=True)
class WriteCopy:
    """Write what was delivered, and the record of it."""

    delivery: Delivery
    record: Record


@dataclass(frozen=True, slots=True)
class FeedPlan(Plan):
    """A plan with the record that is to lie beside the copy."""

    record: Record | None = None


def planned(observed: Observed, wanted: Wanted) -> FeedPlan:
    """Return what is to be done about what the publisher said; pure.

    :raises DebvisorError: where there is no good copy, or it is too old.
    """
    if observed.trouble:
        return _keeping(observed, observed.trouble, wanted)
    if observed.delivery:
        return _replacing(observed, observed.delivery, wanted)
    held = observed.held
    if held is None:
        raise Unreachable(
            f"{feed.shown(wanted.place)} says that nothing changed, and there is no copy",
            hint="Its server is at fault: it sends that answer unasked",
        )
    record = replace(held, confirmed=observed.now, trouble=None)
    return FeedPlan(record=record, facts=_facts("not_modified", record, observed.now))


def check_fit(wanted: Wanted, held: Record | None, reading: lists.Reading) -> None:
    """Refuse content that is wrong, empty, suspiciously small, or that no list may have.

    :raises BadFeed: saying which.
    """
    faults = reading.faults + (reading.notices if wanted.strict else [])
    if faults:
        told = [f"line {fault.line}: {fault.what}" for fault in faults[:SHOWN_FAULTS]]
        count = len(faults)
        more = f"; and {count - SHOWN_FAULTS} more" if count > SHOWN_FAULTS else ""
        lines = f"{'' if reading.whole else 'the first '}{reading.lines} lines"
        raise BadFeed(f"{count} of {lines} are wrong", why="; ".join(told) + more)
    if reading.count == 0:
        if not wanted.allow_empty:
            raise BadFeed(
                "it has no entries", hint="Where that can be right, say so with allow_empty"
            )
    elif held and reading.count < wanted.min_share * held.entries / 100:
        raise BadFeed(
            f"it shrank from {held.entries} to {reading.count} entries",
            why=f"less than {wanted.min_share:g} % of the last good copy is left",
            hint="Where that is right, run once with a lower min_share",
        )
    for family, column in reading.columns.items():
        found = networks.aggregate(family, column.keys)
        size = networks.size(found, family)
        if exceeds(size, blocklist.usable(family), wanted.max_share):
            raise BadFeed(
                f"it covers {blocklist.percent(family, size):.1f} % of all {family.title} addresses",
                why=f"{OPTION} is {wanted.max_share:g} %",
            )


def _keeping(observed: Observed, trouble: DebvisorError, wanted: Wanted) -> FeedPlan:
    """Keep the copy, loudly.

    :raises DebvisorError: where there is none, or it is too old.
    """
    place = feed.shown(wanted.place)
    if observed.held is None:
        raise type(trouble)(
            f"{place} returned no valid list, and no earlier copy exists",
            why=f"{trouble.what}: {trouble.why}" if trouble.why else trouble.what,
            hint=trouble.hint,
        ) from trouble
    held = observed.held
    age = observed.now - held.confirmed
    if age > wanted.max_age:
        raise TooOld(
            f"{wanted.dest} could not be refreshed for {_span(age)}; {_span(wanted.max_age)} are allowed",
            why=str(trouble),
        ) from trouble
    since = held.trouble.since if held.trouble else observed.now
    record = replace(held, trouble=Trouble(since, str(trouble)))
    facts = {**_facts("kept", record, observed.now), "reason": str(trouble)}
    warning = f"{place} returned no valid list; the copy of {_span(age)} ago is kept: {trouble}"
    return FeedPlan(record=record, facts=facts, warnings=(warning,))


def _replacing(observed: Observed, delivery: Delivery, wanted: Wanted) -> FeedPlan:
    reading = delivery.reading
    record = Record(
        origin=wanted.origin,
        sha256=delivery.content.sha256,
        entries=reading.count,
        fetched=observed.now,
        confirmed=observed.now,
        etag=delivery.etag,
        last_modified=delivery.last_modified,
    )
    new = networks_of(reading)
    old = observed.present or dict.fromkeys(networks.FAMILIES, frozenset())
    came = {family: new[family] - old[family] for family in networks.FAMILIES}
    went = {family: old[family] - new[family] for family in networks.FAMILIES}
    counts = {"added": sum(map(len, came.values())), "removed": sum(map(len, went.values()))}
    had = None if observed.present is None else sum(map(len, old.values()))
    effect = f"entries: {reading.count}, networks that came: {counts['added']}, that went: {counts['removed']}"
    return FeedPlan(
        before={"networks": had},
        after={"networks": sum(map(len, new.values()))},
        actions=(Action("write", wanted.dest, effect, payload=WriteCopy(delivery, record)),),
        differences=(Difference(wanted.dest, _sample(went), _sample(came)),),
        facts={**_facts("fetched", record, observed.now), **counts},
        record=record,
    )


def networks_of(reading: lists.Reading) -> dict[networks.Family, frozenset[int]]:
    return {family: frozenset(column.keys) for family, column in reading.columns.items()}


def _sample(by_family: Mapping[networks.Family, frozenset[int]]) -> str:
    """Return the first of some networks as lines, and how many there are."""
    lines = [
        networks.text(family, key)
        for family, keys in by_family.items()
        for key in heapq.nsmallest(SAMPLE, keys)
    ][:SAMPLE]
    count = sum(map(len, by_family.values()))
    more = [f"... and {count - len(lines)} more"] if count > len(lines) else []
    return "".join(f"{line}\n" for line in [*lines, *more])


def _facts(outcome: str, record: Record, now: int) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "entries": record.entries,
        "sha256": record.sha256,
        "age": max(0, now - record.confirmed),
    }


def _span(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
