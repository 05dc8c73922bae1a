# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter of a machine, in memory: tables with their comments and their text. A script is a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

TABLE = re.compile(r"table (\w+) (\w+)( \{)?$")
DELETED = re.compile(r"(?:delete|destroy) table (\w+) (\w+)$")
COMMENT = re.compile(r'\s+comment "(.*)"$')


class FakeNft:
    """Understands what our scripts are made of: tables that are added, deleted, and defined whole."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], list[str]] = {}
        self.read_only = False
        self.failures: list[Exception] = []
        """Raised by the next loads, one each; a rehearsal takes none."""
        self.refused: Exception | None = None
        """What a rehearsal raises."""

    def table(self, family: str, name: str) -> list[dict[str, Any]] | None:
        lines = self.tables.get((family, name))
        if lines is None:
            return None
        about = {"family": family, "name": name, "handle": 1}
        comment = next((found[1] for line in lines if (found := COMMENT.match(line))), None)
        return [{"table": {**about, "comment": comment} if comment else about}]

    def rehearse(self, script: Iterable[str]) -> None:
        if self.refused is not None:
            raise self.refused
        self._loaded(script)

    def load(self, script: Iterable[str]) -> None:
        assert not self.read_only, "a write"
        if self.failures:
            raise self.failures.pop(0)
        self.tables = self._loaded(script)

    def _loaded(self, script: Iterable[str]) -> dict[tuple[str, str], list[str]]:
        tables = {key: list(lines) for key, lines in self.tables.items()}
        inside: list[str] | None = None
        for line in "".join(script).splitlines():
            if inside is not None:
                if line == "}":
                    inside = None
                else:
                    inside.append(line)
            elif found := DELETED.match(line):
                del tables[found[1], found[2]]
            elif found := TABLE.match(line):
                lines = tables.setdefault((found[1], found[2]), [])
                inside = lines if found[3] else None
            else:
                raise AssertionError(f"not understood: {line!r}")
        return tables
