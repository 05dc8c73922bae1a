# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be cut off, whatever a list says: the machine itself, its gateways, its operators, its peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .._core.errors import Problem
from . import networks
from .networks import FAMILIES, ByLength, Family

ALWAYS = {
    "127.0.0.0/8": "the loopback network",
    "::1": "the loopback address",
    "0.0.0.0": "a host that has no address yet (DHCP)",
    "::": "a host that has no address yet (duplicate address detection)",
    "169.254.0.0/16": "link-local addresses",
    "fe80::/10": "link-local addresses, by which IPv6 finds its neighbours and gateways",
}


class NetworkIdentity(Protocol):
    """The machine's place in its networks."""

    def own_addresses(self) -> frozenset[str]: ...

    def gateways(self) -> frozenset[str]: ...

    def bridges_below_ip(self) -> frozenset[str]: ...

    def client(self) -> str | None: ...


@dataclass(frozen=True, slots=True, order=True)
class Protected:
    """A network that stays reachable, and why."""

    family: Family
    key: int
    why: str

    @property
    def text(self) -> str:
        """The network as text."""
        return networks.text(self.family, self.key)


def protected(
    named: Sequence[str], around: NetworkIdentity, last_client: str | None = None
) -> list[Protected]:
    """Return everything that is protected.

    :param named: networks that the operator names, valid ones.
    :param last_client: where the last operator came from, who counts where nobody is logged in now.
    """
    reasons = dict(ALWAYS)
    for (
        network
    ) in named:  # first: a virtual address is always named, and only at times this machine's own
        reasons.setdefault(network, "named as protected")
    for address in sorted(around.own_addresses()):
        reasons.setdefault(address, "an address of this machine")
    for address in sorted(around.gateways()):
        reasons.setdefault(address, "a gateway")
    if client := around.client() or last_client:
        reasons.setdefault(
            networks.unmapped(client), "where the connection for this change came from"
        )
    found = []
    for network, why in reasons.items():
        family, key = networks.parse(network)
        found.append(Protected(family, key, why))
    return sorted(found, key=lambda each: (each.family.bits, each.key))


def check(option: str, named: Iterable[str], problems: list[Problem]) -> None:
    """Note every network in an option that is none."""
    for number, network in enumerate(named):
        try:
            networks.parse(network)
        except ValueError as wrong:
            problems.append(Problem(f"{option}[{number}]", str(wrong)))


def beyond(around: NetworkIdentity) -> Iterator[str]:
    """Tell of guests that stay within reach whatever is dropped, as their frames do not meet the rules."""
    if bridges := sorted(around.bridges_below_ip()):
        yield (
            f"guests on {', '.join(bridges)} can still be reached: frames bridged to them do not meet these rules"
        )


def by_length(some: Iterable[Protected]) -> dict[Family, ByLength]:
    """Return protected networks as sets are made of them."""
    listed = list(some)
    return {
        family: networks.aggregate(family, (each.key for each in listed if each.family is family))
        for family in FAMILIES
    }


def met(some: Iterable[Protected], family: Family, network: int) -> list[Protected]:
    """Return the protected networks that have an address in common with a network."""
    return [
        each
        for each in some
        if each.family is family and networks.finds(family, [each.key], network) is not None
    ]
