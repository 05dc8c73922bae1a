# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall-load: bring the kernel to what is kept of the lists and the bans, as at boot."""

from __future__ import annotations

import argparse

from .._core import settings
from .._core.errors import DebvisorError
from .._core.waiting import SystemClock
from .._firewall import bans, blocklist
from .._firewall.looking import Looking
from .._ports.files import Files
from .._ports.nft import Nft
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: in force, or there is nothing to bring in force; 1: the kernel has not got it."""
    parser = argparse.ArgumentParser(prog="firewall-load", description=(__doc__ or "").strip())
    parser.add_argument("what", choices=["bans", "blocklist"])
    what = parser.parse_args(arguments).what
    folder = settings.firewall_dir()
    looking = Looking(Files(), SystemClock(), str(folder / "blocklist"), str(folder / "bans.json"))
    try:
        tell(_bans(looking) if what == "bans" else _blocklist(looking))
    except DebvisorError as failure:
        complain(f"firewall-load: {failure}")
        return 1
    return 0


def _bans(looking: Looking) -> str:
    book = looking.book()
    Nft().load(bans.whole(book, looking.now(), {}))
    return f"{len(book)} bans"


def _blocklist(looking: Looking) -> str:
    store = looking.store()
    if store is None:
        return "no lists"
    Nft().load(blocklist.whole(store, {}))
    return ", ".join(f"list {each.name}" for each in store.lists)
