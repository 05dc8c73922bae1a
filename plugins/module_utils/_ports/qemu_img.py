# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images, through QEMU's own tools. The format is always stated: a raw disk may begin like any image."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._core.errors import VerificationFailed
from . import command

MEMORY = 1 << 30
SECONDS = 30
"""What qemu-img may use to look at an image that somebody made to be expensive; as OpenStack and Incus have it."""
WRITERS = 8
"""Requests in flight. More gained nothing on two processors, and each holds up to 2 MiB."""
PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
ONE_LINE = re.compile(r"([0-9a-f]{8,16}):  ((?:[0-9a-f]{2} ){1,16})")
READS = 64
"""Samples that are read by one process."""


class QemuImg:
    """``qemu-img`` and ``qemu-io`` of this machine (package qemu-utils)."""

    def head(self, path: str, count: int) -> tuple[bytes, int]:
        """Return a file's first bytes and its size: what must be looked at before any program opens the image."""
        with open(path, "rb") as stream:
            return stream.read(count), os.fstat(stream.fileno()).st_size

    def info(self, path: str, image_type: str) -> dict[str, Any]:
        """Describe an image, with little memory and time, as it may be made to eat both."""
        limits = ("prlimit", f"--as={MEMORY}", f"--cpu={SECONDS}")
        words = (*limits, "qemu-img", "info", "--output=json", "-f", image_type, path)
        return _mapping(command.run(words, timeout=4 * SECONDS).stdout)

    def extents(self, path: str, image_type: str) -> list[Mapping[str, Any]]:
        """Return the parts of the disk as ``qemu-img map`` has them: start, length, data, zero."""
        words = ("qemu-img", "map", "--output=json", "-f", image_type, path)
        return list(json.loads(command.run(words, timeout=300).stdout))

    def convert(
        self,
        source: str,
        image_type: str,
        target: str,
        *,
        skip_zeros: bool,
        progress: Callable[[float], None],
        check: Callable[[], None],
    ) -> None:
        """Write an image's disk into a target that is there, past the page cache where the target can do that.

        :param skip_zeros: only where all of the target is known to read as zeros; else qemu-img would leave old data.
        :param progress: gets the share that is done, 0 to 1.
        """
        words = [
            "qemu-img",
            "convert",
            "-p",
            "-n",
            "-W",
            "-m",
            str(WRITERS),
            "-f",
            image_type,
            "-O",
            "raw",
        ]
        words += ["-T", _cache_mode(source, os.O_RDONLY), "-t", _cache_mode(target, os.O_RDWR)]
        if skip_zeros:
            words.append("--target-is-zero")

        def said(block: bytes) -> None:
            if found := PERCENT.findall(block):
                progress(float(found[-1]) / 100)

        command.watch([*words, source, target], check=check, said=said)

    def compare(
        self,
        source: str,
        image_type: str,
        target: str,
        *,
        progress: Callable[[float], None],
        check: Callable[[], None],
    ) -> None:
        """Compare every byte of the disk, and that the rest of the target is zeros.

        :raises VerificationFailed: with the offset of the first difference.
        """

        def said(block: bytes) -> None:
            if found := PERCENT.findall(block):
                progress(float(found[-1]) / 100)

        words = (
            "qemu-img",
            "compare",
            "-p",
            "-f",
            image_type,
            "-F",
            "raw",
            "-T",
            _cache_mode(target, os.O_RDONLY),
        )
        try:
            command.watch([*words, source, target], check=check, said=said)
        except command.ProgramFailed as failed:
            if failed.status == 1:
                raise VerificationFailed(
                    "the volume is not what the image says",
                    why="qemu-img compare found a difference",
                ) from failed
            raise

    def read(
        self, path: str, image_type: str, offsets: Sequence[int], span: int
    ) -> dict[int, bytes]:
        """Return what stands at these offsets of the disk, read from the medium where that can be."""
        found: dict[int, bytes] = {}
        for first in range(0, len(offsets), READS):
            some = offsets[first : first + READS]
            words = ["qemu-io", "-r", "-f", image_type, "-t", _cache_mode(path, os.O_RDONLY)]
            for offset in some:
                words += ["-c", f"read -v {offset} {span}"]
            found.update(_dumped(command.run([*words, path], timeout=300).stdout, some, span))
        return found


def _cache_mode(place: str, access: int) -> str:
    """Return ``none`` where the place can be opened with O_DIRECT, or is no file; else ``writeback``."""
    if not place.startswith("/"):
        return "none"
    try:
        os.close(os.open(place, access | os.O_DIRECT))
    except OSError:
        return "writeback"
    return "none"


def _mapping(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def _dumped(text: str, offsets: Sequence[int], span: int) -> dict[int, bytes]:
    """Read qemu-io's dump: lines of 16 bytes in hex, each with its offset."""
    lines = {int(at, 16): bytes.fromhex(content) for at, content in ONE_LINE.findall(text)}
    return {
        offset: b"".join(lines.get(at, b"") for at in range(offset, offset + span, 16))
        for offset in offsets
    }
