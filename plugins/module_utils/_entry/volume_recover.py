# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""volume-recover: take back what runs of volume_image left that died, as at boot, before guests want their disks."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace
from functools import partial

from .._core import settings
from .._core.errors import DebvisorError
from .._core.operation import Outcome, Records, locked, sweep
from .._core.waiting import SystemClock
from .._ports.libvirt_host import LibvirtHost
from .._ports.volume_host import volume_ports
from .._storage import pool
from .._storage.job_run import UnrecordedRun
from .._storage.volume_operation import VolumeImage
from .console import complain, tell


class GuestsSoFar:
    """The guests of this host, where libvirt runs. At boot it waits for us; the kernel alone tells then."""

    def __init__(self) -> None:
        self._host = LibvirtHost()

    def needing_disk(self, path: str) -> tuple[str, ...]:
        """Name those that are known to have it."""
        try:
            return self._host.needing_disk(path)
        except DebvisorError:
            return ()

    def close(self) -> None:
        """Let go of the connection."""
        self._host.close()


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: nothing is left of dead runs; 1: something resists, and the next run tries again."""
    parser = argparse.ArgumentParser(prog="volume-recover", description=(__doc__ or "").strip())
    parser.parse_args(arguments)
    lock = partial(locked, settings.lock_dir())
    work, clock, locks = UnrecordedRun(), SystemClock(), settings.lock_dir()
    # To take back needs no cache, so libvirt is not asked where that is.
    ports = replace(volume_ports(None, work, clock, lock, locks, pool.FOLDER), guests=GuestsSoFar())
    operation, records = VolumeImage(ports), Records.default()
    outcome = Outcome("volume-recover")
    with contextlib.closing(operation):
        sweep(operation, records, outcome)
    left = [each.identity for each in records.journal.unfinished(operation.name)]
    for warning in outcome.warnings:
        (complain if left else tell)(warning)
    if not outcome.unwound and not left:
        tell("nothing was left behind")
    return 1 if left else 0
