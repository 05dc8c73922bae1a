# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is blocked, what it hit, and how fresh its feeds are, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .feed import Record
from .networks import FAMILIES
from .store import Store

PREFIX = "debvisor"
Labels = Mapping[str, str]
Samples = Sequence[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it stands. ``record`` is None where there is no copy; ``max_age`` is what it may be, in seconds."""

    name: str
    record: Record | None
    max_age: float

    def fails(self, now: float) -> bool:
        """Tell whether what is in force is not what its publisher has."""
        record = self.record
        return record is None or record.trouble is not None or now - record.confirmed > self.max_age


@dataclass(frozen=True, slots=True)
class Hits:
    """What one list dropped of one family since its counter was made."""

    list: str
    family: str
    packets: int
    bytes: int

    @property
    def labels(self) -> Labels:
        return {"list": self.list, "family": self.family}


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


def text(
    store: Store | None,
    counted: Sequence[Hits],
    banned: int,
    feeds: Sequence[Feed],
    now: float,
) -> str:
    """Return all of it.

    :param store: the lists that are in force.
    :param banned: how many networks are banned now.
    """
    entries = [
        ({"list": each.name, "family": family.name}, each.count(family))
        for each in (store.lists if store else [])
        for family in FAMILIES
    ]
    families: list[tuple[str, str, str, Samples]] = [
        ("blocklist_entries", "gauge", "Networks of a list that are in force.", entries),
        (
            "blocklist_hit_packets_total",
            "counter",
            "Packets that a list dropped.",
            [(each.labels, each.packets) for each in counted],
        ),
        (
            "blocklist_hit_bytes_total",
            "counter",
            "Bytes of these packets.",
            [(each.labels, each.bytes) for each in counted],
        ),
        ("blocked_ips", "gauge", "Networks that are banned now.", [({}, banned)]),
        (
            "blocklist_feed_confirmed_timestamp_seconds",
            "gauge",
            "When the publisher last confirmed the copy of a feed, in seconds since 1970; 0 is never.",
            [({"feed": each.name}, each.record.confirmed if each.record else 0) for each in feeds],
        ),
        (
            "blocklist_feed_entries",
            "gauge",
            "Entries of the copy of a feed.",
            [({"feed": each.name}, each.record.entries if each.record else 0) for each in feeds],
        ),
        (
            "blocklist_feed_failing",
            "gauge",
            "Whether a feed failed, so that an older copy of it is kept, or there is none.",
            [({"feed": each.name}, int(each.fails(now))) for each in feeds],
        ),
    ]
    return "".join(
        f"# HELP {PREFIX}_{name} {told}\n# TYPE {PREFIX}_{name} {kind}\n"
        + "".join(f"{PREFIX}_{name}{_labels(labels)} {value}\n" for labels, value in samples)
        for name, kind, told, samples in families
    )


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
