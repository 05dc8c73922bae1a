# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is and what shall be, into changes. Pure."""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from ..._core.errors import Problem
from ..._core.limits import exceeds
from ..protocol import names, rdata, wire
from ..protocol.rrset import Change, Key, RRset, Sets
from ..writer import epoch
from ..writer.divergence import SERVERS_OWN_TYPES
from .record_sets import KEEPING, Aim, Prune, WantedSet

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
        name, rdtype, ttl, data, aim, _ptr, _position = item
        before = known((name, rdtype))
        if aim is exactly:
            if before is not None and before.data == data and before.ttl == ttl:
                continue
            after: RRset | None = RRset(ttl, data)
        else:
            after = _aimed(item, before)
            if after == before:
                continue
        changes.append(Change(name, rdtype, before, after))
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
    listed = {(item.name, item.rdtype) for item in wanted}
    apex = state.sets.get((state.name, rdata.NS))
    servers = set(apex.data) if apex else set()
    for item in wanted:
        if (item.name, item.rdtype) == (state.name, rdata.NS) and item.aim in KEEPING:
            servers = servers | item.data if item.aim is Aim.AT_LEAST else set(item.data)
    cuts = {name for name, rdtype in state.sets if rdtype == rdata.NS and name != state.name}
    return [
        Change(name, rdtype, before, None)
        for (name, rdtype), before in sorted(state.sets.items())
        if rdtype in prune.rdtypes
        and (name, rdtype) not in listed
        and names.is_below(name, prune.below)
        and not (rdtype == rdata.NS and name == state.name)
        and name != epoch.owner(state.name)
        and not (rdtype in _ADDRESSES and name in servers)
        and not (cuts and _is_glue(name, state.name, cuts))
    ]


def _check_cuts(
    state: ZoneState,
    wanted: Sequence[WantedSet],
    changes: Iterable[Change],
    problems: list[Problem],
) -> None:
    """Find what would lie at or below a delegation, and a DS without one. The server would take it, and never serve
    it."""
    delegated = {
        name: rrset
        for (name, rdtype), rrset in state.sets.items()
        if rdtype == rdata.NS and name != state.name
    }
    for change in changes:
        if change.rdtype == rdata.NS and change.name != state.name:
            if change.after is None:
                delegated.pop(change.name, None)
            else:
                delegated[change.name] = change.after
    servers = {name: set(rrset.data) for name, rrset in delegated.items()}

    @functools.cache
    def cut_at_or_over(name: bytes) -> bytes | None:
        return name if name in servers else cut_over(name, state.name, servers)

    for item in wanted:
        if item.aim not in KEEPING:
            continue  # it goes from where it is not served
        if item.rdtype == rdata.DS and item.name not in delegated:
            problems.append(_without_cut(item))
        if not delegated:
            continue
        if item.name in delegated and item.rdtype not in (rdata.NS, rdata.DS):
            if item.rdtype not in _ADDRESSES or item.name not in servers[item.name]:
                problems.append(below_cut(item, item.name))
        elif (
            item.name != state.name
            and (cut := cut_at_or_over(names.parent(item.name)))  # few parents, many names
            and not is_glue_of(item, servers[cut])
        ):
            problems.append(below_cut(item, cut))


def _without_cut(item: WantedSet) -> Problem:
    return Problem(
        f"records[{item.position}].name",
        f"{names.render(item.name)} is not delegated, and a DS stands beside the NS of a delegation:"
        " give its NS in this task, too",
    )


def cut_over(name: bytes, zone: bytes, cuts: Container[bytes]) -> bytes | None:
    """Return the delegated name that ``name`` lies below, the nearest one."""
    while len(name) > len(zone):
        name = names.parent(name)
        if len(name) > len(zone) and name in cuts:
            return name
    return None


def is_glue_of(item: WantedSet, servers: Container[bytes]) -> bool:
    """Return whether the record set is the address of a delegation's own name server: that belongs above the cut."""
    return item.rdtype in _ADDRESSES and item.name in servers


def below_cut(item: WantedSet, cut: bytes) -> Problem:
    """Return the problem of a record set that belongs to another zone."""
    name, zone = names.render(item.name), names.render(cut)
    if item.name == cut:
        what = f"{name} is delegated, and holds nothing but NS and DS here: name that zone instead"
    else:
        what = f"{name} lies below {zone}, which is delegated: name that zone instead"
    return Problem(f"records[{item.position}].name", what)


def _is_glue(name: bytes, zone: bytes, cuts: set[bytes]) -> bool:
    """Return whether the name lies below a delegation, so that its data are the child's."""
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
    if not any(rdtype == rdata.CNAME for _name, rdtype in state.sets) and not any(
        item.rdtype == rdata.CNAME for item in wanted
    ):
        return
    rdtypes: dict[bytes, set[int]] = {}
    for name, rdtype in state.sets:
        rdtypes.setdefault(name, set()).add(rdtype)
    for change in changes:
        held = rdtypes.setdefault(change.name, set())
        if change.after is None:
            held.discard(change.rdtype)
        else:
            held.add(change.rdtype)
    for item in wanted:
        held = rdtypes.get(item.name, set())
        if item.rdtype not in held or rdata.CNAME not in held or held <= rdata.BESIDE_CNAME:
            continue
        others = ", ".join(sorted(rdata.type_text(rdtype) for rdtype in held - {item.rdtype}))
        problems.append(
            Problem(
                f"records[{item.position}]",
                f"{names.render(item.name)} holds {others} on the server, and a CNAME stands alone;"
                " give what has to go with state=absent in the same call",
            )
        )


GUARDED_FROM = 10
"""With fewer record sets than this, a zone may be changed whole: shares mean little."""


def replaced(zone: bytes, changes: Iterable[Change]) -> int:
    """Count the changes of what there is: record sets that are changed or removed. What is new does not count."""
    return sum(
        change.before is not None and _counts(zone, change.name, change.rdtype)
        for change in changes
    )


def countable(state: ZoneState) -> int:
    """Count the record sets of a zone that are its users'."""
    return sum(_counts(state.name, *key) for key in state.sets)


def _counts(zone: bytes, name: bytes, rdtype: int) -> bool:
    """Return whether a record set is its users', not one that the servers make, and not the zone's own NS."""
    return (
        rdtype not in SERVERS_OWN_TYPES
        and not (rdtype == rdata.NS and name == zone)
        and name != epoch.owner(zone)
    )


def may_exceed(state: ZoneState, changes: Iterable[Change], share: float) -> bool:
    """Return whether the changes may be more than ``share`` percent of a zone of which only some is known."""
    return exceeds(replaced(state.name, changes), max(countable(state), GUARDED_FROM), share)


def lowered(changes: Iterable[Change], ttl: int) -> list[Change]:
    """Return changes that only lower TTLs, for those record sets whose data are about to change."""
    return [
        change._replace(after=change.before._replace(ttl=ttl))
        for change in changes
        if change.before is not None
        and change.before.ttl > ttl
        and (change.after is None or change.after.data != change.before.data)
    ]


def keys_of(wanted: Iterable[WantedSet], zone: bytes) -> list[Key]:
    """Return what must be looked at to plan these: the sets, what could stand beside a CNAME, the delegation of a DS,
    and the zone's own name servers where one may lose its address."""
    found: dict[Key, None] = {}
    for item in wanted:
        if item.rdtype == rdata.CNAME:
            found[item.name, wire.ANY_TYPE] = None
        elif item.rdtype == rdata.DS:
            found[item.name, rdata.NS] = None
        elif item.rdtype in _ADDRESSES and item.aim not in KEEPING:
            found[zone, rdata.NS] = None
        found[item.name, item.rdtype] = None
    return list(found)
