# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of every ``debvisor_*`` variable, written from the roles' defaults and argument specifications.

``python3 -m tests.static.variables`` writes docs/variables.md; the static check ``variables`` says where it is wrong.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checkout import ROOT
from tests.static.role_readme import load, markdown, roles

PAGE = Path("docs/variables.md")
VARIABLE = re.compile(r"\bdebvisor_[a-z0-9_]+\b")
BRACES = re.compile(r"\{\{.*?\}\}", re.DOTALL)
KEY = re.compile(r"^[\s#-]*(debvisor_[a-z0-9_]+):", re.MULTILINE)
WHOLE = re.compile(r"\{\{\s*(debvisor_[a-z0-9_]+)(?P<rest>(?:\s*\|.*?)?)\s*\}\}\s*", re.DOTALL)
HEAD = """# Variables

<!-- written by python3 -m tests.static.variables -->

Every variable that this collection reads from the inventory, or from `-e`, begins with `debvisor_`. Roles have
variables of their own, whose defaults refer to these; they are in the README of each role. Values of `-e` that hold
spaces or lists are written as JSON: `-e '{"debvisor_reason": "guesses passwords"}'`.

| Variable | Default | Read by | Meaning |
| --- | --- | --- | --- |
"""
MEANINGS = {
    "debvisor_address": "The host's IPv4 address, by which the other nodes reach it. Set for each host.",
    "debvisor_address6": "The host's IPv6 address, where it has one. Set for each host.",
    "debvisor_block_ips": "Addresses and networks to ban, with commas or as a list. Needed by `block_ips`.",
    "debvisor_cluster_networks": "Further networks that only the nodes use, such as Ceph's or that of migrations.",
    "debvisor_dns_vip": "The virtual IPv4 address of DNS. It lies in the nodes' network and is assigned to no machine.",
    "debvisor_dns_vip6": "The virtual IPv6 address of DNS, where there is one.",
    "debvisor_dns_zones": "The zones that the cluster serves, each with `name`, `kind` and perhaps `dnssec`.",
    "debvisor_domain": "The zone of the nodes' own names.",
    "debvisor_gateway": "The IPv4 router of the nodes' network.",
    "debvisor_gateway6": "The IPv6 router of the nodes' network.",
    "debvisor_images": "Images that the cache fetches ahead.",
    "debvisor_mfa_stages": "The stages that `enforce_mfa` goes through. For a look: `report` alone.",
    "debvisor_network": "The nodes' IPv4 network.",
    "debvisor_network6": "The nodes' IPv6 network.",
    "debvisor_protected": "Further networks that no list and no ban can cut off.",
    "debvisor_reason": "Why a network is banned, or a host is quarantined.",
    "debvisor_requester": "Who asked for it.",
    "debvisor_target": "The host, or for `block_ips` the hosts, that a playbook works on.",
    "debvisor_tsig_only": "The classes of keys to rotate or revoke, with commas or as a list. All of them without it.",
    "debvisor_tsig_classes": "Further classes of TSIG keys and what they may change; see [tsig.md](tsig.md).",
}
"""Of those whose meaning is not that of one role's variable."""


@dataclass
class Variable:
    """What is known of a variable."""

    meaning: str = ""
    defaults: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)


def _expression(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _default(rest: str) -> str:
    """Return what stands in the first ``default(...)`` behind a variable."""
    found = re.match(r"\s*\|\s*default\(", rest)
    if not found:
        return ""
    depth, start = 1, found.end()
    for at in range(start, len(rest)):
        depth += {"(": 1, ")": -1}.get(rest[at], 0)
        if not depth:
            return rest[start:at].removesuffix(", true").strip()
    return ""


def shown(default: str) -> str:
    """Return an expression as a table's cell shows it."""
    return f"`{' '.join(default.split())}`".replace("|", r"\|") if default else ""


def _meaning(option: Mapping[str, Any]) -> str:
    told = option.get("description") or ""
    text = " ".join(map(str, told)) if isinstance(told, list) else str(told)
    sentences = re.split(r"(?<=[.])\s+", " ".join(text.split()))
    return markdown(" ".join(each for each in sentences if not VARIABLE.search(each)))


def _options(role: Path) -> dict[str, Any]:
    points = load(role / "meta" / "argument_specs.yml").get("argument_specs") or {}
    found: dict[str, Any] = {}
    for point in points.values():
        found.update(point.get("options") or {})
    return found


def _texts(root: Path) -> Iterator[tuple[str, str]]:
    """Yield who reads variables, and the text in which their names stand."""
    for path in sorted(root.glob("playbooks/*.yml")):
        yield f"`{path.stem}`", path.read_text("utf-8")
    for role in roles(root):
        for path in sorted((role / "vars").glob("*.yml")):
            yield f"role `{role.name}`", path.read_text("utf-8")


def variables(root: Path = ROOT) -> dict[str, Variable]:
    """Return every variable by name."""
    found: dict[str, Variable] = {}
    for role in roles(root):
        options = _options(role)
        for name, value in load(role / "defaults" / "main.yml").items():
            text = _expression(value)
            for each in VARIABLE.findall(" ".join(BRACES.findall(text))):
                found.setdefault(each, Variable()).readers.add(f"role `{role.name}`")
            if whole := WHOLE.fullmatch(text):
                found[whole[1]].defaults.add(_default(whole["rest"]))
                found[whole[1]].meaning = found[whole[1]].meaning or _meaning(options.get(name, {}))
    for reader, text in _texts(root):
        for each in VARIABLE.findall(text):
            found.setdefault(each, Variable()).readers.add(reader)
    for path in sorted(root.glob("inventories/example/**/*.yml")):
        for each in KEY.findall(path.read_text("utf-8")):
            found.setdefault(each, Variable())
    for name, meaning in MEANINGS.items():
        if name in found:
            found[name].meaning = meaning
    return found


def page(found: Mapping[str, Variable]) -> str:
    """Return the page."""
    rows = []
    for name, each in sorted(found.items()):
        default = shown(*each.defaults) if len(each.defaults) == 1 else ""
        readers = ", ".join(sorted(each.readers)) or "your inventory alone"
        rows.append(f"| `{name}` | {default} | {readers} | {each.meaning} |\n")
    return HEAD + "".join(rows)


def faults(root: Path = ROOT) -> list[str]:
    """Say what is wrong with the page."""
    found = variables(root)
    wrong = [f"{PAGE}: {name} has no meaning" for name, each in found.items() if not each.meaning]
    wrong += [f"{PAGE}: {name} does not exist" for name in MEANINGS if name not in found]
    path = root / PAGE
    if not path.is_file() or path.read_text("utf-8") != page(found):
        wrong.append(f"{PAGE} is out of date; run python3 -m tests.static.variables")
    return wrong


def main() -> int:
    """Bring the page up to date."""
    found = variables()
    (ROOT / PAGE).write_text(page(found), encoding="utf-8")
    print(f"{len(found)} variables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
