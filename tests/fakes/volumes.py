# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of volumes in memory, a cache of images, their server, and those who use and watch them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    Refused,
    TimedOut,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    CachedImage,
    Download,
    RemoteImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Space,
    User,
    Volume,
)

BLOCK = 4096
DIRT = b"\xa5"
"""What stands in a fresh volume of a backend that does not promise zeros."""
NUMBERS = itertools.count(1)


@dataclass
class Held:
    """A volume as the pool has it."""

    content: bytearray
    marks: Marks | None
    identity: str = field(default_factory=lambda: f"id-{next(NUMBERS)}")
    special: str = ""
    sealed: bool = False
    origin: str = ""
    """The golden volume's identity."""
    users: tuple[User, ...] = ()


class FakePool:
    """Implements ``Backend``. Unlike a real one it says so where a sealed volume is written to."""

    def __init__(
        self,
        kind: str = "lvm_thin",
        pool: str = "vg/thin",
        *,
        fresh_is_zero: bool = True,
        can_clone: bool = True,
        clones_need_golden: bool = True,
        free: int = 1 << 30,
    ) -> None:
        self.kind, self.pool = kind, pool
        self.fresh_is_zero, self.can_clone = fresh_is_zero, can_clone
        self.clones_need_golden = clones_need_golden
        self.room = Space(free, BLOCK)
        self.held: dict[str, Held] = {}
        self.closed = False

    def name_fault(self, name: str) -> str:
        return "" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}", name) else "bad characters"

    def space(self) -> Space:
        return self.room

    def find(self, name: str) -> Volume | None:
        held = self.held.get(name)
        if held is None:
            return None
        size = len(held.content)
        return Volume(name, held.identity, size, self.path(name), held.marks, held.special)

    def owned(self) -> tuple[Volume, ...]:
        volumes = [self.find(name) for name in self.held]
        return tuple(each for each in volumes if each is not None and each.marks is not None)

    def users(self, volume: Volume) -> tuple[User, ...]:
        return self._still(volume).users

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        filling = b"\0" if self.fresh_is_zero else DIRT
        return self._make(name, Held(bytearray(filling * self._rounded(size)), marks))

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        origin = self._still(golden)
        if not self.can_clone:
            raise Refused(f"{self.pool} cannot clone volumes")
        assert origin.sealed, "cloned from what may still change"
        content = bytes(origin.content).ljust(self._rounded(size), b"\0")
        return self._make(name, Held(bytearray(content), marks, origin=origin.identity))

    def seal(self, volume: Volume) -> None:
        self._still(volume).sealed = True

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        held = self._still(volume)
        assert not held.sealed, "a sealed volume gets other marks"
        held.marks = marks
        return self._present(volume.name)

    def rename(self, volume: Volume, name: str) -> Volume:
        self._still(volume)
        if name in self.held:
            raise Refused(f"{name} is there already")
        self.held[name] = self.held.pop(volume.name)
        return self._present(name)

    def remove(self, volume: Volume) -> None:
        if volume.name not in self.held:
            return
        if users := self._still(volume).users:
            raise Refused(f"{volume.name} is in use", why="; ".join(map(str, users)))
        clones = [name for name, held in self.held.items() if held.origin == volume.identity]
        if clones and self.clones_need_golden:
            raise Refused(f"{volume.name} has clones", why=", ".join(clones))
        del self.held[volume.name]

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        tick()
        self.write(volume.path, start, bytes(length))

    def sync(self, volume: Volume) -> None:
        self._still(volume)

    def close(self) -> None:
        self.closed = True

    # For disks and tests

    def path(self, name: str) -> str:
        return f"/dev/{self.pool}/{name}"

    def at(self, path: str) -> Held | None:
        """Return what a path leads to now."""
        return next((held for name, held in self.held.items() if self.path(name) == path), None)

    def write(self, path: str, start: int, content: bytes) -> None:
        held = self.at(path)
        assert held is not None, f"{path} is not there"
        assert not held.sealed, "a sealed volume is written to"
        assert start + len(content) <= len(held.content), "written beyond the end"
        held.content[start : start + len(content)] = content

    def _make(self, name: str, held: Held) -> Volume:
        if name in self.held:
            raise Refused(f"{name} is there already")
        self.held[name] = held
        return self._present(name)

    def _still(self, volume: Volume) -> Held:
        held = self.held.get(volume.name)
        if held is None or held.identity != volume.identity:
            raise Refused(f"{volume.name} is another volume than before")
        return held

    def _present(self, name: str) -> Volume:
        volume = self.find(name)
        assert volume is not None
        return volume

    def _rounded(self, size: int) -> int:
        return -(-size // BLOCK) * BLOCK


@dataclass(frozen=True)
class Picture:
    """An image: the file as it is published, and the disk that is in it."""

    file: bytes
    disk: bytes
    image_type: str = "qcow2"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.file).hexdigest()


def qcow2_head(
    size: int,
    *,
    version: int = 3,
    backing: int = 0,
    encryption: int = 0,
    features: int = 0,
    length: int = 104,
) -> bytes:
    """Return the header of a qcow2 image (QEMU's docs/interop/qcow2.txt)."""
    whole = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", version, backing, 0, 16, size, encryption, 1, 0, 0, 1, 0, 0),
        *(features, 0, 0, 4, 104),
    )
    return whole[:length]


def picture(seed: int = 1, blocks: int = 16, image_type: str = "qcow2") -> Picture:
    """Return an image with data in every other pair of blocks, and not in the last one."""
    disk = b"".join(
        bytes([seed, number]) * (BLOCK // 2) if number % 4 < 2 else bytes(BLOCK)
        for number in range(blocks)
    )
    if image_type == "raw":
        return Picture(disk, disk, "raw")
    return Picture(qcow2_head(len(disk)) + bytes([seed]) * 1000, disk)


class FakeSource:
    """Implements ``ImageSource``: a server with one image, whose checksum may be published."""

    def __init__(self, image: Picture, files: dict[str, Picture]) -> None:
        self.image = image
        self.files = files
        self.published: str | None = image.digest
        self.shown = "https://images.example.org/debian.qcow2"
        self.etag = '"v1"'

    def look(self, check: Callable[[], None] | None = None) -> RemoteImage:
        return RemoteImage(len(self.image.file), self.etag, self.image.file, ranges=True)

    def checksum_text(self, check: Callable[[], None] | None = None) -> str | None:
        return self.published

    def download(self, image: RemoteImage, part: str, work: Any) -> Download:
        work.progress(1)
        work.check()
        self.files[part] = self.image
        return Download(self.image.digest, self.look())


class FakeCache:
    """Implements ``CacheStore``."""

    def __init__(self) -> None:
        self.files: dict[str, Picture] = {}
        self.images: dict[str, CachedImage] = {}
        self.held: list[str] = []

    def find(self, digest: str, image_type: str) -> CachedImage | None:
        return self.images.get(f"{digest}.{image_type}")

    def find_by_origin(self, url: str, etag: str, size: int, image_type: str) -> CachedImage | None:
        found = [
            image
            for image in self.images.values()
            if (image.url, image.etag, image.size, image.image_type)
            == (url, etag, size, image_type)
        ]
        return found[0] if found and etag else None

    def store(
        self, digest: str | None, image_type: str, source: Any, image: RemoteImage, work: Any
    ) -> CachedImage:
        if digest and (known := self.find(digest, image_type)):
            return known
        work.stage("downloading", image.size)
        arrived = source.download(image, "/cache/part", work)
        content = self.files.pop("/cache/part")
        if digest not in (None, arrived.digest):
            raise VerificationFailed("not the image that was promised", why=arrived.digest)
        name = f"{arrived.digest}.{image_type}"
        self.files[f"/cache/{name}"] = content
        self.images[name] = CachedImage(
            arrived.digest, f"/cache/{name}", image.size, image_type, source.shown, image.etag
        )
        return self.images[name]

    @contextlib.contextmanager
    def hold(self, image: CachedImage) -> Iterator[None]:
        if self.find(image.digest, image.image_type) is None:
            raise Conflict("the image left the cache while it was about to be used")
        self.held.append(image.digest)
        try:
            yield
        finally:
            self.held.remove(image.digest)

    # For tests

    def put(self, image: Picture, source: FakeSource) -> None:
        name = f"{image.digest}.{image.image_type}"
        self.files[f"/cache/{name}"] = image
        self.images[name] = CachedImage(
            image.digest,
            f"/cache/{name}",
            len(image.file),
            image.image_type,
            source.shown,
            source.etag,
        )

    def evict(self) -> None:
        """Make room, as another run may: what is held stays."""
        for name, image in list(self.images.items()):
            if image.digest not in self.held:
                del self.images[name], self.files[image.path]


class FakeDisks:
    """Implements ``Disks``: what QEMU's tools do, on memory. Blocks of zeros are skipped where that is asked for."""

    def __init__(self, files: Mapping[str, Picture], pool: FakePool) -> None:
        self.files, self.pool = files, pool
        self.lost: tuple[int, ...] = ()
        """Offsets of blocks that the device loses on its way."""
        self.damaged: list[Picture] = []
        self.described: dict[str, Any] = {}
        """What ``info`` says beside or instead of the truth."""

    def head(self, path: str, count: int) -> tuple[bytes, int]:
        content = self._file(path).file
        return content[:count], len(content)

    def info(self, path: str, image_type: str) -> Mapping[str, Any]:
        image = self._file(path)
        told = {"format": image.image_type, "virtual-size": len(image.disk)}
        return {**told, **self.described}

    def check(self, path: str, image_type: str) -> None:
        if self._file(path) in self.damaged:
            raise VerificationFailed("the image is damaged")

    def extents(
        self, path: str, image_type: str, check: Callable[[], None]
    ) -> Sequence[Mapping[str, Any]]:
        check()
        disk = self._file(path).disk
        return [
            {"start": at, "length": BLOCK, "data": any(disk[at : at + BLOCK]), "zero": False}
            for at in range(0, len(disk), BLOCK)
        ]

    def convert(
        self,
        source: str,
        image_type: str,
        target: str,
        *,
        skip_zeros: bool,
        progress: Callable[[float], None],
        check: Callable[[], None],
        meanwhile: Callable[[], None],
    ) -> None:
        meanwhile()
        disk = self._file(source).disk
        for at in range(0, len(disk), BLOCK):
            if at in (0, len(disk) // 2 // BLOCK * BLOCK):
                check()
            block = disk[at : at + BLOCK]
            if at not in self.lost and not (skip_zeros and not any(block)):
                self.pool.write(target, at, block)
        progress(1.0)

    def compare(
        self,
        source: str,
        image_type: str,
        target: str,
        *,
        progress: Callable[[float], None],
        check: Callable[[], None],
    ) -> None:
        check()
        disk, held = self._file(source).disk, self.pool.at(target)
        assert held is not None
        if bytes(held.content) != disk.ljust(len(held.content), b"\0"):
            raise VerificationFailed("the volume differs from the image")
        progress(1.0)

    def read(
        self,
        path: str,
        image_type: str,
        offsets: Sequence[int],
        span: int,
        check: Callable[[], None],
    ) -> dict[int, bytes]:
        check()
        held = self.pool.at(path)
        content = bytes(held.content) if held is not None else self._file(path).disk
        assert all(0 <= at <= len(content) - span for at in offsets), "read beyond the end"
        return {at: content[at : at + span] for at in offsets}

    def _file(self, path: str) -> Picture:
        if path not in self.files:
            raise Refused(f"{path} is not there")
        return self.files[path]


class FakeGuests:
    """Guests keep the volume that they were started with, whatever it is called since."""

    def __init__(self, pool: FakePool) -> None:
        self.pool = pool
        self.running: dict[str, str] = {}
        self.closed = False

    def start(self, guest: str, volume: str) -> None:
        self.running[guest] = self.pool.held[volume].identity

    def needing_disk(self, path: str) -> tuple[tuple[str, str], ...]:
        held = self.pool.at(path)
        return tuple(
            (guest, "")
            for guest, identity in self.running.items()
            if held is not None and identity == held.identity
        )

    def close(self) -> None:
        self.closed = True


class FakeWork:
    """Implements ``Work``. What is noted has to be something that a job's record has."""

    def __init__(self) -> None:
        self.job = Job("")
        self.stages: list[str] = []
        self.done: list[int] = []
        self.waits: list[str] = []
        self.ends: list[tuple[str, bool]] = []
        self.in_turn = False
        self.trouble: DebvisorError | None = None
        """What checks raise from now on."""
        self.meanwhile: Callable[[], object] = list
        """What others do while we wait for them."""

    def begin(self, job_id: str, **facts: Any) -> None:
        self.job = replace(self.job, job_id=job_id, **facts)

    def take_turn(self) -> None:
        self.in_turn = True

    def note(self, **facts: Any) -> None:
        self.job = replace(self.job, **facts)

    def stage(self, name: str, total: int = 0) -> None:
        self.stages.append(name)

    def progress(self, done: int) -> None:
        self.done.append(done)

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    @contextlib.contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        self.waits.append(reason)
        self.in_turn = False
        self.meanwhile()
        yield
        self.in_turn = True

    def ended(self, failure: BaseException | None, rolled_back: bool) -> None:
        self.ends.append((str(failure or ""), rolled_back))


class FakeLocks:
    """Locks by name; others hold some of them."""

    def __init__(self) -> None:
        self.others: set[str] = set()
        self.taken: list[str] = []

    @contextlib.contextmanager
    def __call__(self, name: str, patience: float) -> Iterator[None]:
        if name in self.others:
            raise TimedOut(f"the lock of {name} is held")
        self.taken.append(name)
        yield
