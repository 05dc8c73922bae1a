# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which debvisor-metrics runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._programs import metrics


class CollectingHost:
    """Runs collectors whose files are below a folder; the metrics go to ``out.prom`` there."""

    def __init__(self, base: Path) -> None:
        self.folder, self.output = base / "metrics.d", base / "out.prom"
        self.folder.mkdir()

    def add(self, name: str, **about: Any) -> None:
        """Do what a role does to have a collector run."""
        content = {"output": str(self.output), **about}
        (self.folder / f"{name}.json").write_text(json.dumps(content, default=str))

    def collect(self, name: str, **about: Any) -> int:
        """Run one collector; return the exit status."""
        self.add(name, **about)
        return metrics.main(["--folder", str(self.folder), name])

    def values(self) -> dict[str, float]:
        """Return what was written: name and labels, and the value."""
        lines = [line for line in self.output.read_text().splitlines() if line[0] != "#"]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
