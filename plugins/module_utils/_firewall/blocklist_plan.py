# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the lists say to what is dropped: less what is allowed and protected. Pure."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from .._core.errors import InvalidInput, Problem
from .._core.limits import OPTION, exceeds
from .._core.plan import Action, Plan
from . import blocklist, networks, protection
from . import blocklist_report as report
from .blocklist import FAMILY, TABLE, Listed, SetChange
from .blocklist_options import Wanted, WantedList
from .list_sources import Source, allowed_digest
from .networks import FAMILIES, ByLength, Family
from .packed import Packed, change, pack
from .protection import Protected
from .store import ALLOW, BLOCK, PROTECTED, Content, KeptList, Store, fingerprint, indexed


@dataclass(frozen=True, slots=True)
class Observed:
    """What is in force, and what the lists hold now."""

    table: Listed | None
    store: Store | None
    sources: Mapping[str, Sequence[Source]]
    protected: tuple[Protected, ...]
    client: str | None
    now: int
    beyond: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether the kernel has what the store says."""
        return (
            self.table is not None
            and self.store is not None
            and self.table.fingerprint == self.store.fingerprint
            and self.table.rules == self.store.rules
        )


@dataclass(frozen=True, slots=True)
class LoadTable:
    """Load elements, and where need be the whole table, into the kernel."""

    script: Iterable[str]


@dataclass(frozen=True, slots=True)
class RemoveTable:
    """Remove the table."""


@dataclass(frozen=True, slots=True)
class KeepStore:
    """Write what is in force."""

    store: Store


@dataclass(frozen=True, slots=True)
class ForgetStore:
    """Remove what is kept."""


def planned(observed: Observed, wanted: Wanted, store: str) -> Plan:
    """Return the steps from what is in force to what the lists hold; pure."""
    if not wanted.present:
        return _absence(observed)
    new, notices = _computed(observed, wanted)
    old = observed.store or Store()
    met = report.protected_met(new, observed.protected)
    facts = report.facts(new, met, notices)
    changes = list(_changes(old, new))
    same = old.fingerprint == new.fingerprint and blocklist.rules(old.lists) == blocklist.rules(
        new.lists
    )
    actions = []
    if wanted.rebuild or not observed.agree:
        counts = observed.table.counts if observed.table else {}
        script = blocklist.whole(new, counts)
        actions.append(Action("load", f"{FAMILY} {TABLE}", "made anew", payload=LoadTable(script)))
    elif not same:
        effect = f"{report.added(changes)} added, {report.removed(changes)} removed"
        script = blocklist.difference(old, new, changes)
        actions.append(Action("load", f"{FAMILY} {TABLE}", effect, payload=LoadTable(script)))
    if actions or old.inputs != new.inputs:
        actions.append(
            Action(
                "keep", store, "what is in force, and where it was written", payload=KeepStore(new)
            )
        )
    return Plan(
        before=report.summary(observed.store),
        after=report.summary(new),
        actions=tuple(actions),
        differences=list(report.differences(changes)),
        warnings=(
            *report.warnings(met, notices),
            *(observed.beyond if report.added(changes) else ()),
        ),
        facts={
            **facts,
            "added": report.added(changes),
            "removed": report.removed(changes),
        },
    )


def _absence(observed: Observed) -> Plan:
    actions = []
    if observed.table is not None:
        actions.append(
            Action("remove", f"{FAMILY} {TABLE}", "nothing is blocked", payload=RemoveTable())
        )
    if observed.store is not None:
        actions.append(Action("forget", "what was in force", payload=ForgetStore()))
    return Plan(before=report.summary(observed.store), after={}, actions=tuple(actions))


def _computed(observed: Observed, wanted: Wanted) -> tuple[Store, list[str]]:
    """Return what is to be in force, and notices about lines that may not be meant so.

    :raises InvalidInput: with every line that is wrong, and every list that covers too much.
    """
    problems: list[Problem] = []
    notices: list[str] = []
    for each in wanted.lists:
        for source in observed.sources[each.name]:
            if source.reading is None:
                continue
            problems += [
                Problem(source.place(fault.line), fault.what) for fault in source.reading.faults
            ]
            unsure = [
                Problem(source.place(notice.line), notice.what) for notice in source.reading.notices
            ]
            if wanted.strict:
                problems += unsure
            else:
                notices += [str(notice) for notice in unsure]
    _raise(problems)
    digests = {
        name: [source.sha256 for source in sources] for name, sources in observed.sources.items()
    }
    allowed = allowed_digest(wanted, digests, observed.protected)
    computed = {PROTECTED: _protected_list(observed)}
    holes = {
        family: networks.ungroup(found)
        for family, found in protection.by_length(observed.protected).items()
    }
    for each in sorted(wanted.lists, key=lambda each: each.action != ALLOW):
        sources = observed.sources[each.name]
        kept = observed.store.list(each.name) if observed.store else None
        if kept is not None and sources and not any(source.reading for source in sources):
            computed[each.name] = kept
        else:
            computed[each.name] = _list(each, sources, holes, allowed, kept, observed.now)
        if each.action == BLOCK:
            problems += _too_much(each, sources, computed[each.name], wanted.max_share)
        if each.action == ALLOW:
            holes = {
                family: _union(family, holes[family], computed[each.name]) for family in FAMILIES
            }
    _raise(problems)
    kept_lists = [computed[PROTECTED], *(computed[each.name] for each in wanted.lists)]
    # Not why something is protected: that comes and goes where the network stays.
    secured = sorted({each.text for each in observed.protected})
    listed = [[each.name, each.action, each.sources] for each in kept_lists[1:]]
    made_from = [secured, observed.client, listed]
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return Store(kept_lists, inputs, observed.now, fingerprint=fingerprint(kept_lists)), notices


def _raise(problems: list[Problem]) -> None:
    if not problems:
        return
    more = len(problems) - report.MOST_PROBLEMS
    shown = problems[: report.MOST_PROBLEMS]
    if more > 0:
        shown = [*shown, Problem("and", f"{more} more")]
    raise InvalidInput(shown, hint="Nothing was changed; correct the lists and run again")


def _union(family: Family, holes: Sequence[int], allowed: KeptList) -> list[int]:
    keys = [
        networks.key(int.from_bytes(content.addresses[place], "big"), length)
        for length, content in allowed.sets.get(family, {}).items()
        for place in range(len(content.addresses))
    ]
    return networks.ungroup(networks.aggregate(family, chain(holes, keys)))


def _protected_list(observed: Observed) -> KeptList:
    kept = observed.store.list(PROTECTED) if observed.store else None
    found = protection.by_length(observed.protected)
    reasons = {each.text: each.why for each in observed.protected}
    return KeptList(
        PROTECTED,
        ALLOW,
        [{"where": PROTECTED, "client": observed.client, "networks": reasons}],
        {family: _sets(family, found[family], kept, observed.now) for family in FAMILIES},
    )


def _list(
    each: WantedList,
    sources: Sequence[Source],
    holes: Mapping[Family, Sequence[int]],
    allowed: str,
    kept: KeptList | None,
    now: int,
) -> KeptList:
    readings = [source.reading for source in sources if source.reading is not None]
    made = KeptList(
        each.name,
        each.action,
        [
            {
                "where": source.where,
                "sha256": source.sha256,
                "lines": source.reading.lines if source.reading else 0,
                "networks": source.reading.count if source.reading else 0,
                "allowed": allowed,
            }
            for source in sources
        ],
    )
    for family in FAMILIES:
        columns = [reading.columns[family] for reading in readings]
        found = networks.effective(
            family,
            chain.from_iterable(column.keys for column in columns),
            holes[family] if each.action == BLOCK else (),
        )
        made.sets[family] = _sets(family, found, kept, now)
        made.entries[family] = indexed(family, columns)
    return made


def _sets(family: Family, found: ByLength, kept: KeptList | None, now: int) -> dict[int, Content]:
    """Make the contents of sets, and remember since when each network has been in one."""
    before = kept.sets.get(family, {}) if kept else {}
    made = {}
    for length, addresses in found.items():
        packed = pack(family, addresses)
        old = before.get(length)
        if old is None:
            made[length] = Content(packed, array("I", [now]) * len(packed))
        else:
            made[length] = Content(packed, change(old.addresses, old.since, packed, now).since)
    return made


def _too_much(
    each: WantedList, sources: Sequence[Source], made: KeptList, most: float
) -> Iterator[Problem]:
    for family in FAMILIES:
        sets = made.sets[family]
        size = sum(
            len(content.addresses) << (family.bits - length) for length, content in sets.items()
        )
        if exceeds(size, blocklist.usable(family), most):
            entries = made.entries[family]
            widest = bytes(entries.lengths).index(entries.used[0])
            key = networks.key(int.from_bytes(entries.addresses[widest], "big"), entries.used[0])
            place = sources[entries.sources[widest]].place(entries.lines[widest])
            yield Problem(
                each.option,
                f"{each.name} covers {blocklist.percent(family, size):.1f} % of all {family.title} addresses,"
                f" and {OPTION} is {most:g} %;"
                f" its widest network is {networks.text(family, key)} ({place})",
            )


def _changes(old: Store, new: Store) -> Iterator[SetChange]:
    """Yield what every set gains and loses, those that come and those that go included."""
    names = dict.fromkeys(each.name for each in chain(new.lists, old.lists))
    for name in names:
        was, becomes = old.list(name), new.list(name)
        if was is becomes:
            continue
        for family in FAMILIES:
            before = was.sets.get(family, {}) if was else {}
            after = becomes.sets.get(family, {}) if becomes else {}
            for length in sorted({*before, *after}):
                nothing = Content(Packed(family, b""), array("I"))
                first, then = before.get(length, nothing), after.get(length, nothing)
                found = change(first.addresses, first.since, then.addresses, 0)
                if len(found.added) or len(found.removed):
                    yield SetChange(
                        blocklist.set_name(name, family, length),
                        name,
                        length,
                        found.added,
                        found.removed,
                    )
