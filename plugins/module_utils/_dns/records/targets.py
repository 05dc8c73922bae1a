# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that need an address: the zone's own name servers, and what MX and SRV records point to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..._core.errors import Problem
from ..protocol import names, rdata
from ..protocol.rrset import Change
from .record_sets import KEEPING, WantedSet
from .zone_plan import ZoneState

ADDRESSES = frozenset({rdata.A, rdata.AAAA})
Hosts = Mapping[bytes, frozenset[int]]
"""Names of the zone, and which of A, AAAA and CNAME the server answers for each."""


def hosts_of(state: ZoneState, wanted: Sequence[WantedSet]) -> list[bytes]:
    """Return the hosts of the zone on whose addresses the plan depends."""
    found = dict.fromkeys(host for _item, host in _named(state.name, wanted))
    servers = _servers(state, [])
    taken = [item.name for item in wanted if _takes_addresses(item) and item.name in servers]
    return list(found | dict.fromkeys(taken))


def check(
    state: ZoneState,
    wanted: Sequence[WantedSet],
    changes: Sequence[Change],
    hosts: Hosts,
    problems: list[Problem],
) -> list[str]:
    """Find hosts without an address. A server refuses such a name server or MX, and does not say why.

    :returns: a warning for each SRV record, which the server takes, and no client can use.
    """
    after = {name: set(rdtypes) for name, rdtypes in hosts.items()}
    for change in changes:
        if (rdtypes := after.get(change.name)) is not None:
            (rdtypes.add if change.after else rdtypes.discard)(change.rdtype)
    warnings = []
    for item, host in _named(state.name, wanted):
        enough = ADDRESSES if item.rdtype == rdata.NS else ADDRESSES | {rdata.CNAME}
        if after.get(host, enough) & enough:
            continue
        where = f"records[{item.position}].value"
        what = (
            f"{names.render(host)} has no address (A or AAAA) in this zone:"
            " give it one in this task, or name a host that has one"
        )
        if item.rdtype == rdata.SRV:
            warnings.append(f"{where}: {what}. No client can use this SRV record")
        else:
            problems.append(Problem(where, what))
    servers = _servers(state, changes)
    for item in wanted:
        where = f"records[{item.position}]"
        if (item.name, item.rdtype) == (state.name, rdata.NS) and not servers:
            problems.append(Problem(where, "the zone would have no NS: name another one first"))
        elif (
            item.name in servers
            and _takes_addresses(item)
            and not after.get(item.name, ADDRESSES) & ADDRESSES
        ):
            what = (
                f"{names.render(item.name)} is a name server of this zone, and would have no address:"
                " give it another one, or first take it out of the zone's NS"
            )
            problems.append(Problem(where, what))
    return warnings


def _named(zone: bytes, wanted: Sequence[WantedSet]) -> Iterator[tuple[WantedSet, bytes]]:
    """Yield the hosts of the zone that the wanted record sets name, each with what names it."""
    for item in wanted:
        at = rdata.HOST_AT.get(item.rdtype)
        if at is None or item.aim not in KEEPING or (item.rdtype == rdata.NS and item.name != zone):
            continue
        for data in sorted(item.data):
            if data[at:] != names.ROOT and names.is_below(data[at:], zone):
                yield item, data[at:]


def _takes_addresses(item: WantedSet) -> bool:
    return item.rdtype in ADDRESSES and item.aim not in KEEPING


def _servers(state: ZoneState, changes: Sequence[Change]) -> frozenset[bytes]:
    """Return the zone's own name servers, as they are after the changes."""
    held = state.sets.get((state.name, rdata.NS))
    for change in changes:
        if (change.name, change.rdtype) == (state.name, rdata.NS):
            held = change.after
    return held.data if held else frozenset()
