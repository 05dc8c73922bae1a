# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images, through QEMU's own tools. The format is always stated: a raw disk may begin like any image."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..._core.errors import Refused, Unreachable, VerificationFailed
from ..host import command

MEMORY = 1 << 30
SECONDS = 30
LIMITS = ("prlimit", f"--as={MEMORY}", f"--cpu={SECONDS}")
"""What qemu-img may use to read an image that was made to be expensive; as OpenStack and Incus have it."""
PATIENCE = 4.0 * SECONDS
"""Seconds that it may take, on a machine that is busy or with a slow disk."""
DAMAGE, LEAKS = 2, 3
"""What qemu-img check ends with: the image is corrupt; only room is lost."""
DAMAGED = re.compile(r"^ERROR.*", re.MULTILINE)
WRITERS = 16
"""Requests in flight, the most that qemu-img takes; each holds up to 2 MiB. With 8, disks that are busy wait longer."""
PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
DIFFERENCE = re.compile(rb"mismatch at offset (\d+)")
DUMPED = re.compile(r"^([0-9a-f]{8,16}):  ((?:[0-9a-f]{2} ){1,16})", re.MULTILINE)
"""A line of qemu-io's dump. What follows are the bytes as characters, which may look like anything."""
COMPLAINT = re.compile(r"^(?:read failed|qemu-io): .*", re.MULTILINE)
READS = 512
"""Samples that are read by one process: all that there are, as a rule. Each is three words of a command line."""
DEEPEST = 200
"""Links of a chain of images; libvirt follows no more of them either."""
BLOCK = 4096
"""What any device reads past the page cache: a multiple of this, from a multiple of this."""


def backing_chain(path: str, image_type: str) -> Iterator[str]:
    """Name what an image rests on, link by link, to the first that is raw or is not there.

    Only headers are read, whoever has the image open.
    """
    for _level in range(DEEPEST):
        if image_type == "raw" or not os.path.exists(path):
            return
        words = (*LIMITS, "qemu-img", "info", "-U", "--output=json", "-f", image_type, path)
        told = json.loads(command.run(words, timeout=PATIENCE).stdout)
        link = told.get("full-backing-filename") or told.get("backing-filename")
        if not link:
            return
        path, image_type = _path_of(link), told.get("backing-filename-format", "raw")
        yield path


def _path_of(link: str) -> str:
    """Return the path, or ``rbd:pool/image``, of a link, which QEMU may name by JSON (qemu(1), "json:")."""
    if not link.startswith("json:"):
        return link.removeprefix("file:")
    node = json.loads(link.removeprefix("json:"))
    while isinstance(node.get("file"), dict):  # a format upon a protocol
        node = node["file"]
    flat = {name.removeprefix("file."): value for name, value in node.items()}
    if "image" in flat:
        return f"rbd:{flat.get('pool', '')}/{flat['image']}"
    return str(flat.get("filename", ""))


class QemuImg:
    """``qemu-img`` and ``qemu-io`` of this machine (package qemu-utils)."""

    def head(self, path: str, count: int) -> tuple[bytes, int]:
        """Return a file's first bytes and its size: what must be looked at before any program opens the image."""
        try:
            with open(path, "rb") as stream:
                return stream.read(count), os.fstat(stream.fileno()).st_size
        except OSError as cause:
            raise Unreachable(
                f"{path} cannot be read", why=cause.strerror or str(cause), hint="Run again"
            ) from cause

    def info(self, path: str, image_type: str) -> dict[str, Any]:
        """Describe an image, with little memory and time, as it may be made to eat both."""
        words = (*LIMITS, "qemu-img", "info", "--output=json", "-f", image_type, path)
        return dict(json.loads(command.run(words, timeout=PATIENCE).stdout))

    def check(self, path: str, image_type: str) -> None:
        """Have an image's own books checked. What a truncated one lacks would read as zeros.

        :raises VerificationFailed: where they are wrong. Clusters that nothing refers to do no harm.
        """
        if image_type == "raw":
            return
        try:
            command.run(
                (*LIMITS, "qemu-img", "check", "-q", "-f", image_type, path), timeout=PATIENCE
            )
        except command.ProgramFailed as failed:
            if failed.status == LEAKS:
                return
            if failed.status != DAMAGE:
                raise
            found = DAMAGED.search(failed.said)
            raise VerificationFailed(
                "the image is damaged or truncated",
                why=found[0] if found else "",
                hint="Publish it again; see qemu-img check",
            ) from failed

    def extents(
        self, path: str, image_type: str, check: Callable[[], None]
    ) -> Generator[Mapping[str, Any]]:
        """Yield the parts of the disk as ``qemu-img map`` has them: start, length, data, zero; maybe millions."""
        words = (*LIMITS[:2], "qemu-img", "map", "--output=json", "-f", image_type, path)
        rest = b""
        with contextlib.closing(command.printed(words, check=check)) as blocks:
            for block in blocks:
                *lines, rest = (rest + block).split(b"\n")
                yield from _extents(lines)
        yield from _extents([rest])

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
        """Write an image's disk into a target that is there: a device past the page cache, a file through it.

        The image is read through it, too: the kernel reads ahead, and one that was just fetched is there already.

        :param skip_zeros: only where all of the target is known to read as zeros; else qemu-img would leave old data.
        :param progress: gets the share that is done, 0 to 1.
        :param meanwhile: is called once, while qemu-img works.
        :raises Refused: where the target does not take it.
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
        words += ["-T", "writeback", "-t", _way_into(target)]
        if skip_zeros:
            words.append("--target-is-zero")

        def said(block: bytes) -> None:
            if found := PERCENT.findall(block):
                progress(float(found[-1]) / 100)

        try:
            command.watch([*words, source, target], check=check, said=said, meanwhile=meanwhile)
        except command.ProgramFailed as failed:
            full = os.strerror(errno.ENOSPC) in failed.said
            raise Refused(
                f"{target} could not be filled",
                why=failed.said.partition("\n")[0],
                hint=f"{'Make room' if full else 'Check the disks below it (dmesg)'}, and run again",
            ) from failed

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

        at: list[bytes] = []

        def said(block: bytes) -> None:
            at.extend(DIFFERENCE.findall(block))
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
                where = f"first at byte {int(at[0])}" if at else "in size or content"
                raise VerificationFailed(
                    f"{target} differs from the image", why=f"they differ, {where}"
                ) from failed
            raise

    def read(
        self,
        path: str,
        image_type: str,
        offsets: Sequence[int],
        span: int,
        check: Callable[[], None],
    ) -> dict[int, bytes]:
        """Return what stands at these offsets of the disk, read from the medium where that can be.

        :raises Unreachable: where any of it cannot be read.
        """
        if image_type == "raw" and path.startswith("/"):
            return _read_plain(path, offsets, span, check)
        found: dict[int, bytes] = {}
        for first in range(0, len(offsets), READS):
            some = offsets[first : first + READS]
            words = ["qemu-io", "-r", "-f", image_type, "-t", _cache_mode(path, os.O_RDONLY)]
            for offset in some:
                words += ["-c", f"read -v {offset} {span}"]
            found.update(_dumped(_told_by([*words, path], check), some, span))
        if any(len(content) != span for content in found.values()):
            raise Unreachable(
                f"{path} cannot be read", why="qemu-io printed less than was asked for"
            )
        return found


def _extents(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Read lines of ``qemu-img map``: one list, with an element in each line."""
    for line in lines:
        if extent := line.strip(b"[], \n"):
            yield json.loads(extent)


def _way_into(target: str) -> str:
    """Return the cache mode to fill a target with: a sparse file is filled through the page cache.

    Its file system then gives it blocks in large pieces; measured, that takes two thirds of the time. A later sync
    reports errors.
    """
    return "writeback" if os.path.isfile(target) else _cache_mode(target, os.O_RDWR)


def _cache_mode(path: str, access: int) -> str:
    """Return ``none`` where the path can be opened with O_DIRECT, or is no file; else ``writeback``."""
    if not path.startswith("/"):
        return "none"
    try:
        os.close(os.open(path, access | os.O_DIRECT))
    except OSError:
        return "writeback"
    return "none"


def _read_plain(
    path: str, offsets: Sequence[int], span: int, check: Callable[[], None]
) -> dict[int, bytes]:
    """Read a file or device as it is: no format is to be understood, so no program is needed."""
    if not offsets:
        return {}
    past_cache = os.O_DIRECT if _cache_mode(path, os.O_RDONLY) == "none" else 0
    found: dict[int, bytes] = {}
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | past_cache)
        try:
            with mmap.mmap(-1, (span // BLOCK + 2) * BLOCK) as buffer:
                for offset in offsets:
                    check()
                    skipped = offset % BLOCK
                    count = os.preadv(descriptor, [buffer], offset - skipped)
                    found[offset] = buffer[skipped : min(skipped + span, count)]
        finally:
            os.close(descriptor)
    except OSError as cause:
        raise Unreachable(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause
    if short := [offset for offset, content in found.items() if len(content) != span]:
        raise Unreachable(f"{path} cannot be read", why=f"it ends soon after byte {short[0]}")
    return found


def _told_by(words: Sequence[str], check: Callable[[], None]) -> str:
    """Return what qemu-io prints. Where it fails, that goes into no error: it is the content of a disk."""
    told = bytearray()
    try:
        command.watch(words, check=check, said=told.extend)
    except command.ProgramFailed as failed:
        complaints = COMPLAINT.findall(f"{failed.said}\n{told.decode(errors='replace')}")
        why = complaints[0] if complaints else f"status {failed.status}"
    else:
        return told.decode(errors="replace")
    raise Unreachable(f"{words[-1]} cannot be read", why=why)


def _dumped(text: str, offsets: Sequence[int], span: int) -> dict[int, bytes]:
    """Read qemu-io's dump: lines of 16 bytes in hex, each with its offset."""
    lines = {int(at, 16): bytes.fromhex(content) for at, content in DUMPED.findall(text)}
    return {
        offset: b"".join(lines.get(at, b"") for at in range(offset, offset + span, 16))
        for offset in offsets
    }
