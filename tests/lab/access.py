# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How people and Ansible get into the nodes: keys, known hosts, and the ssh command.

Host keys are made here and put into each node before its first start, so nobody ever has to trust a key on first use.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from tests.lab.layout import NODE_COUNT, Lab, Node
from tests.lab.report import LabError


def client_key(lab: Lab) -> Path:
    return lab.state / "id_ed25519"


def known_hosts(lab: Lab) -> Path:
    return lab.state / "known_hosts"


def ssh_config(lab: Lab) -> Path:
    return lab.state / "ssh_config"


def overlay_inventory(lab: Lab) -> Path:
    return lab.state / "hosts.json"


def host_key(lab: Lab, node: Node) -> Path:
    return lab.state / "host_keys" / f"{node.name}_ed25519"


def prepare(lab: Lab) -> None:
    """Make the keys that are missing, and write what ssh and Ansible need to reach the nodes."""
    lab.state.mkdir(parents=True, exist_ok=True)
    (lab.state / "host_keys").mkdir(mode=0o700, exist_ok=True)
    ensure_key(client_key(lab), f"{lab.name} client")
    for node in lab.nodes:
        ensure_key(host_key(lab, node), node.fqdn)
    known_hosts(lab).write_text(_known_hosts_text(lab), encoding="utf-8")
    ssh_config(lab).write_text(_ssh_config_text(lab), encoding="utf-8")
    overlay_inventory(lab).write_text(_overlay_text(lab), encoding="utf-8")


def ensure_key(path: Path, comment: str) -> None:
    """Make a key pair without a passphrase, if it is not there."""
    if path.exists() and path.with_name(path.name + ".pub").exists():
        path.chmod(0o600)
        return
    path.unlink(missing_ok=True)
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise LabError(
            "cannot make an ssh key", made.stderr, f"check that {path.parent} can be written"
        )


def public_key(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text(encoding="utf-8")


def ssh_command(lab: Lab, node: Node, *options: str) -> list[str]:
    return ["ssh", "-F", str(ssh_config(lab)), *options, node.name]


def run(
    lab: Lab, node: Node, command: Sequence[str] | str, *, timeout: float = 60.0, attempts: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run a command in a node as root.  A string is for the node's shell; words are passed on as they are.

    :param attempts: how often to connect, once a second: an sshd that is being reloaded listens to nobody for a moment.
    """
    words = [command] if isinstance(command, str) else [_quoted(word) for word in command]
    argv = [
        *ssh_command(lab, node, "-o", "BatchMode=yes", "-o", f"ConnectionAttempts={attempts}"),
        "--",
        *words,
    ]
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 255, "", f"no end after {timeout:.0f} s")


def _known_hosts_text(lab: Lab) -> str:
    lines = []
    for node in lab.nodes:
        kind, key = public_key(host_key(lab, node)).split()[:2]
        # The virtual addresses may be held by any node.
        names = [node.name, node.fqdn, node.address4, node.address6, lab.vip4, lab.vip6]
        lines.append(f"{','.join(str(name) for name in names)} {kind} {key}\n")
    return "".join(lines)


def _ssh_config_text(lab: Lab) -> str:
    common = f"""\
Host *
    User root
    IdentityFile "{client_key(lab)}"
    IdentitiesOnly yes
    UserKnownHostsFile "{known_hosts(lab)}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    ConnectTimeout 5
    LogLevel ERROR
"""
    hosts = "".join(f"Host {node.name}\n    HostName {node.address4}\n" for node in lab.nodes)
    return hosts + common


def _overlay_text(lab: Lab) -> str:
    """A second inventory source that points `inventories/lab` at this lab, for labs other than the default one."""
    network = {
        "debvisor_dns_vip": str(lab.vip4),
        "debvisor_dns_vip6": str(lab.vip6),
        "debvisor_network": str(lab.subnet4),
        "debvisor_network6": str(lab.subnet6),
        "debvisor_gateway": str(lab.gateway4),
        "debvisor_gateway6": str(lab.gateway6),
        "debvisor_reverse_zone": _reverse_zone(lab.subnet4),
        "debvisor_reverse_zone6": _reverse_zone(lab.subnet6),
        "ansible_ssh_private_key_file": str(client_key(lab)),
        "ansible_ssh_common_args": (
            f"-o 'UserKnownHostsFile=\"{known_hosts(lab)}\"' -o GlobalKnownHostsFile=/dev/null"
            " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
        ),
    }
    hosts = {
        node.name: {
            "ansible_host": str(node.address4),
            "debvisor_address": str(node.address4),
            "debvisor_address6": str(node.address6),
            **network,
        }
        for node in lab.nodes
    }
    more: dict[str, None] = {node.name: None for node in lab.nodes[NODE_COUNT:]}
    inventory = {"debvisor": {"hosts": hosts}, "dns_secondaries": {"hosts": more}}
    return json.dumps(inventory, indent=2) + "\n"


def _reverse_zone(subnet: IPv4Network | IPv6Network) -> str:
    """Return the reverse zone of a subnet whose prefix ends between two labels."""
    bits_of_a_label = 8 if subnet.version == 4 else 4
    labels = subnet.network_address.reverse_pointer.split(".")
    return ".".join(labels[(subnet.max_prefixlen - subnet.prefixlen) // bits_of_a_label :])


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
