# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with volumes. The cases are in ``bad_cases.py``, and run on a node, a group at a time."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.volumes.gateway import Gateway
from tests.volumes.hypervisor import PROGRAMS


def cases() -> Iterator[tuple[str, str]]:
    """Yield group and name of each, read from the text: the program itself runs on a node."""
    text = Path(__file__).with_name("bad_cases.py").read_text()
    for each in ast.parse(text).body:
        for mark in each.decorator_list if isinstance(each, ast.FunctionDef) else ():
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "case":
                yield ast.literal_eval(mark.args[0]), each.name


@cache
def told(hypervisor: Gateway, group: str) -> dict[str, dict[str, Any]]:
    """Run a group, once."""
    output = hypervisor.cluster.run(
        hypervisor.node, f"python3 {PROGRAMS}/bad_cases.py {group}", 600
    )
    results = [json.loads(line) for line in output.splitlines()]
    return {each["case"]: each for each in results}


@pytest.mark.parametrize(("group", "name"), list(cases()))
def test_a_bad_case(hypervisor: Gateway, group: str, name: str) -> None:
    assert told(hypervisor, group)[name]["failure"] is None, told(hypervisor, group)[name][
        "failure"
    ]
