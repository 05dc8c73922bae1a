# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that sign what DNS servers ask and tell each other, as they are at each use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

from .._core.errors import DebvisorError
from .._dns.protocol import wire
from .._dns.protocol.key_source import generations
from .._dns.protocol.signing import Exchange
from .._dns.protocol.tsig import Key, parse
from .._ports.host.files import Files
from .dns_settings import ServerEntry

KEYS_KEPT = 1.0
"""Seconds for which keys that were read are used again."""


class Keys:
    """The keys that sign: the one in use, and every generation that is valid."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files = Files()
        self._read_at = float("-inf")
        self._known: dict[str, Key] = {}
        self._current: Key | None = None

    def current(self) -> Key | None:
        """Return the key to sign with; None where there is none."""
        self._refresh()
        return self._current

    def named(self, name: str) -> Key | None:
        """Return the key of that name; None where this server does not have it."""
        self._refresh()
        return self._known.get(name)

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < KEYS_KEPT:
            return
        self._read_at = time.monotonic()
        with contextlib.suppress(DebvisorError):
            key = parse(self._files.read(self._path), self._path)
            beside = generations(key, self._path, self._files.read, self._files.listing)
            self._current = key
            self._known = {each.name: each for each in (*beside.values(), key)}

    def sign(self, query: bytes) -> tuple[bytes, Callable[[bytes], bool]]:
        """Sign a query (TSIG); return it, and what tells whether an answer to it is signed as it has to be.

        Without a key nothing is proved.
        """
        key = self.current()
        if key is None:
            return query, lambda answer: False
        exchange = Exchange(key)
        signed = exchange.sign(query, int(time.time()))

        def proves(answer: bytes) -> bool:
            try:
                exchange.check(wire.read(answer), int(time.time()), "a server")
            except (DebvisorError, wire.Malformed):
                return False
            return True

        return signed, proves


class SharedKeys:
    """The keys that this server shares with each other one, found by the other's address."""

    def __init__(self, servers: Iterable[ServerEntry]) -> None:
        entries = list(servers)
        of_path = {path: Keys(path) for path in {str(entry.key) for entry in entries}}
        self._keys = {entry.address: of_path[str(entry.key)] for entry in entries}

    def current(self, address: str) -> Key | None:
        """Return the key to sign with for a server; None where there is none."""
        found = self._keys.get(address)
        return found.current() if found else None

    def named(self, address: str, name: str) -> Key | None:
        """Return the key of that name, if it is one that the server of that address may sign with."""
        found = self._keys.get(address)
        return found.named(name) if found else None

    def sign(self, address: str, query: bytes) -> tuple[bytes, Callable[[bytes], bool]]:
        """Sign a query (TSIG) to a server; see :meth:`Keys.sign`."""
        return self._keys[address].sign(query)
