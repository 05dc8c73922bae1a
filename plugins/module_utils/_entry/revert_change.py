# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""revert-change: take back a change that nobody confirmed in time. The dead-man's timer runs it.

A change that is decided meanwhile, or that never began, is left alone. A failure may be tried again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from .._core.operation import Records, revert
from .._core.plan import Operation
from .console import complain, tell

OPERATIONS: Mapping[str, Callable[[], Operation[Any, Any]]] = {}
"""Every operation that asks for confirmation, with its real ports."""


def main(
    arguments: list[str] | None = None,
    operations: Mapping[str, Callable[[], Operation[Any, Any]]] = OPERATIONS,
    records: Records | None = None,
) -> int:
    """Exit 0: nothing is left of the change, or it was confirmed; 1: it cannot be taken back now."""
    parser = argparse.ArgumentParser(prog="revert-change", description=(__doc__ or "").strip())
    parser.add_argument("operation", choices=sorted(operations))
    parser.add_argument("transaction")
    options = parser.parse_args(arguments)
    outcome = revert(
        operations[options.operation](), options.transaction, records or Records.default()
    )
    for warning in outcome.warnings:
        complain(warning)
    if outcome.failure is not None:
        complain(f"revert-change: {outcome.failure}")
        return 1
    if not outcome.unwound:
        tell(f"{options.transaction}: there is nothing to take back")
    return 0
