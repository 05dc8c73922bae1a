# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems of options are collected, and reported together."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.checks import (
    check_file_path,
    check_range,
    refuse_any,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput, Problem


def test_all_problems_are_reported_at_once() -> None:
    problems: list[Problem] = []
    for number, path in enumerate(("/etc/a", "etc/a", "/etc/", "/etc/\0a", "")):
        check_file_path(f"path[{number}]", path, problems)
    for name, value in {"low": 0, "least": 1, "most": 9.5, "high": 9.6, "none": None}.items():
        check_range(name, value, 1, 9.5, problems)
    with pytest.raises(InvalidInput) as caught:
        refuse_any(problems, hint="Nothing was changed")
    assert [each.where for each in caught.value.problems] == [
        *("path[1]", "path[2]", "path[3]", "path[4]"),
        *("low", "high"),
    ]
    assert "high: 9.6 is not from 1 to 9.5" in str(caught.value)
    assert caught.value.hint == "Nothing was changed"


def test_without_problems_it_goes_on() -> None:
    refuse_any([])
