# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""blocklist-metrics: write what is blocked, what it hit and how fresh its feeds are, for node_exporter."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._core import settings
from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._core.waiting import SystemClock
from .._firewall import bans, blocklist, feed, list_metrics
from .._firewall.list_metrics import Feed, Hits
from .._firewall.looking import Looking
from .._ports.files import Files
from .._ports.nft import Nft
from . import blocklist_settings
from .console import complain


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: written; 2: it cannot be."""
    parser = argparse.ArgumentParser(prog="blocklist-metrics", description=__doc__)
    parser.add_argument("--settings", type=Path, default=settings.blocklist_config())
    parser.add_argument("--output", type=Path, required=True, help="file of the textfile collector")
    options = parser.parse_args(arguments)
    store, book = str(settings.blocklist_store()), str(settings.ban_book())
    looking = Looking(Files(), SystemClock(), store, book)
    try:
        feeds = _feeds(options.settings)
        text = list_metrics.text(
            looking.store(), _hits(), len(looking.book()), feeds, looking.now()
        )
        write_whole(options.output, text.encode(), mode=0o644)
    except (DebvisorError, OSError) as failure:
        complain(f"blocklist-metrics: {failure}")
        return 2
    return 0


def _hits() -> list[Hits]:
    nft = Nft()
    tables = [nft.table(blocklist.FAMILY, name) for name in (blocklist.TABLE, bans.TABLE)]
    return [hit for listed in tables for hit in list_metrics.hits(listed or [])]


def _feeds(path: Path) -> list[Feed]:
    files = Files()
    found = []
    for name, params in blocklist_settings.read(path).feeds.items():
        beside = feed.record_path(params["dest"])
        content = files.read(beside) if files.facts(beside) else b""
        found.append(Feed(name, feed.load_record(content), params["max_age"]))
    return found
