# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that QEMU itself made, good ones and bad ones, and heads that nobody made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import images
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.images import Image
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.volumes import qcow2_head

MIB = 1 << 20
BAD: dict[str, tuple[str, ...]] = {
    "it has a backing file": ("-F", "raw", "-b", "/etc/shadow"),
    "its data is in another file": ("-o", "data_file=outside.raw"),
    "it is encrypted": (
        *("--object", "secret,id=key,data=YWFhYWFhYWFhYWFhYWFhYQ==,format=base64"),
        *("-o", "encrypt.format=aes,encrypt.key-secret=key"),
    ),
}


def make(path: Path, *options: str, size: str = "1M", kind: str = "qcow2") -> bytes:
    """Make an image with QEMU's own tool; return its head."""
    words = ["qemu-img", "create", "-q", "-f", kind, *options, path.name, size]
    subprocess.run(words, check=True, cwd=path.parent, capture_output=True)
    return path.read_bytes()[: images.HEAD]


def info(path: Path, image_type: str = "qcow2") -> dict[str, Any]:
    words = ["qemu-img", "info", "--output=json", "-f", image_type, str(path)]
    return dict(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-o", "compat=0.10"),
        ("-o", "compat=v3,lazy_refcounts=on"),
        ("-o", "compression_type=zstd"),
        ("-o", "extended_l2=on"),
        ("-o", "cluster_size=2M"),
        ("-o", "preallocation=metadata"),
    ],
    ids=" ".join,
)
def test_an_image_that_is_whole_in_itself_is_taken(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "good.qcow2"
    head = make(path, *options, size="5M")
    image = images.read_head(head, path.stat().st_size, "qcow2")
    assert image == Image("qcow2", 5 * MIB)
    images.confirm(image, info(path))


def test_snapshots_inside_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "good.qcow2"
    make(path)
    subprocess.run(["qemu-img", "snapshot", "-c", "before", str(path)], check=True)
    assert images.read_head(path.read_bytes(), 0, "qcow2").virtual_size == MIB


@pytest.mark.parametrize("why", BAD)
def test_an_image_that_needs_what_is_outside_of_it_is_refused(tmp_path: Path, why: str) -> None:
    path = tmp_path / "bad.qcow2"
    head = make(path, *BAD[why])
    with pytest.raises(Refused, match=why):
        images.read_head(head, path.stat().st_size, "qcow2")


@pytest.mark.parametrize("why", BAD)
def test_what_the_head_did_not_show_qemu_does(tmp_path: Path, why: str) -> None:
    path = tmp_path / "bad.qcow2"
    make(path, *BAD[why])
    with pytest.raises(Refused, match=why):
        images.confirm(Image("qcow2", MIB), info(path))


def test_an_old_image_with_a_backing_file_is_refused_alike(tmp_path: Path) -> None:
    head = make(tmp_path / "bad.qcow2", "-F", "raw", "-b", "/etc/shadow", "-o", "compat=0.10")
    with pytest.raises(Refused, match="backing file"):
        images.read_head(head, 0, "qcow2")


def test_an_image_that_was_not_closed_is_refused(tmp_path: Path) -> None:
    """QEMU notes with lazy refcounts that it is at work, and dies before it takes that back."""
    path = tmp_path / "dirty.qcow2"
    make(path, "-o", "lazy_refcounts=on")
    words = ["qemu-io", "-c", "write 0 64k", "-c", "abort", str(path)]
    subprocess.run(words, check=False, capture_output=True, cwd=tmp_path)
    with pytest.raises(Refused, match="not closed properly"):
        images.read_head(path.read_bytes(), 0, "qcow2")
    subprocess.run(["qemu-img", "check", "-q", "-r", "all", str(path)], check=True)
    images.read_head(path.read_bytes(), 0, "qcow2")


def test_an_image_that_qemu_found_corrupt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.qcow2"
    make(path)
    with path.open("r+b") as stream:  # the first entry of the L1 table points between two clusters
        stream.seek(int.from_bytes(path.read_bytes()[40:48], "big"))
        stream.write((1 << 63 | 0x10200).to_bytes(8, "big"))
    words = ["qemu-io", "-c", "write 0 64k", str(path)]
    subprocess.run(words, check=False, capture_output=True)
    with pytest.raises(Refused, match="marked as corrupt"):
        images.read_head(path.read_bytes(), 0, "qcow2")
    with pytest.raises(Refused, match="marked as corrupt"):
        images.confirm(Image("qcow2", MIB), info(path))


def test_a_disk_without_size_is_refused(tmp_path: Path) -> None:
    head = make(tmp_path / "empty.qcow2", size="0")
    with pytest.raises(Refused, match="has no size"):
        images.read_head(head, len(head), "qcow2")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "it is empty"),
        (b"<html>", "begins as nothing we know"),
        (b"KDMV" + bytes(500), "begins as VMDK"),
        (b"\x1f\x8b" + bytes(500), "begins as gzip"),
        (qcow2_head(MIB, length=5), "truncated"),
        (qcow2_head(MIB, length=71), "truncated"),
        (qcow2_head(MIB, length=103), "truncated"),
        (qcow2_head(MIB, version=1), "version is 1"),
        (qcow2_head(MIB, version=4), "version is 4"),
        (qcow2_head(1 << 63), "no size"),
        (qcow2_head(MIB, encryption=1), "encrypted"),
        (qcow2_head(MIB, encryption=2), "encrypted"),  # LUKS, which takes QEMU long to make
        (qcow2_head(MIB, features=1 << 5), "not known"),
        (qcow2_head(MIB, features=1 << 63), "not known"),
        (
            qcow2_head(MIB, backing=1, features=4 | 2 | 1),
            "backing file; its data .*; .* corrupt; .*",
        ),
    ],
)
def test_a_head_that_is_no_good_is_refused_with_every_reason(head: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        images.read_head(head, 1 << 20, "qcow2")


def test_an_old_head_is_shorter() -> None:
    assert images.read_head(qcow2_head(MIB, version=2, length=72), 0, "qcow2").virtual_size == MIB


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed"])
def test_a_raw_disk_does_not_begin_as_another_image(tmp_path: Path, kind: str) -> None:
    head = make(tmp_path / "other", kind=kind)
    with pytest.raises(Refused, match="is not a raw disk"):
        images.read_head(head, 1 << 20, "raw")


def test_a_raw_disk_is_not_encrypted_as_a_whole() -> None:
    with pytest.raises(Refused, match="begins as LUKS"):
        images.read_head(b"LUKS\xba\xbe" + bytes(4090), 1 << 20, "raw")


@pytest.mark.parametrize("program", ["gzip", "xz", "bzip2"])
def test_a_raw_disk_is_unpacked(program: str) -> None:
    head = subprocess.run(
        [program, "-c"], input=bytes(4096), check=True, capture_output=True
    ).stdout
    with pytest.raises(Refused, match="not a raw disk"):
        images.read_head(head, len(head), "raw")


def test_a_raw_disk_is_as_large_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    head = make(path, size="3M", kind="raw")
    image = images.read_head(head, path.stat().st_size, "raw")
    assert image == Image("raw", 3 * MIB)
    images.confirm(image, info(path, "raw"))
    assert images.read_head(b"\xeb\x3c" + bytes(510), 512, "raw").virtual_size == 512
    with pytest.raises(Refused, match="511 bytes"):
        images.read_head(bytes(511), 511, "raw")


def test_what_qemu_takes_for_something_else_is_refused() -> None:
    with pytest.raises(Refused, match="qemu-img takes it for raw"):
        images.confirm(Image("qcow2", MIB), {"format": "raw", "virtual-size": MIB})
    with pytest.raises(Refused, match="a disk of 7 bytes, its header one of 1048576"):
        images.confirm(Image("qcow2", MIB), {"format": "qcow2", "virtual-size": 7})
    images.confirm(Image("raw", 1000), {"format": "raw", "virtual-size": 1024})


def judged(head: bytes, size: int, image_type: str) -> tuple[str, Image | None]:
    """Return why the image is refused, or what it is."""
    try:
        return "", images.read_head(head, size, image_type)
    except Refused as refusal:
        return refusal.why, None


@given(st.binary(max_size=300), st.integers(0, 1 << 64), st.sampled_from(images.TYPES))
def test_a_head_is_read_or_refused_whatever_it_holds(
    head: bytes, size: int, image_type: str
) -> None:
    for begun in (
        head,
        images.QCOW2 + head,
        images.QCOW2 + b"\0\0\0\x02" + head,
        qcow2_head(1)[:8] + head,
    ):
        why, image = judged(begun, size, image_type)
        assert bool(why) is not (image is not None and image.virtual_size > 0)


@given(st.binary(min_size=104, max_size=104).map(bytearray), st.sampled_from([2, 3]))
def test_what_is_taken_names_nothing_outside_of_it(head: bytearray, version: int) -> None:
    head[:8] = qcow2_head(1, version=version)[:8]
    head[8:20] = bytes(12)
    head[32:36] = bytes(4)
    for features in (0, 4, 8, 16):
        head[72:80] = features.to_bytes(8, "big")
        why, image = judged(bytes(head), 0, "qcow2")
        if features == 4 and version == 3:
            assert "another file" in why
        else:
            assert (image is None) is ("no size" in why)
