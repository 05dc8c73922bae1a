# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operation and every resource has its tests of the contract."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tests.architecture.tree import sources

EXEMPT = {"plugins/module_utils/_core/plan.py", "plugins/module_utils/_core/resource.py"}
"""The forms themselves."""


def subclasses(files: Mapping[str, str], *bases: str) -> Iterator[ast.ClassDef]:
    for path, source in files.items():
        if path in EXEMPT or not any(base in source for base in bases):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(base).partition("[")[0] for base in node.bases]
                if set(names) & set(bases):
                    yield node


def without_contract(plugins: Mapping[str, str], tests: Mapping[str, str]) -> list[str]:
    shown = {
        ast.unparse(statement.value)
        for test in subclasses(tests, "OperationContract")
        for statement in test.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "operation"
    }
    found = [node.name for node in subclasses(plugins, "Operation", "Resource")]
    return sorted(set(found) - shown)


def test_every_operation_has_its_contract() -> None:
    plugins, tests = sources("plugins/module_utils"), sources("tests/unit")
    assert len(list(subclasses(plugins, "Operation", "Resource"))) > 10
    assert without_contract(plugins, tests) == []


def test_one_without_is_found() -> None:
    plugins = {"a.py": "class A(Operation[int, int]): ...\nclass B(Resource): ...\nclass C: ..."}
    tests = {"test_a.py": "class TestContract(OperationContract):\n    operation = A"}
    assert without_contract(plugins, tests) == ["B"]
    assert without_contract(plugins, {}) == ["A", "B"]
