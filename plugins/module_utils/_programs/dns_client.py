# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the programs on a node sign: with the key file as it is at each use, and with what lies beside it if need be."""

from __future__ import annotations

from .._dns.protocol.client import Client
from .._dns.protocol.key_source import KeySource
from .._ports.dns.dns_server import DnsServer
from .._ports.host.files import Files


def signing_client(
    address: str, port: int, timeout: float, key_file: str, source: str = ""
) -> tuple[Client, KeySource]:
    """Return a client that signs, and where its keys come from."""
    files = Files()
    keys = KeySource(key_file, files.read, files.listing)
    return Client(DnsServer(address, port, timeout, source), keys, reject=keys.reject), keys
