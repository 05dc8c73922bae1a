# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's pool that the images are in, and where that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..._core.errors import DebvisorError

POOL = "images"
FOLDER = "/var/lib/libvirt/images"
"""Where the pool is made, and where the cache is on a machine without libvirt or without that pool."""
KINDS = frozenset({"dir", "fs"})
"""Pools whose volumes are files in one folder of this host; the cache's locks do not reach beyond it."""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool as it is."""

    kind: str
    path: str
    active: bool
    autostart: bool


class Pool(Protocol):
    """One pool of libvirt, by name."""

    def possible(self) -> bool: ...

    def facts(self) -> PoolFacts | None: ...

    def define(self, path: str) -> None: ...

    def undefine(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def set_autostart(self, wanted: bool) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...


def folder(given: str | None, facts: PoolFacts | None) -> str:
    """Return where the cache is: where the operator says, else where the pool is.

    :raises DebvisorError: where the pool's volumes are no files of this host.
    """
    if given:
        return given
    if facts is None:
        return FOLDER
    if facts.kind not in KINDS or not facts.path:
        raise DebvisorError(
            f"the pool {POOL} cannot hold the cache of images",
            why=f"it is of type {facts.kind}, and its volumes are no files in a folder of this host alone",
            hint="Set path to the cache's folder",
        )
    return facts.path
