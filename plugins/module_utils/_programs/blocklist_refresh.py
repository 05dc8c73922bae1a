# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""blocklist-refresh: fetch the feeds of the blocklist anew, then load what changed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._core.executor import Outcome, Records, execute
from .._core.plan import Operation
from .._wiring import firewall
from . import blocklist_settings
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: well, though a feed may have kept its copy; 1: one has no good copy; 2: bad settings; 3: not loaded."""
    parser = argparse.ArgumentParser(prog="blocklist-refresh", description=__doc__)
    parser.add_argument("--settings", type=Path, default=settings.blocklist_config())
    options = parser.parse_args(arguments)
    try:
        given = blocklist_settings.read(options.settings)
    except DebvisorError as failure:
        complain(f"blocklist-refresh: {failure}")
        return 2
    records = Records.default()
    fetched = [
        _done(name, firewall.blocklist_feed(), params, records, _feed_result)
        for name, params in given.feeds.items()
    ]
    loaded = _done("nft", firewall.nft_blocklist(), given.loading, records, _lists_result)
    if not loaded:
        return 3
    return 0 if all(fetched) else 1


def _done(
    what: str,
    operation: Operation[Any, Any],
    params: Mapping[str, Any],
    records: Records,
    result: Callable[[Outcome], str],
) -> bool:
    """Run an operation, as its module would, and say in a line what came of it. Return whether it went well."""
    outcome = execute(operation, params, records)
    for warning in outcome.warnings:
        complain(f"{what}: {warning}")
    if outcome.failure is not None:
        complain(f"{what}: {outcome.failure}")
        return False
    tell(f"{what}: {result(outcome)}")
    return True


def _feed_result(outcome: Outcome) -> str:
    facts = outcome.plan.facts
    changes = f", {facts['added']} came, {facts['removed']} went" if "added" in facts else ""
    return f"{facts['outcome']}, {facts['entries']} entries{changes}"


def _lists_result(outcome: Outcome) -> str:
    if not outcome.changed:
        return "nothing changed"
    steps = (action.public() for action in outcome.plan.actions)
    return "; ".join(f"{step['target']}: {step['effect']}" for step in steps)
