# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom this machine must stay in touch with, as the kernel and the environment tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net import network_identity
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net.network_identity import (
    NetworkIdentity,
)

ROUTES = """Iface\tDestination\tGateway \tFlags
eth0\t00000000\t010200C0\t0003
eth0\t000200C0\t00000000\t0001
"""
ROUTES6 = """00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 x
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 x
"""


def test_gateways_are_the_next_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"/proc/net/route": ROUTES, "/proc/net/ipv6_route": ROUTES6}
    monkeypatch.setattr(network_identity, "_lines", lambda path: tables[path].splitlines())
    assert NetworkIdentity().gateways() == {"192.0.2.1", "2001:db8::1"}


def test_a_kernel_without_ipv6_has_no_gateways_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network_identity._lines("/proc/net/there-is-no-such-file") == []


@pytest.mark.parametrize(
    ("ports", "switches", "found"),
    [
        ({"bond0": False, "vnet0": True}, {}, {"br0"}),
        ({"bond0": False, "vnet0": True}, {"iptables": "0", "ip6tables": "0"}, {"br0"}),
        ({"bond0": False, "vnet0": True}, {"iptables": "1", "ip6tables": "0"}, {"br0"}),
        ({"bond0": False, "vnet0": True}, {"iptables": "1", "ip6tables": "1"}, set()),
        ({"vnet0": True, "vnet1": True}, {}, set()),  # the host routes to them
        ({"bond0": False, "veth0": False}, {}, set()),
        ({}, {}, set()),
    ],
)
@pytest.mark.parametrize("one_bridge", [False, True], ids=["all bridges", "one bridge"])
def test_a_bridge_that_joins_guests_and_others_may_not_ask_the_hooks_of_ip(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ports: dict[str, bool],
    switches: dict[str, str],
    found: set[str],
    one_bridge: bool,
) -> None:
    devices, switched = tmp_path / "net", tmp_path / "switches"
    monkeypatch.setattr(network_identity, "NETWORK_DEVICES", devices)
    monkeypatch.setattr(network_identity, "BRIDGE_SWITCHES", switched)
    for folder in (devices / "br0/brif", devices / "br0/bridge", devices / "lo", switched):
        folder.mkdir(parents=True)
    for name, tap in ports.items():
        (devices / name).mkdir()
        (devices / "br0/brif" / name).symlink_to(devices / name)
        if tap:
            (devices / name / "tun_flags").write_text("0x1002\n")
    for family, value in switches.items():
        own, common = (
            devices / f"br0/bridge/nf_call_{family}",
            switched / f"bridge-nf-call-{family}",
        )
        (own if one_bridge else common).write_text(f"{value}\n")
    assert NetworkIdentity().bridges_below_ip() == found


def test_the_loopback_address_is_ours() -> None:
    assert "127.0.0.1" in NetworkIdentity().own_addresses()


def test_the_client_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "fe80::7%eth0 50000 192.0.2.10 22")
    assert NetworkIdentity().client() == "fe80::7"


def test_the_client_is_found_behind_sudo() -> None:
    """sudo takes the variable away; a parent of ours still has it."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        f"from {network_identity.__name__} import NetworkIdentity\n"
        "print(NetworkIdentity().client())\n"
    )
    clean = ["env", "-u", "SSH_CONNECTION", sys.executable, "-c", code, *sys.path]
    shell = " ".join(f"'{word}'" for word in clean)
    done = subprocess.run(
        ["sh", "-c", f"{shell}; true"],
        env={**os.environ, "SSH_CONNECTION": "198.51.100.9 50000 192.0.2.10 22"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == "198.51.100.9"


def test_without_a_session_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert NetworkIdentity().client() is None
