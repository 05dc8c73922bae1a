# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tsig-metrics: write key ages and the last rotation as metrics, and be loud when one is overdue or failed."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.audit import Audit
from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._dns import rotation_report
from .._dns.keyring_operation import read_keyring
from .._ports.files import Files
from .console import complain, tell

DAY = 86400


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: well; 1: a rotation is overdue; 2: the metrics cannot be written; 3: the last run failed."""
    parser = argparse.ArgumentParser(prog="tsig-metrics", description=(__doc__ or "").strip())
    parser.add_argument("--keyring", default=str(settings.keyring_file()))
    parser.add_argument("--state", type=Path, default=settings.state_dir() / "tsig-rotation.json")
    parser.add_argument("--output", type=Path, help="file for node_exporter's textfile collector")
    parser.add_argument("--max-age-days", type=float, help="older keys are overdue")
    parser.add_argument("--completed", action="store_true", help="note that a rotation is complete")
    parser.add_argument("--service-result", help="note how a run ended: systemd's $SERVICE_RESULT")
    options = parser.parse_args(arguments)
    now = int(time.time())
    try:
        last = _noted(options, now)
        ring = read_keyring(Files(), options.keyring)
        if options.output:
            text = rotation_report.metrics(ring, last, now)
            write_whole(options.output, text.encode(), mode=0o644)
    except (DebvisorError, OSError) as failure:
        complain(f"tsig-metrics: {failure}")
        return 2
    overdue = [
        name
        for name, each in ring.classes.items()
        if options.max_age_days and now - each.current.created > options.max_age_days * DAY
    ]
    if overdue:
        complain(
            f"tsig-metrics: keys older than {options.max_age_days:g} days: {', '.join(overdue)}"
        )
    if last.get("result"):
        complain("tsig-metrics: the last rotation failed; run debvisor.hci.rotate_tsig to see why")
        return 3
    tell(f"{len(ring.classes)} classes of keys")
    return 1 if overdue else 0


def _noted(options: argparse.Namespace, now: int) -> dict[str, Any]:
    """Return how the last runs ended, this one included."""
    last: dict[str, Any] = {}
    if options.state.exists():
        try:
            last = dict(json.loads(options.state.read_bytes()).items())
        except (ValueError, AttributeError) as torn:
            raise DebvisorError(
                f"the state file {options.state} is torn",
                hint="Remove it; the next run makes it anew",
            ) from torn
    if not options.completed and options.service_result is None:
        return last
    failed = options.service_result not in (None, "success")
    last = {**last, "result": int(failed), "ended": now}
    if options.completed:
        last["success"] = now
    write_whole(options.state, json.dumps(last).encode() + b"\n")
    if failed:
        Audit(settings.audit_file()).append(
            transaction=f"{time.time_ns():020d}-{os.getpid()}",
            operation="rotate_tsig",
            scope=options.keyring,
            result="failed",
            actions=[],
            before=None,
            after=None,
            error="the rotation of TSIG keys failed",
        )
    return last
