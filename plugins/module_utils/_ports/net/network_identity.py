# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom this machine must stay in touch with: its own addresses, its gateways, and who is logged in to change it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from ..._core.errors import Unreachable
from . import ip_addresses, ssh_session

NETWORK_DEVICES = Path("/sys/class/net")
BRIDGE_SWITCHES = Path("/proc/sys/net/bridge")


class NetworkIdentity:
    """The machine's place in its networks, from the kernel."""

    def own_addresses(self) -> frozenset[str]:
        """Return every address of this machine.

        :raises Unreachable: where the kernel does not say.
        """
        try:
            return ip_addresses.here()
        except OSError as cause:
            raise Unreachable("the machine's addresses cannot be listed", why=str(cause)) from cause

    def gateways(self) -> frozenset[str]:
        """Return the next hops of all routes in the main tables (proc(5), /proc/net/route and ipv6_route)."""
        found: set[str] = set()
        for line in _lines("/proc/net/route")[1:]:
            gateway = int(line.split()[2], 16)
            if gateway:
                found.add(socket.inet_ntop(socket.AF_INET, struct.pack("=I", gateway)))
        for line in _lines("/proc/net/ipv6_route"):
            packed = bytes.fromhex(line.split()[4])
            if any(packed):
                found.add(socket.inet_ntop(socket.AF_INET6, packed))
        return frozenset(found)

    def bridges_below_ip(self) -> frozenset[str]:
        """Return the bridges that join guests and others without asking the hooks of IPv4 and IPv6.

        A guest is behind a tap. br_netfilter asks them, for all bridges or for one, where it is loaded and told to.
        """
        found = set()
        for ports in NETWORK_DEVICES.glob("*/brif"):
            guests = {
                (NETWORK_DEVICES / each.name / "tun_flags").exists() for each in ports.iterdir()
            }
            if guests == {True, False} and not _asks_ip(ports.parent):
                found.add(ports.parent.name)
        return frozenset(found)

    def client(self) -> str | None:
        """Return the address that the SSH session around this process came from, or None outside of one."""
        found = ssh_session.client()
        return found[0] if found else None


def _asks_ip(bridge: Path) -> bool:
    return all(
        "1"
        in (
            *_lines(f"{BRIDGE_SWITCHES}/bridge-nf-call-{each}"),
            *_lines(f"{bridge}/bridge/nf_call_{each}"),
        )
        for each in ("iptables", "ip6tables")
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:  # a kernel without that family, or without br_netfilter
        return []
