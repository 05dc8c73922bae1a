# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table ``inet debvisor_blocklist`` as scripts for nft(8): whole, or as the difference to what is in force.

One hash set a list, family and prefix length, matched by ``ip saddr & MASK @set``. A single interval set would be
shorter, and would make every change on the host wait: with a million intervals, nft takes a minute to add one element.

An empty chain named after the content's fingerprint goes in with the same transaction as the elements. By it, a later
run knows that the kernel holds what the store says, without listing a million elements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .._core.errors import Conflict
from .networks import FAMILIES, V6, Family, address_text
from .packed import Packed
from .store import ALLOW, KeptList, Store

FAMILY, TABLE = "inet", "debvisor_blocklist"
OWNER = "debvisor.hci blocklist"
CHAIN = "prerouting"
MARK = "content_"
AT_ONCE = 2048
"""Elements in one command. nft keeps a whole command in memory, the kernel takes the whole script as one."""

Counts = Mapping[str, tuple[int, int]]
"""Packets and bytes by the counter's name."""


def set_name(name: str, family: Family, length: int) -> str:
    """Return the name of the set for one list, family and prefix length."""
    return f"{name}_{family.name}_{length}"


def counter_name(name: str, family: Family) -> str:
    """Return the name of the counter for one list and family."""
    return f"{name}_{family.name}"


@dataclass(frozen=True, slots=True)
class SetChange:
    """What one set gains and loses."""

    name: str
    listed_in: str
    length: int
    added: Packed
    removed: Packed


def rules(lists: Sequence[KeptList]) -> list[str]:
    """Return the rules of the chain. What is allowed comes first; then each list in its order."""
    written = ["iif lo accept", "ct state established,related accept"]
    for action in (ALLOW, ""):
        for each in lists:
            if (each.action == ALLOW) is not (action == ALLOW):
                continue
            for family in FAMILIES:
                for length in sorted(each.sets.get(family, {}), reverse=True):
                    match = f"{family.field} saddr{mask(family, length)} @{set_name(each.name, family, length)}"
                    written.append(f"{match} {_verdict(each, family)}")
    return written


def mask(family: Family, length: int) -> str:
    """Return what takes an address to its network of that length, as a rule says it; nothing for whole addresses."""
    if length == family.bits:
        return ""
    return f" & {address_text(family, ((1 << family.bits) - 1) & ~family.spans[length])}"


def _verdict(each: KeptList, family: Family) -> str:
    if each.action == ALLOW:
        return "accept"
    return f"counter name {counter_name(each.name, family)} drop"


def counters(lists: Sequence[KeptList]) -> list[str]:
    """Return the names of the counters that the rules use."""
    return [
        counter_name(each.name, family)
        for each in lists
        if each.action != ALLOW
        for family in FAMILIES
        if each.sets.get(family)
    ]


def _sets(lists: Sequence[KeptList]) -> dict[str, Packed]:
    return {
        set_name(each.name, family, length): content.addresses
        for each in lists
        for family in FAMILIES
        for length, content in sorted(each.sets.get(family, {}).items())
    }


def whole(store: Store, counts: Counts) -> Iterator[str]:
    """Yield a script that makes the table anew, whatever was there, and keeps what was counted."""
    yield f"table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n"
    yield f'table {FAMILY} {TABLE} {{\n\tcomment "{OWNER}"\n'
    for name in counters(store.lists):
        packets, size = counts.get(name, (0, 0))
        yield f"\tcounter {name} {{ packets {packets} bytes {size} }}\n"
    for name, addresses in _sets(store.lists).items():
        yield f"\tset {name} {{ type {addresses.family.type}; }}\n"
    yield f"\tchain {MARK}{store.fingerprint} {{ }}\n"
    yield f"\tchain {CHAIN} {{\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
    for rule in rules(store.lists):
        yield f"\t\t{rule}\n"
    yield "\t}\n}\n"
    for name, addresses in _sets(store.lists).items():
        yield from _elements("add", name, addresses)


def difference(old: Store, new: Store, changes: Sequence[SetChange]) -> Iterator[str]:
    """Yield a script that takes the table from one content to the other, and holds nothing but the difference."""
    table = f"{FAMILY} {TABLE}"
    before, after = _sets(old.lists), _sets(new.lists)
    counted_before, counted_after = counters(old.lists), counters(new.lists)
    rewritten = rules(old.lists) != rules(new.lists)
    for name in counted_after:
        if name not in counted_before:
            yield f"add counter {table} {name}\n"
    for name, addresses in after.items():
        if name not in before:
            yield f"add set {table} {name} {{ type {addresses.family.type}; }}\n"
    for change in changes:
        if change.name in after:
            yield from _elements("destroy", change.name, change.removed)
            yield from _elements("add", change.name, change.added)
    if rewritten:
        yield f"flush chain {table} {CHAIN}\n"
        for rule in rules(new.lists):
            yield f"add rule {table} {CHAIN} {rule}\n"
    for name in before:
        if name not in after:
            yield f"delete set {table} {name}\n"
    for name in counted_before:
        if name not in counted_after:
            yield f"delete counter {table} {name}\n"
    if old.fingerprint != new.fingerprint:
        yield f"delete chain {table} {MARK}{old.fingerprint}\n"
        yield f"add chain {table} {MARK}{new.fingerprint}\n"


def _elements(verb: str, name: str, addresses: Packed) -> Iterator[str]:
    texts = addresses.texts()
    while some := ",".join(islice(texts, AT_ONCE)):
        yield f"{verb} element {FAMILY} {TABLE} {name} {{{some}}}\n"


def removal() -> str:
    """Return a script that removes the table, where it is there."""
    return f"destroy table {FAMILY} {TABLE}\n"


@dataclass(frozen=True, slots=True)
class Listed:
    """What the kernel says of a table, without its elements."""

    ours: bool
    fingerprint: str
    rules: str
    counts: dict[str, tuple[int, int]]


def listed(items: Sequence[Mapping[str, Any]], owner: str = OWNER) -> Listed:
    """Read what :meth:`_ports.nft.Nft.table` returns. ``rules`` digests what only a change of rules or sets changes."""
    comment, mark = "", ""
    counts: dict[str, tuple[int, int]] = {}
    sets: list[str] = []
    rules: list[str] = []
    for item in items:
        for kind, described in item.items():
            if kind == "table":
                comment = described.get("comment", "")
            elif kind == "chain" and described["name"].startswith(MARK):
                mark = described["name"].removeprefix(MARK)
            elif kind == "counter":
                counts[described["name"]] = (described["packets"], described["bytes"])
            else:
                lasting = {
                    key: described[key] for key in described if key not in ("handle", "elem")
                }
                (rules if kind == "rule" else sets).append(json.dumps(lasting, sort_keys=True))
    told_of = "\n".join(
        [*sorted(sets), *rules]
    )  # the order of sets is that of their making, and means nothing
    digest = hashlib.sha256(told_of.encode()).hexdigest()[:16]
    return Listed(comment.startswith(owner), mark, digest, counts)


def refuse_foreign(ours: bool, family: str, name: str, owner: str) -> None:
    """Stop at a table that has our name and is not ours.

    :raises Conflict: where it is not.
    """
    if not ours:
        raise Conflict(
            f"the table {family} {name} belongs to another program",
            why=f"its comment does not begin with {owner!r}",
            hint=f"See what it is (nft list table {family} {name}), and remove it if it is not needed",
        )


def usable(family: Family) -> int:
    """Return how many addresses there are; of IPv6, of what is in use (2000::/3, RFC 4291)."""
    return 1 << (family.bits - (3 if family is V6 else 0))


def percent(family: Family, addresses: int) -> float:
    """Return how many percent of the address space so many addresses are."""
    return addresses * 100 / float(usable(family))
