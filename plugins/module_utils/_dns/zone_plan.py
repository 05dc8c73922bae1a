# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is and what shall be, into changes. Pure."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .._core.errors import Problem
from . import names, rdata
from .record_sets import KEEPING, WRITER_LABEL, Aim, Prune, WantedSet
from .rrset import Change, Key, RRset, Sets

_NOTHING: frozenset[bytes] = frozenset()
_ADDRESSES = (rdata.A, rdata.AAAA)


@dataclass(frozen=True, slots=True)
class ZoneState:
    """A zone as observed. ``complete``: every record set in it is known, not only those asked for."""

    name: bytes
    serial: int
    sets: Sets = field(repr=False)
    complete: bool = True


def plan_zone(
    state: ZoneState, wanted: Sequence[WantedSet], prune: Prune | None, problems: list[Problem]
) -> list[Change]:
    """Return the changes that bring the zone from what it is to what is wanted, in the order of the options."""
    changes = []
    known = state.sets.get
    exactly = Aim.EXACTLY
    for item in wanted:
        name, kind, ttl, data, aim, _ptr, _position = item
        before = known((name, kind))
        if aim is exactly:
            if before is not None and before.data == data and before.ttl == ttl:
                continue
            after: RRset | None = RRset(ttl, data)
        else:
            after = _aimed(item, before)
            if after == before:
                continue
        changes.append(Change(name, kind, before, after))
    if prune is not None:
        changes += pruned(state, wanted, prune)
    _check_cnames(state, wanted, changes, problems)
    _check_cuts(state, wanted, changes, problems)
    return changes


def _aimed(item: WantedSet, before: RRset | None) -> RRset | None:
    held = before.data if before else _NOTHING
    if item.aim is Aim.AT_LEAST:
        return RRset(item.ttl, held | item.data)
    left = held - item.data
    if before is None or item.aim is Aim.GONE or not left:
        return None
    return RRset(before.ttl, left)


def pruned(state: ZoneState, wanted: Sequence[WantedSet], prune: Prune) -> list[Change]:
    """Remove what is in the scope and not listed. What belongs to the zone itself, or lies below a cut, stays."""
    listed = {(item.name, item.kind) for item in wanted}
    apex = state.sets.get((state.name, rdata.NS))
    servers = set(apex.data) if apex else set()
    for item in wanted:
        if (item.name, item.kind) == (state.name, rdata.NS) and item.aim in KEEPING:
            servers = servers | item.data if item.aim is Aim.AT_LEAST else set(item.data)
    cuts = {name for name, kind in state.sets if kind == rdata.NS and name != state.name}
    return [
        Change(name, kind, before, None)
        for (name, kind), before in sorted(state.sets.items())
        if kind in prune.kinds
        and (name, kind) not in listed
        and names.is_below(name, prune.below)
        and not (kind == rdata.NS and name == state.name)
        and not (kind == rdata.TXT and name == WRITER_LABEL + state.name)
        and not (kind in _ADDRESSES and name in servers)
        and not (cuts and _is_glue(name, state.name, cuts))
    ]


def _check_cuts(
    state: ZoneState,
    wanted: Sequence[WantedSet],
    changes: Iterable[Change],
    problems: list[Problem],
) -> None:
    """Find what would lie at or below a delegation. The server would take it, and never serve it."""
    delegated = {
        name: rrset
        for (name, kind), rrset in state.sets.items()
        if kind == rdata.NS and name != state.name
    }
    for change in changes:
        if change.kind == rdata.NS and change.name != state.name:
            if change.after is None:
                delegated.pop(change.name, None)
            else:
                delegated[change.name] = change.after
    if not delegated:
        return
    servers = {name: set(rrset.data) for name, rrset in delegated.items()}

    @functools.cache
    def cut_at_or_over(name: bytes) -> bytes | None:
        return name if name in servers else cut_over(name, state.name, servers)

    for item in wanted:
        if item.aim not in KEEPING:
            continue  # it goes from where nobody sees it
        if item.name in delegated and item.kind != rdata.NS:
            if item.kind not in _ADDRESSES or item.name not in servers[item.name]:
                problems.append(below_cut(item, item.name))
        elif (
            item.name != state.name
            and (cut := cut_at_or_over(names.parent(item.name)))  # few parents, many names
            and not is_glue_of(item, servers[cut])
        ):
            problems.append(below_cut(item, cut))


def cut_over(name: bytes, zone: bytes, cuts: Container[bytes]) -> bytes | None:
    """Return the delegated name that ``name`` lies below, the nearest one."""
    while len(name) > len(zone):
        name = names.parent(name)
        if len(name) > len(zone) and name in cuts:
            return name
    return None


def is_glue_of(item: WantedSet, servers: Container[bytes]) -> bool:
    """Tell whether the record set is the address of a delegation's own name server: that belongs above the cut."""
    return item.kind in _ADDRESSES and item.name in servers


def below_cut(item: WantedSet, cut: bytes) -> Problem:
    """Return the problem of a record set that belongs to another zone."""
    name, zone = names.render(item.name), names.render(cut)
    if item.name == cut:
        what = f"{name} is delegated, and holds nothing but NS here: name that zone instead"
    else:
        what = f"{name} lies below {zone}, which is delegated: name that zone instead"
    return Problem(f"records[{item.position}].name", what)


def _is_glue(name: bytes, zone: bytes, cuts: set[bytes]) -> bool:
    """Tell whether the name lies below a delegation, so that its data are the child's."""
    name = names.parent(name) if name != zone else name
    while len(name) > len(zone):
        if name in cuts:
            return True
        name = names.parent(name)
    return False


def _check_cnames(
    state: ZoneState,
    wanted: Sequence[WantedSet],
    changes: Iterable[Change],
    problems: list[Problem],
) -> None:
    """Find CNAMEs that would stand beside other data. A server ignores such an update without a word."""
    if not any(kind == rdata.CNAME for _name, kind in state.sets) and not any(
        item.kind == rdata.CNAME for item in wanted
    ):
        return
    kinds: dict[bytes, set[int]] = {}
    for name, kind in state.sets:
        kinds.setdefault(name, set()).add(kind)
    for change in changes:
        held = kinds.setdefault(change.name, set())
        if change.after is None:
            held.discard(change.kind)
        else:
            held.add(change.kind)
    for item in wanted:
        held = kinds.get(item.name, set())
        if item.kind not in held or rdata.CNAME not in held or held <= rdata.BESIDE_CNAME:
            continue
        others = ", ".join(sorted(rdata.type_text(kind) for kind in held - {item.kind}))
        problems.append(
            Problem(
                f"records[{item.position}]",
                f"{names.render(item.name)} holds {others} on the server, and a CNAME stands alone;"
                " give what has to go with state=absent in the same call",
            )
        )


def lowered(changes: Iterable[Change], ttl: int) -> list[Change]:
    """Return changes that only lower TTLs, for those record sets whose data are about to change."""
    return [
        change._replace(after=change.before._replace(ttl=ttl))
        for change in changes
        if change.before is not None
        and change.before.ttl > ttl
        and (change.after is None or change.after.data != change.before.data)
    ]


# --- addresses back to names


def pointed(
    wanted: Sequence[WantedSet], sets: Sets, pruned: Iterable[Change] = ()
) -> tuple[dict[bytes, dict[bytes, int]], dict[bytes, set[bytes]]]:
    """Say which PTR records shall be, and which shall not.

    :param pruned: record sets that go because nobody listed them; the pointers of their addresses go too.
    :returns: for each reverse name the names that it points to with their TTL; and for each reverse name the names that
        it must no longer point to.
    """
    present: dict[bytes, dict[bytes, int]] = {}
    stale: dict[bytes, set[bytes]] = {}
    for item in wanted:
        if not item.ptr:
            continue
        before = sets.get((item.name, item.kind))
        held = before.data if before else _NOTHING
        kept = item.data if item.aim in KEEPING else _NOTHING
        for data in kept:
            present.setdefault(reverse(data), {})[item.name] = item.ttl
        gone = {Aim.EXACTLY: held - item.data, Aim.GONE: held, Aim.WITHOUT: item.data}
        for data in gone.get(item.aim, _NOTHING):
            stale.setdefault(reverse(data), set()).add(item.name)
    for change in pruned:
        if change.before is not None and change.kind in _ADDRESSES:
            for data in change.before.data:
                stale.setdefault(reverse(data), set()).add(change.name)
    return present, stale


def plan_pointers(
    state: ZoneState,
    present: Mapping[bytes, Mapping[bytes, int]],
    stale: Mapping[bytes, set[bytes]],
) -> list[Change]:
    """Plan the PTR records of one reverse zone.

    An address that this call gives to a name points to that name and to no other. Where an address was taken from a
    name, only the pointer to that name goes.
    """
    changes = []
    for name in {**present, **dict.fromkeys(stale)}:
        before = state.sets.get((name, rdata.PTR))
        if targets := present.get(name):
            after: RRset | None = RRset(min(targets.values()), frozenset(targets))
        elif before is None:
            continue
        else:
            left = before.data - stale[name]
            after = RRset(before.ttl, left) if left else None
        if after != before:
            changes.append(Change(name, rdata.PTR, before, after))
    return changes


def reverse(data: bytes) -> bytes:
    """Return the reverse name of an A or AAAA record's data."""
    if len(data) == 4:
        labels = [b"%d" % octet for octet in reversed(data)]
        return b"".join([b"%c%b" % (len(label), label) for label in labels]) + _V4
    nibbles = data.hex()[::-1].encode()
    return b"".join([b"\x01%c" % nibble for nibble in nibbles]) + _V6


_V4 = b"\x07in-addr\x04arpa\0"
_V6 = b"\x03ip6\x04arpa\0"


def neighbourhood(name: bytes) -> bytes:
    """Return the name under which reverse names share a zone in practice: a /24, or a /64."""
    for _number in range(16 if name.endswith(_V6) else 1):
        name = names.parent(name)
    return name


def address_text(data: bytes) -> str:
    """Return an address as people write it."""
    return str(ipaddress.ip_address(data))


def keys_of(wanted: Iterable[WantedSet]) -> list[Key]:
    """Return what must be looked at to plan these: the sets, and what could stand beside a CNAME."""
    found: dict[Key, None] = {}
    for item in wanted:
        if item.kind == rdata.CNAME:
            found.update(dict.fromkeys((item.name, kind) for kind in rdata.TYPES.values()))
        found[item.name, item.kind] = None
    return list(found)
