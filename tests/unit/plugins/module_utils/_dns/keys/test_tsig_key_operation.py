# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files on a real file system: create, keep, replace, remove, undo, killed runs, no secret anywhere."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.tsig_key_operation import (
    SPEC,
    TsigKey,
    TsigKeyInfo,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import FakeClock
from tests.fakes.files import HookedFiles, files_case
from tests.fakes.operation_contract import Build, Case, OperationContract, named

GIVEN = base64.b64encode(b"g" * 32).decode()


class World:
    def __init__(self, base: Path) -> None:
        self.folder = base / "keys"
        self.folder.mkdir()
        self.path = self.folder / "a.key"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, **options: Any) -> dict[str, Any]:
        return filled(SPEC, {"path": str(self.path), "name": "a.g1", **options})

    def run(self, files: Files | None = None, check: bool = False, **options: Any) -> Outcome:
        operation = TsigKey(files or Files(), FakeClock())
        return execute(operation, self.params(**options), self.records, check=check)

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


def case(title: str, there: bool, /, repeats: bool = True, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if there:
            world.done(secret=GIVEN)
        return files_case(
            lambda wire: TsigKey(wire("files", Files()), FakeClock()),
            world.params(**options),
            world.folder,
            secrets=[b"g" * 32, b"o" * 32],
            repeats=repeats,
        )

    return named(title, build)


class TestContract(OperationContract):
    operation = TsigKey
    cases = (
        case("made", False),
        case("given", True, secret=base64.b64encode(b"o" * 32).decode()),
        case("replaced", True, regenerate="always", repeats=False),
        case("removed", True, state="absent", name=None),
        case("mode", True, mode="0600"),
    )


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


def test_check_mode_shows_no_secret(world: World) -> None:
    world.done(secret=GIVEN)
    outcome = world.run(check=True, regenerate="always")
    [difference] = outcome.plan.differences
    assert GIVEN not in str(outcome)
    assert "fingerprint: sha256:" in difference.before
    assert "made when it is written" in difference.after


def test_the_copy_aside_is_for_its_owner_alone(world: World) -> None:
    world.done()
    modes = []

    def look() -> None:
        modes.append(stat.S_IMODE((world.folder / ".a.key.before").stat().st_mode))

    world.run(HookedFiles(look, "write"), regenerate="always")
    assert modes == [0o600]


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
