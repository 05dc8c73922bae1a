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
from .._core.operation import Outcome, Records, execute
from .._core.plan import Operation
from .._core.waiting import SystemClock
from .._firewall.blocklist_operation import Blocklist
from .._firewall.feed_operation import BlocklistFeed
from .._ports.files import Files
from .._ports.nft import Nft
from .._ports.openpgp import OpenPgp
from .._ports.spool import Spool
from .._ports.surroundings import Surroundings
from .._ports.web import Web
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
        _done(name, _feed, params, records, _told_of_feed) for name, params in given.feeds.items()
    ]
    loaded = _done("nft", _lists, given.loading, records, _told_of_lists)
    if not loaded:
        return 3
    return 0 if all(fetched) else 1


def _done(
    what: str,
    operation: Callable[[], Operation[Any, Any]],
    params: Mapping[str, Any],
    records: Records,
    told: Callable[[Outcome], str],
) -> bool:
    """Run an operation, as its module would, and say in a line what came of it. Return whether it went well."""
    outcome = execute(operation(), params, records)
    for warning in outcome.warnings:
        complain(f"{what}: {warning}")
    if outcome.failure is not None:
        complain(f"{what}: {outcome.failure}")
        return False
    tell(f"{what}: {told(outcome)}")
    return True


def _feed() -> Operation[Any, Any]:
    return BlocklistFeed(Files(), Web(), OpenPgp(), Spool, SystemClock())


def _lists() -> Operation[Any, Any]:
    store = str(settings.blocklist_store())
    return Blocklist(Nft(), Files(), Surroundings(), SystemClock(), store)


def _told_of_feed(outcome: Outcome) -> str:
    facts = outcome.plan.facts
    changes = f", {facts['added']} came, {facts['removed']} went" if "added" in facts else ""
    return f"{facts['outcome']}, {facts['entries']} entries{changes}"


def _told_of_lists(outcome: Outcome) -> str:
    if not outcome.changed:
        return "nothing changed"
    return "; ".join(f"{action.target}: {action.effect}" for action in outcome.plan.actions)
