# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real files and locks below the cache of images."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Conflict
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import image_folder
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_folder import (
    CacheFolderProblem,
    ImageFolder,
)

from tests.fakes.processes import ends_of, on_small_disk

CONTENT = b"x" * (3 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    (tmp_path / "images").mkdir()
    return ImageFolder(str(tmp_path / "images"), tmp_path / "locks")


def path(folder: ImageFolder, name: str) -> Path:
    return Path(folder.path(name))


def test_what_is_there_is_told(folder: ImageFolder) -> None:
    assert folder.identity("a") is None
    assert (folder.room("a"), folder.changed("a"), folder.read("a")) == (0, 0, None)
    assert (folder.names(), folder.names("nowhere"), folder.link_target("a")) == ([], [], None)
    path(folder, "a").write_bytes(CONTENT)
    status = path(folder, "a").stat()
    assert folder.identity("a") == (status.st_ino, len(CONTENT), status.st_mtime_ns)
    assert folder.room("a") == status.st_blocks * 512
    assert folder.changed("a") == int(status.st_ctime)
    assert folder.names() == ["a"]
    assert folder.there()


def test_a_link_or_folder_is_no_file(folder: ImageFolder) -> None:
    path(folder, "a").write_bytes(CONTENT)
    folder.link("l", "a")
    folder.make("f")
    assert folder.link_target("l") == "a"
    for name in ("l", "f", "a/b"):
        assert folder.identity(name) is None
    for act in (folder.seal, lambda name: folder.digest(name, lambda done: None)):
        with pytest.raises(CacheFolderProblem, match=r"images/l cannot be"):
            act("l")


def test_a_link_takes_the_place_of_another(folder: ImageFolder) -> None:
    folder.link("l", "a")
    folder.link("l", "b")
    assert (folder.link_target("l"), folder.names()) == ("b", ["l"])


def test_a_digest_comes_with_the_file_that_it_is_of(folder: ImageFolder) -> None:
    path(folder, "a").write_bytes(CONTENT + b"end")
    ticks: list[int] = []
    digest, identity = folder.digest("a", ticks.append)
    assert digest == hashlib.sha256(CONTENT + b"end").hexdigest()
    assert identity == folder.identity("a")
    assert ticks == [1 << 20, 2 << 20, 3 << 20, len(CONTENT) + 3]


def test_a_file_that_is_written_to_meanwhile_has_no_digest(folder: ImageFolder) -> None:
    path(folder, "a").write_bytes(CONTENT)
    with pytest.raises(Conflict, match="written to"):
        folder.digest("a", lambda done: os.utime(path(folder, "a"), ns=(1, done)))


def test_what_ends_the_work_ends_it(folder: ImageFolder) -> None:
    path(folder, "a").write_bytes(CONTENT)

    def stop(done: int) -> None:
        raise Conflict("stop")

    with pytest.raises(Conflict, match="stop"):
        folder.digest("a", stop)


def test_a_rename_keeps_what_a_seal_tells(folder: ImageFolder) -> None:
    path(folder, "a").write_bytes(CONTENT)
    path(folder, "a").chmod(0o644)
    folder.make("f")
    sealed = folder.seal("a")
    folder.rename("a", "f/b")
    assert folder.identity("f/b") == sealed
    assert stat.S_IMODE(path(folder, "f/b").stat().st_mode) == 0o600
    folder.rename("nothing", "f/b")
    assert folder.identity("f/b") == sealed
    folder.remove("f/b", "nothing")
    assert folder.identity("f/b") is None


def test_folders_are_made_and_unmade_as_far_as_they_are_empty(tmp_path: Path) -> None:
    made = ImageFolder(str(tmp_path / "a" / "b"), tmp_path)
    before = os.umask(0o022)
    try:
        made.make("f", "f/g")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "a" / "b" / "f").stat().st_mode) == 0o700
    made.make("f")
    made.write("f/x", b"")
    made.unmake("f", "f/g")
    assert made.names("f") == ["x"]
    made.remove("f/x")
    made.unmake("f", "f/g")
    assert not made.there()


def test_locks_exclude_and_are_shared(folder: ImageFolder) -> None:
    assert not folder.is_locked("a")
    shared, too = (folder.try_lock("a", exclusive=False) for each in range(2))
    assert shared is not None
    assert too is not None
    with shared, too:
        assert folder.is_locked("a")
        assert not folder.is_locked("b")
        assert folder.try_lock("a") is None

        def elsewhere() -> None:
            assert folder.try_lock("a") is None
            assert folder.try_lock("a", exclusive=False) is not None

        assert ends_of(elsewhere) == [0]
    exclusive = folder.try_lock("a")
    assert exclusive is not None
    with exclusive:
        assert folder.try_lock("a", exclusive=False) is None
    assert not folder.is_locked("a")


def test_to_ask_for_a_lock_makes_no_file(folder: ImageFolder, tmp_path: Path) -> None:
    assert not folder.is_locked("a")
    assert not (tmp_path / "locks").exists()


@contextmanager
def as_qemu_does(file: Path) -> Iterator[None]:
    """Hold a read lock on a byte, as QEMU's block layer does for the permissions that it shares."""
    with file.open("rb") as stream:
        lock = struct.pack("hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, 201, 1, 0)
        fcntl.fcntl(stream, fcntl.F_OFD_SETLK, lock)
        yield


def test_a_file_that_qemu_has_open_is_seen(folder: ImageFolder) -> None:
    assert not folder.is_open("a")
    path(folder, "a").write_bytes(CONTENT)
    assert not folder.is_open("a")
    with as_qemu_does(path(folder, "a")):
        assert folder.is_open("a")
    assert not folder.is_open("a")


def test_free_space_is_what_we_may_have_and_none_is_said_so(folder: ImageFolder) -> None:
    def inside() -> None:
        before = folder.free()
        assert before <= 1 << 20
        path(folder, "a").write_bytes(b"x" * (1 << 19))
        assert folder.free() <= before - (1 << 19)
        with pytest.raises(CacheFolderProblem, match=r"No space left.*Make room"):
            folder.write("b", b"x" * (1 << 20))
        assert folder.names() == ["a"]

    on_small_disk(path(folder, ""), 1 << 20, inside)


def test_a_refusal_names_the_file(folder: ImageFolder) -> None:
    with pytest.raises(CacheFolderProblem, match=r"images/nowhere/a cannot be written"):
        folder.write("nowhere/a", b"")
    path(folder, "a").write_bytes(b"")
    with pytest.raises(CacheFolderProblem, match=r"images/a cannot be listed"):
        folder.names("a")


def test_a_folder_that_other_hosts_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path.stat().st_dev
    mount = f"36 35 {os.major(device)}:{os.minor(device)} / /srv rw,noatime shared:1 - {{}} peer:/srv rw\n"
    other = "37 35 0:9999 / /proc rw - nfs4 peer:/ rw\n"
    folder = ImageFolder(str(tmp_path / "new" / "images"), tmp_path / "locks")
    monkeypatch.setattr(image_folder, "MOUNTS", tmp_path / "mountinfo")
    image_folder.MOUNTS.write_text(other + mount.format("nfs4"))
    with pytest.raises(CacheFolderProblem, match="it is on nfs4, to which other hosts may write"):
        folder.make()
    assert not folder.there()
    image_folder.MOUNTS.write_text(other + mount.format("ext4"))
    folder.make()
    assert folder.there()
