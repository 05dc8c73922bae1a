# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of an image on a volume: judged before they are written, read back afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from .._core.errors import Refused, VerificationFailed
from . import images, proof, sizes
from .images import Image
from .volumes import Backend, Volume
from .work import CachedImage, Work

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


class Filling:
    """Fills volumes, and proves what they hold."""

    def __init__(self, disks: Disks, work: Work) -> None:
        self._disks = disks
        self._work = work
        self._judged: dict[str, Image] = {}

    def judge(self, image: CachedImage) -> Image:
        """Judge an image's head before any program opens it; then ask the program, too. Once: the digest stays."""
        if image.digest not in self._judged:
            head, size = self._disks.head(image.path, images.HEAD)
            judged = images.read_head(head, size, image.image_type)
            images.confirm(judged, self._disks.info(image.path, image.image_type))
            self._judged[image.digest] = judged
        return self._judged[image.digest]

    def fitting_size(self, image: CachedImage, volume: Volume) -> int:
        """Judge an image as a whole; return the size of its disk in bytes.

        :raises Refused: where the volume is smaller.
        """
        size = self.judge(image).virtual_size
        if size > volume.size:
            raise Refused(
                f"the image's disk of {size} bytes does not fit",
                why=f"{volume.path} has {volume.size}",
            )
        self._disks.check(image.path, image.image_type)
        return size

    def fill(
        self,
        image: CachedImage,
        size: int,
        backend: Backend,
        volume: Volume,
        *,
        zeroed: bool,
        compare: bool,
    ) -> None:
        """Write the image, make what is beyond it zeros, have all of it on the medium, and read it back.

        :param zeroed: whether the volume is all zeros, so that none need be written.
        :param compare: whether every byte is compared, not samples alone.
        :raises VerificationFailed: where the volume does not hold what was written.
        """
        if not zeroed:
            self._zero_tail(backend, volume, size)
        self._work.stage("converting", size)
        expected: dict[int, bytes] = {}
        self._disks.convert(
            image.path,
            image.image_type,
            volume.path,
            skip_zeros=zeroed,
            progress=lambda share: self._work.progress(int(share * size)),
            check=self._work.check,
            meanwhile=lambda: expected.update(self._expected(image, size, volume)),
        )
        self._work.stage("syncing")
        backend.sync(volume)
        self._work.stage("verifying_volume", size)
        if compare:
            self._compare(image, size, volume)
        self._prove(expected, volume)

    def prove_clone(
        self, volume: Volume, original: Volume, size: int, image: CachedImage | None
    ) -> None:
        """Read back a clone: against the image byte by byte where one is given, and samples against its original.

        :raises VerificationFailed: where they differ.
        """
        self._work.stage("verifying_volume")
        if image is not None:
            self._compare(image, size, volume)
        self._prove(self._samples(original.path, "raw", [], size, volume), volume)

    def _zero_tail(self, backend: Backend, volume: Volume, size: int) -> None:
        """Make what is beyond the image zeros. The rest of its last sector, qemu-img fills with zeros itself."""
        start = sizes.rounded_up(size, SECTOR)
        if volume.size > start:
            self._work.stage("preparing_target", volume.size - start)
            backend.zero(volume, start, volume.size - start, self._work.check)

    def _expected(self, image: CachedImage, size: int, volume: Volume) -> dict[int, bytes]:
        """Read from the image what is going to be looked for; that costs no time while it is converted."""
        extents = self._disks.extents(image.path, image.image_type, self._work.check)
        return self._samples(image.path, image.image_type, extents, size, volume)

    def _compare(self, image: CachedImage, size: int, volume: Volume) -> None:
        """Compare every byte."""
        self._disks.compare(
            image.path,
            image.image_type,
            volume.path,
            progress=lambda share: self._work.progress(int(share * size)),
            check=self._work.check,
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
        samples = proof.choose(extents, size, volume.size, random.Random())
        expected = self._disks.read(path, image_type, samples.disk, samples.span, self._work.check)
        return expected | dict.fromkeys(samples.tail, bytes(samples.span))

    def _prove(self, expected: Mapping[int, bytes], volume: Volume) -> None:
        span = max(map(len, expected.values()))
        found = self._disks.read(volume.path, "raw", sorted(expected), span, self._work.check)
        if differing := proof.differing(expected, found):
            raise VerificationFailed(
                f"{volume.path} does not hold what was written to it",
                why=f"{len(differing)} of {len(expected)} samples differ, the first at byte {differing[0]}",
                hint="Look at the disks below it (dmesg) before it is used",
            )
