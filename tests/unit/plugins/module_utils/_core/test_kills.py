# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed before any call that writes: every change is on record in the end, and no temporary file stays."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.durable import (
    ENDING,
    clear_leftovers,
    write_blocks,
    write_whole,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import execute
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Receipt

from tests.fakes.drawers import DrawerWorld, FillDrawers

WANTED = {"drawers": {"a": "one", "b": "two"}}
AFTER = {"a": "one", "b": "two", "z": "untouched"}
WRITING = {"os.rename", "os.remove", "os.mkdir", "os.chown", "os.chmod", "os.link"}


class Careful(FillDrawers):
    """Writes whole files, and notes where in its receipts. Its undo leaves alone what is as it was."""

    def prepare(self, action, wanted) -> Receipt:
        return {
            **super().prepare(action, wanted),
            "place": {"file": str(self.folder / action.target)},
        }

    def undo(self, receipt: Receipt) -> None:
        path = self.folder / receipt["drawer"]
        if (path.read_text() if path.exists() else None) != receipt["held"]:
            super().undo(receipt)

    def _write(self, name: str, text: str) -> None:
        write_whole(self.folder / name, text.encode())


def killed(what: Callable[[], object], before: int, below: Path) -> bool:
    """Do it in a process that SIGKILL ends before its so-maniest call that writes; False where it has fewer."""
    child = os.fork()
    if child == 0:
        left = before

        def hook(event: str, arguments: tuple) -> None:
            nonlocal left
            writes = event in WRITING or (
                event == "open"
                and str(arguments[0]).startswith(str(below))
                and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if writes:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            what()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_before_any_write_nothing_stays_and_every_change_is_on_record(
    tmp_path: Path,
) -> None:
    number = 0
    while True:
        base = tmp_path / str(number)
        base.mkdir()
        world = DrawerWorld(base)
        if not killed(
            lambda: execute(Careful(world.folder), WANTED, world.records),  # noqa: B023
            number,
            base,
        ):
            break
        nothing = {"drawers": {}}  # what was begun need not be begun again
        assert execute(Careful(world.folder), nothing, world.records).failure is None
        assert list(world.folder.glob(f".*{ENDING}")) == [], number
        assert execute(Careful(world.folder), WANTED, world.records).failure is None
        assert world.state == AFTER
        assert list(base.rglob(f".*{ENDING}")) == [], number
        assert world.open_transactions == [], number
        told = [line["actions"] for line in world.audit_lines if line["actions"]]
        assert sorted(step["target"] for steps in told for step in steps) == ["a", "b"], number
        number += 1
    assert number > 20


def abandoned(path: Path) -> Path:
    """Have another process begin to write this file, and die in that."""

    def blocks():
        yield b"half a secret"
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        write_blocks(path, blocks())
    os.waitpid(child, 0)
    [left] = path.parent.glob(f".{path.name}.*{ENDING}")
    return left


def test_whoever_writes_in_the_folder_next_removes_what_a_killed_writer_left(
    tmp_path: Path,
) -> None:
    abandoned(tmp_path / "key")
    write_whole(tmp_path / "other", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("folder", ["nowhere", "a\0b", "\udcff\ud800", "x" * 300])
def test_where_no_folder_is_nothing_is_cleared(folder: str) -> None:
    clear_leftovers(Path(folder))


def test_what_a_living_writer_or_somebody_else_made_stays(tmp_path: Path) -> None:
    for name in (".key.abcdefgh", f"key{ENDING}"):
        (tmp_path / name).write_text("somebody else's")
    (tmp_path / f".folder{ENDING}").mkdir()
    (tmp_path / f".link{ENDING}").symlink_to(".key.abcdefgh")
    before = {path.name for path in tmp_path.iterdir()}

    def blocks():
        yield b"one"
        clear_leftovers(tmp_path)
        yield b"two"

    write_blocks(tmp_path / "key", blocks())
    assert (tmp_path / "key").read_bytes() == b"onetwo"
    assert {path.name for path in tmp_path.iterdir()} == before | {"key"}


def test_a_temporary_file_that_was_cleared_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        clear_leftovers(tmp_path)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_whole(tmp_path / "key", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
