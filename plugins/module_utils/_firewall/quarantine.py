# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine as rules: what a cut-off host may still say, and to whom. Pure; the scripts are nft(8)'s.

Nothing here tracks connections. Who may open a connection is told by the first segment of TCP: only the side that is
named may send it. So a session of a named peer goes on while the switch is thrown, however the kernel saw it before,
and every other flow ends, old or new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import Union

from .._core import metrics
from .ruleset import MARK

TABLE = "debvisor_quarantine"
FAMILIES = ("inet", "arp", "bridge")
"""Each family may hold one table of that name."""
# ansible-test's pylint knows no | of types here
Network = Union[IPv4Network, IPv6Network]  # noqa: UP007
Address = Union[IPv4Address, IPv6Address]  # noqa: UP007

BEFORE_ALL = -450
"""Ahead of defragmentation (-400), connection tracking (-200) and every table of a distribution."""
NO_OPENING = " tcp flags & (syn | ack) != syn"
"""Matches every segment except the one that opens a connection."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A path that stays. ``outbound``: the cut-off host opens it; else a peer does."""

    networks: tuple[Network, ...]
    ports: tuple[int, ...]
    protocol: str = "tcp"
    outbound: bool = False


def script(flows: Sequence[Flow], shared: Sequence[Address]) -> str:
    """Return the transaction that cuts the host off, whatever of our tables was there.

    :param flows: what stays.
    :param shared: addresses that others may take over, so that the host must not claim them any more.
    """
    return "\n".join([*_removal(), *_tables(flows, shared), ""])


def restoring(tables: Mapping[str, str]) -> str:
    """Return the transaction that brings our tables back as nft(8) listed them, and removes the others of them."""
    return "\n".join([*_removal(), "".join(tables.values())])


def families(text: str) -> list[str]:
    """Return the families that a script leaves a table in."""
    return [line.split()[1] for line in text.splitlines() if line.endswith(f"{TABLE} {{")]


def _removal() -> Iterator[str]:
    """Adding first makes the removal succeed where there is no table, with every version of nft."""
    for family in FAMILIES:
        yield f"table {family} {TABLE}"
        yield f"delete table {family} {TABLE}"


def _tables(flows: Sequence[Flow], shared: Sequence[Address]) -> Iterator[str]:
    shared4 = [address for address in shared if address.version == 4]
    shared6 = [address for address in shared if address.version == 6]
    yield from _table("inet", _inet(flows, shared6))
    if shared4:
        # Whoever takes such an address over would else share its neighbours with us.
        claims = [
            "# What others may take over is not ours to claim.",
            f"arp saddr ip {_set(shared4)} drop",
        ]
        yield from _table("arp", _chain("leaving", "output", "filter", "accept", claims))
    # Frames between the ports of a bridge, which are guests' and their network's, never come to the inet hooks.
    yield from _table("bridge", _chain("passing", "forward", "filter", "drop", ["counter"]))


def _table(family: str, content: Iterable[str]) -> Iterator[str]:
    yield f"table {family} {TABLE} {{"
    yield f'\tcomment "{MARK} quarantine"'
    yield from content
    yield "}"


def _inet(flows: Sequence[Flow], shared6: Sequence[Address]) -> Iterator[str]:
    arriving = [
        "iif lo accept",
        *(line for flow in flows for line in _arriving(flow)),
        "# Neighbours on the link, and what IPv6 needs to find them; nothing of it is ever routed.",
        "ip6 hoplimit 255 icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
        "icmpv6 type mld-listener-query accept",
        "# Segments of the paths above that do not fit their way.",
        "icmpv6 type packet-too-big accept",
        "icmp type destination-unreachable icmp code frag-needed accept",
        "counter",
    ]
    leaving = [
        "oif lo accept",
        *_unclaimed(shared6),
        *(line for flow in flows for line in _leaving(flow)),
        "ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
        "icmpv6 type { mld-listener-report, mld2-listener-report } accept",
        "# Whom it tries to reach is evidence.",
        'limit rate 5/second burst 20 packets log prefix "QUARANTINE drop: "',
        "counter",
    ]
    yield from _chain("arriving", "prerouting", str(BEFORE_ALL), "drop", arriving)
    yield from _chain("passing", "forward", str(BEFORE_ALL), "drop", ["counter"])
    yield from _chain("leaving", "output", str(BEFORE_ALL), "drop", leaving)


def _chain(name: str, hook: str, priority: str, policy: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield f"\t\ttype filter hook {hook} priority {priority}; policy {policy};"
    yield from (f"\t\t{rule}" for rule in rules)
    yield "\t}"


def _unclaimed(shared6: Sequence[Address]) -> Iterator[str]:
    if shared6:
        yield "# What others may take over is not ours to claim."
        yield f"ip6 saddr {_set(shared6)} drop"
        yield f"icmpv6 type nd-neighbor-advert icmpv6 taddr {_set(shared6)} drop"


def _arriving(flow: Flow) -> Iterator[str]:
    for family, networks in _by_family(flow):
        yield f"{family} saddr {_set(networks)} {_ports(flow, theirs=flow.outbound)} accept"


def _leaving(flow: Flow) -> Iterator[str]:
    for family, networks in _by_family(flow):
        yield f"{family} daddr {_set(networks)} {_ports(flow, theirs=not flow.outbound)} accept"


def _ports(flow: Flow, *, theirs: bool) -> str:
    """Match one direction of a flow: with ``theirs``, the one that answers."""
    match = f"{flow.protocol} {'sport' if theirs else 'dport'} {_set(sorted(set(flow.ports)))}"
    return match + (NO_OPENING if theirs and flow.protocol == "tcp" else "")


def _by_family(flow: Flow) -> Iterator[tuple[str, list[Network]]]:
    """Yield each family with its networks; overlapping ones would be refused as the elements of a set."""
    four = [each for each in flow.networks if isinstance(each, IPv4Network)]
    six = [each for each in flow.networks if isinstance(each, IPv6Network)]
    if four:
        yield "ip", list(collapse_addresses(four))
    if six:
        yield "ip6", list(collapse_addresses(six))


def _set(items: Iterable[object]) -> str:
    return f"{{ {', '.join(str(item) for item in items)} }}"


def metric(host: str, reason: str) -> str:
    """Return the file for node_exporter's textfile collector."""
    explanation = "Whether quarantine_host has cut this host off."
    samples = [metrics.sample(1, host=host, reason=reason)]
    return metrics.text([metrics.Family("debvisor_quarantined", "gauge", explanation, samples)])
