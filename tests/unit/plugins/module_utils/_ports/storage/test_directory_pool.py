# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a pool keeps the contract of every backend, and says what is wrong with it."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import directory_pool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.directory_pool import (
    DirectoryPool,
    canonical_pool,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Volume,
)

from tests.volumes import contract

MIB = 1 << 20
OURS = Marks(image="sha256:" + "ab" * 32, token="01234567", virtual_size=MIB)


@pytest.fixture
def pool(tmp_path: Path) -> DirectoryPool:
    return DirectoryPool(str(tmp_path))


@pytest.fixture
def made(pool: DirectoryPool) -> Volume:
    return pool.create("web", 4 * MIB, OURS)


def failing(number: int, after: int = 0) -> Callable[..., Any]:
    """Return a system call that fails, the first few times not."""
    left = [after]

    def call(*arguments: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("name", contract.CHECKS)
def test_the_folder_keeps_the_contract(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    contract.CHECKS[name](open_backend("directory", str(folder)))
    assert list(folder.iterdir()) == []


def test_there_is_no_other_backend() -> None:
    with pytest.raises(ValueError, match="no backend called tape"):
        open_backend("tape", "/")


# -- Names, and what else is in a folder


def test_a_name_stays_in_the_folder(pool: DirectoryPool) -> None:
    for name in ("..", "../web", "a/../../b", "/etc/shadow", ".hidden", "web\n"):
        assert "begins with a letter or digit" in pool.name_fault(name)
    assert "leave it off" in pool.name_fault("web.raw")
    assert pool.name_fault("web..1") == ""
    longest = "x" * 200
    assert pool.name_fault(longest) == ""
    pool.create(f"{longest}.new-01234567", MIB, OURS)


@pytest.mark.parametrize("kind", ["link", "broken link", "folder", "pipe"])
def test_what_is_no_file_is_special_and_stays(
    pool: DirectoryPool, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "odd.raw"
    other = tmp_path / "other"
    other.write_bytes(b"other")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(other),
        "broken link": lambda: path.symlink_to("/nowhere"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    found = pool.find("odd")
    assert found is not None
    assert (found.special, found.marks) == ("link, folder or device", None)
    with pytest.raises(Refused, match="File exists"):
        pool.create("odd", MIB, OURS)
    web = pool.create("web", MIB, OURS)
    with pytest.raises(Refused, match="is there already"):
        pool.rename(web, "odd")
    assert os.path.lexists(path)
    assert other.read_bytes() == b"other"
    assert [each.name for each in pool.owned()] == ["web"]


def test_a_link_that_takes_the_place_of_a_volume_is_not_followed(
    pool: DirectoryPool, made: Volume, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    os.unlink(made.path)
    os.symlink(other, made.path)
    for act in (
        lambda: pool.mark(made, Marks(token="7")),
        lambda: pool.sync(made),
        lambda: pool.rename(made, "elsewhere"),
        lambda: pool.remove(made),
    ):
        with pytest.raises(Refused):
            act()
    assert os.listxattr(other) == []


def test_a_file_with_another_name_is_special(
    pool: DirectoryPool, made: Volume, tmp_path: Path
) -> None:
    os.link(made.path, tmp_path / "also.raw")
    found = pool.find("web")
    assert found is not None
    assert found.special == "file with several names"


def test_files_of_others_are_no_volumes_of_ours(
    pool: DirectoryPool, made: Volume, tmp_path: Path
) -> None:
    (tmp_path / "theirs.raw").write_bytes(bytes(MIB))
    (tmp_path / "image.qcow2").write_bytes(b"image")
    os.setxattr(tmp_path / "theirs.raw", "user.debvisor.owner", b"somebody else")
    theirs = pool.find("theirs")
    assert theirs is not None
    assert (theirs.marks, theirs.size, bool(theirs.identity)) == (None, MIB, True)
    assert pool.owned() == (made,)


def test_a_file_of_others_is_the_same_when_its_device_has_another_number(
    pool: DirectoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a boot, where Btrfs is given its number anew."""
    (tmp_path / "theirs.raw").write_bytes(bytes(MIB))
    before, look = pool.find("theirs"), os.lstat

    def renumbered(path: str) -> os.stat_result:
        mode, inode, device, *rest = look(path)
        return os.stat_result((mode, inode, device + 1, *rest))

    monkeypatch.setattr(os, "lstat", renumbered)
    assert before is not None
    assert pool.find("theirs") == before


def test_a_volume_that_was_copied_keeps_no_identity_of_its_own_beside_the_first(
    pool: DirectoryPool, made: Volume, tmp_path: Path
) -> None:
    """Whoever moves a file keeps its attributes, so it is still the volume."""
    os.rename(made.path, tmp_path / "moved.raw")
    moved = pool.find("moved")
    assert moved is not None
    assert moved.identity == made.identity


# -- Errors


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = DirectoryPool(str(tmp_path / "missing"))
    for look in (missing.space, missing.owned, lambda: missing.find("web")):
        with pytest.raises(Unreachable, match="missing is not there"):
            look()
    with pytest.raises(Unreachable, match="is not there"):
        missing.create("web", MIB, OURS)
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="is not a folder"):
        DirectoryPool(str(tmp_path / "file")).space()


def test_a_copy_of_a_volume_is_not_ours(pool: DirectoryPool, tmp_path: Path) -> None:
    """Whoever keeps a backup with all its attributes does not want it to be overwritten for them."""
    volume = pool.create("web", MIB, OURS)
    shutil.copy2(volume.path, tmp_path / "backup.raw")
    copy = pool.find("backup")
    assert copy is not None
    assert copy.marks is None
    assert copy.identity != volume.identity
    assert pool.owned() == (volume,)


def test_a_folder_has_one_name_whatever_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    (tmp_path / "link").symlink_to("disks")
    names = (
        f"{tmp_path}/disks",
        f"{tmp_path}/link/",
        f"/{tmp_path}//link/.",
        f"{tmp_path}/link/../disks",
    )
    assert {canonical_pool("directory", name) for name in names} == {
        os.path.realpath(tmp_path / "disks")
    }
    assert canonical_pool("directory", "disks") == "disks"
    assert canonical_pool("lvm_thin", "vg/thin") == "vg/thin"


def test_a_file_system_without_attributes_is_told_what_to_be(
    pool: DirectoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "setxattr", failing(errno.EOPNOTSUPP))
    with pytest.raises(Refused, match="extended attributes and O_TMPFILE, as ext4 and XFS do"):
        pool.create("web", MIB, OURS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", range(6))
def test_a_volume_is_there_with_all_its_marks_or_not_at_all(
    pool: DirectoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(os, "setxattr", failing(errno.ENOSPC, after))
    if after < 1 + len(OURS.written()):
        with pytest.raises(Refused, match=r"No space left on device\. Make room and run again"):
            pool.create("web", MIB, OURS)
        assert list(tmp_path.iterdir()) == []
    else:
        pool.create("web", MIB, OURS)
        assert len(list(tmp_path.iterdir())) == 1


def test_a_volume_that_is_gone_is_named(pool: DirectoryPool, made: Volume) -> None:
    os.unlink(made.path)
    for act in (
        lambda: pool.mark(made, OURS),
        lambda: pool.users(made),
        lambda: pool.sync(made),
        lambda: pool.zero(made, 0, MIB, list),
    ):
        with pytest.raises(Unreachable, match=r"web\.raw is not there"):
            act()
    with pytest.raises(Refused, match="another file than before"):
        pool.rename(made, "elsewhere")
    pool.remove(made)


# -- Marks


def test_a_volume_that_is_half_marked_does_not_look_proved(
    pool: DirectoryPool, made: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "setxattr", failing(errno.EIO))
    with pytest.raises(Refused, match="Input/output error"):
        pool.mark(made, Marks(token="7"))
    found = pool.find("web")
    assert found is not None
    assert found.marks is not None
    assert (found.marks.image, found.marks.virtual_size) == ("", 0)


def test_marks_are_on_disk_before_what_they_speak_of_changes(
    pool: DirectoryPool, made: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("setxattr", "removexattr", "fsync"):
        call = getattr(os, name)

        def noted(*arguments: Any, name: str = name, call: Any = call) -> Any:
            order.append(name)
            return call(*arguments)

        monkeypatch.setattr(os, name, noted)
    pool.mark(made, Marks(token="7"))
    assert order == ["removexattr", "removexattr", "setxattr", "setxattr", "fsync"]


def test_an_identity_outlives_new_marks(pool: DirectoryPool, made: Volume) -> None:
    assert pool.mark(made, Marks(token="7")).identity == made.identity


# -- Content


def fill(volume: Volume) -> bytes:
    content = random.Random(1).randbytes(volume.size)
    Path(volume.path).write_bytes(content)
    return content


RANGES = [(0, 4 * MIB), (MIB, 3 * MIB), (1000, 5000), (4 * MIB - 1, 1), (MIB, 0)]


@pytest.mark.parametrize(("start", "length"), RANGES)
@pytest.mark.parametrize("holes", [True, False], ids=["holes", "no holes"])
def test_what_is_zeroed_reads_as_zeros_and_no_more(
    pool: DirectoryPool,
    made: Volume,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    length: int,
    holes: bool,
) -> None:
    content = fill(made)
    ticks: list[int] = []
    if not holes:
        monkeypatch.setattr(command, "run", cannot)
    pool.zero(made, start, length, lambda: ticks.append(os.stat(made.path).st_size))
    expected = content[:start] + bytes(length) + content[start + length :]
    assert Path(made.path).read_bytes() == expected
    assert ticks == [made.size] * len(ticks)
    assert ticks
    if holes and length > MIB:
        assert os.stat(made.path).st_blocks * 512 <= made.size - length + MIB


def cannot(words: tuple[str, ...]) -> None:
    raise command.ProgramFailed(words[0], 1, "Operation not supported")


@pytest.mark.parametrize("holes", [True, False])
def test_zeroing_can_be_stopped(
    pool: DirectoryPool, made: Volume, monkeypatch: pytest.MonkeyPatch, holes: bool
) -> None:
    if not holes:
        monkeypatch.setattr(command, "run", cannot)
    content = fill(made)

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.zero(made, 0, MIB, tick)
    assert Path(made.path).read_bytes() == content


def test_a_write_error_that_comes_to_light_late_is_told(
    pool: DirectoryPool, made: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(Refused, match=r"web\.raw cannot be used: Input/output error"):
        pool.sync(made)


def test_a_write_that_is_cut_short_goes_on(
    pool: DirectoryPool, made: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda where, what, at: pwrite(where, what[:1000], at))
    monkeypatch.setattr(command, "run", cannot)
    monkeypatch.setattr(directory_pool, "BLOCK", 4096)
    content = fill(made)
    pool.zero(made, 100, 10_000, list)
    assert Path(made.path).read_bytes() == content[:100] + bytes(10_000) + content[10_100:]


def test_volumes_are_private(pool: DirectoryPool, made: Volume) -> None:
    assert os.stat(made.path).st_mode & 0o777 == 0o600
