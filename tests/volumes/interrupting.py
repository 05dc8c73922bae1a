# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what ``interruptions.py`` told, wherever it ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("interruptions.py")
STAGES = frozenset(
    {
        "preflight",
        "resolving_checksum",
        "checking_cache",
        "downloading",
        "creating_volume",
        "converting",
        "syncing",
        "verifying_volume",
        "publishing",
        "finalizing",
    }
)
"""Every stage of a run that replaces a volume, by its name in the job's record."""


def told(output: str) -> list[dict[str, Any]]:
    """Read the lines of JSON."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def flawless(output: str) -> list[dict[str, Any]]:
    """Read them, and hold that nothing was wrong after any point."""
    rounds = told(output)
    faulty = [each for each in rounds if each["faults"]]
    assert not faulty, faulty
    return rounds


def judge(output: str, *, stages: frozenset[str] = STAGES) -> None:
    """Hold that every point was reached, and that nothing was wrong after any of them."""
    rounds = flawless(output)
    points = {each["point"] for each in rounds}
    assert {f"stage {stage}" for stage in stages} <= points
    renames = {point for point in points if point.endswith("rename")}
    assert len(renames) >= 4, "before and after each of the two renames"
    assert {each["new"] for each in rounds} == {True, False}, (
        "early points keep the old, late ones the new"
    )
