# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""revert-change: roll back a change that nobody confirmed in time. A timer runs it, which each such change starts.

A change that is decided meanwhile, or that never began, is left alone, and that is no failure: this is tried with a
change's name before it begins. A failure may be tried again. At boot it takes back all that an operation left
undecided: the timers are gone then, and files are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from .._core.confirming import roll_back_unconfirmed
from .._core.errors import DebvisorError
from .._core.executor import Records
from .._core.plan import Operation
from .._wiring import access, firewall
from .console import complain, tell

OPERATIONS: Mapping[str, Callable[[], Operation[Any, Any]]] = {
    "nft_ruleset": firewall.nft_ruleset,
    "quarantine_host": firewall.quarantine_host,
    "ssh_access": access.ssh_access,
}
"""Every operation that asks for confirmation."""


def main(
    arguments: list[str] | None = None,
    operations: Mapping[str, Callable[[], Operation[Any, Any]]] | None = None,
    records: Records | None = None,
) -> int:
    """Exit 0: nothing is left of the change, or it was confirmed; 1: it cannot be rolled back now."""
    operations = OPERATIONS if operations is None else operations
    parser = argparse.ArgumentParser(prog="revert-change", description=(__doc__ or "").strip())
    parser.add_argument("operation", choices=sorted(operations))
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("transaction", nargs="?", help="the change to roll back")
    which.add_argument("--pending", action="store_true", help="all changes that are undecided")
    options = parser.parse_args(arguments)
    make, records = operations[options.operation], records or Records.default()
    try:
        pending = (
            [each.identity for each in records.journal.unfinished(options.operation)]
            if options.pending
            else [options.transaction]
        )
    except DebvisorError as cause:
        complain(f"revert-change: {cause}")
        return 1
    return max((_revert(make(), identity, records) for identity in pending), default=0)


def _revert(operation: Operation[Any, Any], identity: str, records: Records) -> int:
    outcome = roll_back_unconfirmed(operation, identity, records)
    for warning in outcome.warnings:
        complain(warning)
    if outcome.failure is not None:
        complain(f"revert-change: {outcome.failure}")
        return 1
    if not outcome.rolled_back_runs:
        tell(
            f"{identity}: there is nothing to roll back: no change of {operation.name} with this name is undecided"
        )
    return 0
