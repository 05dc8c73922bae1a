# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the cache, for people, alerts and dashboards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.ports import Clock
from ..._core.spec import Spec
from ..jobs.job import at
from . import libvirt_pool
from .cache import Entry, Leftover
from .cache_index import CacheIndex, Folder
from .cache_plan import shown
from .libvirt_pool import Pool

SPEC = Spec({"path": {"type": "path"}})


@dataclass(frozen=True, slots=True)
class Stock:
    """All that is in the cache."""

    images: tuple[Entry, ...]
    leftovers: tuple[Leftover, ...]
    free: int

    @property
    def room(self) -> int:
        """Bytes that images take on disk."""
        return sum(entry.room for entry in self.images)

    @property
    def evictable(self) -> int:
        """Bytes of images that limits may take away."""
        return sum(entry.room for entry in self.images if entry.evictable)

    @property
    def useless(self) -> int:
        """Bytes of what is neither an image nor of use to one."""
        return sum(each.room for each in self.leftovers)


class CacheLooking:
    """The look behind ``image_cache_info``."""

    def __init__(self, open_folder: Callable[[str], Folder], pool: Pool, clock: Clock) -> None:
        self._open_folder = open_folder
        self._pool = pool
        self._clock = clock

    def stock(self, path: str | None) -> Stock:
        """Take stock. Where there is no folder there is nothing."""
        return self._stock(self._folder(path))

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all that is in the cache, for people. No write."""
        folder = self._folder(params["path"])
        stock, index = self._stock(folder), CacheIndex(folder, self._clock)
        return {
            "folder": folder.path("").rstrip("/"),
            "exists": folder.there(),
            "images": [_image(folder, entry) for entry in stock.images],
            "quarantine": [
                {**told, "reason": index.why_quarantined(told["name"])}
                for told in _leftovers(folder, stock, "quarantine")
            ],
            "parts": _leftovers(folder, stock, "part"),
            "totals": {
                "images": len(stock.images),
                "room": stock.room,
                "evictable": stock.evictable,
                "leftovers": stock.useless,
                "free": stock.free,
            },
        }

    def _folder(self, path: str | None) -> Folder:
        try:
            return self._open_folder(
                libvirt_pool.folder(path, None if path else self._pool.facts())
            )
        finally:
            self._pool.close()

    def _stock(self, folder: Folder) -> Stock:
        if not folder.there():
            return Stock((), (), 0)
        index = CacheIndex(folder, self._clock)
        return Stock(index.entries(), index.leftovers(), folder.free())


def _image(folder: Folder, entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        **shown(entry),
        "path": folder.path(entry.name),
        "room": entry.room,
        "etag": record.etag if record else "",
        "in_use": entry.in_use,
        "verified_at": at(record.verified_at) if record else "",
        "last_used": at(entry.last_used),
    }


def _leftovers(folder: Folder, stock: Stock, kind: str) -> list[dict[str, Any]]:
    return [
        {
            "path": folder.path(each.names[0]),
            "name": each.owner,
            "room": each.room,
            "since": at(each.changed),
        }
        for each in stock.leftovers
        if each.kind == kind
    ]
