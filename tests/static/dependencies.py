# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which collections the roles and playbooks call, against what galaxy.yml promises to bring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

DEBIAN_13 = {
    "amazon.aws": "10.1.1",
    "ansible.posix": "2.1.0",
    "ansible.utils": "6.0.0",
    "awx.awx": "24.6.1",
    "community.crypto": "3.0.3",
    "community.dns": "3.3.2",
    "community.general": "11.2.1",
    "community.libvirt": "2.0.0",
    "containers.podman": "1.17.0",
    "kubernetes.core": "6.1.0",
}
"""Versions in the package ``ansible`` 12.0.0. A lower bound above these cannot be met on a node."""
OWN = frozenset({"ansible.builtin", "debvisor.hci"})
FQCN = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_.]*")
NOT_MODULES = frozenset({"vars", "set_fact", "ansible.builtin.set_fact"})


def called(text: str) -> set[str]:
    """Return the collections whose modules the tasks of a YAML file call."""
    found: set[str] = set()
    for document in yaml.load_all(text, Loader=_Tolerant):
        for key in _keys(document):
            if FQCN.fullmatch(key):
                found.add(".".join(key.split(".")[:2]))
    return found - OWN


class _Tolerant(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML comes without types
    """Takes Ansible's own tags (!vault, !unsafe) as nothing."""


_Tolerant.add_multi_constructor("!", lambda loader, suffix, node: None)


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key)
            if key not in NOT_MODULES:
                yield from _keys(value)
    elif isinstance(node, list):
        for item in node:
            yield from _keys(item)


def faults(declared: Mapping[str, str], used: Mapping[str, set[str]]) -> list[str]:
    """Compare what galaxy.yml declares with what is used; ``used`` maps a collection to the files that call it."""
    wrong = [
        f"{', '.join(sorted(files))}: calls {name}, which galaxy.yml does not depend on"
        for name, files in sorted(used.items())
        if name not in declared
    ]
    for name, bound in sorted(declared.items()):
        if name not in used:
            wrong.append(f"galaxy.yml: depends on {name}, which no role or playbook calls")
        if name not in DEBIAN_13:
            wrong.append(f"galaxy.yml: {name} is not in Debian 13's package ansible")
        elif not _met(bound, DEBIAN_13[name]):
            wrong.append(
                f"galaxy.yml: {name} {bound} is not a lower bound that {DEBIAN_13[name]} meets"
            )
    return wrong


def _met(bound: str, version: str) -> bool:
    lower = re.match(r">=(\d+(?:\.\d+)*)(?:$|,)", bound)
    return bool(lower) and _numbers(lower[1] if lower else "") <= _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
