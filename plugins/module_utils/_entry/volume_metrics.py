# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""volume-metrics: write what the jobs of this host did and do, for node_exporter; note jobs that died unheard."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._core import settings
from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._ports.job_host import job_files
from .._ports.processes import Processes
from .._storage import volume_metrics
from .._storage.jobs import Jobs
from .console import complain


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: written; 2: it cannot be."""
    parser = argparse.ArgumentParser(prog="volume-metrics", description=(__doc__ or "").strip())
    parser.add_argument("--output", type=Path, required=True, help="file of the textfile collector")
    options = parser.parse_args(arguments)
    jobs = Jobs(job_files(settings), Processes())
    try:
        for job in jobs.settle():
            complain(f"volume-metrics: the job {job.job_id} failed: {job.error and job.error.what}")
        text = volume_metrics.text(jobs.counters(), jobs.all())
        write_whole(options.output, text.encode(), mode=0o644)
    except (DebvisorError, OSError, ValueError) as failure:
        complain(f"volume-metrics: {failure}")
        return 2
    return 0
