# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proofs of a second factor: which, in which order, and what one that fails leads to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.debvisor.hci.plugins.action import ssh_access
from ansible_collections.debvisor.hci.plugins.action.ssh_access import ActionModule
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.one_time_codes import (
    OneTimeCodes,
)
from ansible_collections.debvisor.hci.plugins.plugin_utils.ssh_client import Attempt

SECRET = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
IN = Attempt(True, False)
OUT = Attempt(False, True, "Permission denied (publickey).")
NO_CODE = Attempt(False, True, "Permission denied (keyboard-interactive).")
LOST = Attempt(False, False, "Connection refused")
GOOD = [NO_CODE, OUT, NO_CODE, IN, IN]


class Plugin(ActionModule):
    """Its logins come to what is given; how they were tried is noted."""

    works = True

    def __init__(self, *came: Attempt, state: str = "enforced") -> None:
        glass = {"user": "firefighter", "private_key": __file__}
        self._task = SimpleNamespace(args={"state": state, "break_glass": glass})
        self._folder = Path("/folder")
        self._secret = SECRET
        self.came = list(came)
        self.tried: list[tuple[str, str, dict[str, Any]]] = []

    def _client(self) -> Any:
        return SimpleNamespace(attempt=self._attempt)

    def _attempt(self, user: str, methods: str, **how: Any) -> Attempt:
        self.tried.append((user, methods, how))
        came = self.came.pop(0) if len(self.came) > 1 else self.came[0]
        word = how.get("command", "").partition("echo ")[2]
        return replace(came, printed=f"{word}\n") if word and self.works else came


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    fake = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep, time=lambda: 59.0)
    monkeypatch.setattr(ssh_access, "time", fake)


@pytest.mark.parametrize("lacking", ["pyotp", "ssh-keygen"])
def test_a_control_node_that_could_prove_nothing_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacking: str
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise DebvisorError("pyotp is missing") if lacking == "pyotp" else OSError("ssh-keygen")

    if lacking == "pyotp":
        monkeypatch.setattr(OneTimeCodes, "at", fail)
    else:
        monkeypatch.setattr(ssh_access.subprocess, "run", fail)
    with pytest.raises(AnsibleActionFail, match=f"could not prove logins: {lacking}"):
        Plugin()._new_canary()


def test_a_canary_has_a_key_and_a_secret_of_its_own(tmp_path: Path) -> None:
    plugin = Plugin()
    plugin._folder = tmp_path
    made = plugin._new_canary()
    assert made["canary_key"].startswith("ssh-ed25519 ")
    assert made["canary_secret"] == plugin._secret.decode() != SECRET.decode()


def test_every_proof_is_tried() -> None:
    plugin, result = Plugin(*GOOD), dict[str, Any]()
    assert plugin._disproof(result, 60) == ""
    assert [proof["holds"] for proof in result["proofs"]] == [True] * 5
    right = OneTimeCodes().at(SECRET, 1)
    assert right == "287082"  # RFC 6238, appendix B, at 59 s: the last six digits
    how = [
        (user, methods, given.get("answer"), "key" in given)
        for user, methods, given in plugin.tried
    ]
    both, canary = "publickey,keyboard-interactive", "debvisor-canary"
    assert how == [
        (canary, both, None, True),
        (canary, "keyboard-interactive,password", right, False),
        (canary, both, "787082", True),
        (canary, both, right, True),
        ("firefighter", "publickey", None, True),
    ]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("lost", [False, True])
def test_one_that_fails_ends_it(at: int, lost: bool) -> None:
    wrong = LOST if lost else (OUT if GOOD[at].accepted else IN)
    plugin, result = Plugin(*GOOD[:at], wrong), dict[str, Any]()
    why = plugin._disproof(result, 60)
    assert len(result["proofs"]) == at + 1
    assert (result["proofs"][-1]["holds"], result["proofs"][-1]["proof"] in why) == (False, True)
    assert ("must not" in why) is wrong.accepted


def test_a_break_glass_that_may_not_run_commands_is_none() -> None:
    plugin = Plugin(*GOOD)
    plugin.works = False
    assert (
        plugin._disproof({}, 60) == "break-glass with its key: it enters, and cannot run commands"
    )


def test_a_key_that_is_not_taken_proves_nothing_of_codes() -> None:
    why = Plugin(OUT)._disproof({}, 60)
    assert why == "canary with key alone: Permission denied (publickey)."


def test_a_server_that_is_just_reading_its_configuration_is_asked_again() -> None:
    plugin = Plugin(LOST, LOST, *GOOD)
    assert plugin._disproof({}, 60) == ""
    assert len(plugin.tried) == 7


def test_without_time_nothing_is_proven() -> None:
    plugin = Plugin(*GOOD)
    assert "no time was left" in plugin._disproof({}, 0)
    assert plugin.tried == []


def test_a_release_needs_no_logins_of_others() -> None:
    plugin = Plugin(state="absent")
    assert (plugin._disproof({}, 60), plugin.tried) == ("", [])
