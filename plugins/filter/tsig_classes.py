# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one description of TSIG classes: who serves each, who uses it, and what it may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.transfer_classes import PRIMARIES, descriptions

DOCUMENTATION = r"""
name: tsig_classes
short_description: Describe the classes of TSIG keys of a cluster
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Returns the cluster's own classes and those that the operator adds, each with the hosts that serve it, the hosts
    that sign with it, and what its keys may change.
positional: _input
options:
  _input:
    description:
      - Classes that the operator adds. Each has C(name) and C(used_by) (inventory groups). It may have C(served_by)
        (inventory groups, C(dns_primaries) without it), C(purpose) (C(update) without it, or C(transfer)), C(reads),
        C(algorithm), and C(grants).
      - A grant has C(types) (record types), and C(zone) (a zone's name) or C(kind) (of zones). It may have C(below) (a
        name at and below which it holds).
    type: list
    elements: dict
    required: true
  groups:
    description: The inventory's groups, C(groups).
    type: dict
    required: true
  algorithm:
    description: Algorithm of classes that do not say theirs.
    type: str
    default: hmac-sha256
"""

EXAMPLES = r"""
- name: Show who uses which class
  ansible.builtin.debug:
    msg: "{{ debvisor_tsig_classes | default([]) | debvisor.hci.tsig_classes(groups) }}"
"""

RETURN = r"""
_value:
  description: The classes with C(name), C(algorithm), C(purpose), C(reads), C(servers), C(clients) and C(grants).
  type: list
  elements: dict
"""

EVERYBODY = "debvisor"

SYSTEM: tuple[Mapping[str, Any], ...] = (
    {
        "name": "debvisor-node",
        "used_by": [EVERYBODY],
        "grants": [
            {"kind": "node", "types": ["A", "AAAA", "SSHFP", "TXT"]},
            {"kind": "reverse", "types": ["PTR"]},
        ],
    },
    {
        "name": "debvisor-vm",
        "used_by": ["hypervisors", PRIMARIES],
        "grants": [
            {"kind": "vm", "types": ["A", "AAAA", "TXT"]},
            {"kind": "reverse", "types": ["PTR"]},
        ],
    },
    {"name": "debvisor-admin", "used_by": [PRIMARIES], "reads": True},
    {"name": "debvisor-role", "used_by": [PRIMARIES]},
)
"""What the cluster itself needs to change its zones. What admin and role may change stands in named.conf: they are not
like others."""

_KNOWN = {"name", "used_by", "served_by", "purpose", "reads", "algorithm", "grants"}
_GRANT = {"types", "zone", "kind", "below"}


def tsig_classes(
    added: Sequence[Mapping[str, Any]], groups: Mapping[str, Any], algorithm: str = "hmac-sha256"
) -> list[dict[str, Any]]:
    """Return every class with its hosts."""
    problems = [
        problem
        for number, each in enumerate(added)
        for problem in _problems(f"debvisor_tsig_classes[{number}]", each, groups)
    ]
    transfers: list[dict[str, Any]] = []
    try:
        transfers = descriptions(groups)
    except ValueError as cause:
        problems.append(str(cause))
    described = (*SYSTEM, *transfers, *added)
    names = [each.get("name") for each in described if isinstance(each, Mapping)]
    problems += [
        f"{name!r} is described twice"
        for name in sorted({n for n in names if names.count(n) > 1}, key=str)
    ]
    if problems:
        raise AnsibleFilterError("tsig_classes: " + "; ".join(problems))
    found = [
        {
            "name": each["name"],
            "algorithm": each.get("algorithm", algorithm),
            "purpose": each.get("purpose", "update"),
            "reads": bool(each.get("reads", False)),
            "servers": _hosts(each.get("served_by", [PRIMARIES]), groups),
            "clients": _hosts(each["used_by"], groups),
            "grants": list(each.get("grants", [])),
        }
        for each in (*SYSTEM, *added)
    ]
    return found + [
        {
            "name": each["name"],
            "algorithm": algorithm,
            "purpose": "transfer",
            "reads": False,
            "servers": each["hosts"],
            "clients": each["hosts"],
            "grants": [],
        }
        for each in transfers
    ]


def _hosts(named: Iterable[str], groups: Mapping[str, Any]) -> list[str]:
    return sorted({host for name in named for host in groups.get(name, [])})


def _problems(where: str, each: Any, groups: Mapping[str, Any]) -> list[str]:
    if not isinstance(each, Mapping):
        return [f"{where} is not a description of a class"]
    found = [f"{where} lacks {key}" for key in ("name", "used_by") if key not in each]
    found += [f"{where} has no option {key}" for key in sorted(set(each) - _KNOWN)]
    lists = [key for key in ("used_by", "served_by", "grants") if not _is_list(each.get(key, []))]
    found += [f"{where}.{key} is not a list" for key in lists]
    for key in {"used_by", "served_by"} - set(lists):
        for group in each.get(key, []):
            if group not in groups:
                found.append(f"{where}.{key}: there is no group {group!r}")
    purpose = each.get("purpose", "update")
    if purpose not in ("update", "transfer"):
        found.append(f"{where}.purpose is neither update nor transfer")
    elif purpose == "update" and "served_by" not in lists:
        servers = set(_hosts(each.get("served_by", []), groups))
        if others := sorted(servers - set(groups.get(PRIMARIES, []))):
            found.append(f"{where}.served_by: {', '.join(others)} cannot take updates")
    for number, grant in enumerate([] if "grants" in lists else each.get("grants", [])):
        place = f"{where}.grants[{number}]"
        if not isinstance(grant, Mapping):
            found.append(f"{place} is not a description of a grant")
            continue
        found += [f"{place} has no option {key}" for key in sorted(set(grant) - _GRANT)]
        if not grant.get("types"):
            found.append(f"{place} lacks types")
        elif not _is_list(grant["types"]):
            found.append(f"{place}.types is not a list")
        if ("zone" in grant) == ("kind" in grant):
            found.append(f"{place} has to name a zone or a kind")
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"tsig_classes": tsig_classes}
