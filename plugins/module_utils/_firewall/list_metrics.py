# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is blocked, what it hit, and how fresh its feeds are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core.metrics import Family, sample, single
from .feed import Record
from .networks import FAMILIES
from .store import Store


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it stands. ``record`` is None where there is no copy; ``max_age`` is what it may be, in seconds."""

    name: str
    record: Record | None
    max_age: float

    def fails(self, now: float) -> bool:
        """Return whether what is in force is not what its publisher has."""
        record = self.record
        return record is None or record.trouble is not None or now - record.confirmed > self.max_age


@dataclass(frozen=True, slots=True)
class Hits:
    """What one list dropped of one family since its counter was made."""

    list: str
    family: str
    packets: int
    bytes: int


def hits(listed: Iterable[Mapping[str, Any]]) -> list[Hits]:
    """Return the counters of one of our tables, as nft lists it; they are called ``<list>_<family>``."""
    found = []
    for item in listed:
        counter = item.get("counter")
        if counter is None:
            continue
        name, cut, family = counter["name"].rpartition("_")
        if cut and family in {each.name for each in FAMILIES}:
            found.append(Hits(name, family, counter["packets"], counter["bytes"]))
    return found


def families(
    store: Store | None,
    counted: Sequence[Hits],
    banned: int,
    feeds: Sequence[Feed],
    now: float,
) -> list[Family]:
    """Return all of it.

    :param store: the lists that are in force.
    :param banned: how many networks are banned now.
    """
    entries = [
        sample(each.count(family), list=each.name, family=family.name)
        for each in (store.lists if store else [])
        for family in FAMILIES
    ]
    return [
        Family(
            "debvisor_blocklist_entries", "gauge", "Networks of a list that are in force.", entries
        ),
        Family(
            "debvisor_blocklist_hit_packets_total",
            "counter",
            "Packets that a list dropped.",
            [sample(each.packets, list=each.list, family=each.family) for each in counted],
        ),
        Family(
            "debvisor_blocklist_hit_bytes_total",
            "counter",
            "Bytes of these packets.",
            [sample(each.bytes, list=each.list, family=each.family) for each in counted],
        ),
        single("debvisor_blocked_ips", "gauge", "Networks that are banned now.", banned),
        Family(
            "debvisor_blocklist_feed_confirmed_timestamp_seconds",
            "gauge",
            "When the publisher last confirmed the copy of a feed, in seconds since 1970; 0 is never.",
            [sample(each.record.confirmed if each.record else 0, feed=each.name) for each in feeds],
        ),
        Family(
            "debvisor_blocklist_feed_entries",
            "gauge",
            "Entries of the copy of a feed.",
            [sample(each.record.entries if each.record else 0, feed=each.name) for each in feeds],
        ),
        Family(
            "debvisor_blocklist_feed_failing",
            "gauge",
            "Whether a feed failed, so that an older copy of it is kept, or there is none.",
            [sample(int(each.fails(now)), feed=each.name) for each in feeds],
        ),
    ]
