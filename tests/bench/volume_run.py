# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of ``volume_image`` without Ansible, in a process of its own: ``python -m tests.bench.volume_run OPTIONS``.

Its records, locks and jobs are in the benchmark's folder, so it waits for nobody. Prints one line of JSON: the seconds
of each stage, and the most memory that this process had at once.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Records, execute
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import JobRun
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_operation import (
    VolumeImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    SPEC,
)
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.jobs import job_run
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.storage import (
    image_at,
    volume_ports,
)

PATIENCE = 1800
DEFAULTS: dict[str, Any] = {
    "timeout": PATIENCE,
    "queue_timeout": PATIENCE,
    "backend": "directory",
}


def stay_within(folder: Path) -> None:
    """Keep all that a run writes beside its volume in a folder."""
    for name in ("SYSTEM_STATE_DIR", "SYSTEM_LOG_DIR", "RUN_DIR", "CONFIG_DIR"):
        setattr(settings, name, folder / name.lower())


def watched() -> dict[str, float]:
    """Return when each stage begins, from now on, in seconds."""
    begun: dict[str, float] = {}
    stage, start = JobRun.stage, time.monotonic()

    def noted(self: JobRun, name: str, total: int = 0) -> None:
        begun[name] = round(time.monotonic() - start, 3)
        stage(self, name, total)

    JobRun.stage = noted
    return begun


def peak_memory() -> float:
    """Return the most memory that this process had, in MB; of its children, nothing."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise LookupError("VmHWM")


def main() -> int:
    given = {**DEFAULTS, **json.loads(sys.argv[1])}
    stay_within(Path(given.pop("records")))
    params = filled(SPEC, given)
    begun = watched()
    clock, locks = SystemClock(), settings.lock_dir()
    limits = {"timeout": params["timeout"], "queue_timeout": params["queue_timeout"]}
    work = job_run("volume_image", clock, {"account": "bench"}, **limits)
    ports = volume_ports(
        image_at(params), work, clock, partial(locked, locks), locks, params["cache_path"]
    )
    outcome = execute(VolumeImage(ports), params, Records.default())
    if outcome.failure is not None:
        print(outcome.failure, file=sys.stderr)
        return 1
    print(json.dumps({"begun": begun, "mb": peak_memory()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
