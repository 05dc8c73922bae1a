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

from .._core.checks import check_range, refuse_any
from .._core.confirmation import OPTIONS, check_limit
from .._core.errors import Problem, Refused
from .._core.spec import Spec
from .quarantine import Address, Flow, Network

WEEK = 7 * 24 * 60
"""Minutes."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
"""Reason and names go into a line of a log."""
SCOPE = "%"
"""Python takes any text behind it, and all of that would go into the script for nft."""
SCOPED = "holds a scope (%), which no rule can express"

_STRINGS = {"type": "list", "elements": "str"}
_ENTRIES = {"type": "list", "elements": "dict", "default": []}
_NETWORKS = {**_STRINGS, "required": True}
_PORTS = {"type": "list", "elements": "int"}
_STATES, _GUESTS = ["quarantined", "released"], ["pause", "shutdown", "leave"]
SPEC = Spec(
    {
        "host": {"type": "str", "required": True},
        "state": {"type": "str", "choices": _STATES, "default": "quarantined"},
        "reason": {"type": "str"},
        "requester": {"type": "str", "default": ""},
        "management": {
            **_ENTRIES,
            "options": {"networks": _NETWORKS, "ports": {**_PORTS, "default": [22]}},
        },
        "evidence": {
            **_ENTRIES,
            "options": {
                "networks": _NETWORKS,
                "ports": {**_PORTS, "required": True},
                "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                "direction": {
                    "type": "str",
                    "choices": ["outbound", "inbound"],
                    "default": "outbound",
                },
            },
        },
        "shared_addresses": {**_STRINGS, "default": []},
        "guests": {"type": "str", "choices": _GUESTS, "default": "pause"},
        "quorum_roles": {**_STRINGS, "default": []},
        "cut_off_quorum_member": {"type": "str", "default": ""},
        "forbidden_peers": {**_STRINGS, "default": []},
        "journal_minutes": {"type": "int", "default": 60},
        "metrics_file": {
            "type": "path",
            "default": "/var/lib/prometheus/node-exporter/debvisor_quarantine.prom",
        },
        **OPTIONS,
        "confirm_within": {"type": "float", "default": 180},
    },
    required_if=[("state", "quarantined", ["reason"])],
)


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
    forbidden_peers: tuple[Address, ...]
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
    forbidden_peers = tuple(_addresses("forbidden_peers", params["forbidden_peers"], problems))
    check_range("journal_minutes", params["journal_minutes"], 1, WEEK, problems)
    check_limit(params, problems)
    refuse_any(problems)
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
        forbidden_peers,
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
            hint="Check that enough members are left (for OSDs, with ceph osd ok-to-stop),"
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
            problems.append(Problem(f"{where}.networks", f"{text} covers all addresses"))
        found.append(network)
    if not texts:
        problems.append(Problem(f"{where}.networks", "is empty"))
    return found


def _check_ports(where: str, ports: Sequence[int], problems: list[Problem]) -> None:
    if not ports:
        problems.append(Problem(f"{where}.ports", "is empty"))
    for port in ports:
        check_range(f"{where}.ports", port, 1, 65535, problems)


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
