# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""audit-verify: walk the audit chain, rotated files first, and report whether it holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._core import settings
from .._core.audit import verify
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: whole; 1: broken; 2: not readable; 3: whole, but the head is not the one that was expected."""
    parser = argparse.ArgumentParser(prog="audit-verify", description=(__doc__ or "").strip())
    parser.add_argument("file", nargs="?", type=Path, default=settings.audit_file())
    parser.add_argument(
        "--head", help="the hash that the last line must have, as shipped elsewhere before"
    )
    options = parser.parse_args(arguments)
    try:
        verdict = verify(options.file)
    except OSError as cause:
        complain(f"audit-verify: {cause}")
        return 2
    for fault in verdict.broken:
        complain(f"{fault.file}:{fault.line}: {fault.what}")
    tell(f"{verdict.lines} lines, head {verdict.head}")
    if verdict.broken:
        return 1
    return 3 if options.head and options.head != verdict.head else 0
