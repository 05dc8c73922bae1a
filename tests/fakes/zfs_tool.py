# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ZFS's tools with one pool, `tank`, as far as our port uses them; their answers have the form of the real ones."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed

GIB = 1 << 30


class ZfsTool:
    """Stands in for ``command.run``."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, str]] = {}
        self.snapshots: set[str] = set()
        self.health = "ONLINE"
        self.asked: list[tuple[str, ...]] = []
        self.failures: list[tuple[str, str]] = []
        """(verb, what is said): each makes one call fail, in this order."""
        self._numbers = itertools.count(1)
        self.add("tank", type="filesystem", volsize="-")

    def add(self, full: str, size: int = GIB, **properties: str) -> dict[str, str]:
        usual = {"type": "volume", "volsize": str(size), "readonly": "off"}
        self.datasets[full] = {**usual, "guid": f"guid-{next(self._numbers)}", **properties}
        return self.datasets[full]

    def changes(self) -> list[tuple[str, ...]]:
        """What was asked for, without the questions."""
        return [words for words in self.asked if words[0] not in ("get", "list", "settle")]

    def __call__(self, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        words = (
            words[4:] if words[0] == "sh" else words
        )  # a change is run by a shell that holds a lock
        verb, *rest = words[1:]
        self.asked.append((verb, *rest))
        if self.failures and self.failures[0][0] == verb:
            raise ProgramFailed(words[0], 1, self.failures.pop(0)[1])
        return subprocess.CompletedProcess(words, 0, self._answer(verb, rest), "")

    def _answer(self, verb: str, words: list[str]) -> str:
        full = words[-1]
        match verb:
            case "list" if "health" in words:
                return f"{self.health}\n"
            case "get" if "available" in words:
                self._existing(full)
                return f"{10 * GIB}\n"
            case "get":
                names, kinds = words[words.index("-o") + 2], words[words.index("-t") + 1]
                return self._properties(
                    full, names, deep="-d" in words, snapshots="snapshot" in kinds
                )
            case "list":
                return "".join(f"{s}\n" for s in sorted(self.snapshots) if s.startswith(f"{full}@"))
            case "create":
                self._make(full, int(words[words.index("-V") + 1]), words)
            case "clone":
                origin = words[-2].partition("@")[0]
                self._make(full, int(self.datasets[origin]["volsize"]), words)
                self.datasets[full]["origin"] = words[-2]
            case "set":
                self._existing(full).update(word.split("=", 1) for word in words[:-1])
            case "snapshot":
                self.snapshots.add(full)
            case "rename":
                self._rename(*words)
            case "destroy":
                self._destroy(full)
        return ""

    def _existing(self, full: str) -> dict[str, str]:
        if full not in self.datasets:
            raise ProgramFailed("zfs", 1, f"cannot open '{full}': dataset does not exist")
        return self.datasets[full]

    def _free(self, full: str, verb: str) -> None:
        if full in self.datasets:
            raise ProgramFailed("zfs", 1, f"cannot {verb} '{full}': dataset already exists")

    def _properties(self, full: str, names: str, *, deep: bool, snapshots: bool) -> str:
        self._existing(full)
        shown = [full, *(n for n in self.datasets if deep and n.rpartition("/")[0] == full)]
        lines = []
        if snapshots:
            shown += [s for s in self.snapshots if s.startswith(f"{full}@")]
        for name in shown:
            for key in names.split(","):
                value, source = self._property(name, key)
                lines.append(f"{name}\t{key}\t{value}\t{source}\n")
        return "".join(lines)

    def _property(self, full: str, key: str) -> tuple[str, str]:
        """User properties are inherited from the dataset above."""
        if "@" in full:
            return {"type": "snapshot", "guid": f"guid of {full}"}.get(key, "-"), "-"
        if key in self.datasets[full]:
            return self.datasets[full][key], "local" if ":" in key else "-"
        above = full.rpartition("/")[0]
        if above and ":" in key and key in self.datasets.get(above, {}):
            return self.datasets[above][key], f"inherited from {above}"
        return "-", "-"

    def _make(self, full: str, size: int, words: list[str]) -> None:
        self._free(full, "create")
        self.add(full, size, **dict(word.split("=", 1) for word in words if "=" in word))

    def _rename(self, old: str, new: str) -> None:
        self._free(new, "rename")
        self.datasets[new] = self.datasets.pop(old)
        self.snapshots = {s.replace(f"{old}@", f"{new}@") for s in self.snapshots}

    def _destroy(self, full: str) -> None:
        clones = [n for n, p in self.datasets.items() if p.get("origin", "").startswith(f"{full}@")]
        if clones:
            raise ProgramFailed(
                "zfs", 1, f"cannot destroy '{full}': volume has dependent clones\n{clones[0]}"
            )
        del self.datasets[full]
        self.snapshots = {s for s in self.snapshots if not s.startswith(f"{full}@")}
