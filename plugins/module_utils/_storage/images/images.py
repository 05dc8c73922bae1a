# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are untrusted input: what is looked at before any program opens one, and what is refused.

qemu-img follows what an image names: a backing file, an external data file, which may be any file of this host (the
class of CVE-2024-32498). So the header is read here first, by us (docs/interop/qcow2.txt of QEMU).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.errors import Refused

TYPES = ("qcow2", "raw")
HEAD = 65536
"""Bytes of an image's beginning that are enough for all that is looked at here."""
QCOW2 = b"QFI\xfb"
OTHERS = {
    QCOW2: "qcow2",
    b"KDMV": "VMDK",
    b"conectix": "VHD",
    b"vhdxfile": "VHDX",
    b"<<< ": "VDI",
    b"# Disk DescriptorFile": "VMDK",
    b"QED\0": "QED",
    b"LUKS\xba\xbe": "LUKS",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}
DIRTY, CORRUPT, DATA_FILE = 1, 2, 4
KNOWN_FEATURES = 0x1F
"""Dirty, corrupt, external data file, compression type, extended L2 entries."""
LONGEST = 1 << 63


@dataclass(frozen=True, slots=True)
class Image:
    """What an image's own description says."""

    image_type: str
    virtual_size: int
    """Bytes of the disk that is in it."""


def read_head(head: bytes, size: int, image_type: str) -> Image:
    """Judge an image by its first bytes, and by its size where that is the disk's.

    :raises Refused: where it is not of this type, or names or needs anything outside of itself.
    """
    if image_type == "raw":
        for magic, name in OTHERS.items():
            if head.startswith(magic):
                raise Refused(
                    "the image is not a raw disk",
                    why=f"it begins as {name} does",
                    hint="Give image_type as it is; compressed files are to be unpacked before",
                )
        if size < 512:
            raise Refused("the image is not a disk", why=f"it has {size} bytes")
        return Image("raw", size)
    return Image("qcow2", _qcow2(head))


def _qcow2(head: bytes) -> int:
    if not head.startswith(QCOW2):
        name = next(
            (name for magic, name in OTHERS.items() if head.startswith(magic)), "nothing we know"
        )
        raise Refused(
            "the image is not a qcow2 image",
            why=f"it begins as {name} does" if head else "it is empty",
            hint="image_type says what it is; it is never guessed",
        )
    if len(head) < 72:
        raise Refused("the image is not a qcow2 image", why="its header is truncated")
    version, backing = struct.unpack_from(">IQ", head, 4)
    size, encrypted = struct.unpack_from(">QI", head, 24)
    if version not in (2, 3):
        raise Refused(
            "the image cannot be used", why=f"its qcow2 version is {version}; 2 and 3 are known"
        )
    if version == 3 and len(head) < 104:
        raise Refused("the image is not a qcow2 image", why="its header is truncated")
    features = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
    faults = {
        "it has a backing file": backing,
        "it is encrypted": encrypted,
        "its data is in another file": features & DATA_FILE,
        "it is marked as corrupt": features & CORRUPT,
        "it was not closed properly (qemu-img check -r all repairs that)": features & DIRTY,
        "it has features that are not known": features & ~KNOWN_FEATURES,
        "its disk has no size": not 0 < size < LONGEST,
    }
    if found := [fault for fault, applies in faults.items() if applies]:
        raise Refused(
            "the image cannot be used",
            why="; ".join(found),
            hint="Publish one that is whole in itself",
        )
    return int(size)


def confirm(image: Image, info: Mapping[str, Any]) -> None:
    """Hold what qemu-img says of the whole file against what its head said.

    :raises Refused: where they differ, or qemu-img sees what the head did not show.
    """
    details = info.get("format-specific", {}).get("data", {})
    faults = {
        "it has a backing file": info.get("backing-filename") or info.get("full-backing-filename"),
        "it is encrypted": info.get("encrypted"),
        "its data is in another file": details.get("data-file"),
        "it is marked as corrupt": details.get("corrupt"),
        f"qemu-img takes it for {info.get('format')}": info.get("format") != image.image_type,
        f"qemu-img sees a disk of {info.get('virtual-size')} bytes, its header one of {image.virtual_size}": (
            image.image_type == "qcow2" and info.get("virtual-size") != image.virtual_size
        ),
    }
    if found := [fault for fault, applies in faults.items() if applies]:
        raise Refused("the image cannot be used", why="; ".join(found))
