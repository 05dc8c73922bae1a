# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what is in force, for those who only look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.checks import refuse_any
from .._core.errors import Problem
from .._core.ports import Clock, Files
from .._core.spec import Spec
from . import bans, blocking
from .bans import Book
from .store import Store, decode

SPEC = Spec({"addresses": {"type": "list", "elements": "str", "required": True}})
"""The options of ``block_info``."""


class BlocklistState:
    """The store of lists and the book of bans of this machine."""

    def __init__(self, files: Files, clock: Clock, store: str, book: str) -> None:
        self._files = files
        self._clock = clock
        self._store = store
        self.book_path = book

    def store(self) -> Store | None:
        """Return the lists that are in force, or None where there are none."""
        data = self._files.mapped(self._store)
        return None if data is None else decode(data, self._store)

    def book(self) -> Book:
        """Return the bans that are in force."""
        if self._files.facts(self.book_path) is None:
            return {}
        return bans.active(
            bans.decode(self._files.read(self.book_path), self.book_path), self.now()
        )

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(self._clock.wall())

    def why(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look addresses up; the module's result."""
        store, book, now = self.store(), self.book(), self.now()
        found, problems = [], []
        for number, address in enumerate(params["addresses"]):
            try:
                found.append(blocking.why(address, store, book, now))
            except ValueError as wrong:
                problems.append(Problem(f"addresses[{number}]", str(wrong)))
        refuse_any(problems)
        return {"addresses": found}
