# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and links of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import (
    FileProblem,
    Files,
)


def test_a_listing_is_in_order_and_a_missing_folder_is_empty(tmp_path: Path) -> None:
    for name in ("b", "a", ".c"):
        (tmp_path / name).write_text("")
    assert Files().listing(str(tmp_path)) == [".c", "a", "b"]
    assert Files().listing(str(tmp_path / "none")) == []
    with pytest.raises(FileProblem, match="cannot be listed"):
        Files().listing(str(tmp_path / "a"))


def test_what_is_no_link_has_no_target(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    targets = [
        Files().link_target(str(tmp_path / name)) for name in ("plain", "dangling", "none", ".")
    ]
    assert targets == [None, "nowhere", None, None]


@pytest.mark.parametrize("before", ["nothing", "a file", "a link", "a dangling link"])
def test_a_link_takes_the_place_of_what_is_there(tmp_path: Path, before: str) -> None:
    path = tmp_path / "x.key"
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    if before == "a file":
        path.write_text("plain")
    elif before != "nothing":
        path.symlink_to("old" if before == "a link" else "nowhere")
    Files().link(str(path), "new")
    assert (os.readlink(path), path.read_text()) == ("new", "new")
    assert (tmp_path / "old").read_text() == "old", "the link was replaced, not what it led to"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_switch_is_one_rename_so_readers_see_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.key"
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    path.symlink_to("old")
    seen = []
    for name in ("symlink", "unlink", "rename", "replace"):
        real = getattr(os, name)

        def watched(*args: object, real: object = real, name: str = name, **more: object) -> None:
            before = path.read_text()
            real(*args, **more)  # type: ignore[operator]
            seen.append((name, before, path.read_text()))

        monkeypatch.setattr(os, name, watched)
    Files().link(str(path), "new")
    assert [step for step in seen if step[1] != step[2]] == [("replace", "old", "new")]


def test_a_left_over_of_a_killed_switch_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".x.key.{os.getpid()}").symlink_to("old")
    Files().link(str(tmp_path / "x.key"), "new")
    assert [path.name for path in tmp_path.iterdir()] == ["x.key"]


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.key").mkdir()
    with pytest.raises(FileProblem, match="cannot be linked"):
        Files().link(str(tmp_path / "x.key"), "new")
    with pytest.raises(FileProblem, match="cannot be linked"):
        Files().link(str(tmp_path / "none" / "x.key"), "new")


def test_a_copy_aside_comes_back_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path, aside = tmp_path / "a", tmp_path / ".a.before"
    path.write_text("old")
    path.chmod(0o644)
    files = Files()
    files.copy_aside(str(path), str(aside))
    assert aside.stat().st_mode & 0o777 == 0o600
    path.write_text("new")
    for _turn in range(2):
        files.bring_back(str(aside), str(path), mode=0o640, uid=-1, gid=-1)
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("old", 0o640)
    assert not aside.exists()


@pytest.mark.parametrize(
    ("mode", "exposed"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)]
)
def test_what_everybody_may_read_is_exposed(tmp_path: Path, mode: int, exposed: bool) -> None:
    path = tmp_path / "a"
    path.write_text("")
    path.chmod(mode)
    (tmp_path / "link").symlink_to("a")
    assert Files().exposed(str(path)) is exposed
    assert Files().exposed(str(tmp_path / "link")) is exposed
    assert not Files().exposed(str(tmp_path / "none"))


def test_blocks_replace_a_file_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("old")

    def torn() -> Iterator[bytes]:
        yield b"n" * 1000
        raise RuntimeError("the source ends")

    with pytest.raises(RuntimeError):
        Files().write_blocks(str(path), torn(), mode=0o640, uid=-1, gid=-1)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    Files().write_blocks(str(path), [b"n", b"ew"], mode=0o640, uid=-1, gid=-1)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(Files().blocks(str(path), 2)) == [b"ne", b"w"]
    with pytest.raises(FileProblem, match="cannot be written"):
        Files().write_blocks(str(tmp_path / "none" / "x"), [], mode=0o640, uid=-1, gid=-1)


def test_removing_what_has_no_folder_is_no_failure(tmp_path: Path) -> None:
    Files().remove(str(tmp_path / "none" / "a"))
    (tmp_path / "a").write_text("")
    Files().remove(str(tmp_path / "a" / "b"))
    Files().remove(str(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []
