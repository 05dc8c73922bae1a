# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether BIND can write: no room, a disk that fails, and one that hangs."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_disk
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_disk import (
    PATIENCE,
    DiskWatch,
)

ROOMY = {"f_bavail": 1 << 20, "f_frsize": 4096, "f_files": 100, "f_favail": 50}


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ({}, ""),
        ({"f_bavail": 10}, "4 MiB"),
        ({"f_favail": 3}, "8 files"),
        ({"f_files": 0, "f_favail": 0}, ""),  # btrfs does not count them
    ],
)
def test_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: dict[str, int], said: str
) -> None:
    found = SimpleNamespace(**{**ROOMY, **lacks})
    monkeypatch.setattr(dns_disk.os, "statvfs", lambda path: found)
    watch = DiskWatch(tmp_path)
    watch.look()
    assert said in watch.trouble()
    assert bool(said) == bool(watch.trouble())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path / "away")
    watch.look()
    assert watch.trouble() == f"{tmp_path / 'away'} cannot be written to: No such file or directory"
    (tmp_path / "away").mkdir()
    watch.look()
    assert watch.trouble() == ""


def test_a_write_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    now = [100.0]

    def fsync(descriptor: int) -> None:
        hangs.set()
        assert goes_on.wait(10)

    monkeypatch.setattr(dns_disk.os, "fsync", fsync)
    monkeypatch.setattr(dns_disk.time, "monotonic", lambda: now[0])
    watch = DiskWatch(tmp_path)
    thread = threading.Thread(target=watch.look)
    thread.start()
    assert hangs.wait(10)
    assert watch.trouble() == "", "it has just begun"
    now[0] += PATIENCE + 0.1
    assert watch.trouble() == f"a write to {tmp_path} hangs"
    goes_on.set()
    thread.join(10)
    assert watch.trouble() == ""
    assert os.listdir(tmp_path) == []
