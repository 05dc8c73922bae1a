# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bans: networks that are cut off now, by a requester, for a reason, and as a rule until some time.

They have a table of their own, ``inet debvisor_bans``, with small sets whose elements the kernel itself drops when
their time is over. It comes before connection tracking, so that a ban ends open connections, too. The book of bans, a
file, knows why and by whom, and is what they are loaded from at boot, with the time that they have left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._core.errors import DebvisorError
from . import blocklist, networks
from .networks import FAMILIES, Family, address_text, split_key

FAMILY, TABLE = "inet", "debvisor_bans"
OWNER = "debvisor.hci bans"
CHAIN = "prerouting"
FORMAT = 1
LONGEST = 3650 * 86400
"""Seconds of the longest ban that ends."""
WIDEST = {"v4": 8, "v6": 16}
"""The shortest prefix that may be banned. What is wider belongs into a list, which is checked against max_share."""

_TTL = re.compile(r"(\d{1,12})([smhdw]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class BookTorn(DebvisorError):
    """The book of bans is not ours, or was damaged."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban. Times are in seconds since 1970; ``until`` is 0 for one without end."""

    network: str
    since: int
    until: int
    reason: str = ""
    requester: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[Family, int]:
        """The network as family and key."""
        return networks.parse(self.network)

    def ended(self, now: int) -> bool:
        """Return whether its time is over."""
        return bool(self.until) and self.until <= now


Book = dict[str, Ban]
"""Bans by their network, written in the one canonical way."""


def seconds(ttl: str) -> int:
    """Return how long ``90``, ``15m``, ``2h``, ``7d`` or ``1w`` is; ``forever`` is 0.

    :raises ValueError: where it is none of these, or too long.
    """
    if ttl == "forever":
        return 0
    found = _TTL.fullmatch(ttl)
    length = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < length <= LONGEST:
        raise ValueError(
            f"{ttl!r} is not a time such as 90, 15m, 2h or 7d, up to {LONGEST // 86400} days, nor forever"
        )
    return length


def active(book: Book, now: int) -> Book:
    """Return the bans whose time is not over."""
    return {network: ban for network, ban in book.items() if not ban.ended(now)}


def encode(book: Book) -> bytes:
    """Return the book as the file holds it."""
    bans = [asdict(ban) for dummy, ban in sorted(book.items())]
    return json.dumps({"format": FORMAT, "bans": bans}, indent=1).encode() + b"\n"


def decode(content: bytes, where: str) -> Book:
    """Read the file.

    :raises BookTorn: where it is not what :func:`encode` wrote.
    """
    try:
        parsed: Mapping[str, Any] = json.loads(content)
        if parsed["format"] != FORMAT:
            raise ValueError(f"format {parsed['format']!r}, expected {FORMAT}")
        bans = [Ban(**each) for each in parsed["bans"]]
        for ban in bans:
            if not (isinstance(ban.since, int) and isinstance(ban.until, int)):
                raise ValueError(f"the times of {ban.network} are no numbers")
        return {networks.text(*ban.key): ban for ban in bans}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise BookTorn(
            f"{where} is no book of bans, or is damaged",
            why=str(cause),
            hint="Fix it, or remove it and ban again what has to be banned",
        ) from cause


Sets = dict[tuple[Family, int], list[Ban]]


def sets(book: Book) -> Sets:
    """Sort bans into the sets that hold them, by family and prefix length."""
    found: Sets = {}
    for ban in book.values():
        family, key = ban.key
        found.setdefault((family, split_key(key)[1]), []).append(ban)
    return found


def set_name(family: Family, length: int) -> str:
    """Return the name of the set for one family and prefix length."""
    return f"{family.name}_{length}"


def rules(kinds: Iterable[tuple[Family, int]]) -> list[str]:
    """Return the rules of the chain for sets of these families and prefix lengths."""
    written = ["iif lo accept"]
    for family in FAMILIES:
        for length in sorted((length for each, length in kinds if each is family), reverse=True):
            match = (
                f"{family.field} saddr{blocklist.mask(family, length)} @{set_name(family, length)}"
            )
            written.append(f"{match} counter name bans_{family.name} drop")
    return written


def whole(book: Book, now: int, counts: blocklist.Counts) -> Iterator[str]:
    """Yield a script that makes the table anew, whatever was there, and keeps what was counted."""
    held = sets(book)
    yield f"table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n"
    yield f'table {FAMILY} {TABLE} {{\n\tcomment "{OWNER}"\n'
    for family in FAMILIES:
        packets, size = counts.get(f"bans_{family.name}", (0, 0))
        yield f"\tcounter bans_{family.name} {{ packets {packets} bytes {size} }}\n"
    for family, length in held:
        yield f"\tset {set_name(family, length)} {{ type {family.type}; flags timeout; }}\n"
    yield f"\tchain {CHAIN} {{\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
    for rule in rules(held):
        yield f"\t\t{rule}\n"
    yield "\t}\n}\n"
    for (family, length), bans in held.items():
        yield from _elements("add", family, length, bans, now)


def difference(old: Book, new: Book, now: int) -> Iterator[str]:
    """Yield a script that takes the table from one book to the other, and holds nothing but the difference."""
    table = f"{FAMILY} {TABLE}"
    before, after = sets(old), sets(new)
    for family, length in after:
        if (family, length) not in before:
            yield f"add set {table} {set_name(family, length)} {{ type {family.type}; flags timeout; }}\n"
    for (family, length), bans in after.items():
        known = before.get((family, length), [])
        gone = [ban for ban in known if new.get(ban.network) != ban]
        come = [ban for ban in bans if old.get(ban.network) != ban]
        yield from _elements("destroy", family, length, gone, now)
        yield from _elements("add", family, length, come, now)
    if before.keys() != after.keys():
        yield f"flush chain {table} {CHAIN}\n"
        for rule in rules(after):
            yield f"add rule {table} {CHAIN} {rule}\n"
    for family, length in before:
        if (family, length) not in after:
            yield f"delete set {table} {set_name(family, length)}\n"


def _elements(
    verb: str, family: Family, length: int, bans: Sequence[Ban], now: int
) -> Iterator[str]:
    for start in range(0, len(bans), blocklist.AT_ONCE):
        some = ", ".join(
            _element(ban, now if verb == "add" else None)
            for ban in bans[start : start + blocklist.AT_ONCE]
        )
        yield f"{verb} element {FAMILY} {TABLE} {set_name(family, length)} {{ {some} }}\n"


def _element(ban: Ban, now: int | None) -> str:
    family, key = ban.key
    written = address_text(family, split_key(key)[0])
    if not ban.until or now is None:
        return written
    days, rest = divmod(ban.until - now, 86400)
    return f"{written} timeout {f'{days}d' if days else ''}{rest}s"  # nft takes no number of more than 8 digits


def removal() -> str:
    """Return a script that removes the table, where it is there."""
    return f"destroy table {FAMILY} {TABLE}\n"


@dataclass(frozen=True, slots=True)
class Listed:
    """What the kernel says of the table: whose it is, which networks are in it, and whether its rules are ours."""

    ours: bool
    networks: frozenset[str]
    verdicts: tuple[str, ...]
    counts: dict[str, tuple[int, int]]


def listed(items: Sequence[Mapping[str, Any]]) -> Listed:
    """Read what the kernel's table holds, elements included."""
    parsed = blocklist.listed(items, OWNER)
    found: set[str] = set()
    for item in items:
        if "set" in item:
            length = item["set"]["name"].rpartition("_")[2]
            for element in item["set"].get("elem", []):
                value = element["elem"]["val"] if isinstance(element, dict) else element
                found.add(_network(f"{value}/{length}"))
    ends = [item["rule"]["expr"][-1] for item in items if "rule" in item]
    verdicts = tuple(verdict for end in ends for verdict in end)
    return Listed(parsed.ours, frozenset(found), verdicts, parsed.counts)


def _network(written: str) -> str:
    """Return a network in its one form; what is none, and so not of ours, as it is."""
    try:
        return networks.text(*networks.parse(written))
    except ValueError:
        return written


def verdicts(kinds: Iterable[tuple[Family, int]]) -> tuple[str, ...]:
    """Return what the rules come to, one after the other, as :class:`Listed` has it."""
    return tuple(rule.rpartition(" ")[2] for rule in rules(kinds))
