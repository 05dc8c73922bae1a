# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""volume-recover: roll back interrupted runs of volume_image, as at boot, before guests want their disks."""

from __future__ import annotations

import argparse
import contextlib

from .._core.executor import Outcome, Records, sweep
from .._wiring import storage
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: nothing is left of dead runs; 1: something resists, and the next run tries again."""
    parser = argparse.ArgumentParser(prog="volume-recover", description=(__doc__ or "").strip())
    parser.parse_args(arguments)
    operation, records = storage.volume_recovery(), Records.default()
    outcome = Outcome("volume-recover")
    with contextlib.closing(operation):
        sweep(operation, records, outcome)
    left = [each.identity for each in records.journal.unfinished(operation.name)]
    for warning in outcome.warnings:
        (complain if left else tell)(warning)
    if not outcome.rolled_back_runs and not left:
        tell("nothing to roll back")
    return 1 if left else 0
