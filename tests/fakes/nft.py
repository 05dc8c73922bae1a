# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packet filter that knows whole tables, as the baseline loads them: add, delete, and a block of lines."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall.nft import NftFailed


class FakeTables:
    """``tables`` holds the text of each by family and name. ``refused`` is a word that no script may hold."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        self.refused = ""
        self.loads = 0

    def listing(self, family: str, name: str) -> str | None:
        return self.tables.get(f"{family} {name}")

    def load(self, script: Iterable[str]) -> None:
        self.tables = self._after(script)
        self.loads += 1

    def rehearsed(self, script: Iterable[str], family: str, name: str) -> str:
        return self._after(script)[f"{family} {name}"]

    def _after(self, script: Iterable[str]) -> dict[str, str]:
        found = dict(self.tables)
        lines = "".join(script).splitlines()
        if self.refused and any(self.refused in line for line in lines):
            raise NftFailed("nft refused the rules; nothing of them is in force", why=self.refused)
        while lines:
            line = lines.pop(0)
            verb, _space, name = line.partition(" ")
            if line.startswith("#"):
                continue
            if line.endswith("{"):
                block = [line]
                while block[-1] != "}":
                    block.append(lines.pop(0))
                found[name.removesuffix(" {")] = "\n".join(block) + "\n"
            elif verb == "table":
                found.setdefault(name, "")
            elif verb == "delete":
                del found[name.removeprefix("table ")]
            else:
                raise NftFailed("nft refused the rules", why=f"syntax error in {line!r}")
        return found
