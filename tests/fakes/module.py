# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation needs of an AnsibleModule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest


class Ended(Exception):
    """The module ended."""


class FakeModule:
    def __init__(
        self, params: Mapping[str, Any], *, check: bool = False, diff: bool = False
    ) -> None:
        self.params = params
        self.check_mode, self._diff = check, diff
        self.result: dict[str, Any] = {}
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def exit_json(self, **result: Any) -> None:
        told = {"warnings": self.warnings} if self.warnings else {}
        self.result = json.loads(json.dumps({**result, **told}))
        raise Ended

    def fail_json(self, **result: Any) -> None:
        self.exit_json(failed=True, **result)


def result_of(
    work: Callable[[Any], object], params: Mapping[str, Any] | None = None, **options: bool
) -> dict[str, Any]:
    """Return what a module tells that does this work, its warnings included."""
    module = FakeModule(params or {}, **options)
    with pytest.raises(Ended):
        work(module)
    return module.result
