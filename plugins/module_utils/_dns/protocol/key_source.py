# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A key file as its users see it: read at each use, with the other valid generations beside it to fall back on."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from ..._core.errors import DebvisorError
from .tsig import Key, class_of, parse


def generations(
    key: Key, path: str, read: Callable[[str], bytes], listing: Callable[[str], Sequence[str]]
) -> dict[int, Key]:
    """Return the valid generations of a key's class, by number, from the files beside its own.

    A file that went meanwhile, or is broken, is none of them.

    :param path: the file of ``key``, which is the one to sign with.
    """
    of_class = class_of(key.name)
    folder, name = posixpath.split(path)
    pattern = re.compile(re.escape(name.removesuffix(".key")) + r"\.g[0-9]+\.key")
    found: dict[int, Key] = {}
    for entry in listing(folder) if of_class else ():
        if not pattern.fullmatch(entry):
            continue
        beside = posixpath.join(folder, entry)
        try:
            other = parse(read(beside), beside)
        except DebvisorError:
            continue
        generation = class_of(other.name)
        if generation and of_class and generation[0] == of_class[0]:
            found[generation[1]] = other
    return found


class KeySource:
    """Gives the key to sign with. Keys change under running programs, so nothing is kept.

    Beside ``debvisor-node.key``, ``debvisor-node.g1.key`` and its like are the generations that are valid. Where a
    server does not know the one in use, the newest of the others is.

    :param read: gives a file's content.
    :param listing: gives the names of the files in a folder.
    """

    def __init__(
        self, path: str, read: Callable[[str], bytes], listing: Callable[[str], Sequence[str]]
    ) -> None:
        self._path = path
        self._read = read
        self._listing = listing
        self._in_file = ""
        self._rejected: set[str] = set()
        self.fallbacks: list[str] = []
        """A sentence for each time that another generation had to serve."""

    def __call__(self) -> Key:
        """Return the key to sign with now."""
        key = parse(self._read(self._path), self._path)
        if key.name != self._in_file:  # the file was switched: what was said of keys is out of date
            self._in_file = key.name
            self._rejected.clear()
        if key.name not in self._rejected:
            return key
        return next(iter(self._others(key)), key)

    def reject(self, name: str) -> bool:
        """Note that a server does not know a key. True where there is another one to try."""
        self._rejected.add(name)
        others = self._others(parse(self._read(self._path), self._path))
        if others:
            self.fallbacks.append(
                f"The server does not know the key {name}; {others[0].name} of the same class was used in its place."
                " Let this host catch up: run debvisor.hci.rotate_tsig or debvisor.hci.site"
            )
        return bool(others)

    def _others(self, key: Key) -> list[Key]:
        """Return the other generations that no server rejected, newest first."""
        found = generations(key, self._path, self._read, self._listing)
        return [
            found[number]
            for number in sorted(found, reverse=True)
            if found[number].name not in self._rejected
        ]
