# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who needs a second factor, who does not and why, and what opens when all else fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from typing import Any

from .._core.errors import Problem

NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
"""Names of accounts and groups that sshd_config(5) takes as they are: no pattern, no list."""

_NAMES = {"type": "list", "elements": "str"}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "users": {**_NAMES, "default": []},
    "exempt": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "user": {"type": "str"},
            "group": {"type": "str"},
            "reason": {"type": "str", "required": True},
            "expires": {"type": "str", "required": True},
        },
    },
    "automation": {**_NAMES, "default": []},
    "break_glass": {
        "type": "dict",
        "options": {
            "user": {"type": "str", "required": True},
            "networks": {**_NAMES, "required": True},
            "reason": {"type": "str", "required": True},
            "private_key": {"type": "path"},
        },
    },
    "canary": {"type": "str", "default": "debvisor-canary"},
    "admin_groups": {**_NAMES, "default": ["sudo"]},
    "also": {**_NAMES, "choices": ["sudo", "console"], "default": []},
    "controller": {
        "type": "dict",
        "options": {
            "account": {"type": "str"},
            "clock_offset": {"type": "float"},
            "break_glass_key": {"type": "bool", "default": False, "no_log": False},
            "canary_key": {"type": "str", "no_log": False},
            "canary_secret": {"type": "str", "no_log": True},
        },
    },
}
"""The options of the modules that judge who enters how, documented in the fragment ``ssh_access``."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """A user or a group that enters by key alone, until its day is over."""

    kind: str
    name: str
    reason: str
    expires: date

    def expired(self, today: date) -> bool:
        return self.expires < today

    def public(self, today: date) -> dict[str, Any]:
        """Return it as the report lists it."""
        return {
            self.kind: self.name,
            "reason": self.reason,
            "expires": self.expires.isoformat(),
            "expired": self.expired(today),
        }


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """The account that enters by key alone, from some networks, when nobody else can."""

    user: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    reason: str

    def admits(self, address: str) -> bool:
        """Return whether it may come from there."""
        return any(ip_address(address) in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of whom. ``users`` are the people who have to be enrolled."""

    users: tuple[str, ...]
    exemptions: tuple[Exemption, ...]
    break_glass: BreakGlass | None
    canary: str
    admin_groups: frozenset[str]
    also: frozenset[str] = frozenset()
    """What asks for a code besides sshd."""
    automation: tuple[str, ...] = ()
    """Who types no codes, besides the account of the present run."""


def parse(params: Mapping[str, Any], problems: list[Problem]) -> Policy:
    """Read the options; what is wrong is added to ``problems``."""
    named = [("users", name) for name in params["users"]]
    named += [("canary", params["canary"])]
    named += [(each, name) for each in ("admin_groups", "automation") for name in params[each]]
    exemptions = [
        found
        for index, given in enumerate(params["exempt"])
        if (found := _exemption(f"exempt[{index}]", given, problems))
    ]
    break_glass = _break_glass(params["break_glass"], problems) if params["break_glass"] else None
    named += [("exempt", each.name) for each in exemptions]
    named += [("break_glass.user", break_glass.user)] if break_glass else []
    problems += [
        Problem(where, f"{name!r} is not the name of an account or group")
        for where, name in named
        if not NAME.fullmatch(name)
    ]
    _check_roles(params["users"], exemptions, break_glass, params["canary"], problems)
    return Policy(
        tuple(params["users"]),
        tuple(exemptions),
        break_glass,
        params["canary"],
        frozenset(params["admin_groups"]),
        frozenset(params["also"]),
        tuple(params["automation"]),
    )


def _exemption(where: str, given: Mapping[str, Any], problems: list[Problem]) -> Exemption | None:
    kinds = [kind for kind in ("user", "group") if given.get(kind)]
    if len(kinds) != 1:
        problems.append(Problem(where, "names neither a user nor a group, or both"))
        return None
    if not given["reason"].strip():
        problems.append(Problem(f"{where}.reason", "is empty"))
    try:
        expires = date.fromisoformat(given["expires"])
    except ValueError:
        problems.append(
            Problem(f"{where}.expires", f"{given['expires']!r} is no date (YYYY-MM-DD)")
        )
        return None
    return Exemption(kinds[0], given[kinds[0]], given["reason"], expires)


def _break_glass(given: Mapping[str, Any], problems: list[Problem]) -> BreakGlass:
    networks = []
    for text in given["networks"]:
        try:
            interface = ip_interface(text)
        except ValueError as cause:
            problems.append(Problem("break_glass.networks", str(cause)))
            continue
        if interface.ip != interface.network.network_address:
            what = f"{text} is an address in {interface.network}; name the network"
            problems.append(Problem("break_glass.networks", what))
        if interface.network.prefixlen == 0:
            problems.append(Problem("break_glass.networks", f"{text} is everywhere"))
        networks.append(interface.network)
    if not given["reason"].strip():
        problems.append(Problem("break_glass.reason", "is empty"))
    if not given["networks"]:
        problems.append(Problem("break_glass.networks", "is empty, so it could never be used"))
    return BreakGlass(given["user"], tuple(networks), given["reason"])


def _check_roles(
    users: Sequence[str],
    exemptions: Sequence[Exemption],
    break_glass: BreakGlass | None,
    canary: str,
    problems: list[Problem],
) -> None:
    """Refuse an account that would have to be two things at once."""
    exempt = [each.name for each in exemptions if each.kind == "user"]
    special = [canary, *([break_glass.user] if break_glass else [])]
    everyone = [*users, *exempt, *special]
    problems += [
        Problem(name, "is named more than once among users, exemptions, break-glass and canary")
        for name in sorted({name for name in everyone if everyone.count(name) > 1})
    ]
