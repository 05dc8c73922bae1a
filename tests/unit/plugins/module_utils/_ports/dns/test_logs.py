# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files and their former versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.logs import Logs


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], []),
        (["log"], ["log"]),
        (["log", "log.0", "log.1"], ["log", "log.0", "log.1"]),
        (["log.0"], ["log.0"]),
        (["log", "log.1"], ["log"]),
    ],
)
def test_the_versions_youngest_first(tmp_path: Path, there: list[str], found: list[str]) -> None:
    for name in there:
        (tmp_path / name).write_text("")
    assert [Path(path).name for path in Logs().versions(str(tmp_path / "log"))] == found


def test_lines_are_read_whatever_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n\xff\xfe two\nthree without an end")
    first, second, third = Logs().lines(str(path))
    assert (first, third) == ("one\n", "three without an end")
    assert second.endswith(" two\n")


def test_a_file_that_went_meanwhile_has_no_lines(tmp_path: Path) -> None:
    assert list(Logs().lines(str(tmp_path / "none"))) == []


def test_a_file_keeps_its_identity_under_another_name(tmp_path: Path) -> None:
    log, older = tmp_path / "log", tmp_path / "log.0"
    log.write_text("")
    [before, none] = Logs().identities([str(log), str(older)])
    assert none is None
    log.rename(older)
    log.write_text("")
    after = Logs().identities([str(log), str(older)])
    assert after[1] == before
    assert after[0] not in (before, None)
