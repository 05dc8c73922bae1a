# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an address is blocked: from the store and the book, without asking nft, which would list a million elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import networks
from .bans import Book
from .networks import Family
from .store import ALLOW, KeptList, Store


def why(written: str, store: Store | None, book: Book, now: int) -> dict[str, Any]:
    """Return whether packets from an address are dropped, and by what.

    :raises ValueError: where it is no address.
    """
    written = networks.unmapped(written)  # daemons that listen on both families log IPv4 that way
    family, number = networks.family_of(written), networks.address(written)
    bans = list(_bans(family, number, book, now))
    lists = list(_lists(family, number, store)) if store else []
    allowed = [each for each in lists if each["kind"] == ALLOW]
    blocking = bans + [each for each in lists if each["kind"] != ALLOW]
    return {
        "address": networks.address_text(family, number),
        "blocked": bool(blocking),
        "by": blocking,
        "allowed_by": allowed,
    }


def _bans(family: Family, number: int, book: Book, now: int) -> Iterator[dict[str, Any]]:
    for length in range(family.bits, -1, -1):
        base = number & ~family.spans[length]
        ban = book.get(networks.text(family, networks.key(base, length)))
        if ban is not None and not ban.ended(now):
            yield {
                "kind": "ban",
                "network": ban.network,
                "since": ban.since,
                "until": ban.until or None,
                "reason": ban.reason,
                "requester": ban.requester,
                "source": ban.source,
            }


def _lists(family: Family, number: int, store: Store) -> Iterator[dict[str, Any]]:
    for each in store.lists:
        found = _element(family, number, each)
        if found is None:
            continue
        network, since = found
        entries = each.entries.get(family)
        meeting = entries.meeting(networks.key(number, family.bits)) if entries else ()
        yield {
            "kind": each.action,
            "list": each.name,
            "network": networks.text(family, network),
            "since": since,
            "entries": [
                {
                    "network": networks.text(family, entry),
                    "source": each.sources[source]["where"],
                    "line": line,
                }
                for entry, source, line in meeting
            ],
        }


def _element(family: Family, number: int, each: KeptList) -> tuple[int, int] | None:
    """Return the element of the list's sets that an address is in, and since when it is there."""
    for length, content in each.sets.get(family, {}).items():
        base = number & ~family.spans[length]
        place = content.addresses.place(base.to_bytes(family.bytes, "big"))
        if place is not None:
            return networks.key(base, length), content.since[place]
    return None
