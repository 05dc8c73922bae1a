# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of servers, each made once, so that its connection lasts; and the keys that they sign with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..._core.ports import Clock
from .client import Client, Transport
from .endpoints import Endpoint
from .key_source import KeySource


class Connections:
    """Every server that one run talks to.

    :param reach: gives the way to a server by address, port and seconds to wait for an answer.
    :param read_file: gives a key file's content.
    :param listing: gives the names in a folder: beside a key file lie the other generations of its key.
    """

    def __init__(
        self,
        reach: Callable[[str, int, float], Transport],
        read_file: Callable[[str], bytes],
        clock: Clock,
        listing: Callable[[str], Sequence[str]] = lambda folder: [],
    ) -> None:
        self._reach = reach
        self._read_file = read_file
        self._listing = listing
        self._clock = clock
        self._keys: dict[str, KeySource] = {}
        self._clients: dict[tuple[Endpoint, str | None], Client] = {}

    def key_source(self, key_file: str) -> KeySource:
        """Return where the keys of a file come from."""
        if key_file not in self._keys:
            self._keys[key_file] = KeySource(key_file, self._read_file, self._listing)
        return self._keys[key_file]

    def client(self, endpoint: Endpoint, key_file: str | None, timeout: float) -> Client:
        """Return the client of a server, which signs with the key file's key where one is given."""
        known = self._clients.get((endpoint, key_file))
        if known is None:
            transport = self._reach(endpoint.address, endpoint.port, timeout)
            if key_file is None:
                known = Client(transport, clock=self._clock)
            else:
                keys = self.key_source(key_file)
                known = Client(transport, keys, self._clock, keys.reject)
            self._clients[endpoint, key_file] = known
        return known

    def close(self) -> None:
        """Drop all connections."""
        for client in self._clients.values():
            client.close()
