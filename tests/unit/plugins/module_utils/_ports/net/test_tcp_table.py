# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is connected to this machine by TCP, of real connections over loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net import ip_addresses, tcp_table


@pytest.mark.parametrize(
    ("listen", "connect", "client"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::", "127.0.0.1", "127.0.0.1"),
    ],
    ids=["ipv4", "ipv6", "ipv4 to a socket of both"],
)
def test_who_connected_is_told_and_whom_we_connected_to_is_not(
    monkeypatch: pytest.MonkeyPatch, listen: str, connect: str, client: str
) -> None:
    monkeypatch.setattr(ip_addresses, "here", frozenset)  # else those of loopback are our own
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    server = socket.create_server((listen, 0), family=family, dualstack_ipv6=listen == "::")
    port = server.getsockname()[1]
    with server, socket.create_connection((connect, port)) as link:
        found = tcp_table.incoming()
        assert (client, port) in found
        assert (client, link.getsockname()[1]) not in found
    assert (client, port) not in tcp_table.incoming()


def test_the_machine_itself_is_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert ("127.0.0.1", port) not in tcp_table.incoming()


def test_a_kernel_without_ipv6_tells_of_ipv4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tcp").write_text("  sl  local_address rem_address   st tx_queue rx_queue tr\n")
    monkeypatch.setattr(tcp_table, "FOLDER", tmp_path)
    assert tcp_table.incoming() == frozenset()
