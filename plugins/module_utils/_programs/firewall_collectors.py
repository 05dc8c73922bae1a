# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collector of the blocklist. ``about`` is what its role wrote for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core import settings
from .._firewall import bans, blocklist, feed, list_metrics
from .._firewall.list_metrics import Feed, Hits
from .._ports.firewall.nft import Nft
from .._ports.host.files import Files
from .._wiring.firewall import blocklist_state
from . import blocklist_settings
from .collected import Collected


def of_blocklist(about: Mapping[str, Any]) -> Collected:
    """What is blocked, what it hit and how fresh its feeds are."""
    state = blocklist_state()
    feeds = _feeds(Path(about.get("settings", settings.blocklist_config())))
    return Collected(
        list_metrics.families(state.store(), _hits(), len(state.book()), feeds, state.now())
    )


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
