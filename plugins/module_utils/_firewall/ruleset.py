# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline rule set as data, and as the script that nft(8) loads: what may come in; the rest is dropped.

There is no forward chain: libvirt, Docker and Kubernetes filter what passes through. There is no output chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any, Union

from .._core.errors import Problem

FAMILY, TABLE = "inet", "debvisor_filter"
MARK = "debvisor.hci"
"""Our tables carry a comment that begins with it; a table of our name without it is another program's."""

ANY = "any"
PROTOCOLS = {
    "ah": 51,
    "esp": 50,
    "gre": 47,
    "ipip": 4,
    "ospf": 89,
    "sctp": 132,
    "vrrp": 112,
}
"""IP protocols by name, as IANA assigns their numbers. A number may be given for any other."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/(tcp|udp)")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,14}")

_ERRORS4 = "destination-unreachable, time-exceeded, parameter-problem"
_ERRORS6 = "destination-unreachable, packet-too-big, time-exceeded, parameter-problem"
_NEIGHBOURS = "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert"
_LISTENERS = "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report"
_ECHO = "limit rate 50/second burst 100 packets"
_LOG = 'limit rate 10/second burst 20 packets log prefix "debvisor-drop: " level info'

Network = Union[IPv4Network, IPv6Network]  # noqa: UP007  ansible-test's pylint knows no | of types here


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of ports of one transport protocol; a single port is a range of one."""

    transport: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Service:
    """What a service listens on."""

    name: str
    ports: tuple[Ports, ...] = ()
    protocols: tuple[int, ...] = ()

    def matches(self) -> Iterator[str]:
        """Yield one match a transport protocol, and one for all protocols without ports."""
        for transport in ("tcp", "udp"):
            if ports := [
                (each.first, each.last) for each in self.ports if each.transport == transport
            ]:
                yield f"{transport} dport {_set(_range(*each) for each in _merged(ports))}"
        if self.protocols:
            yield f"meta l4proto {_set(map(str, sorted(set(self.protocols))))}"


@dataclass(frozen=True, slots=True)
class Opening:
    """Who may reach a service, where, and through which interfaces. None is anybody or anything; empty is none."""

    service: Service
    sources: tuple[Network, ...] | None = None
    destinations: tuple[Network, ...] | None = None
    interfaces: tuple[str, ...] | None = None

    def rules(self) -> Iterator[str]:
        """Yield the rules that let it in."""
        if self.interfaces == ():
            return
        through = []
        if self.interfaces:
            through.append("iifname " + _set(f'"{each}"' for each in self.interfaces))
        for addresses in self._addresses():
            for match in self.service.matches():
                yield " ".join(
                    [*through, *addresses, match, f'counter accept comment "{self.service.name}"']
                )

    def _addresses(self) -> Iterator[list[str]]:
        """Yield the matches of addresses, one list a family; one empty list where addresses do not matter."""
        if self.sources is None and self.destinations is None:
            yield []
            return
        for version, keyword in ((4, "ip"), (6, "ip6")):
            words = []
            for direction, networks in (("saddr", self.sources), ("daddr", self.destinations)):
                if networks is None:
                    continue
                mine = [each for each in networks if each.version == version]
                if not mine:
                    break
                words.append(f"{keyword} {direction} {_set(_written(mine))}")
            else:
                yield words

    def admits(self, client: str, port: int) -> bool:
        """Return whether the client's address may come to that TCP port.

        Where it comes to, and through what, is not known here: a limit to some addresses of ours, or interfaces, is
        taken to let it pass.
        """
        if self.interfaces == () or self.destinations == ():
            return False
        if self.sources is not None and not any(
            ip_address(client) in each for each in self.sources
        ):
            return False
        return any(
            each.transport == "tcp" and each.first <= port <= each.last
            for each in self.service.ports
        )


def script(openings: Iterable[Opening]) -> tuple[str, ...]:
    """Return the lines that make our table what it is to be, whatever it was; one transaction, no other table."""
    rules = dict.fromkeys(rule for opening in openings for rule in opening.rules())
    return (
        *remove(),
        f"table {FAMILY} {TABLE} {{",
        f'\tcomment "{MARK}: what may come in"',
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy drop;",
        *(f"\t\t{rule}" for rule in (*_ALWAYS, *rules, *_REST)),
        "\t}",
        "}",
    )


def remove() -> tuple[str, ...]:
    """Return the lines that remove our table, whether or not it is there."""
    return f"table {FAMILY} {TABLE}", f"delete table {FAMILY} {TABLE}"


def restore(listing: str | None) -> tuple[str, ...]:
    """Return the lines that bring the table back as nft(8) listed it, or remove it where there was none."""
    return (*remove(), *(listing or "").splitlines())


def is_ours(listing: str) -> bool:
    """Tell a table of ours by its comment, which nft(8) lists first."""
    lines = listing.splitlines()
    return len(lines) > 1 and lines[1].strip().startswith(f'comment "{MARK}')


_ALWAYS = (
    "iif lo accept",
    "ct state vmap { established : accept, related : accept, invalid : drop }",
    f"icmp type {{ {_ERRORS4} }} accept",
    f"icmp type echo-request {_ECHO} accept",
    "ip protocol igmp ip ttl 1 accept",
    f"icmpv6 type {{ {_ERRORS6} }} accept",
    f"icmpv6 type echo-request {_ECHO} accept",
    f"ip6 hoplimit 255 icmpv6 type {{ {_NEIGHBOURS} }} accept",
    f"ip6 hoplimit 1 icmpv6 type {{ {_LISTENERS} }} accept",
    "ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp sport 547 udp dport 546 accept",
)
"""RFC 4890 names the types of ICMPv6 that a host cannot do without. A router's word counts on its own link alone
(hop limit 255), and so does a question for one: a hypervisor is the router of its guests. DHCPv6 answers come from the
link, too; DHCP for IPv4 works below the packet filter."""
_REST = (f"meta pkttype host {_LOG}", "counter drop")
"""What goes to everybody on the link is dropped without a word."""


def _set(elements: Iterable[str]) -> str:
    """Write a set as nft(8) lists it; then what is listed and loaded again is listed alike, and undo is exact."""
    several = list(elements)
    return several[0] if len(several) == 1 else f"{{ {', '.join(several)} }}"


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in order; what overlaps or touches is one, as it is to the kernel."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _written(networks: Sequence[Network]) -> Iterator[str]:
    """Yield networks of one family as nft(8) lists them: an address, a network where it is one, else a range."""
    address = IPv4Address if networks[0].version == 4 else IPv6Address
    spans = ((int(each.network_address), int(each.broadcast_address)) for each in networks)
    for first, last in _merged(spans):
        parts = list(summarize_address_range(address(first), address(last)))
        if len(parts) > 1:
            yield f"{address(first)}-{address(last)}"
        else:
            yield str(address(first)) if first == last else str(parts[0])


def parse(params: Mapping[str, Any], problems: list[Problem]) -> tuple[Opening, ...]:
    """Turn the options ``services`` and ``openings`` into openings, and note every problem."""
    services: dict[str, Service] = {}
    for number, given in enumerate(params["services"]):
        where = f"services[{number}]"
        service = _service(where, given, problems)
        if service.name in services:
            problems.append(Problem(f"{where}.name", f"{service.name} is there twice"))
        services[service.name] = service
    return tuple(
        _opening(f"openings[{number}]", given, services, problems)
        for number, given in enumerate(params["openings"])
    )


def _service(where: str, given: Mapping[str, Any], problems: list[Problem]) -> Service:
    name = given["name"]
    if not _NAME.fullmatch(name):
        problems.append(
            Problem(f"{where}.name", f"{name!r} is not made of a-z, 0-9, _ and -, or is too long")
        )
    ports = [
        _ports(f"{where}.ports[{number}]", text, problems)
        for number, text in enumerate(_list(where, "ports", given, problems))
    ]
    protocols = [
        _protocol(f"{where}.protocols[{number}]", text, problems)
        for number, text in enumerate(_list(where, "protocols", given, problems))
    ]
    if not ports and not protocols:
        problems.append(Problem(where, "has neither ports nor protocols"))
    return Service(
        name,
        tuple(each for each in ports if each is not None),
        tuple(each for each in protocols if each is not None),
    )


def _list(where: str, key: str, given: Mapping[str, Any], problems: list[Problem]) -> Sequence[str]:
    """Return a list of words. Nothing given is neither anybody nor nobody, so it is not guessed."""
    found: Sequence[str] | None = given[key]
    if found is None:
        problems.append(Problem(f"{where}.{key}", "is null; give a list, or leave the key out"))
        return ()
    return found


def _ports(where: str, text: str, problems: list[Problem]) -> Ports | None:
    shape = _PORT.fullmatch(text)
    if shape is None:
        problems.append(Problem(where, f"{text!r} is not like 53/udp or 6800-7568/tcp"))
        return None
    first, last = int(shape[1]), int(shape[2] or shape[1])
    if not 1 <= first <= last <= 65535:
        problems.append(Problem(where, f"{text!r} is not from 1 to 65535, the smaller port first"))
        return None
    return Ports(shape[3], first, last)


def _protocol(where: str, text: str, problems: list[Problem]) -> int | None:
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isascii() and text.isdigit() and 0 < int(text) <= 255:
        return int(text)
    known = ", ".join(PROTOCOLS)
    problems.append(
        Problem(where, f"{text!r} is neither a number from 1 to 255 nor one of {known}")
    )
    return None


def _opening(
    where: str, given: Mapping[str, Any], services: Mapping[str, Service], problems: list[Problem]
) -> Opening:
    name = given["service"]
    if name not in services:
        known = ", ".join(services) or "none"
        problems.append(
            Problem(f"{where}.service", f"there is no service {name!r}; there are {known}")
        )
    return Opening(
        services.get(name, Service(name)),
        _networks(f"{where}.sources", _list(where, "sources", given, problems), problems),
        _networks(f"{where}.destinations", _list(where, "destinations", given, problems), problems),
        _interfaces(f"{where}.interfaces", _list(where, "interfaces", given, problems), problems),
    )


def _networks(
    where: str, given: Sequence[str], problems: list[Problem]
) -> tuple[Network, ...] | None:
    """Return the networks, or None for any."""
    if given == [ANY]:
        return None
    found: list[Network] = []
    for number, text in enumerate(given):
        try:
            found.append(ip_network(text))
        except ValueError as cause:
            problems.append(Problem(f"{where}[{number}]", str(cause)))
    return tuple(found)


def _interfaces(
    where: str, given: Sequence[str], problems: list[Problem]
) -> tuple[str, ...] | None:
    if given == [ANY]:
        return None
    problems.extend(
        Problem(f"{where}[{number}]", f"{name!r} is not an interface's name")
        for number, name in enumerate(given)
        if not _INTERFACE.fullmatch(name)
    )
    return tuple(sorted(set(given)))
