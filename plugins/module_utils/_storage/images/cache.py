# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cache of images is made of: names, the record beside an image, and which images go first.

Images stand in the pool's folder, where libvirt lists them. Everything else is in a hidden folder on the same file
system, so that a rename is all that it takes to publish an image, or to put a bad one away::

    <sha256>.qcow2                       an image that was verified before it got this name
    .debvisor/<sha256>.qcow2.json        its record
    .debvisor/<sha256>.qcow2.part        on its way; .part.map beside it is the downloader's
    .debvisor/origin-<sha256>.raw        a link: the image that came from this address with this entity tag
    .debvisor/quarantine/<sha256>.raw    not what it should have been; .json beside it says why
    .debvisor/removed/<sha256>.raw       being removed; can be put back until that is committed
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

IMAGE_TYPES = ("qcow2", "raw")
HIDDEN = ".debvisor"
QUARANTINE = f"{HIDDEN}/quarantine"
REMOVED = f"{HIDDEN}/removed"
FOLDERS = (HIDDEN, QUARANTINE, REMOVED)
PART = ".part"
MAP = ".part.map"
RECORD = ".json"
ORIGIN = "origin-"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(r"([0-9a-f]{64})\.(qcow2|raw)")


def file_name(digest: str, image_type: str) -> str:
    """Return the name of an image, for whoever stores it and for whoever looks for it."""
    if not _DIGEST.fullmatch(digest) or image_type not in IMAGE_TYPES:
        raise ValueError(f"{digest!r} and {image_type!r} make no name of an image")
    return f"{digest}.{image_type}"


def named(name: str) -> tuple[str, str] | None:
    """Return digest and type of the image that has this name; None where it is no image of the cache."""
    found = _IMAGE.fullmatch(name)
    return (found[1], found[2]) if found else None


def record_of(name: str) -> str:
    """Return where an image's record is."""
    return f"{HIDDEN}/{name}{RECORD}"


def part_of(name: str) -> str:
    """Return where an image is gathered while it comes in."""
    return f"{HIDDEN}/{name}{PART}"


def map_of(name: str) -> str:
    """Return where the downloader notes which pieces of the part it has."""
    return f"{HIDDEN}/{name}{MAP}"


def quarantined(name: str) -> str:
    """Return where a bad file goes. The next bad one of that name takes its place, so they do not pile up."""
    return f"{QUARANTINE}/{name}"


def removed(name: str) -> str:
    """Return where an image stands between its removal and the commit."""
    return f"{REMOVED}/{name}"


def places(name: str) -> tuple[str, ...]:
    """Return where an image can be whose record is still needed."""
    return name, part_of(name), removed(name)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image came from. Without an entity tag it says nothing about what is there now."""

    url: str
    """Without credentials and query."""
    etag: str
    size: int
    image_type: str

    @property
    def name(self) -> str:
        """What stands for the digest as long as that is not known."""
        told = json.dumps([self.url, self.etag, self.size]).encode()
        return f"{ORIGIN}{hashlib.sha256(told).hexdigest()}.{self.image_type}"

    @property
    def link(self) -> str:
        """The link that says which image it was."""
        return f"{HIDDEN}/{self.name}"


class Identity(NamedTuple):
    """What shows that a file is still the one that was verified. It stays through a rename."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an image. Times are in seconds since 1970."""

    url: str
    etag: str
    inode: int
    size: int
    mtime_ns: int
    verified_at: int
    last_used: int
    pinned: bool = False

    @property
    def identity(self) -> Identity:
        """The file that was verified."""
        return Identity(self.inode, self.size, self.mtime_ns)

    def origin(self, name: str) -> Origin:
        """Return where the image of that name came from."""
        return Origin(self.url, self.etag, self.size, name.rpartition(".")[2])

    def written(self) -> bytes:
        """Return it as it is kept."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def read(cls, content: bytes | None) -> Record | None:
        """Return what was kept, or None where that makes no sense: the image is then verified anew."""
        try:
            told = json.loads(content or b"")
            record = cls(**told)
        except (ValueError, TypeError):
            return None
        kinds = {name: type(value) for name, value in asdict(record).items()}
        return record if kinds == _KINDS else None


_KINDS = {
    "url": str,
    "etag": str,
    **dict.fromkeys(("inode", "size", "mtime_ns", "verified_at", "last_used"), int),
    "pinned": bool,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """An image as the inventory has it."""

    name: str
    size: int
    room: int
    """Bytes on disk, which is what its removal gives back."""
    changed: int
    """When it got its name, in seconds since 1970."""
    record: Record | None
    verified: bool
    """False where the file is not, or not provably, the one that was verified: no look-up finds it."""
    in_use: bool = False

    @property
    def pinned(self) -> bool:
        """True where it stays whatever the limits say."""
        return self.record is not None and self.record.pinned

    @property
    def last_used(self) -> int:
        """Seconds since 1970."""
        return self.record.last_used if self.record else self.changed

    @property
    def evictable(self) -> bool:
        """True where a limit may take it away."""
        return self.record is not None and not self.pinned and not self.in_use


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is neither an image nor of use to one."""

    kind: str
    """``part`` that no run works on, ``quarantine``, ``removed`` (an interrupted removal), or ``stray``."""
    owner: str
    """The image that it belongs to; under its lock it may be discarded."""
    names: tuple[str, ...]
    """The file, and what lies beside it."""
    room: int
    changed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a prune has to reach. None sets no limit."""

    max_age: float | None = None
    """Seconds since the last use."""
    max_bytes: int | None = None
    min_free: int | None = None
    """Bytes free on the file system."""


@dataclass(frozen=True, slots=True)
class Victim:
    """An image that has to go, and why."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Pruning:
    """Which images go, and what will still be missing then because the rest is pinned or in use."""

    victims: tuple[Victim, ...]
    excess: int = 0
    """Bytes above ``max_bytes``."""
    lack: int = 0
    """Bytes below ``min_free``."""


def prune(entries: Iterable[Entry], limits: Limits, *, now: float, free: int) -> Pruning:
    """Choose the images that go, the longest unused first, and no more of them than the limits ask for.

    What has no record may be somebody else's file: it neither goes nor counts.
    """
    entries = [entry for entry in entries if entry.record is not None]
    total = sum(entry.room for entry in entries)
    victims: list[Victim] = []
    for entry in sorted(filter(lambda each: each.evictable, entries), key=_least_recent):
        if limits.max_age is not None and now - entry.last_used > limits.max_age:
            reason = "not used for longer than max_age"
        elif limits.max_bytes is not None and total > limits.max_bytes:
            reason = "the cache is larger than max_bytes"
        elif limits.min_free is not None and free < limits.min_free:
            reason = "less than min_free is free"
        else:
            break  # whoever comes now was used later
        victims.append(Victim(entry, reason))
        total -= entry.room
        free += entry.room
    return Pruning(
        tuple(victims),
        excess=max(0, total - limits.max_bytes) if limits.max_bytes is not None else 0,
        lack=max(0, limits.min_free - free) if limits.min_free is not None else 0,
    )


def _least_recent(entry: Entry) -> tuple[int, str]:
    return entry.last_used, entry.name
