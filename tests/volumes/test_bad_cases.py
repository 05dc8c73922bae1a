# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with volumes. The cases are in ``bad_cases.py``, and run on a node, a group at a time."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.volumes.gateway import Gateway
from tests.volumes.hypervisor import PROGRAMS

pytestmark = pytest.mark.long

Told = Callable[[str], dict[str, str | None]]


def cases() -> Iterator[tuple[str, str]]:
    """Yield group and name of each, read from the text: the program itself runs on a node."""
    text = Path(__file__).with_name("bad_cases.py").read_text()
    for each in ast.parse(text).body:
        for mark in each.decorator_list if isinstance(each, ast.FunctionDef) else ():
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "case":
                yield ast.literal_eval(mark.args[0]), each.name


@pytest.fixture(scope="module")
def told(hypervisor: Gateway) -> Told:
    """Give what runs a group of cases once, and returns why they failed."""

    @cache
    def run(group: str) -> dict[str, str | None]:
        program = f"python3 {PROGRAMS}/bad_cases.py {group}"
        lines = hypervisor.cluster.run(hypervisor.node, program, 600).splitlines()
        return {each["case"]: each["failure"] for each in map(json.loads, lines)}

    return run


@pytest.mark.parametrize(("group", "name"), list(cases()))
def test_a_bad_case(told: Told, group: str, name: str) -> None:
    failure = told(group)[name]
    assert failure is None, failure
