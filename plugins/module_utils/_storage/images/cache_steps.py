# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a plan for the cache, as its actions carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..jobs.job_protocols import RemoteImage
from .cache import Entry, Identity, Leftover


@dataclass(frozen=True, slots=True)
class Hashed:
    """An image as it was just read."""

    entry: Entry
    digest: str
    identity: Identity

    @property
    def good(self) -> bool:
        """True where it holds what its name says."""
        return self.entry.name.partition(".")[0] == self.digest


@dataclass(slots=True)
class Context:
    """What the steps of one plan, and its verification, know of each other."""

    name: str = ""
    """Of the image that is wanted; "" until its digest is known."""
    good: tuple[Hashed, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """Payload of an action; ``step`` is what its receipt calls it."""

    folder: str
    step: ClassVar[str]


class MakeFolder(Step):
    """Make the cache's folder."""

    step = "make"


class DefinePool(Step):
    """Define libvirt's pool on the folder."""

    step = "define"


class StartPool(Step):
    """Start libvirt's pool."""

    step = "start"


class AutostartPool(Step):
    """Have libvirt's pool start with the machine."""

    step = "autostart"


@dataclass(frozen=True, slots=True)
class Fetch(Step):
    """Fetch the image."""

    step = "fetch"
    context: Context
    remote: RemoteImage | None


@dataclass(frozen=True, slots=True)
class Pin(Step):
    """Pin the image, or let go of it."""

    step = "pin"
    context: Context
    pinned: bool


@dataclass(frozen=True, slots=True)
class Prove(Step):
    """Note that an image that was in doubt is good."""

    step = "prove"
    hashed: Hashed


@dataclass(frozen=True, slots=True)
class Quarantine(Step):
    """Put a damaged image away."""

    step = "quarantine"
    hashed: Hashed


@dataclass(frozen=True, slots=True)
class Remove(Step):
    """Remove an image."""

    step = "remove"
    entry: Entry


@dataclass(frozen=True, slots=True)
class Discard(Step):
    """Remove what belongs to no image."""

    step = "discard"
    leftover: Leftover
