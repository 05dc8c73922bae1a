# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions are decided by their payload, nothing is carried on self, and helpers stand once."""

from __future__ import annotations

import pytest

from tests.architecture import dialect
from tests.architecture.tree import sources

PLUGINS = sources()


@pytest.mark.parametrize("rule", dialect.RULES)
def test_the_dialect_holds(rule: str) -> None:
    assert dialect.RULES[rule](PLUGINS) == []


def test_what_may_run_programs_does() -> None:
    assert [path for path in dialect.RUNNERS if "import subprocess" not in PLUGINS[path]] == []


@pytest.mark.parametrize(
    ("rule", "text", "found"),
    [
        ("long_files", "x = 1\n" * 450, []),
        ("long_files", "x = 1\n" * 451, ["p.py"]),
        ("readers_of_text", "if action.verb == 'write': ...", ["p.py"]),
        ("readers_of_text", "print(action.target)", ["p.py"]),
        ("readers_of_text", "options.verb; Action(verb='x')", []),
        ("readers_of_text", "def f(step: Action): return step.verb", ["p.py"]),
        ("readers_of_text", "for step in reversed(plan.actions): print(step.target)", ["p.py"]),
        ("readers_of_text", "any(each.verb for each in plan.actions)", ["p.py"]),
        ("readers_of_text", "step = plan.actions[0]; step.verb", ["p.py"]),
        ("readers_of_text", "plan.actions[-1].verb", ["p.py"]),
        ("readers_of_text", "step = Action('write', path)\nstep.verb", ["p.py"]),
        ("readers_of_text", "match step:\n case Action(verb='write'): ...", ["p.py"]),
        ("readers_of_text", "match step:\n case Action(payload=x): ...", []),
        ("readers_of_text", "def f(step: Step): return step.verb", []),
        ("keepers_of_state", "class A(Operation[X, Y]):\n def apply(self):\n  self.a = 1", ["p.py:apply"]),
        ("keepers_of_state", "class A(plan.Operation):\n def plan(self):\n  self.a, b = 1, 2", ["p.py:plan"]),
        ("keepers_of_state", "class A(Operation):\n def __init__(self):\n  self.a = 1", []),
        ("keepers_of_state", "class A:\n def apply(self):\n  self.a = 1", []),
        ("keepers_of_state", "class A(Operation):\n def __init__(self):\n  self.a: list[str] = []", ["p.py:__init__"]),
        ("keepers_of_state", "class A(Operation):\n def __init__(self):\n  self.a = dict()", ["p.py:__init__"]),
        ("keepers_of_state", "class A(Operation):\n def __init__(self):\n  self.a = Report()", ["p.py:__init__"]),
        ("keepers_of_state", "class A(Operation):\n def __init__(self, x):\n  self.a = Jobs(x)", []),
        ("keepers_of_state", "class A(Operation):\n def __init__(self):\n  self.a = contextlib.ExitStack()", []),
        ("keepers_of_state", "class A(Operation):\n def apply(self):\n  self.a.b = 1", ["p.py:apply"]),
        ("keepers_of_state", "class A(Operation):\n def apply(self):\n  self.a[0] = 1", ["p.py:apply"]),
        ("keepers_of_state", "class A(Operation):\n def apply(self):\n  del self.a[0]", ["p.py:apply"]),
        ("keepers_of_state", "class A(Operation):\n def apply(self):\n  a = self.a\n  a.b += 1", ["p.py:apply"]),
        ("keepers_of_state", "class A(Operation):\n def apply(self):\n  a = self.a\n  a = 1", []),
        ("protocols_declared_twice", "class A(Protocol): ...\nclass B(Protocol): ...", []),
        ("protocols_declared_twice", "class A(Protocol): ...\nclass A(Protocol[T]): ...", ["A"]),
        ("other_runners", "import subprocess", ["p.py"]),
        ("other_runners", "def f():\n from subprocess import run", ["p.py"]),
        ("other_runners", "import os", []),
    ],
)  # fmt: skip
def test_a_breach_is_found(rule: str, text: str, found: list[str]) -> None:
    assert dialect.RULES[rule]({"p.py": text}) == found
