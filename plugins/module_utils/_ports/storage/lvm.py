# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical volumes of LVM, thick and thin. Marks are tags."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..._core.errors import DebvisorError, Refused, Unreachable
from ..._storage.jobs import sizes
from ..._storage.volumes.volumes import Marks, Space, User, Volume
from ..host import command
from . import block_device
from .device_volumes import DeviceVolumes

LVM = "/usr/sbin/lvm"
MARK = "debvisor."
"""Tags look like ``debvisor.owner=debvisor.hci``."""
SECTOR = 512
FULL = 90.0
"""Percent of a thin pool's metadata at which nothing new should begin: a pool that runs out of it is damaged."""
LONGEST = 110
"""Bytes of volume group and volume, dashes counted twice: device-mapper has 127 for them and its own endings."""

RESERVED = re.compile(
    r"^(snapshot|pvmove)|_(cdata|cmeta|corig|cpool|cvol|imeta|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata"
    r"|vorigin|wcorig)"
)
"""What LVM keeps for itself; see lvm(8)."""
FIELDS = ",".join(
    (
        "lv_name",
        "lv_uuid",
        "lv_size",
        "lv_path",
        "lv_layout",
        "lv_role",
        "lv_attr",
        "lv_device_open",
        "lv_health_status",
        "lv_tags",
        "pool_lv",
        "origin",
        "zero",
        "data_percent",
        "metadata_percent",
        "vg_extent_size",
        "vg_attr",
    )
)

Record = Mapping[str, str]
"""One logical volume, as lvs(8) reports it."""


Found = tuple[Record, Mapping[str, Record]]
"""A logical volume, and all of its volume group."""


class LogicalVolumes(DeviceVolumes[Found]):
    """What thick and thin volumes of a volume group have in common."""

    program = (LVM,)
    shown = "LVM"
    busy = "in use"

    def __init__(self, pool: str) -> None:
        self.group, _slash, self.thin_pool = pool.partition("/")
        super().__init__(pool, f"lvm-{self.group}")

    def name_fault(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*", name) or name in (".", ".."):
            return "a name has letters, digits and _ + . - and does not begin with a dash"
        if RESERVED.search(name):
            return "LVM keeps names like that for itself"
        length = sum(len(part) + part.count("-") for part in (self.group, name))
        return "" if length <= LONGEST else f"it is too long by {length - LONGEST} characters"

    def owned(self) -> tuple[Volume, ...]:
        """Return the volumes that are ours, of this pool."""
        records = self._records()
        mine = (record for record in records.values() if record["pool_lv"] == self.thin_pool)
        volumes = (self._volume((record, records)) for record in mine)
        return tuple(volume for volume in volumes if volume.marks is not None)

    def users(self, volume: Volume) -> tuple[User, ...]:
        """Return who has it open. Device-mapper's count also has users in the kernel that leave no other trace."""
        found = super().users(volume)
        record = self._records().get(volume.name, {})
        return found or ((User("kernel"),) if record.get("lv_device_open") == "open" else ())

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        """Replace our marks, all at once."""
        present = {
            tag for tag in self._plain(volume)[0]["lv_tags"].split(",") if tag.startswith(MARK)
        }
        wanted = set(_tags(marks))
        changes = [f"--deltag={tag}" for tag in sorted(present - wanted)]
        changes += [f"--addtag={tag}" for tag in sorted(wanted - present)]
        if changes:
            self._change("lvchange", *changes, self._full(volume.name))
        return replace(volume, marks=marks)

    def _renaming(self, volume: Volume, name: str) -> Sequence[str]:
        return ("lvrename", self.group, volume.name, name)

    def _removing(self, volume: Volume, found: Found) -> Sequence[str]:
        """LVM gets the UUID, not the name."""
        return ("lvremove", "--yes", "--select", f"lv_uuid={volume.identity}", self.group)

    def _look(self, name: str) -> Found | None:
        records = self._records()
        return (records[name], records) if name in records else None

    def _special(self, record: Record, records: Mapping[str, Record]) -> str:
        """Return what else it is than a plain volume, or ""."""
        roles, layout = record["lv_role"].split(","), _layout(record)
        if "pool" in layout:
            return f"{'thin' if 'thin' in layout else layout[0]} pool"
        if "thicksnapshot" in roles or (
            "thinsnapshot" in roles and not _is_golden(records.get(record["origin"]))
        ):
            return "snapshot"
        if "origin" in roles and not _is_golden(record):
            return "origin of snapshots"
        return ""

    def _volume(self, found: Found) -> Volume:
        record, records = found
        return Volume(
            name=record["lv_name"],
            identity=record["lv_uuid"],
            size=int(record["lv_size"]),
            path=record["lv_path"] or f"/dev/{self._full(record['lv_name'])}",
            marks=_marks(record),
            special=self._special(record, records),
        )

    def _records(self) -> dict[str, Record]:
        """Return the volumes of the group that are to be seen. :raises Unreachable: where the pool is not there."""
        told = self._report("lv", ("lvs", "--options", FIELDS, self.group))
        records = {record["lv_name"]: record for record in told}
        if self.thin_pool and _layout(records.get(self.thin_pool)) != ["thin", "pool"]:
            raise Unreachable(
                f"there is no thin pool {self.pool}", hint="A thin pool is written GROUP/POOL"
            )
        return records

    def _report(self, kind: str, words: Sequence[str]) -> list[Record]:
        self._changes.settle()
        form = ("--reportformat", "json", "--units", "b", "--nosuffix")
        try:
            told = command.run((LVM, words[0], *form, *words[1:])).stdout
            found: list[Record] = json.loads(told)["report"][0][kind]
        except command.ProgramFailed as cause:
            raise _unreachable(self.group, cause) from cause
        except (ValueError, KeyError, IndexError) as cause:
            raise Unreachable("LVM returned an invalid report", why=str(cause)) from cause
        return found

    def _full(self, name: str) -> str:
        return f"{self.group}/{name}"


class ThickVolumes(LogicalVolumes):
    """Volumes that have their extents from the beginning. What is in these extents is unknown."""

    kind = "lvm"
    fresh_is_zero = False
    can_clone = False

    def space(self) -> Space:
        """Look at the volume group."""
        words = ("vgs", "--options", "vg_free,vg_extent_size,vg_attr", self.group)
        (group,) = self._report("vg", words)
        return Space(int(group["vg_free"]), int(group["vg_extent_size"]), _troubles(group))

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make a volume. Signatures of what was in its extents are wiped, or LVM would ask about them."""
        clean = ("--yes", "--wipesignatures", "y", "--zero", "y")
        self._change(
            "lvcreate", *clean, "--size", _size(size), "--name", name, *_adding(marks), self.group
        )
        return self._present(name)

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Refuse: it would take a snapshot that slows down both (``can_clone``)."""
        raise Refused(f"{self.pool} cannot clone volumes", hint="Set golden to false")

    def seal(self, volume: Volume) -> None:
        """Refuse, as :meth:`clone` does."""
        raise Refused(f"{self.pool} cannot clone volumes", hint="Set golden to false")

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Zero a range."""
        block_device.zero(volume.path, start, length, tick)

    def _special(self, record: Record, records: Mapping[str, Record]) -> str:
        special = super()._special(record, records)
        if not special and record["pool_lv"]:
            return f"volume of the pool {record['pool_lv']}"
        return special


class ThinVolumes(LogicalVolumes):
    """Volumes that get blocks from a thin pool where they are written to. The pool is written ``GROUP/POOL``."""

    kind = "lvm_thin"

    @property
    def fresh_is_zero(self) -> bool:
        """What has no block reads as zeros; a new block does so only where the pool zeroes it."""
        return self._pool()["zero"] == "zero"

    @property
    def can_clone(self) -> bool:
        """Snapshots cost nothing; one that is then extended may have its end inside a block."""
        return self.fresh_is_zero

    def space(self) -> Space:
        """Look at the thin pool."""
        pool = self._pool()
        troubles, granule = _troubles(pool), int(pool["vg_extent_size"])
        if not pool["data_percent"]:
            return Space(0, granule, (*troubles, "the thin pool is not active"))
        if pool["lv_health_status"]:
            troubles = (*troubles, f"the thin pool is not well: {pool['lv_health_status']}")
        if float(pool["metadata_percent"]) >= FULL:
            troubles = (*troubles, f"the thin pool's metadata is {pool['metadata_percent']} % full")
        free = int(int(pool["lv_size"]) * (100 - float(pool["data_percent"])) / 100)
        return Space(free, granule, troubles)

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make a volume without blocks."""
        thin = ("--type", "thin", "--thinpool", self.thin_pool, "--virtualsize", _size(size))
        self._change("lvcreate", "--yes", *thin, "--name", name, *_adding(marks), self.group)
        return self._present(name)

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Make a snapshot, which is a volume of its own: it outlives the golden one."""
        self._plain(golden)
        active = ("--setactivationskip", "n", "--permission", "rw")
        words = ("lvcreate", "--yes", "--snapshot", *active, "--name", name, *_adding(marks))
        self._change(*words, self._full(golden.name))
        if size > golden.size:
            self._change("lvextend", "--yes", "--size", _size(size), self._full(name))
        return self._present(name)

    def seal(self, volume: Volume) -> None:
        """Let the kernel refuse writes."""
        if self._plain(volume)[0]["lv_attr"][1] != "r":
            self._change("lvchange", "--permission", "r", self._full(volume.name))

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Zero a range, without giving blocks to zeros."""
        block_device.zero(volume.path, start, length, tick, sparing=True)

    def _pool(self) -> Record:
        return self._records()[self.thin_pool]

    def _special(self, record: Record, records: Mapping[str, Record]) -> str:
        special = super()._special(record, records)
        if not special and record["pool_lv"] != self.thin_pool:
            return f"volume outside the pool {self.pool}"
        return special


def _layout(record: Record | None) -> list[str]:
    return [] if record is None else record["lv_layout"].split(",")


def _size(size: int) -> str:
    """Whole sectors, as LVM wants them; it rounds up to extents by itself."""
    return f"{sizes.rounded_up(size, SECTOR)}b"


def _tags(marks: Marks) -> list[str]:
    return [f"{MARK}{name}={value}" for name, value in marks.written().items()]


def _adding(marks: Marks) -> list[str]:
    return [f"--addtag={tag}" for tag in _tags(marks)]


def _marks(record: Record) -> Marks | None:
    pairs = (tag.removeprefix(MARK).partition("=") for tag in _ours(record["lv_tags"].split(",")))
    return Marks.read({name: value for name, _equals, value in pairs})


def _ours(tags: Iterable[str]) -> list[str]:
    return [tag for tag in tags if tag.startswith(MARK)]


def _is_golden(record: Record | None) -> bool:
    marks = None if record is None else _marks(record)
    return marks is not None and marks.golden


def _troubles(record: Record) -> tuple[str, ...]:
    """Read vg_attr, of a group or of a volume in it; see vgs(8)."""
    attributes: Any = record["vg_attr"]
    troubles = []
    if attributes[0] != "w":
        troubles.append("the volume group is read-only")
    if attributes[2] == "x":
        troubles.append("the volume group is exported")
    if attributes[3] == "p":
        troubles.append("the volume group lacks physical volumes")
    return tuple(troubles)


def _unreachable(group: str, cause: command.ProgramFailed) -> DebvisorError:
    if "not found" in cause.why:
        return Unreachable(
            f"there is no volume group {group}", hint="vgs lists those that there are"
        )
    return Unreachable(f"LVM cannot read {group}", why=cause.why)
