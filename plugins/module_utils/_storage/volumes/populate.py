# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of an image to a volume, from start to end: judged before it is written, read back afterwards, marked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..._core.errors import Conflict, Refused, VerificationFailed
from ..images import images
from ..images.images import Image
from ..jobs import sizes
from ..jobs.job_protocols import CachedImage, CacheStore, Work
from . import verify_samples
from .volume_plan import listed, mark_of, users_of
from .volumes import Backend, Marks, User, Volume

SECTOR = 512
"""Bytes; what qemu-img writes is a multiple of it."""


class Disks(Protocol):
    """QEMU's tools."""

    def head(self, path: str, count: int) -> tuple[bytes, int]: ...

    def info(self, path: str, image_type: str) -> Mapping[str, Any]: ...

    def check(self, path: str, image_type: str) -> None: ...

    def extents(
        self, path: str, image_type: str, check: Callable[[], None]
    ) -> Iterable[Mapping[str, Any]]: ...

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
    ) -> None: ...

    def compare(
        self,
        source: str,
        image_type: str,
        target: str,
        *,
        progress: Callable[[float], None],
        check: Callable[[], None],
    ) -> None: ...

    def read(
        self,
        path: str,
        image_type: str,
        offsets: Sequence[int],
        span: int,
        check: Callable[[], None],
    ) -> dict[int, bytes]: ...


class Guests(Protocol):
    """The guests of this host."""

    def needing_disk(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return the guests that it must not change under, by name and, where it is not simply their disk, how."""

    def close(self) -> None:
        """Let go of the connection; never fails."""


class Timestamps(Protocol):
    """The calendar."""

    def utc(self) -> str: ...


class Usage:
    """Finds out who uses a volume."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def of(self, backend: Backend, volume: Volume | None) -> tuple[User, ...]:
        """Return the guests that have it as a disk, and who has it open."""
        if volume is None or volume.special:
            return ()
        guests = self._guests.needing_disk(volume.path)
        return (*(User("guest", *guest) for guest in guests), *backend.users(volume))

    def check_none(self, backend: Backend, volume: Volume) -> None:
        """Ask right before a write: a guest may have been started since the plan was made.

        :raises Conflict: where it is used.
        """
        if users := self.of(backend, volume):
            raise Conflict(
                f"{volume.path} came into use meanwhile",
                why=listed(users),
                hint="Run again later",
                details=users_of(users),
            )


@dataclass(frozen=True, slots=True)
class Filler:
    """Fills volumes, and proves what they hold."""

    disks: Disks
    work: Work
    cache: CacheStore
    usage: Usage
    calendar: Timestamps
    token: str
    """Of the run, which its volumes are marked with."""
    judged: dict[str, Image] = field(default_factory=dict)
    """By digest: what an image of that digest is does not change."""

    def judge(self, image: CachedImage) -> Image:
        """Judge an image's head before any program opens it; then ask the program, too."""
        if image.digest not in self.judged:
            self.judged[image.digest] = _judged(self.disks, image)
        return self.judged[image.digest]

    def fill(
        self, image: CachedImage, backend: Backend, volume: Volume, *, zeroed: bool, compare: bool
    ) -> Volume:
        """Write the image, make what is beyond it zeros, have all of it on the medium, read it back, and mark it.

        :param zeroed: whether the volume is all zeros, so that none need be written.
        :param compare: whether every byte is compared, not samples alone.
        :raises Refused: where the image does not fit.
        :raises Conflict: where the volume is in use.
        :raises VerificationFailed: where the volume does not hold what was written.
        """
        with self.cache.hold(image):
            size = self._fitting_size(image, volume)
            self.usage.check_none(backend, volume)
            if volume.marks != Marks(token=self.token):
                volume = self._unmarked(backend, volume)
            if not zeroed:
                self._zero_tail(backend, volume, size)
            samples = self._convert(image, size, volume, skip_zeros=zeroed)
            self.work.stage("syncing")
            backend.sync(volume)
            self.work.stage("verifying_volume", size)
            if compare:
                self._compare(image, size, volume)
            self._prove(samples, volume)
        return backend.mark(volume, self._proved(mark_of(image.digest), size))

    def clone(
        self, golden: Volume, backend: Backend, name: str, size: int, image: CachedImage | None
    ) -> Volume:
        """Clone a golden volume, read the clone back, and mark it.

        :param image: what every byte is compared with; without it samples are, with the golden volume's.
        :raises VerificationFailed: where they differ.
        """
        marks = golden.marks or Marks()
        volume = backend.clone(golden, name, size, Marks(token=self.token))
        self.work.stage("verifying_volume")
        if image is not None:
            self._compare(image, marks.virtual_size, volume)
        self._prove(self._samples(golden.path, "raw", [], marks.virtual_size, volume), volume)
        return backend.mark(volume, self._proved(marks.image, marks.virtual_size))

    def _fitting_size(self, image: CachedImage, volume: Volume) -> int:
        """Judge an image as a whole; return the size of its disk in bytes."""
        size = self.judge(image).virtual_size
        if size > volume.size:
            raise Refused(
                f"the image's disk of {size} bytes does not fit",
                why=f"{volume.path} has {volume.size}",
            )
        self.disks.check(image.path, image.image_type)
        return size

    def _unmarked(self, backend: Backend, volume: Volume) -> Volume:
        """Take its marks from a volume that is about to lose its content; one that comes into use keeps both."""
        marked = backend.mark(volume, Marks(token=self.token))
        try:
            self.usage.check_none(backend, marked)
        except Conflict:
            backend.mark(marked, volume.marks or Marks())
            raise
        return marked

    def _proved(self, image: str, size: int) -> Marks:
        return Marks(image, self.token, self.calendar.utc(), size)

    def _convert(
        self, image: CachedImage, size: int, volume: Volume, *, skip_zeros: bool
    ) -> dict[int, bytes]:
        """Write the image; return samples of it, which are read meanwhile and so cost no time."""
        self.work.stage("converting", size)
        samples: dict[int, bytes] = {}
        self.disks.convert(
            image.path,
            image.image_type,
            volume.path,
            skip_zeros=skip_zeros,
            progress=lambda share: self.work.progress(int(share * size)),
            check=self.work.check,
            meanwhile=lambda: samples.update(self._expected(image, size, volume)),
        )
        return samples

    def _zero_tail(self, backend: Backend, volume: Volume, size: int) -> None:
        """Make what is beyond the image zeros. The rest of its last sector, qemu-img fills with zeros itself."""
        start = sizes.rounded_up(size, SECTOR)
        if volume.size > start:
            self.work.stage("preparing_target", volume.size - start)
            backend.zero(volume, start, volume.size - start, self.work.check)

    def _expected(self, image: CachedImage, size: int, volume: Volume) -> dict[int, bytes]:
        extents = self.disks.extents(image.path, image.image_type, self.work.check)
        return self._samples(image.path, image.image_type, extents, size, volume)

    def _compare(self, image: CachedImage, size: int, volume: Volume) -> None:
        """Compare every byte."""
        self.disks.compare(
            image.path,
            image.image_type,
            volume.path,
            progress=lambda share: self.work.progress(int(share * size)),
            check=self.work.check,
        )

    def _samples(
        self,
        path: str,
        image_type: str,
        extents: Iterable[Mapping[str, Any]],
        size: int,
        volume: Volume,
    ) -> dict[int, bytes]:
        """Return what must stand on the volume, by offset: all pieces are of one length."""
        samples = verify_samples.choose(extents, size, volume.size, random.Random())
        expected = self.disks.read(path, image_type, samples.disk, samples.span, self.work.check)
        return expected | dict.fromkeys(samples.tail, bytes(samples.span))

    def _prove(self, expected: Mapping[int, bytes], volume: Volume) -> None:
        span = max(map(len, expected.values()))
        found = self.disks.read(volume.path, "raw", sorted(expected), span, self.work.check)
        if differing := verify_samples.differing(expected, found):
            raise VerificationFailed(
                f"{volume.path} does not hold what was written to it",
                why=f"{len(differing)} of {len(expected)} samples differ, the first at byte {differing[0]}",
                hint="Check the disks below it (dmesg) before it is used",
            )


def _judged(disks: Disks, image: CachedImage) -> Image:
    head, size = disks.head(image.path, images.HEAD)
    judged = images.read_head(head, size, image.image_type)
    images.confirm(judged, disks.info(image.path, image.image_type))
    return judged
