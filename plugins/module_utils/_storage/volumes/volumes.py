# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume is, and the one small port that every backend stands behind.

A backend holds volumes of one pool: a volume group, a thin pool, a ZFS dataset, an RBD pool, a folder. All say the same
of themselves, so that nothing above this port knows which one it has. ``tests/volumes`` runs one contract against each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

OWNER = "debvisor.hci"
"""What the mark ``owner`` says on everything that is ours."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What we write on a volume, where the backend keeps it through a rename: LV tags, ZFS user properties, RBD image
    metadata, extended attributes. A volume without ``owner`` is not ours.
    """

    image: str = ""
    """``sha256:<64 hex digits>`` of the image that it was filled from; empty while it is not proved."""
    token: str = ""
    """Names the run that made the volume: a run rolls back only what carries its own."""
    at: str = ""
    """When it was filled, UTC, as in ``2026-01-31T12:00:00Z``."""
    virtual_size: int = 0
    """Bytes of the image's disk; the volume may be larger."""
    golden: bool = False
    """True for a volume that is only there to be cloned."""

    def written(self) -> dict[str, str]:
        """Return them as backends keep them: names of lower case letters and dashes, values of ``[A-Za-z0-9:.+-]``."""
        return {
            "owner": OWNER,
            **({"image": self.image} if self.image else {}),
            **({"token": self.token} if self.token else {}),
            **({"at": self.at} if self.at else {}),
            **({"virtual-size": str(self.virtual_size)} if self.virtual_size else {}),
            **({"golden": "yes"} if self.golden else {}),
        }

    @classmethod
    def read(cls, written: Mapping[str, str]) -> Marks | None:
        """Return what a backend kept, or None where the volume is not ours."""
        if written.get("owner") != OWNER:
            return None
        size = written.get("virtual-size", "")
        return cls(
            image=written.get("image", ""),
            token=written.get("token", ""),
            at=written.get("at", ""),
            virtual_size=int(size) if size.isdecimal() else 0,
            golden=written.get("golden") == "yes",
        )


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as it was when it was looked at."""

    name: str
    identity: str
    """What no other volume ever has, though it may get the same name: LV UUID, ZFS guid, RBD image id, inode."""
    size: int
    """Bytes."""
    path: str
    """What guests and qemu-img are given: a device, a file, or ``rbd:pool/name``."""
    marks: Marks | None = None
    """None where it is not ours."""
    special: str = ""
    """What else it is than a plain volume, such as ``thin pool``, ``snapshot``, ``origin of snapshots``; such a one is
    never written to, renamed or removed. A volume that was cloned from a golden one is plain."""


class User(NamedTuple):
    """Who uses a volume."""

    kind: str
    """``guest``, ``process``, ``device``, ``loop device``, ``kernel``, ``writer``, ``client`` or ``lock``."""
    name: str = ""
    detail: str = ""

    def __str__(self) -> str:
        detail = f"({self.detail})" if self.detail else ""
        return " ".join(filter(None, (self.kind, self.name, detail)))


@dataclass(frozen=True, slots=True)
class Space:
    """What a pool has room for."""

    free: int
    """Bytes that a new volume may have; of a thin pool, what is not yet written to."""
    granule: int = 1
    """Sizes are rounded up to a multiple of it: an extent, a block."""
    troubles: tuple[str, ...] = field(default=())
    """Why nothing should be written now, in words: a thin pool's metadata is nearly full, a pool is degraded."""


class Backend(Protocol):
    """Volumes of one pool. Errors are ours: Refused where the backend says no, Unreachable where it does not answer.

    Every call is bounded in time. Names are checked with :meth:`name_fault` before anything else is called with them.
    """

    @property
    def kind(self) -> str:
        """``lvm``, ``lvm_thin``, ``zfs``, ``rbd`` or ``directory``."""

    @property
    def pool(self) -> str:
        """As the operator wrote it."""

    @property
    def fresh_is_zero(self) -> bool:
        """True where a new volume reads as zeros, by proof or by promise of the backend."""

    @property
    def can_clone(self) -> bool:
        """True where a volume can be made from a golden one without copying."""

    def name_fault(self, name: str) -> str:
        """Return why a volume cannot have this name, or "". Pure."""

    def space(self) -> Space:
        """Look at the pool. :raises Unreachable: where there is no such pool; says so."""

    def find(self, name: str) -> Volume | None:
        """Look at one volume; whatever has the name counts, also a thin pool (``special``)."""

    def owned(self) -> tuple[Volume, ...]:
        """Return every volume of the pool that is ours, golden and unfinished ones included."""

    def users(self, volume: Volume) -> tuple[User, ...]:
        """Return who has it open: kernel's open count, holders, mounts, watchers. Guests are asked for elsewhere."""

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make a volume; marks and volume come into being together. Never wipes what another one holds."""

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Make a volume with a golden one's content, at least as large; what is beyond it reads as zeros."""

    def seal(self, volume: Volume) -> None:
        """Make a volume fit to be cloned, and protect it from being written to. Idempotent."""

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        """Replace all marks of ours by these."""

    def rename(self, volume: Volume, name: str) -> Volume:
        """Rename; atomic. :raises Refused: where the new name is taken, or the old one is another volume's now."""

    def remove(self, volume: Volume) -> None:
        """Remove the volume of this identity. Gone already is well; another one of that name is left and Refused."""

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Make these bytes read as zeros, by writing zeros or a command that guarantees it (BLKZEROOUT).

        Never by a mere discard. Calls ``tick`` at least once a second; what that raises ends the work.
        """

    def sync(self, volume: Volume) -> None:
        """Wait until all is on stable storage. :raises Refused: for a write error that comes to light only now."""

    def close(self) -> None:
        """Let go of connections; never fails. It may be used again, and connects then."""
