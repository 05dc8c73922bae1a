# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``quarantine_host``, checked: every fault at once, before anything is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from .._core.confirmation import check_limit
from .._core.errors import InvalidInput, Problem, Refused
from .quarantine import Address, Flow, Network

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
"""Reason and names go into a line of a log."""
SCOPE = "%"
"""Python takes any text behind it, and all of that would go into the script for nft."""
SCOPED = "holds a scope (%), which no rule can tell"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options. ``flows`` are the named paths that stay; the client's own is added when it is known."""

    host: str
    quarantined: bool
    reason: str
    requester: str
    flows: tuple[Flow, ...]
    shared: tuple[Address, ...]
    guests: str
    strangers: tuple[Address, ...]
    journal_minutes: int
    metrics_file: str
    confirm_within: float


def parse(params: Mapping[str, Any]) -> Wanted:
    """Check the options.

    :raises InvalidInput: with everything that is wrong.
    :raises Refused: for a member of a quorum that nobody named.
    """
    problems: list[Problem] = []
    quarantined = params["state"] == "quarantined"
    for option in ("host", "reason", "requester"):
        if UNPRINTABLE.search(params[option] or ""):
            problems.append(Problem(option, "holds control characters"))
    if quarantined and not (params["reason"] or "").strip():
        problems.append(Problem("reason", "is missing: people will ask why this host is cut off"))
    flows = tuple(_flows(params, problems))
    shared = tuple(_addresses("shared_addresses", params["shared_addresses"], problems))
    strangers = tuple(_addresses("strangers", params["strangers"], problems))
    if not 1 <= params["journal_minutes"] <= 10080:
        problems.append(Problem("journal_minutes", "is not from 1 to 10080, which is a week"))
    check_limit(params, problems)
    if problems:
        raise InvalidInput(problems)
    if quarantined:
        _check_quorum(params)
    return Wanted(
        params["host"],
        quarantined,
        (params["reason"] or "").strip(),
        params["requester"] or "",
        flows,
        shared,
        params["guests"],
        strangers,
        params["journal_minutes"],
        params["metrics_file"],
        params["confirm_within"],
    )


def _check_quorum(params: Mapping[str, Any]) -> None:
    roles, host = params["quorum_roles"], params["host"]
    if roles and params["cut_off_quorum_member"] != host:
        raise Refused(
            f"{host} is not cut off: others may lose their quorum, or copies of their data, with it",
            why=f"it is a member of {', '.join(sorted(roles))}",
            hint="Look that enough members are left (for OSDs, ceph osd ok-to-stop tells),"
            f" then say cut_off_quorum_member: {host}",
        )


def _flows(params: Mapping[str, Any], problems: list[Problem]) -> list[Flow]:
    found = []
    for option in ("management", "evidence"):
        for number, entry in enumerate(params[option]):
            where = f"{option}[{number}]"
            networks = tuple(_networks(where, entry["networks"], problems))
            _check_ports(where, entry["ports"], problems)
            protocol = entry.get("protocol") or "tcp"
            outbound = entry.get("direction") == "outbound"
            if networks:
                found.append(Flow(networks, tuple(entry["ports"]), protocol, outbound))
    return found


def _networks(where: str, texts: Sequence[str], problems: list[Problem]) -> list[Network]:
    found: list[Network] = []
    for text in texts:
        if SCOPE in text:
            problems.append(Problem(f"{where}.networks", SCOPED))
            continue
        try:
            network = ip_network(text)
        except ValueError as cause:
            problems.append(Problem(f"{where}.networks", str(cause)))
            continue
        if network.prefixlen == 0:
            problems.append(Problem(f"{where}.networks", f"{text} is everybody"))
        found.append(network)
    if not texts:
        problems.append(Problem(f"{where}.networks", "is empty"))
    return found


def _check_ports(where: str, ports: Sequence[int], problems: list[Problem]) -> None:
    if not ports:
        problems.append(Problem(f"{where}.ports", "is empty"))
    for port in ports:
        if not 1 <= port <= 65535:
            problems.append(Problem(f"{where}.ports", f"{port} is not from 1 to 65535"))


def _addresses(where: str, texts: Sequence[str], problems: list[Problem]) -> list[Address]:
    found = []
    for text in texts:
        if SCOPE in text:
            problems.append(Problem(where, SCOPED))
            continue
        try:
            found.append(ip_address(text))
        except ValueError as cause:
            problems.append(Problem(where, str(cause)))
    return found
