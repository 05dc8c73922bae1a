# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""break-glass-alarm: PAM runs it when the break-glass account enters, whose login never depends on it.

Each kind of record is tried, whatever became of the one before. The system's log comes first, as it needs no disk.
"""

from __future__ import annotations

import argparse
import json
import os
import time

from .._core import settings
from .._core.audit import Audit
from .._core.durable import write_whole
from .._ports.host.system_log import SystemLog
from .console import complain


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: all is recorded; 1: part of it is not."""
    parser = argparse.ArgumentParser(prog="break-glass-alarm", description=(__doc__ or "").strip())
    parser.parse_args(arguments)
    user, origin = os.environ.get("PAM_USER", "?"), os.environ.get("PAM_RHOST", "?")
    SystemLog().alarm(f"The break-glass account {user} entered from {origin}")
    failures = 0
    for note in (_note_use, _note_audit):
        try:
            note(user, origin)
        except OSError as cause:
            failures += 1
            complain(f"break-glass-alarm: {cause}")
    return 1 if failures else 0


def _note_use(user: str, origin: str) -> None:
    record = {"used": time.time(), "user": user, "from": origin}
    write_whole(settings.break_glass_use(), json.dumps(record).encode() + b"\n")


def _note_audit(user: str, origin: str) -> None:
    Audit(settings.audit_file()).append(
        transaction=f"{time.time_ns():020d}-{os.getpid()}",
        operation="break_glass",
        scope=user,
        result="entered",
        actions=[],
        before=None,
        after={"user": user, "from": origin},
    )
