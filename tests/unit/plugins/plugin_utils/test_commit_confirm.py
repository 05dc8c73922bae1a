# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof over a new connection: what counts as one, how long it is tried, and what is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible_collections.debvisor.hci.plugins.plugin_utils import commit_confirm
from ansible_collections.debvisor.hci.plugins.plugin_utils.commit_confirm import CommitConfirm

AWAITS = {"changed": True, "awaiting": {"transaction": "1-2", "seconds": 10}}
UNREACHABLE = AnsibleConnectionFailure("timed out")


class Connection:
    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Plugin(CommitConfirm):
    """The host's answers are given; what it was asked, and over which connection, is noted."""

    def __init__(self, *answers: Any) -> None:
        self._connection = self.first = Connection("first")
        self._task = SimpleNamespace(args={"state": "present"})
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []
        self.made: list[Connection] = []

    def _execute_module(self, module_args: Any = None, task_vars: Any = None) -> dict[str, Any]:
        self.asked.append((self._connection.name, module_args))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def _fresh(self) -> Any:
        self.made.append(Connection(f"fresh {len(self.made) + 1}"))
        return self.made[-1]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(
        commit_confirm, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    )
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def test_a_change_is_confirmed_over_a_new_connection() -> None:
    plugin = Plugin(AWAITS, {"changed": True, "warnings": ["the timer did not stop"]})
    result = plugin.run()
    assert result == {"changed": True, "confirmed": True, "warnings": ["the timer did not stop"]}
    assert plugin.asked == [
        ("first", None),
        ("fresh 1", {"state": "present", "confirm": "1-2"}),
    ]
    assert plugin.first.closed == 1
    assert [each.closed for each in plugin.made] == [1]
    assert plugin._connection is plugin.first


@pytest.mark.parametrize("result", [{"changed": False}, {**AWAITS, "failed": True}])
def test_nothing_is_confirmed_where_nothing_awaits_it(result: dict[str, Any]) -> None:
    plugin = Plugin(result)
    assert plugin.run() == result
    assert plugin.made == []


def test_each_attempt_is_a_connection_of_its_own() -> None:
    plugin = Plugin(AWAITS, UNREACHABLE, UNREACHABLE, {"changed": True})
    assert plugin.run()["confirmed"] is True
    assert [name for name, _args in plugin.asked] == ["first", "fresh 1", "fresh 2", "fresh 3"]
    assert [each.closed for each in plugin.made] == [1, 1, 1]


def test_the_attempts_end_when_the_host_takes_the_change_back() -> None:
    plugin = Plugin(AWAITS, UNREACHABLE)
    result = plugin.run()
    assert (result["failed"], result["confirmed"]) == (True, False)
    assert "rolls it back by itself" in result["msg"]
    assert "timed out" in result["msg"]
    assert len(plugin.made) == 10
    assert plugin._connection is plugin.first


def test_a_module_that_takes_all_the_time_is_told_by_a_sentence_of_its_own() -> None:
    plugin = Plugin({"changed": True, "awaiting": {"transaction": "1-2", "seconds": 0.0}})
    result = plugin.run()
    assert (result["failed"], result["confirmed"], plugin.made) == (True, False, [])
    assert "no time was left to confirm the change" in result["msg"]
    assert "The last attempt" not in result["msg"]


def test_a_host_that_says_no_is_not_asked_again() -> None:
    plugin = Plugin(AWAITS, {"failed": True, "msg": "it was rolled back"})
    result = plugin.run()
    assert result["failed"] is True
    assert "it was rolled back" in result["msg"]
    assert len(plugin.made) == 1


def test_a_change_that_stays_is_not_said_to_be_rolled_back() -> None:
    plugin = Plugin(AWAITS, {"failed": True, "committed": True, "msg": "disk on fire"})
    result = plugin.run()
    assert (result["failed"], result["confirmed"], "awaiting" in result) == (True, True, False)
    assert (
        "confirmed and stays, but the host could not tidy up after it: disk on fire"
        in result["msg"]
    )
    assert len(plugin.made) == 1


class Disproven(Plugin):
    """Its proofs fail."""

    def _disproof(self, result: dict[str, Any], ends: float) -> str:
        assert ends == 10
        return "nobody enters"


ROLLED_BACK = {"changed": False, "rolled_back_runs": ["1-2"], "warnings": ["Rolled back"]}


def test_what_is_disproven_is_rolled_back_at_once_over_the_old_connection() -> None:
    plugin = Disproven(AWAITS, ROLLED_BACK)
    result = plugin.run()
    assert result == {
        "changed": False,
        "failed": True,
        "confirmed": False,
        "rolled_back": True,
        "msg": "The change is not confirmed, and was rolled back: nobody enters",
        "warnings": ["Rolled back"],
    }
    assert plugin.asked[-1] == ("first", {"state": "present", "rollback": "1-2"})
    assert plugin.made == []
    assert plugin.first.closed == 1


def test_a_host_that_cannot_be_reached_at_once_is_asked_again() -> None:
    plugin = Disproven(AWAITS, UNREACHABLE, UNREACHABLE, ROLLED_BACK)
    assert plugin.run()["rolled_back"] is True
    assert len(plugin.asked) == 4


@pytest.mark.parametrize(
    ("answer", "why", "asked"),
    [(UNREACHABLE, "timed out", 11), ({"failed": True, "msg": "disk on fire"}, "on fire", 2)],
)
def test_where_it_cannot_be_rolled_back_at_once_the_host_does_it(
    answer: Any, why: str, asked: int
) -> None:
    plugin = Disproven(AWAITS, answer)
    result = plugin.run()
    assert (result["failed"], result["rolled_back"], result["changed"]) == (True, False, True)
    assert "rolls it back by itself: nobody enters. It could not be rolled back" in result["msg"]
    assert why in result["msg"]
    assert len(plugin.asked) == asked


def real(monkeypatch: pytest.MonkeyPatch, name: str, **options: Any) -> Any:
    """Return the connection that the plugin makes beside a real one.

    Outside of Ansible's own programs its loader knows the builtin plugins by their short names alone.
    """

    def get(full_name: str, *arguments: Any, **further: Any) -> Any:
        short = full_name.removeprefix("ansible.builtin.")
        return connection_loader.get(short, *arguments, **further)

    monkeypatch.setattr(commit_confirm, "connection_loader", SimpleNamespace(get=get))
    context = PlayContext()
    used = connection_loader.get(name, context, new_stdin=None)
    used.set_options(direct=options)
    plugin = CommitConfirm.__new__(CommitConfirm)
    plugin._connection, plugin._play_context = used, context
    plugin._task = SimpleNamespace(_uuid="1")
    fresh = plugin._fresh()
    assert fresh is not used
    return fresh


def test_for_ssh_no_shared_session_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = real(
        monkeypatch,
        "ssh",
        host="192.0.2.1",
        port=2222,
        ssh_args="-C -o ControlMaster=auto -o ControlPersist=60s",
        ssh_common_args="-o ControlPath=/tmp/shared -o ProxyJump=bastion",
    )
    words = [word.decode() for word in fresh._build_command("ssh", "ssh", "192.0.2.1", "true")]
    for option, alone in (("ControlMaster", "no"), ("ControlPath", "none")):
        said = [word for word in words if word.startswith(f"{option}=")]
        assert said[0] == f"{option}={alone}", "ssh takes what comes first"
    assert "ProxyJump=bastion" in words
    assert "Port=2222" in words
    assert fresh.get_option("timeout") == commit_confirm.CONNECT_TIMEOUT


def test_other_connections_keep_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        real(monkeypatch, "local").get_options()
        == connection_loader.get("local", PlayContext(), new_stdin=None).get_options()
    )
