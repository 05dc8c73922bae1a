# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files that BIND writes and turns over by itself: ``name``, ``name.0``, ``name.1``, the youngest first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator


class Logs:
    """The log files of the machine."""

    def versions(self, path: str) -> list[str]:
        """Return the files that exist, the youngest first."""
        found = [path] if os.path.exists(path) else []
        number = 0
        while os.path.exists(f"{path}.{number}"):
            found.append(f"{path}.{number}")
            number += 1
        return found

    def lines(self, path: str) -> Iterator[str]:
        """Yield the lines of a file; it is read as it is needed. A file that was turned over meanwhile has none."""
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                yield from stream
        except FileNotFoundError:
            return

    def identities(self, paths: Iterable[str]) -> list[int | None]:
        """Return what identifies the files, whatever they are called; None for one that is not there."""
        return [_identity(path) for path in paths]


def _identity(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None
