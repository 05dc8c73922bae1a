# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store's condition, from what the system says of it. tests/access shows it real full and read-only ones."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.totp_store import (
    LEAST_FREE,
    TotpStore,
)


@pytest.fixture
def store(tmp_path: Path) -> TotpStore:
    folder = tmp_path / "totp"
    folder.mkdir(mode=0o700)
    return TotpStore(folder, os.geteuid())


def test_one_that_can_be_used(store: TotpStore) -> None:
    found = store.condition()
    assert found.problem == ""
    assert found.free_bytes >= LEAST_FREE


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"f_flag": os.ST_RDONLY}, "read-only"),
        ({"f_bavail": 0}, "0 bytes are free"),
        ({"f_bavail": (LEAST_FREE - 1) // 4096}, "has no room"),
        ({"f_favail": 0}, "0 inodes are free"),
        ({"f_favail": 0, "f_files": 0}, ""),
    ],
)
def test_what_the_file_system_says(
    store: TotpStore, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], why: str
) -> None:
    healthy = {"f_flag": 0, "f_bavail": 1 << 20, "f_frsize": 4096, "f_files": 1000, "f_favail": 500}
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**{**healthy, **changes}))
    assert why in store.condition().problem
    assert bool(store.condition().problem) is bool(why)


def test_what_is_none(tmp_path: Path) -> None:
    uid = os.geteuid()
    assert "No such file" in TotpStore(tmp_path / "nothing", uid).condition().problem
    (tmp_path / "file").touch(mode=0o600)
    assert "not a folder" in TotpStore(tmp_path / "file", uid).condition().problem
    (tmp_path / "link").symlink_to(tmp_path)
    assert "not a folder" in TotpStore(tmp_path / "link", uid).condition().problem


def test_one_that_is_not_roots_alone(store: TotpStore, tmp_path: Path) -> None:
    (tmp_path / "totp").chmod(0o750)
    assert "mode 0750" in store.condition().problem
    (tmp_path / "totp").chmod(0o700)
    assert "not root's" in TotpStore(tmp_path / "totp", os.geteuid() + 1).condition().problem
