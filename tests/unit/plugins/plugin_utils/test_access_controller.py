# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told of the control node: the clocks, at worst, and whether there is a key for break-glass."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.debvisor.hci.plugins.plugin_utils import access_controller
from ansible_collections.debvisor.hci.plugins.plugin_utils.access_controller import (
    TellsOfController,
)


class Plugin(TellsOfController):
    def __init__(self, told: dict[str, Any], key: str | None = None) -> None:
        self._task = SimpleNamespace(args={"break_glass": {"private_key": key}} if key else {})
        self._loader = SimpleNamespace(path_dwim=lambda path: f"/play/{path}")
        self.told = told

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        return self._controller()

    def _low_level_execute_command(self, command: str, sudoable: bool = True) -> dict[str, Any]:
        assert not sudoable, "it would name who we become, and not who we come as"
        return self.told


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 102.0])
    monkeypatch.setattr(access_controller, "time", SimpleNamespace(time=lambda: next(times)))


@pytest.mark.parametrize(
    ("shown", "worst"), [("101.0", 1.0), ("100.0", 2.0), ("80", 22.0), ("130", 30.0)]
)
def test_clocks_are_told_apart_at_worst(shown: str, worst: float) -> None:
    told = Plugin({"rc": 0, "stdout": f"Welcome!\nanna\n{shown}\n", "stderr": ""}).run()
    assert told == {"account": "anna", "clock_offset": worst, "break_glass_key": False}


@pytest.mark.parametrize(
    "told", [{"rc": 1, "stdout": "", "stderr": "no"}, {"rc": 0, "stdout": "", "stderr": ""}]
)
def test_a_host_that_does_not_tell_is_an_error(told: dict[str, Any]) -> None:
    with pytest.raises(AnsibleActionFail, match="does not tell its clock"):
        Plugin(told).run()


def test_a_key_counts_where_it_is_there(tmp_path: Path) -> None:
    answer = {"rc": 0, "stdout": "anna\n101\n", "stderr": ""}
    (tmp_path / "key").touch()
    assert Plugin(answer, str(tmp_path / "key"))._break_glass_key() == tmp_path / "key"
    assert Plugin(answer, str(tmp_path / "none"))._break_glass_key() is None
    assert Plugin(answer, "keys/none")._break_glass_key() is None
