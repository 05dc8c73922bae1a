# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are block devices, made and changed by a program: what the backends for LVM and ZFS share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from ..._core.errors import Refused, TimedOut, Unreachable
from ..._core.waiting import wait_until
from ..._storage.volumes.volumes import User, Volume
from ..host import command
from . import block_device
from .detached_change import DetachedChange

RELEASE = 10.0
"""Seconds in which a volume that udev has open for a moment should be let go."""
PAUSE = 0.5
UNTOUCHED = "Nothing was done to it"

Found = TypeVar("Found")
"""What the program reports of one volume."""


class DeviceVolumes(ABC, Generic[Found]):
    """The volumes of one pool."""

    program: ClassVar[tuple[str, ...]]
    """What every change begins with."""
    shown: ClassVar[str]
    """The program's name for people."""
    busy: ClassVar[str]
    """What it says where a volume is in use."""

    def __init__(self, pool: str, changes: str) -> None:
        self.pool = pool
        self._changes = DetachedChange(changes)

    @abstractmethod
    def _look(self, name: str) -> Found | None:
        """Return what is reported of a volume, or None where there is none."""

    @abstractmethod
    def _volume(self, found: Found) -> Volume:
        """Return it as a volume."""

    @abstractmethod
    def _full(self, name: str) -> str:
        """Return a volume's name as the program wants it."""

    @abstractmethod
    def _renaming(self, volume: Volume, name: str) -> Sequence[str]:
        """Return the command that renames it."""

    @abstractmethod
    def _removing(self, volume: Volume, found: Found) -> Sequence[str]:
        """Return the command that removes it."""

    def find(self, name: str) -> Volume | None:
        """Return one volume, whatever it is."""
        found = self._look(name)
        return None if found is None else self._volume(found)

    def users(self, volume: Volume) -> tuple[User, ...]:
        """Return who has it open."""
        return block_device.users(volume.path)

    def rename(self, volume: Volume, name: str) -> Volume:
        """Rename; the program itself refuses a name that is taken."""
        self._plain(volume)
        self._change(*self._renaming(volume, name))
        renamed = self._present(name)
        if renamed.identity != volume.identity:
            raise Refused(f"{self._full(name)} is another volume than the one that was renamed")
        return renamed

    def remove(self, volume: Volume) -> None:
        """Remove the volume of this identity."""
        found = self._look(volume.name)
        if found is None:
            return
        words = self._removing(volume, self._checked(volume, found))

        def removed() -> tuple[bool, str]:
            try:
                self._change(*words)
            except Refused as refusal:
                if self.busy not in refusal.why:
                    raise
                block_device.settle()
                return False, refusal.why
            return True, ""

        what = f"the removal of {self._full(volume.name)}"
        try:
            wait_until(removed, what=what, timeout=RELEASE, first=PAUSE, longest=PAUSE)
        except TimedOut as late:
            raise Refused(f"{self._full(volume.name)} is in use", why=late.why) from late

    def sync(self, volume: Volume) -> None:
        """Wait until the volume is on stable storage."""
        block_device.sync(volume.path)

    def close(self) -> None:
        """Nothing is held open."""

    def _change(self, *words: str) -> None:
        try:
            self._changes.run((*self.program, *words))
        except command.ProgramFailed as cause:
            raise Refused(
                f"{self.shown} refuses {words[0]} in {self.pool}", why=cause.why
            ) from cause

    def _present(self, name: str) -> Volume:
        volume = self.find(name)
        if volume is None:
            raise Unreachable(f"{self._full(name)} vanished")
        return volume

    def _plain(self, volume: Volume) -> Found:
        """Return what is reported of this very volume.

        :raises Refused: where it is gone, its name is another one's, or it is more than a plain volume.
        """
        return self._checked(volume, self._look(volume.name))

    def _checked(self, volume: Volume, found: Found | None) -> Found:
        same = self._same(volume, found)
        if special := self._volume(same).special:
            raise Refused(
                f"{self._full(volume.name)} is more than a plain volume: {special}", hint=UNTOUCHED
            )
        return same

    def _same(self, volume: Volume, found: Found | None) -> Found:
        if found is None or self._volume(found).identity != volume.identity:
            raise Refused(
                f"{self._full(volume.name)} is another volume than before", hint=UNTOUCHED
            )
        return found
