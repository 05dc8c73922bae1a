# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's own tools on real images, and stand-ins for them where they are to misbehave."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    Refused,
    Unreachable,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt import qemu_img
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt.qemu_img import QemuImg

MIB = 1 << 20
SPAN = 4096


class Stop(Exception):
    """What a check raises."""


@dataclass
class Watched:
    """Who watches a conversion."""

    shares: list[float] = field(default_factory=list)
    checks: int = 0
    last: int = 1 << 60
    """The check that stops it."""
    looked: int = 0

    def meanwhile(self) -> None:
        self.looked += 1

    def check(self) -> None:
        self.checks += 1
        if self.checks >= self.last:
            raise Stop


class Image:
    """A disk with data and holes, its image, and a target full of something else."""

    def __init__(self, folder: Path) -> None:
        chance = random.Random(1)
        self.disk = b"".join(
            chance.randbytes(MIB) if number in (0, 3, 7) else bytes(MIB) for number in range(8)
        )
        self.raw, self.path = folder / "disk.raw", str(folder / "image.qcow2")
        self.raw.write_bytes(self.disk)
        words = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", str(self.raw), self.path]
        subprocess.run(words, check=True)
        self.target = folder / "target"
        self.target.write_bytes(b"\xa5" * 10 * MIB)

    def convert(self, watched: Watched | None = None, *, skip_zeros: bool = False) -> Watched:
        watched = watched or Watched()
        QemuImg().convert(
            self.path,
            "qcow2",
            str(self.target),
            skip_zeros=skip_zeros,
            progress=watched.shares.append,
            check=watched.check,
            meanwhile=watched.meanwhile,
        )
        return watched

    def compare(self) -> Watched:
        watched = Watched()
        QemuImg().compare(
            self.path,
            "qcow2",
            str(self.target),
            progress=watched.shares.append,
            check=watched.check,
        )
        return watched


def never() -> None:
    """Never stop."""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a shell script before a program of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


# -- Looking


def test_the_head_of_a_file_is_read_and_no_more(image: Image) -> None:
    head, size = QemuImg().head(image.path, 8)
    assert head == b"QFI\xfb\0\0\0\x03"
    assert size == Path(image.path).stat().st_size
    with pytest.raises(Unreachable, match=r"image\.gone cannot be read: No such file"):
        QemuImg().head("/nowhere/image.gone", 8)


def test_an_image_is_described(image: Image) -> None:
    told = QemuImg().info(image.path, "qcow2")
    assert (told["format"], told["virtual-size"]) == ("qcow2", 8 * MIB)
    raw = QemuImg().info(image.path, "raw")
    assert raw["format"] == "raw", "the format was guessed"


def test_what_is_no_image_is_told_by_qemu(image: Image) -> None:
    with pytest.raises(ProgramFailed, match="not in qcow2 format"):
        QemuImg().info(str(image.raw), "qcow2")


def test_an_image_is_described_within_limits(stand_in: Callable[[str, str], None]) -> None:
    stand_in("qemu-img", 'echo "{\\"memory\\": $(ulimit -v), \\"cpu\\": $(ulimit -t)}"')
    told = QemuImg().info("any", "qcow2")
    assert told == {"memory": qemu_img.MEMORY // 1024, "cpu": qemu_img.SECONDS}


def test_an_image_that_takes_for_ever_is_given_up(
    stand_in: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_img, "LIMITS", ("prlimit", "--cpu=1"))
    stand_in("qemu-img", "while :; do :; done")
    for look in (QemuImg().info, QemuImg().check):
        with pytest.raises(DebvisorError):
            look("any", "qcow2")


def test_data_and_holes_are_told(image: Image) -> None:
    watched = Watched()
    extents = list(QemuImg().extents(image.path, "qcow2", watched.check))
    assert watched.checks
    data = [
        (each["start"] // MIB, each["length"] // MIB)
        for each in extents
        if each["data"] and not each["zero"]
    ]
    assert data == [(0, 1), (3, 1), (7, 1)]
    assert sum(each["length"] for each in extents) == 8 * MIB


def test_many_data_and_holes_are_told_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "many.raw"
    count = 3000
    with path.open("wb") as stream:
        for number in range(count):
            stream.seek(number * 2 * SPAN)
            stream.write(b"x" * SPAN)
    found = QemuImg().extents(str(path), "raw", list)
    starts = [each["start"] for each in found if each["data"]]
    assert starts == [number * 2 * SPAN for number in range(count)]


def test_a_look_at_many_can_be_stopped(image: Image, stand_in: Callable[[str, str], None]) -> None:
    stand_in("qemu-img", "exec sleep 600")
    with pytest.raises(Stop):
        list(QemuImg().extents(image.path, "qcow2", Watched(last=3).check))


# -- An image's own books


def test_a_look_that_is_given_up_leaves_no_program(
    image: Image, stand_in: Callable[[str, str], None], tmp_path: Path
) -> None:
    line = '{"start": 0, "length": 512, "data": true, "zero": false}'
    stand_in("qemu-img", f"echo $$ > {tmp_path}/pid; while :; do echo '{line},'; done")
    extents = QemuImg().extents(image.path, "qcow2", never)
    assert next(extents)["length"] == 512
    extents.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_an_image_that_is_whole_is_good(image: Image) -> None:
    QemuImg().check(image.path, "qcow2")
    QemuImg().check(str(image.raw), "raw")


def test_room_that_is_lost_does_no_harm(image: Image) -> None:
    path, cluster = Path(image.path), 1 << 16
    content = bytearray(path.read_bytes())
    lost = -(-len(content) // cluster)
    table = int.from_bytes(content[48:56], "big")
    counts = int.from_bytes(content[table : table + 8], "big")
    content[counts + 2 * lost : counts + 2 * lost + 2] = (
        b"\0\x01"  # in use, says its count; nobody's, say all others
    )
    path.write_bytes(content.ljust((lost + 1) * cluster, b"\0"))
    words = ["qemu-img", "check", "-q", "-f", "qcow2", image.path]
    assert subprocess.run(words, check=False, capture_output=True).returncode == qemu_img.LEAKS
    QemuImg().check(image.path, "qcow2")


def test_an_image_that_was_cut_off_is_found_out(image: Image) -> None:
    os.truncate(image.path, Path(image.path).stat().st_size // 2)
    with pytest.raises(VerificationFailed, match=r"truncated: ERROR:? .*cluster"):
        QemuImg().check(image.path, "qcow2")
    image.convert()  # would have gone well
    assert image.target.read_bytes()[7 * MIB : 8 * MIB] == bytes(MIB)


# -- Converting


def test_a_target_gets_the_whole_disk_and_nothing_beyond_it(image: Image) -> None:
    watched = image.convert()
    assert image.target.read_bytes() == image.disk + b"\xa5" * 2 * MIB
    assert watched.shares == sorted(watched.shares)
    assert watched.shares[-1] == 1.0
    assert watched.checks > 0
    assert watched.looked == 1


def test_where_a_target_is_known_to_be_zeros_none_are_written(image: Image) -> None:
    image.target.write_bytes(b"")
    os.truncate(image.target, 10 * MIB)
    image.convert(skip_zeros=True)
    assert image.target.read_bytes() == image.disk + bytes(2 * MIB)
    assert image.target.stat().st_blocks * 512 < 4 * MIB


def test_zeros_that_are_not_there_would_be_believed(image: Image) -> None:
    """Why it takes a proof to skip them."""
    image.convert(skip_zeros=True)
    assert image.target.read_bytes()[MIB : 2 * MIB] == b"\xa5" * MIB


def test_a_raw_disk_may_look_like_an_image(image: Image) -> None:
    QemuImg().convert(
        image.path,
        "raw",
        str(image.target),
        skip_zeros=False,
        progress=Watched().shares.append,
        check=list,
        meanwhile=list,
    )
    content = Path(image.path).read_bytes()
    assert image.target.read_bytes()[: len(content)] == content


def test_a_target_that_is_not_there_is_not_made(image: Image) -> None:
    image.target.unlink()
    with pytest.raises(Refused, match="Could not open") as refused:
        image.convert()
    assert "dmesg" in refused.value.hint
    assert not image.target.exists()


def test_a_target_without_room_is_told_in_one_line(
    image: Image, stand_in: Callable[[str, str], None]
) -> None:
    complaint = "qemu-img: error while writing at byte 0: No space left on device"
    stand_in("qemu-img", f"echo '{complaint}' >&2; echo '{complaint}' >&2; exit 1")
    with pytest.raises(Refused) as refused:
        image.convert()
    assert (refused.value.why, refused.value.hint) == (complaint, "Make room, and run again")
    assert str(image.target) in refused.value.what


def test_a_conversion_can_be_stopped(image: Image, stand_in: Callable[[str, str], None]) -> None:
    stand_in("qemu-img", "printf '    (10.00/100%%)\\r'; exec sleep 600")
    watched = Watched(last=3)
    with pytest.raises(Stop):
        image.convert(watched)
    assert watched.shares == [0.1]


@pytest.mark.parametrize(
    ("place", "mode"), [("rbd:vms/web", "none"), ("/nowhere/disk", "writeback")]
)
def test_the_page_cache_is_used_only_where_it_must_be(place: str, mode: str) -> None:
    assert qemu_img._cache_mode(place, os.O_RDWR) == mode


# -- Comparing


def test_a_target_with_zeros_beyond_the_disk_is_the_same(image: Image) -> None:
    image.target.write_bytes(image.disk + bytes(2 * MIB))
    watched = image.compare()
    assert watched.shares[-1] == 1.0


@pytest.mark.parametrize("place", [0, 5 * MIB, 8 * MIB - SPAN, 9 * MIB])
def test_where_it_differs_is_told(image: Image, place: int) -> None:
    content = bytearray(image.disk + bytes(2 * MIB))
    content[place + 7] ^= 1
    image.target.write_bytes(content)
    with pytest.raises(VerificationFailed, match=f"first at byte {place}") as failed:
        image.compare()
    assert str(image.target) in failed.value.what


def test_what_cannot_be_compared_is_no_difference(image: Image) -> None:
    image.target.unlink()
    with pytest.raises(ProgramFailed, match="Could not open"):
        image.compare()


# -- Reading back


def test_samples_are_what_stands_there(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_img, "READS", 64)
    offsets = [number * 13 * 512 for number in range(200)]
    found = QemuImg().read(image.path, "qcow2", offsets, SPAN, never)
    assert found == {at: image.disk[at : at + SPAN] for at in offsets}
    assert QemuImg().read(str(image.raw), "raw", offsets, SPAN, never) == found


@pytest.mark.parametrize(("size", "span"), [(512, 512), (1000, 1000), (5000, SPAN), (5000, 16)])
def test_odd_places_of_odd_disks_are_read(tmp_path: Path, size: int, span: int) -> None:
    content = random.Random(2).randbytes(size)
    path = tmp_path / "odd.raw"
    path.write_bytes(content)
    offsets = sorted({0, size - span})
    found = QemuImg().read(str(path), "raw", offsets, span, never)
    assert found == {at: content[at : at + span] for at in offsets}


def test_a_disk_that_holds_what_a_dump_looks_like_is_read_right(tmp_path: Path) -> None:
    raw, path = tmp_path / "tricky.raw", str(tmp_path / "tricky.qcow2")
    content = b"00001000:  41 42 00000000:  ff   ".ljust(48, b"\n") * 512
    raw.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), path], check=True)
    offsets = list(range(0, 6 * SPAN, SPAN))
    found = QemuImg().read(path, "qcow2", offsets, SPAN, never)
    assert found == {at: content[at : at + SPAN] for at in offsets}


@pytest.mark.parametrize("image_type", ["raw", "qcow2"])
def test_nothing_is_read_where_nothing_is_asked_for(image_type: str) -> None:
    assert QemuImg().read("/nowhere/disk", image_type, (), SPAN, never) == {}


@pytest.mark.parametrize(
    ("image_type", "why"), [("raw", "No such file"), ("qcow2", "qemu-io: can't open")]
)
def test_a_disk_that_cannot_be_opened_is_told(image_type: str, why: str) -> None:
    with pytest.raises(Unreachable, match=f"/nowhere/disk cannot be read: {why}"):
        QemuImg().read("/nowhere/disk", image_type, (0,), SPAN, never)


def test_what_cannot_be_read_is_told_and_what_could_is_not(image: Image) -> None:
    image.raw.write_bytes(b"secret! " * (MIB // 8))
    words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(image.raw), image.path]
    subprocess.run(words, check=True)
    with pytest.raises(Unreachable) as failed:
        QemuImg().read(image.path, "qcow2", (0, 8 * MIB), SPAN, never)
    assert failed.value.why == "read failed: Input/output error"
    assert "secret" not in str(failed.value)
    assert failed.value.__context__ is None or "73 65 63" not in str(failed.value.__context__)


@pytest.mark.parametrize("at", [MIB - 512, MIB, 2 * MIB])
def test_a_volume_that_ends_too_soon_is_no_proof(tmp_path: Path, at: int) -> None:
    path = tmp_path / "short.raw"
    path.write_bytes(bytes(MIB))
    with pytest.raises(Unreachable, match=f"it ends soon after byte {at}"):
        QemuImg().read(str(path), "raw", (0, at), SPAN, never)


def test_a_dump_that_lacks_something_is_no_proof(
    tmp_path: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("qemu-io", "echo '00000000:  00 01 02 03  ....'")
    with pytest.raises(Unreachable, match="less than was asked for"):
        QemuImg().read(str(tmp_path / "any"), "qcow2", (0,), SPAN, never)


def test_reading_can_be_stopped(image: Image, stand_in: Callable[[str, str], None]) -> None:
    stand_in("qemu-io", "exec sleep 600")
    for path, image_type in ((image.path, "qcow2"), (str(image.raw), "raw")):
        with pytest.raises(Stop):
            QemuImg().read(path, image_type, (0, SPAN), SPAN, Watched(last=2).check)


@pytest.mark.parametrize(
    ("link", "place"),
    [
        ("/dev/vg/base", "/dev/vg/base"),
        ("file:/dev/vg/base", "/dev/vg/base"),
        ("rbd:volumes/base:id=volumes", "rbd:volumes/base:id=volumes"),
        ('json:{"driver":"host_device","filename":"/dev/vg/base"}', "/dev/vg/base"),
        ('json:{"driver":"raw","file":{"driver":"file","filename":"/base"}}', "/base"),
        ('json:{"driver":"raw","file.driver":"file","file.filename":"/base"}', "/base"),
        ('json:{"driver":"rbd","pool":"volumes","image":"base"}', "rbd:volumes/base"),
    ],
)
def test_what_an_image_rests_on_is_told_whatever_form_its_name_has(
    tmp_path: Path, link: str, place: str
) -> None:
    image = str(tmp_path / "overlay.qcow2")
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", link, "-F", "raw", image, "1M"]
    subprocess.run(words, check=True)
    assert list(qemu_img.backing_chain(image, "qcow2")) == [place]


def test_an_image_that_rests_on_nothing_has_no_chain(image: Image) -> None:
    assert list(qemu_img.backing_chain(image.path, "qcow2")) == []
    assert list(qemu_img.backing_chain(str(image.raw), "raw")) == []
