# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of the lists comes to, for people: counts, differences, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from .._core.plan import Difference
from . import networks, protection
from .blocklist import SetChange
from .networks import FAMILIES
from .packed import Packed
from .protection import Protected
from .store import BLOCK, Store

MOST_PROBLEMS = 1000
MOST_MET = 100
"""Entries that are reported for one protected network."""
SAMPLE = 50
"""Networks of one list that a diff shows. Further ones are counted."""


def added(changes: Iterable[SetChange]) -> int:
    return sum(len(each.added) for each in changes)


def removed(changes: Iterable[SetChange]) -> int:
    return sum(len(each.removed) for each in changes)


def differences(changes: Sequence[SetChange]) -> Iterator[Difference]:
    for name in dict.fromkeys(each.listed_in for each in changes):
        own = [each for each in changes if each.listed_in == name]
        yield Difference(
            f"list {name}",
            _sample([(each.removed, each.length) for each in own]),
            _sample([(each.added, each.length) for each in own]),
        )


def _sample(some: Sequence[tuple[Packed, int]]) -> str:
    shown = islice(
        (f"{text}/{length}\n" for packed, length in some for text in packed.texts()), SAMPLE
    )
    more = sum(len(packed) for packed, length in some) - SAMPLE
    return "".join(shown) + (f"... and {more} more\n" if more > 0 else "")


def summary(store: Store | None) -> dict[str, Any]:
    if store is None:
        return {}
    return {
        each.name: {family.name: each.count(family) for family in FAMILIES} for each in store.lists
    }


def protected_met(store: Store, secured: Sequence[Protected]) -> list[dict[str, Any]]:
    """Return where the lists name what is protected, or something around it or in it."""
    return [
        {
            "list": each.name,
            "network": networks.text(one.family, network),
            "source": each.sources[source]["where"],
            "line": line,
            "protected": one.text,
            "why": one.why,
        }
        for each in store.lists
        if each.action == BLOCK
        for one in secured
        if one.family in each.entries and one.text not in protection.ALWAYS
        for network, source, line in islice(each.entries[one.family].meeting(one.key), MOST_MET)
    ]


def facts(store: Store, met: Sequence[Mapping[str, Any]], notices: Sequence[str]) -> dict[str, Any]:
    return {
        "lists": [
            {
                "name": each.name,
                "action": each.action,
                "sources": each.sources,
                "elements": {family.name: each.count(family) for family in FAMILIES},
                "prefix_lengths": {
                    family.name: sorted(each.sets.get(family, {})) for family in FAMILIES
                },
            }
            for each in store.lists
        ],
        "protected_met": list(met),
        "notices": list(notices[:MOST_PROBLEMS]),
    }


def warnings(met: Sequence[Mapping[str, Any]], notices: Sequence[str]) -> Iterator[str]:
    for each in met[:20]:
        yield (
            f"{each['list']} lists {each['network']} ({each['source']}:{each['line']}), which would block"
            f" {each['protected']}, {each['why']}; that stays reachable"
        )
    if len(met) > 20:
        yield f"... and {len(met) - 20} more networks of the lists would block what is protected"
    if notices:
        yield f"{len(notices)} lines may not be meant as they are written; the first: {notices[0]}"
