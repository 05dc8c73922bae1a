# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall-load: bring the kernel to what is kept of the lists and the bans, as at boot."""

from __future__ import annotations

import argparse

from .._core import settings
from .._core.errors import DebvisorError
from .._core.locking import LOCK_TIMEOUT, locked
from .._firewall import bans, blocklist
from .._firewall.blocklist_state import BlocklistState
from .._ports.firewall.nft import Nft
from .._wiring.firewall import blocklist_state
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: in force, or there is nothing to bring in force; 1: the kernel has not got it."""
    parser = argparse.ArgumentParser(prog="firewall-load", description=(__doc__ or "").strip())
    parser.add_argument("what", choices=["bans", "blocklist"])
    what = parser.parse_args(arguments).what
    state = blocklist_state()
    try:
        with locked(settings.lock_dir(), f"nft:inet debvisor_{what}", LOCK_TIMEOUT):
            tell(_bans(state) if what == "bans" else _blocklist(state))
    except DebvisorError as failure:
        complain(f"firewall-load: {failure}")
        return 1
    return 0


def _bans(state: BlocklistState) -> str:
    book = state.book()
    table = _present(bans.FAMILY, bans.TABLE, bans.OWNER)
    if table is None and not book:
        return "no bans"
    Nft().load(bans.whole(book, state.now(), table.counts if table else {}))
    return f"{len(book)} bans"


def _blocklist(state: BlocklistState) -> str:
    store = state.store()
    table = _present(blocklist.FAMILY, blocklist.TABLE, blocklist.OWNER)
    if store is None:
        return "no lists"
    Nft().load(blocklist.whole(store, table.counts if table else {}))
    return ", ".join(f"list {each.name}" for each in store.lists)


def _present(family: str, name: str, owner: str) -> blocklist.Listed | None:
    """Return what is there of a table of ours.

    :raises Conflict: where it belongs to somebody else.
    """
    items = Nft().table(family, name)
    if items is None:
        return None
    found = blocklist.listed(items, owner)
    blocklist.refuse_foreign(found.ours, family, name, owner)
    return found
