# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the lab consists of: names and addresses, as plain data.

The default lab is the one that ``inventories/lab`` describes.  ``DEBVISOR_LAB_NAME`` names a second, independent lab
with its own containers, network, addresses and state folder.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from tests.lab.report import LabError

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build"
FIRST_LAB = "debvisor-lab"
DOMAIN = "debvisor.test"
NODE_COUNT = 3
"""Nodes that ``inventories/lab`` knows. ``DEBVISOR_LAB_NODES`` adds secondaries to a lab of another name."""
VIP_HOST_PART = 10


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    fqdn: str
    container: str
    address4: IPv4Address
    address6: IPv6Address
    mac: str


@dataclass(frozen=True, slots=True)
class Lab:
    name: str
    state: Path
    bridge: str
    subnet4: IPv4Network
    subnet6: IPv6Network
    nodes: tuple[Node, ...]

    @property
    def gateway4(self) -> IPv4Address:
        return self.subnet4[1]

    @property
    def gateway6(self) -> IPv6Address:
        return self.subnet6[1]

    @property
    def vip4(self) -> IPv4Address:
        """Reserved for keepalived; the lab assigns it to nobody."""
        return self.subnet4[VIP_HOST_PART]

    @property
    def vip6(self) -> IPv6Address:
        return _written_alike(self.subnet6, VIP_HOST_PART)

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise LabError(
            f"there is no node called '{name}'", f"this lab has {known}", "use one of these names"
        )


def _written_alike(network: IPv6Network, host_part: int) -> IPv6Address:
    """The IPv6 address whose last group *reads* like the IPv4 one: .11 goes with ::11."""
    return network[int(str(host_part), 16)]


def _node(lab: str, slot: int, subnet4: IPv4Network, subnet6: IPv6Network, number: int) -> Node:
    host_part = VIP_HOST_PART + number
    name = f"node{number}"
    return Node(
        name=name,
        fqdn=f"{name}.{DOMAIN}",
        container=f"{lab}-{name}",
        address4=subnet4[host_part],
        address6=_written_alike(subnet6, host_part),
        mac=f"02:77:77:00:{slot:02x}:{host_part:02x}",
    )


def current_lab() -> Lab:
    """The lab that the environment asks for: the default one, or the one called ``DEBVISOR_LAB_NAME``."""
    suffix = os.environ.get("DEBVISOR_LAB_NAME", "")
    if suffix and not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", suffix):
        raise LabError(
            f"DEBVISOR_LAB_NAME='{suffix}' is not a usable name",
            "it becomes part of container and network names",
            "use a short name of lower case letters, digits and dashes, or unset it for the default lab",
        )
    count = os.environ.get("DEBVISOR_LAB_NODES", str(NODE_COUNT))
    if not (re.fullmatch("[3-9]", count) and (suffix or int(count) == NODE_COUNT)):
        raise LabError(
            f"DEBVISOR_LAB_NODES='{count}' is not usable",
            "the default lab has three nodes, a lab with a name three to nine",
            "set DEBVISOR_LAB_NAME, too, or unset it",
        )
    slot = 1 + zlib.crc32(suffix.encode()) % 250 if suffix else 0
    name = f"{FIRST_LAB}-{suffix}" if suffix else FIRST_LAB
    subnet4 = IPv4Network(f"10.77.{slot}.0/24")
    subnet6 = IPv6Network(f"fd77:77:0:{slot:x}::/64")
    return Lab(
        name=name,
        state=BUILD / (f"lab-{suffix}" if suffix else "lab"),
        bridge=f"dvlab{slot}",
        subnet4=subnet4,
        subnet6=subnet6,
        nodes=tuple(
            _node(name, slot, subnet4, subnet6, number) for number in range(1, int(count) + 1)
        ),
    )
