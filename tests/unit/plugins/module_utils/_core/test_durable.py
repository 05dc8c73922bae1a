# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link takes the place of what is there; the umask is the process's, and threads that overlap leave it as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.durable import (
    link_whole,
    private_umask,
)


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_blocks_that_overlap_leave_the_umask_as_it_was() -> None:
    before = umask()
    first, second = private_umask(), private_umask()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert umask() == 0o077, "the second block goes on"
    second.__exit__(None, None, None)
    assert umask() == before


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("before", ["nothing", "file", "link"])
def test_a_link_takes_the_place_of_what_is_there(
    tmp_path: Path, before: str, durable: bool
) -> None:
    path = tmp_path / "here"
    if before == "file":
        path.write_text("old")
    elif before == "link":
        path.symlink_to("old")
    (tmp_path / f".here.{os.getpid()}").symlink_to("left by a run that was killed")
    link_whole(path, "new", durable=durable)
    assert path.readlink() == Path("new")
    assert list(tmp_path.iterdir()) == [path]
