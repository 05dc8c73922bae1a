# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a ZFS dataset (zvols). Marks are user properties."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..._core.errors import DebvisorError, Unreachable
from ..._storage.jobs import sizes
from ..._storage.volumes.volumes import Marks, Space, Volume
from ..host import command
from . import block_device
from .device_volumes import DeviceVolumes

ZFS = "/usr/sbin/zfs"
ZPOOL = "/usr/sbin/zpool"
MARK = "debvisor:"
MARKS = ("owner", "image", "token", "at", "virtual-size", "golden")
SEAL = "debvisor"
"""The snapshot of a golden volume that others are cloned from."""
DATASETS = "filesystem,volume"
PROPERTIES = ",".join(("type", "guid", "volsize", "readonly", *(f"{MARK}{name}" for name in MARKS)))
GRANULE = 1 << 20
"""A multiple of every block size that a volume can have."""
LONGEST = 240
"""Characters of dataset and volume; ZFS has 255 for them and a snapshot's name."""
FOR_GUESTS = ("-o", "volmode=dev")
"""Or this host would look for partitions, and what is in them, on a guest's disk."""

Properties = dict[str, str]
Found = tuple[str, Properties, set[str]]
"""A volume's name, its dataset's properties, and the names of its snapshots."""


class NoDataset(Unreachable):
    """There is no dataset of that name."""


class ZfsVolumes(DeviceVolumes[Found]):
    """The volumes right below one dataset."""

    program = (ZFS,)
    shown = "ZFS"
    busy = "busy"

    kind = "zfs"
    fresh_is_zero = True
    can_clone = True

    def __init__(self, pool: str) -> None:
        super().__init__(pool, f"zfs-{pool.partition('/')[0]}")

    def name_fault(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", name):
            return "a name has letters, digits and _ . : - and begins with a letter or digit"
        over = len(self._full(name)) - LONGEST
        return f"it is too long by {over} characters" if over > 0 else ""

    def space(self) -> Space:
        """Look at the dataset, quotas included, and at its pool's health."""
        available = self._ask("get", "-o", "value", "available", self.pool)[0][0]
        zpool = self.pool.partition("/")[0]
        health = self._run(ZPOOL, "list", "-H", "-o", "health", zpool).strip()
        troubles = () if health == "ONLINE" else (f"the pool {zpool} is {health}",)
        return Space(int(available), GRANULE, troubles)

    def find(self, name: str) -> Volume | None:
        """Return one dataset, be it a volume or not."""
        found = super().find(name)
        if found is None:
            self._datasets(self.pool, must=True)
        return found

    def owned(self) -> tuple[Volume, ...]:
        """Return the volumes of the dataset that are ours."""
        found = self._datasets("-d", "1", self.pool, must=True)
        names = {full: full.removeprefix(f"{self.pool}/") for full in found if full != self.pool}
        mine = [full for full in names if _marks(found[full]) is not None]
        return tuple(
            self._volume((names[full], found[full], self._snapshots(full))) for full in mine
        )

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make a volume with its space reserved, so that it cannot run out of it later."""
        exact = str(sizes.rounded_up(size, GRANULE))
        self._change("create", "-V", exact, *FOR_GUESTS, *_setting(marks), self._full(name))
        return self._present(name)

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Make a clone, which has space only for what it does not share. Snapshots of others do no harm."""
        self._same(golden, self._look(golden.name))
        origin = f"{self._full(golden.name)}@{SEAL}"
        self._change("clone", *FOR_GUESTS, *_setting(marks), origin, self._full(name))
        if size > golden.size:
            exact = sizes.rounded_up(size, GRANULE)
            self._change("set", f"volsize={exact}", self._full(name))
        return self._present(name)

    def seal(self, volume: Volume) -> None:
        """Let ZFS refuse writes, then take the snapshot that clones are made from."""
        full = self._full(volume.name)
        _name, properties, snapshots = self._plain(volume)
        if properties["readonly"] != "on":
            self._change("set", "readonly=on", full)
        if SEAL not in snapshots:
            self._change("snapshot", f"{full}@{SEAL}")

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        """Replace our marks, all at once: one that is not wanted becomes empty."""
        self._plain(volume)
        written = marks.written()
        pairs = (f"{MARK}{name}={written.get(name, '')}" for name in MARKS)
        self._change("set", *pairs, self._full(volume.name))
        return replace(volume, marks=marks)

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Zero a range, without giving blocks to zeros."""
        block_device.zero(volume.path, start, length, tick, sparing=True)

    def _renaming(self, volume: Volume, name: str) -> Sequence[str]:
        return ("rename", self._full(volume.name), self._full(name))

    def _removing(self, volume: Volume, found: Found) -> Sequence[str]:
        """Our snapshot of it goes, too. ZFS refuses where it has clones."""
        _name, _properties, snapshots = found
        return ("destroy", *(["-r"] if SEAL in snapshots else []), self._full(volume.name))

    def _volume(self, found: Found) -> Volume:
        name, properties, snapshots = found
        return Volume(
            name=name,
            identity=properties["guid"],
            size=int(properties["volsize"]) if properties["type"] == "volume" else 0,
            path=f"/dev/zvol/{self._full(name)}",
            marks=_marks(properties),
            special=_special(properties, snapshots),
        )

    def _look(self, name: str) -> Found | None:
        """Return a dataset and its snapshots, with one question."""
        full = self._full(name)
        found = self._datasets("-d", "1", full, kinds=f"{DATASETS},snapshot")
        if full not in found:
            return None
        parts = (each.partition("@") for each in found)
        return (
            name,
            found[full],
            {snapshot for dataset, at, snapshot in parts if at and dataset == full},
        )

    def _datasets(
        self, *where: str, must: bool = False, kinds: str = DATASETS
    ) -> dict[str, Properties]:
        """Return what is there with their properties; marks only where they are their own.

        User properties are inherited: one on the dataset above would make everything below it look ours.
        """
        try:
            words = ("-t", kinds, "-o", "name,property,value,source", PROPERTIES)
            rows = self._ask("get", *words, *where)
        except NoDataset:
            if must:
                raise
            return {}
        found: dict[str, Properties] = {}
        for name, key, value, source in rows:
            own = source == "local" or not key.startswith(MARK)
            found.setdefault(name, {})[key] = value if own else ""
        return found

    def _snapshots(self, full: str) -> set[str]:
        rows = self._ask("list", "-t", "snapshot", "-d", "1", "-o", "name", full)
        return {row[0].rpartition("@")[2] for row in rows}

    def _ask(self, verb: str, *words: str) -> list[Sequence[str]]:
        # -p: exact numbers; -H: tabs, no headings.
        told = self._run(ZFS, verb, "-H", "-p", *words)
        return [line.split("\t") for line in told.splitlines()]

    def _run(self, *words: str) -> str:
        self._changes.settle()
        try:
            return command.run(words).stdout
        except command.ProgramFailed as cause:
            raise _unreachable(self.pool, cause) from cause

    def _present(self, name: str) -> Volume:
        """Return a volume once its device is there."""
        volume = super()._present(name)
        block_device.wait_for(volume.path)
        return volume

    def _full(self, name: str) -> str:
        return f"{self.pool}/{name}"


def _setting(marks: Marks) -> list[str]:
    words = []
    for name, value in marks.written().items():
        words += ["-o", f"{MARK}{name}={value}"]
    return words


def _marks(properties: Properties) -> Marks | None:
    return Marks.read({name: properties.get(f"{MARK}{name}", "") for name in MARKS})


def _special(properties: Properties, snapshots: set[str]) -> str:
    """Return what else it is than a plain volume, or ""."""
    if properties["type"] != "volume":
        return "file system"
    marks = _marks(properties)
    own = {SEAL} if marks is not None and marks.golden else set()
    return "origin of snapshots" if snapshots - own else ""


def _unreachable(pool: str, cause: command.ProgramFailed) -> DebvisorError:
    if "does not exist" in cause.why:
        return NoDataset(f"there is no dataset {pool}", hint="zfs list names those that there are")
    return Unreachable(f"ZFS cannot read {pool}", why=cause.why)
