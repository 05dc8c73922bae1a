# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of programs that run on nodes."""

from __future__ import annotations

import ast
from pathlib import Path


def checks(program: str) -> list[str]:
    """Return the names of a program's checks, read from its text."""
    found = [
        each.name
        for each in ast.parse((Path(__file__).parent / program).read_text()).body
        if isinstance(each, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "check" for mark in each.decorator_list)
    ]
    assert found
    return found
