# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module of the control node."""

from __future__ import annotations

from typing import Any

from ..plugin_utils.access_controller import TellsOfController


class ActionModule(TellsOfController):
    """The module does the work."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = {**self._task.args, "controller": self._controller()}
        result.update(self._execute_module(module_args=options, task_vars=task_vars))
        return result
