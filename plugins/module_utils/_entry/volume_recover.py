# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""volume-recover: take back what runs of volume_image left that died, as at boot, before guests want their disks."""

from __future__ import annotations

import argparse
from functools import partial

from .._core import settings
from .._core.operation import Outcome, Records, locked, sweep
from .._core.waiting import SystemClock
from .._ports.volume_host import volume_ports
from .._storage.job_run import UnrecordedRun
from .._storage.volume_operation import VolumeImage
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: nothing is left of dead runs; 1: something resists, and the next run tries again."""
    parser = argparse.ArgumentParser(prog="volume-recover", description=(__doc__ or "").strip())
    parser.parse_args(arguments)
    lock = partial(locked, settings.lock_dir())
    ports = volume_ports(None, UnrecordedRun(), SystemClock(), lock, settings.lock_dir())
    operation, records = VolumeImage(ports), Records.default()
    outcome = Outcome("volume-recover")
    sweep(operation, records, outcome)
    left = [each.identity for each in records.journal.unfinished(operation.name)]
    for warning in outcome.warnings:
        (complain if left else tell)(warning)
    if not outcome.unwound and not left:
        tell("nothing was left behind")
    return 1 if left else 0
