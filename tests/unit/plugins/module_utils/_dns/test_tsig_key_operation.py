# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files on a real file system: create, keep, replace, remove, undo, killed runs, no secret anywhere."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.tsig_key_operation import (
    TsigKey,
    TsigKeyInfo,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.files import Files

from tests.fakes.dns_server import FakeClock

GIVEN = base64.b64encode(b"g" * 32).decode()


class HookedFiles(Files):
    """The real files, with something happening at one of the writes."""

    def __init__(self, hook: Any = None, at: str = "", *, after: bool = False) -> None:
        self.hook, self.at, self.after = hook, at, after

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in {"hook", "at", "after"} or name != self.at:
            return found

        def hooked(*args: Any, **options: Any) -> Any:
            if not self.after:
                self.hook()
            result = found(*args, **options)
            if self.after:
                self.hook()
            return result

        return hooked


class ReadOnlyFiles(Files):
    def _refuse(self, *args: object, **options: object) -> None:
        raise AssertionError("a write")

    write = set_access = copy_aside = bring_back = remove = _refuse  # type: ignore[assignment]


class World:
    def __init__(self, base: Path) -> None:
        self.folder = base / "keys"
        self.folder.mkdir()
        self.path = self.folder / "a.key"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def run(self, files: Files | None = None, check: bool = False, **options: Any) -> Outcome:
        params = {
            "path": str(self.path),
            "name": "a.g1",
            "algorithm": "hmac-sha256",
            "secret": None,
            "regenerate": "never",
            "state": "present",
            "owner": None,
            "group": None,
            "mode": "0640",
            **options,
        }
        return execute(TsigKey(files or Files(), FakeClock()), params, self.records, check=check)

    def done(self, **options: Any) -> Outcome:
        outcome = self.run(**options)
        if outcome.failure:
            raise outcome.failure
        return outcome

    @property
    def state(self) -> dict[str, tuple[bytes, int]]:
        return {
            path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in self.folder.iterdir()
        }


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_key_is_made_kept_and_removed(world: World) -> None:
    made = world.done()
    assert made.changed
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o640
    assert (made.facts["name"], made.facts["algorithm"]) == ("a.g1", "hmac-sha256")
    assert 0 <= made.facts["age"] < 60
    content = world.path.read_bytes()
    kept = world.done()
    assert (kept.changed, kept.facts["fingerprint"]) == (False, made.facts["fingerprint"])
    assert world.path.read_bytes() == content
    assert world.done(state="absent", name=None).changed
    assert world.state == {}
    assert world.done(state="absent", name=None).changed is False


def test_two_keys_differ(world: World) -> None:
    first = world.done().facts["fingerprint"]
    assert world.done(regenerate="always").facts["fingerprint"] != first


def test_a_given_secret_goes_in_over_any_other(world: World) -> None:
    world.done()
    outcome = world.done(secret=GIVEN)
    assert GIVEN in world.path.read_text()
    assert outcome.plan.after["fingerprint"] == outcome.facts["fingerprint"]
    assert world.done(secret=GIVEN).changed is False


@pytest.mark.parametrize("options", [{"name": "a.g2"}, {"algorithm": "hmac-sha512"}])
def test_another_key_is_replaced_only_where_allowed(world: World, options: dict) -> None:
    world.done()
    before = world.state
    assert "regenerate is never" in str(world.run(**options).failure)
    assert world.state == before
    assert world.done(regenerate="if_invalid", **options).changed
    assert world.done(regenerate="if_invalid", **options).changed is False


def test_rubbish_is_replaced_only_where_allowed(world: World) -> None:
    world.path.write_text("rubbish")
    assert "'key' was expected" in str(world.run().failure)
    assert world.done(regenerate="if_invalid").changed


def test_mode_alone_can_change_and_the_key_stays(world: World) -> None:
    fingerprint = world.done().facts["fingerprint"]
    outcome = world.done(mode="0600")
    assert [action.verb for action in outcome.plan.actions] == ["set access"]
    assert outcome.facts["fingerprint"] == fingerprint
    assert world.state["a.key"][1] == 0o600


def test_check_mode_writes_nothing_and_shows_no_secret(world: World) -> None:
    outcome = world.run(ReadOnlyFiles(), check=True)
    assert (outcome.failure, outcome.changed, world.state) == (None, True, {})
    world.done(secret=GIVEN)
    outcome = world.run(ReadOnlyFiles(), check=True, regenerate="always")
    [difference] = outcome.plan.differences
    assert GIVEN not in str(outcome)
    assert "fingerprint: sha256:" in difference.before
    assert "made when it is written" in difference.after


CHANGES = [
    ({"regenerate": "always"}, "write"),
    ({"state": "absent"}, "remove"),
    ({"mode": "0600"}, "set_access"),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("options", "at"), CHANGES)
def test_a_failure_leaves_the_old_file_to_the_byte(
    world: World, options: dict, at: str, after: bool
) -> None:
    world.done()
    before = world.state
    failures = iter([OSError("disk on fire")])

    def fail() -> None:
        for failure in failures:
            raise failure

    outcome = world.run(HookedFiles(fail, at, after=after), **options)
    assert outcome.failure is not None
    assert outcome.rolled_back
    assert world.state == before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("options", "at"),
    [*CHANGES, ({"regenerate": "always"}, "copy_aside"), ({"regenerate": "always"}, "remove")],
)
def test_killed_anywhere_the_next_run_finds_or_restores_a_whole_file(
    world: World, options: dict, at: str, after: bool
) -> None:
    world.done()
    before = world.state["a.key"]
    child = os.fork()
    if child == 0:
        world.run(HookedFiles(lambda: os._exit(137), at, after=after), **options)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137
    committed = at == "remove" and options != {"state": "absent"}
    outcome = world.run()
    assert outcome.failure is None
    assert (world.state["a.key"] == before) is not committed
    world.done(regenerate="always")
    assert set(world.state) == {"a.key"}, "no copy is left aside"


def test_killed_while_making_the_first_key_nothing_is_left(world: World) -> None:
    child = os.fork()
    if child == 0:
        world.run(HookedFiles(lambda: os._exit(137), "write", after=True))
        os._exit(0)
    os.waitpid(child, 0)
    outcome = world.run(state="absent", name=None)
    assert (outcome.failure, world.state) == (None, {})


def test_the_copy_aside_is_for_its_owner_alone(world: World) -> None:
    world.done()
    modes = []

    def look() -> None:
        modes.append(stat.S_IMODE((world.folder / ".a.key.before").stat().st_mode))

    world.run(HookedFiles(look, "write"), regenerate="always")
    assert modes == [0o600]


def test_no_secret_in_journal_audit_or_result(world: World) -> None:
    world.done(secret=GIVEN)
    texts: list[str] = []

    def look() -> None:
        texts.extend(path.read_text() for path in world.records.journal.folder.iterdir())

    other = base64.b64encode(b"o" * 32).decode()
    outcome = world.run(HookedFiles(look, "write"), secret=other)
    texts += [world.records.audit.path.read_text(), str(outcome), repr(outcome)]
    assert len(texts) == 4
    assert not any(secret in text for text in texts for secret in (GIVEN, other, "gggg", "oooo"))


def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    outcome = world.run(path="keys/a.key", name="a..b", secret="###", mode="0644")
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == [
        "path",
        "name",
        "secret",
        "mode",
    ]
    assert "###" not in str(outcome.failure)


@pytest.mark.parametrize("mode", [416, 640, "rw", "0777", "0040", "01640"])
def test_modes_that_do_not_fit_a_secret(world: World, mode: object) -> None:
    assert isinstance(world.run(mode=mode).failure, InvalidInput)


def test_accounts_and_folders_that_do_not_exist(world: World) -> None:
    assert "no group 'nobody-has-this'" in str(world.run(group="nobody-has-this").failure)
    assert "no user" in str(world.run(owner="nobody-has-this").failure)
    assert "folder" in str(world.run(path=str(world.folder / "sub" / "a.key")).failure)


def test_a_link_is_not_followed(world: World) -> None:
    world.path.symlink_to(world.folder / "elsewhere")
    assert "not a regular file" in str(world.run().failure)


def test_info_tells_what_may_be_known(world: World) -> None:
    info = TsigKeyInfo(Files(), FakeClock())
    assert info.look({"path": str(world.path)}) == {"path": str(world.path), "exists": False}
    facts = world.done().facts
    found = info.look({"path": str(world.path)})
    assert {**facts, "age": found["age"], "exists": True} == found
