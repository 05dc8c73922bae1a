# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with volumes on devices: pools, disks and guests, all real. The cases are in ``device_cases.py``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.vm.programs import HERE, POOLS, Case, Programs

PROGRAM = HERE / "device_cases.py"


def cases() -> Iterator[Case]:
    """Yield each, by kind of the pool, read from the text: the program itself runs in the machine."""
    functions = [
        each for each in ast.parse(PROGRAM.read_text()).body if isinstance(each, ast.FunctionDef)
    ]
    for kind in POOLS:
        for each in functions:
            for mark in each.decorator_list:
                if not (isinstance(mark, ast.Call) and ast.unparse(mark.func) == "case"):
                    continue
                if not mark.args or kind in map(ast.literal_eval, mark.args):
                    yield kind, PROGRAM.name, each.name


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case[0]}-{case[2]}")
def test_a_bad_case(programs: Programs, case: Case) -> None:
    failure = programs.failure(case)
    assert failure is None, failure
