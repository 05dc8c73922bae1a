# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tsig-rotation-result: note how a rotation of TSIG keys ended, for the metrics and the audit log."""

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
from .console import complain


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: noted; 2: it cannot be."""
    parser = argparse.ArgumentParser(
        prog="tsig-rotation-result", description=(__doc__ or "").strip()
    )
    parser.add_argument("--state", type=Path, default=settings.tsig_rotation_state())
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--completed", action="store_true", help="a rotation is complete")
    how.add_argument("--service-result", help="how a run ended: systemd's $SERVICE_RESULT")
    options = parser.parse_args(arguments)
    failed, now = options.service_result not in (None, "success"), int(time.time())
    try:
        noted = {**read(options.state), "result": int(failed), "ended": now}
        if options.completed:
            noted["success"] = now
        write_whole(options.state, json.dumps(noted).encode() + b"\n")
        if failed:
            Audit(settings.audit_file()).append(
                transaction=f"{time.time_ns():020d}-{os.getpid()}",
                operation="rotate_tsig",
                scope=str(settings.keyring_file()),
                result="failed",
                actions=[],
                before=None,
                after=None,
                error="the rotation of TSIG keys failed",
            )
    except (DebvisorError, OSError) as failure:
        complain(f"tsig-rotation-result: {failure}")
        return 2
    return 0


def read(path: Path) -> dict[str, Any]:
    """Return how the last runs ended: ``success`` and ``ended`` are times, ``result`` is 0 where the last was well."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_bytes()).items())
    except (ValueError, AttributeError) as torn:
        raise DebvisorError(
            f"the state file {path} is torn", hint="Remove it; the next run makes it anew"
        ) from torn
