# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's network: a bridge of its own, dual stack, and partitions between nodes.

A partition is a rule in a bridge-family table of the host: packets (and ARP, and neighbour discovery) between the two
nodes' ports are dropped, while each node still reaches the host.  It is out of reach of whatever a role does to the
nftables rules inside a node.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.lab.host import Host
from tests.lab.layout import FIRST_LAB, Lab, Node
from tests.lab.report import LabError

NETWORK_CONFIGS = Path("/etc/containers/networks")
Pair = tuple[str, str]
"""A sender, and who does not hear it."""


# The network ---------------------------------------------------------------------------------------------------------


def is_as_wanted(host: Host, lab: Lab) -> bool:
    found = inspect(host, lab)
    if found is None:
        return False
    subnets = {(entry["subnet"], entry.get("gateway")) for entry in found.get("subnets", [])}
    wanted = {(str(lab.subnet4), str(lab.gateway4)), (str(lab.subnet6), str(lab.gateway6))}
    return subnets == wanted and found.get("network_interface") == lab.bridge


def create(host: Host, lab: Lab) -> None:
    """Create the network, after removing what a dead earlier lab left under its names."""
    remove(host, lab)
    arguments = [
        "network",
        "create",
        "--driver=bridge",
        "--disable-dns",
        "--ipv6",
        f"--opt=mtu={_uplink_mtu(host)}",
    ]
    for subnet, gateway in ((lab.subnet4, lab.gateway4), (lab.subnet6, lab.gateway6)):
        arguments += [f"--subnet={subnet}", f"--gateway={gateway}"]
    host.podman(*arguments, lab.name)
    _name_the_bridge(host, lab)


def remove(host: Host, lab: Lab) -> list[str]:
    """Remove the network, its bridge and its partitions; say which of them were there."""
    removed = []
    if inspect(host, lab) is not None:
        host.podman("network", "rm", "--force", lab.name)
        removed.append(f"network {lab.name}")
    if lab.bridge in _links(host):
        host.run(["ip", "link", "delete", lab.bridge])
        removed.append(f"bridge {lab.bridge}")
    if _table_exists(host, lab):
        host.run(["nft", "delete", "table", "bridge", _table(lab)])
        removed.append("partitions")
    _partitions_file(lab).unlink(missing_ok=True)
    return removed


def all_labs(host: Host) -> set[str]:
    """The names of all labs that have a network, running or not."""
    names = host.podman("network", "ls", "--format={{.Name}}").stdout.split()
    return {name for name in names if name == FIRST_LAB or name.startswith(f"{FIRST_LAB}-")}


def inspect(host: Host, lab: Lab) -> dict[str, Any] | None:
    shown = host.podman("network", "inspect", lab.name, check=False)
    return json.loads(shown.stdout)[0] if shown.returncode == 0 else None


def _name_the_bridge(host: Host, lab: Lab) -> None:
    """Give the bridge its fixed name.  Podman 4.3 has no option for it, so its own record is edited."""
    found = inspect(host, lab)
    if found is None or found["network_interface"] == lab.bridge:
        return
    record = NETWORK_CONFIGS / f"{lab.name}.json"
    config = json.loads(host.run(["cat", str(record)]).stdout)
    config["network_interface"] = lab.bridge
    host.run(["tee", str(record)], stdin=json.dumps(config, indent=1).encode())


def _uplink_mtu(host: Host) -> int:
    """The packet size of the way out, so that nodes behind a smaller uplink do not lose large packets."""
    routes = json.loads(
        host.run(["ip", "-j", "-4", "route", "show", "default"], privileged=False).stdout or "[]"
    )
    links = _links(host)
    sizes = [int(links[route["dev"]]["mtu"]) for route in routes if route.get("dev") in links]
    return min([1500, *sizes])


def _links(host: Host) -> dict[str, dict[str, Any]]:
    listing = json.loads(host.run(["ip", "-j", "link", "show"], privileged=False).stdout)
    return {link["ifname"]: link for link in listing}


# Partitions ----------------------------------------------------------------------------------------------------------


def partitions(lab: Lab) -> set[Pair]:
    try:
        stored = json.loads(_partitions_file(lab).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    return {tuple(pair) for pair in stored}


def cut(
    host: Host,
    lab: Lab,
    node: Node,
    peers: Iterable[Node],
    pids: dict[str, int],
    *,
    one_way: bool = False,
) -> None:
    """Drop what the node sends to these peers, and unless ``one_way`` what they send to it."""
    wanted = set(partitions(lab))
    for peer in peers:
        wanted.add((node.name, peer.name))
        if not one_way:
            wanted.add((peer.name, node.name))
    apply(host, lab, wanted, pids)


def mend(host: Host, lab: Lab, node: Node | None, pids: dict[str, int]) -> None:
    left = {pair for pair in partitions(lab) if node is not None and node.name not in pair}
    apply(host, lab, left, pids)


def apply(host: Host, lab: Lab, wanted: set[Pair], pids: dict[str, int]) -> None:
    """Make exactly these partitions hold, in one transaction.  Nodes that are off are joined in when they start."""
    ports = {name: _bridge_port(host, pid) for name, pid in pids.items()}
    rules = [
        f'iifname "{ports[source]}" oifname "{ports[target]}" counter drop'
        for source, target in sorted(wanted)
        if source in ports and target in ports
    ]
    table = _table(lab)
    chain = "\n".join(["type filter hook forward priority filter; policy accept;", *rules])
    script = f"table bridge {table}\ndelete table bridge {table}\n"
    if wanted:
        script += f"table bridge {table} {{\nchain partitions {{\n{chain}\n}}\n}}\n"
    loaded = host.run(["nft", "-f", "-"], stdin=script.encode(), check=False)
    if loaded.returncode != 0:
        raise LabError(
            "cannot change the partitions between nodes",
            loaded.stderr,
            "the kernel needs nftables for the bridge family (CONFIG_NF_TABLES_BRIDGE)",
        )
    _partitions_file(lab).write_text(json.dumps(sorted(wanted)), encoding="utf-8")


def _bridge_port(host: Host, pid: int) -> str:
    """The host's end of the cable to the node that this process is the init of."""
    shown = host.run(["nsenter", f"--target={pid}", "--net", "ip", "-j", "link", "show", "eth0"])
    index = json.loads(shown.stdout)[0]["link_index"]
    for name, link in _links(host).items():
        if link["ifindex"] == index:
            return name
    raise LabError(
        "a node has no cable to the bridge",
        f"no interface {index} on this host",
        "run `make lab-down`, then `make lab`",
    )


def _table(lab: Lab) -> str:
    return f"{lab.bridge}_partitions"


def _table_exists(host: Host, lab: Lab) -> bool:
    return host.run(["nft", "list", "table", "bridge", _table(lab)], check=False).returncode == 0


def _partitions_file(lab: Lab) -> Path:
    return lab.state / "partitions.json"
