# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table that closes `make lab`: nodes, addresses, roles, the VIP's holder and the zones."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from plugins.module_utils._ports.dns.dns_probe import Question, ask, serials
from tests.lab import access, network, nodes
from tests.lab.host import Host
from tests.lab.layout import CHECKOUT, DOMAIN, FIRST_LAB, Lab, Node
from tests.lab.nodes import State

# `ip` answers in one line; the zones follow, if there is a name server.
QUESTION = "ip -j address show scope global; named-checkconf -l 2>/dev/null || true"
BUILT_IN_ZONES = {".", "localhost", "0.in-addr.arpa", "127.in-addr.arpa", "255.in-addr.arpa"}
SHOWN_GROUPS_OMIT = {"all", "ungrouped", "debvisor"}
DNS_BUDGET = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    node: Node
    state: State
    addresses: frozenset[str] = frozenset()
    zones: dict[str, str] = field(default_factory=dict)  # name: primary or secondary

    def holds_vip(self, lab: Lab) -> bool:
        return bool(self.addresses & {str(lab.vip4), str(lab.vip6)})


def show(host: Host, lab: Lab) -> int:
    """Print the table; 0 when every node runs."""
    with ThreadPoolExecutor(len(lab.nodes) + 1) as pool:
        groups_found = pool.submit(_groups)
        reports = list(pool.map(lambda node: _ask(host, lab, node), lab.nodes))
        groups = groups_found.result()
    print()
    _print_nodes(lab, reports, groups)
    _print_partitions(lab)
    print()
    _print_zones(lab, reports)
    print()
    if all(report.state is State.ABSENT for report in reports):
        print("The lab is down.  `make lab` brings it up.")
    else:
        _print_what_to_try(lab, reports)
    return 0 if all(report.state is State.RUNNING for report in reports) else 1


def _ask(host: Host, lab: Lab, node: Node) -> Report:
    state = nodes.see(host, lab, node).state
    if state not in (State.RUNNING, State.DEGRADED):
        return Report(node, state)
    answer = access.run(lab, node, QUESTION, timeout=10)
    if answer.returncode != 0:
        return Report(node, state)
    first, *others = answer.stdout.splitlines()
    links = json.loads(first)
    addresses = {
        entry["local"] for link in links for entry in link.get("addr_info", []) if "local" in entry
    }
    zones = {}
    for line in others:
        name, _class, _view, kind = (line.split() + [""] * 4)[:4]
        if kind in ("primary", "master", "secondary", "slave") and name not in BUILT_IN_ZONES:
            zones[name] = {"master": "primary", "slave": "secondary"}.get(kind, kind)
    return Report(node, state, frozenset(addresses), zones)


def _groups() -> dict[str, list[str]]:
    """Which inventory groups each node is in; empty where Ansible is not installed."""
    program = CHECKOUT / ".venv" / "bin" / "ansible-inventory"
    if not program.exists():
        return {}
    listing = subprocess.run(
        [program, "--inventory", "inventories/lab", "--list"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if listing.returncode != 0:
        return {}
    inventory = json.loads(listing.stdout)
    found: dict[str, list[str]] = {}
    for group, content in inventory.items():
        if group.startswith("_") or group in SHOWN_GROUPS_OMIT:
            continue
        for name in content.get("hosts", []):
            found.setdefault(name, []).append(group)
    return found


def _print_nodes(lab: Lab, reports: Sequence[Report], groups: dict[str, list[str]]) -> None:
    rows = [("NODE", "STATE", "IPV4", "IPV6", "VIP", "ROLES")]
    for report in reports:
        node = report.node
        roles = ", ".join(groups.get(node.name, [])) or "-"
        vip = "holder" if report.holds_vip(lab) else "-"
        rows.append(
            (node.name, report.state.value, str(node.address4), str(node.address6), vip, roles)
        )
    _print_table(rows)


def _print_partitions(lab: Lab) -> None:
    for source, target in sorted(network.partitions(lab)):
        print(f"cut: {source} does not reach {target} (undo: python3 -m tests.lab mend)")


def _print_zones(lab: Lab, reports: Sequence[Report]) -> None:
    zones = sorted({zone for report in reports for zone in report.zones})
    if not zones:
        print("No node serves a DNS zone yet.")
        return
    rows = [("ZONE (serials)", *(report.node.name for report in reports), f"VIP {lab.vip4}")]
    servers = [str(report.node.address4) for report in reports] + [str(lab.vip4)]
    questions = [Question(server, zone) for zone in zones for server in servers]
    told = serials(ask(questions, DNS_BUDGET))
    for zone in zones:
        cells = []
        for report in reports:
            serial = told.get(str(report.node.address4), {}).get(zone)
            writer = " (writer)" if report.zones.get(zone) == "primary" else ""
            cells.append("no answer" if serial is None else f"{serial}{writer}")
        at_vip = told.get(str(lab.vip4), {}).get(zone)
        rows.append((zone, *cells, "no answer" if at_vip is None else str(at_vip)))
    _print_table(rows)


def _print_what_to_try(lab: Lab, reports: Sequence[Report]) -> None:
    zones = sorted({zone for report in reports for zone in report.zones}, key=len)
    zone = DOMAIN if DOMAIN in zones or not zones else zones[0]
    print("Try:")
    print(f"  dig @{lab.vip4} {zone} SOA +short")
    overlay = access.overlay_inventory(lab).relative_to(CHECKOUT)
    inventory = "" if lab.name == FIRST_LAB else f"-i inventories/lab -i {overlay} "
    print(f"  .venv/bin/ansible {inventory}{reports[0].node.name} -m ansible.builtin.service_facts")
    print(f"  ssh -F {access.ssh_config(lab).relative_to(CHECKOUT)} {reports[0].node.name}")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
