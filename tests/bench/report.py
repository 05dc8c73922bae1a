# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark writes: rows of ours against a peer, as JSON for machines and as a table for people."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

FOLDER = Path("build/bench")

Better = Literal["more", "less"]


@dataclass(frozen=True, slots=True)
class Aim:
    """A number to beat, in words and as a test of (ours, ratio)."""

    text: str
    holds: Callable[[float, float | None], bool]


def seconds_of(task: dict[str, Any]) -> float:
    """Return what a task took, by Ansible's callback that writes JSON."""
    times = task["task"]["duration"]
    start, end = (
        datetime.fromisoformat(times[key].replace("Z", "+00:00")) for key in ("start", "end")
    )
    return (end - start).total_seconds()


@dataclass(slots=True)
class Row:
    """One measured thing. ``ours`` and ``peer_value`` are medians of ``runs`` and ``peer_runs``, in ``unit``."""

    what: str
    unit: str
    runs: Sequence[float]
    peer: str = ""
    peer_runs: Sequence[float] = ()
    better: Better = "more"
    aim: Aim | None = None
    note: str = ""

    @property
    def ours(self) -> float:
        return statistics.median(self.runs)

    @property
    def peer_value(self) -> float | None:
        return statistics.median(self.peer_runs) if self.peer_runs else None

    @property
    def ratio(self) -> float | None:
        """How many times as good as the peer we are: over 1 is better, whichever way the unit counts."""
        if self.peer_value is None or not self.ours or not self.peer_value:
            return None
        return self.ours / self.peer_value if self.better == "more" else self.peer_value / self.ours

    @property
    def holds(self) -> bool | None:
        return self.aim.holds(self.ours, self.ratio) if self.aim else None

    def as_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours,
            "worst": min(self.runs) if self.better == "more" else max(self.runs),
            "peer": self.peer or None,
            "peer_value": self.peer_value,
            "ratio": self.ratio,
            "aim": self.aim.text if self.aim else None,
            "holds": self.holds,
            "runs": list(self.runs),
            "peer_runs": list(self.peer_runs),
            "note": self.note,
        }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on. Figures of different machines do not compare."""

    processor: str = field(default_factory=_processor)
    cores: int = field(default_factory=lambda: os.cpu_count() or 0)
    memory_gib: float = field(
        default_factory=lambda: round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
        )
    )
    kernel: str = field(default_factory=platform.release)
    python: str = field(default_factory=platform.python_version)


def write(capability: str, rows: Sequence[Row]) -> Path:
    """Store ``build/bench/<capability>.json`` and return its path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{capability}.json"
    record = {
        "capability": capability,
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": asdict(Machine()),
        "rows": [row.as_json() for row in rows],
    }
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    head = ("what", "ours", "worst", "peer", "ratio", "aim", "holds")
    body = [head]
    for row in rows:
        worst = min(row.runs) if row.better == "more" else max(row.runs)
        body.append(
            (
                row.what,
                f"{row.ours:,.1f} {row.unit}",
                f"{worst:,.1f}",
                f"{row.peer}: {row.peer_value:,.1f}" if row.peer_value is not None else "-",
                f"{row.ratio:.2f}" if row.ratio is not None else "-",
                row.aim.text if row.aim else "-",
                {True: "yes", False: "NO", None: "-"}[row.holds],
            )
        )
    widths = [max(len(line[column]) for line in body) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in body
    )
