# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring on a real file system: steps, seals, checks, failures and kills."""

from __future__ import annotations

import base64
import json
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
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import run
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import host_bundle
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.keyring_operation import (
    SPEC,
    TsigKeyring,
    TsigKeyringInfo,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto.sealing import (
    CannotOpen,
    Opener,
    Sealer,
    draw_private,
    public_of,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import FakeClock
from tests.fakes.files import HookedFiles, files_case
from tests.fakes.module import result_of
from tests.fakes.operation_contract import Build, Case, OperationContract, named

CLASSES = [
    {"name": "x", "servers": ["s1", "s2"], "clients": ["s1", "c"]},
    {"name": "t", "purpose": "transfer", "servers": ["s1", "s2"], "clients": ["s1", "s2"]},
]


class WallClock(FakeClock):
    """A clock whose wall shows the time that was slept away."""

    def wall(self) -> float:
        return 1_000_000 + self.monotonic()


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "state").mkdir()
        self.path = base / "state" / "keyring.json"
        self.clock = WallClock()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")
        self.private = {host: draw_private() for host in ("s1", "s2", "c")}

    def run(self, state: str = "present", **more: Any) -> Outcome:
        operation = TsigKeyring(Files(), Sealer(), self.clock)
        return execute(operation, self.params(state, **more), self.records)

    def params(self, state: str, **more: Any) -> dict[str, Any]:
        given = {
            "path": str(self.path),
            "classes": CLASSES,
            "state": state,
            "retire_after": 1000,
            "recipients": {host: public_of(key) for host, key in self.private.items()},
        }
        return filled(SPEC, {**given, **more})

    def done(self, state: str = "present", **more: Any) -> Outcome:
        outcome = self.run(state, **more)
        if outcome.failure:
            raise outcome.failure
        return outcome

    def rotate_to_promoted(self) -> Outcome:
        self.done()
        incoming = self.done("introduced").plan.facts["incoming"]
        names = [name for found in incoming.values() for name in found]
        return self.done("promoted", proofs={"s1": names, "s2": names})

    def standings(self) -> dict[str, list[str]]:
        document = json.loads(self.path.read_text())
        return {
            name: [each["standing"] for each in entry["generations"]]
            for name, entry in document["classes"].items()
        }

    def secrets(self) -> list[bytes]:
        if not self.path.exists():
            return []
        classes = json.loads(self.path.read_text())["classes"].values()
        generations = [each for entry in classes for each in entry["generations"]]
        return [base64.b64decode(each["secret"]) for each in generations]

    def held(self, outcome: Outcome, host: str) -> dict[str, Any]:
        box = outcome.plan.facts["sealed"][host]
        document = json.loads(Opener(lambda path: self.private[host]).open(box, "/key"))
        return {each.name: each for each in host_bundle.read_bundle(document)}


def case(state: str, **more: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if state != "present":
            world.done()
        return files_case(
            lambda wire: TsigKeyring(wire("files", Files()), Sealer(), world.clock),
            world.params(state, **more),
            world.path.parent,
            repeats=state != "revoked",
            drawn=world.secrets,
        )

    return named(state, build)


class TestContract(OperationContract):
    operation = TsigKeyring
    cases = (case("present"), case("introduced"), case("revoked", only=["x"]))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_whole_rotation_step_by_step(world: World) -> None:
    first = world.done()
    assert first.changed
    assert not world.done().changed
    assert world.held(first, "c")["x"].current == 1
    world.done("introduced")
    assert not world.done("introduced").changed
    assert world.standings() == {"x": ["current", "incoming"], "t": ["current", "incoming"]}
    second = world.run("promoted", proofs={"s1": ["g2.x", "g2.t"]})
    assert "s2" in str(second.failure)
    assert world.standings() == {"x": ["current", "incoming"], "t": ["current", "incoming"]}
    third = world.done("promoted", proofs={"s1": ["g2.x", "g2.t"], "s2": ["g2.x", "g2.t"]})
    assert world.held(third, "c")["x"].current == 2
    assert sorted(world.held(third, "c")["x"].keys) == [1, 2]
    fourth = world.done("retired", absent=["c"])
    assert fourth.plan.facts["waiting"] == {"g1.x": "c may still sign with it"}
    assert fourth.plan.facts["dropped"] == ["g1.t"]
    fifth = world.done("retired")
    assert fifth.plan.facts["dropped"] == ["g1.x"]
    assert world.standings() == {"x": ["current"], "t": ["current"]}
    assert not world.done("retired").changed


def test_retirement_waits_for_keys_in_use_until_their_time_comes(world: World) -> None:
    world.rotate_to_promoted()
    used = {"used": ["g1.x", "g1.t"]}
    assert not world.done("retired", **used).changed
    world.clock.sleep(1001)
    assert world.done("retired", **used).plan.facts["dropped"] == ["g1.t", "g1.x"]


def test_a_generation_whose_time_has_come_does_not_hold_up_the_next_rotation(world: World) -> None:
    world.rotate_to_promoted()
    assert not world.done("introduced").changed
    world.clock.sleep(1001)
    assert world.done("introduced").plan.facts["dropped"] == ["g1.t", "g1.x"]
    assert world.standings() == {"x": ["current", "incoming"], "t": ["current", "incoming"]}


def test_force_promotes_past_absent_servers_and_retires_at_once(world: World) -> None:
    world.done()
    world.done("introduced")
    proofs = {"s1": ["g2.x", "g2.t"]}
    assert world.run("promoted", proofs=proofs, absent=["s2"]).failure
    world.done("promoted", proofs=proofs, absent=["s2"], force=True)
    world.done("retired", used=["g1.x"], absent=["c"], force=True)
    assert world.standings() == {"x": ["current"], "t": ["current"]}


def test_one_class_alone(world: World) -> None:
    world.done()
    world.done("introduced", only=["x"])
    assert world.standings() == {"x": ["current", "incoming"], "t": ["current"]}
    world.done("revoked", only=["x"])
    assert world.standings() == {"x": ["current"], "t": ["current"]}


def test_going_back(world: World) -> None:
    world.rotate_to_promoted()
    back = world.done("reverted")
    assert world.held(back, "c")["x"].current == 1
    assert not world.done("reverted").changed
    world.done("retired")
    assert world.held(world.done(), "c")["x"].keys.keys() == {1}


def test_a_box_opens_for_its_host_alone(world: World) -> None:
    box = world.done().plan.facts["sealed"]["c"]
    with pytest.raises(CannotOpen):
        Opener(lambda path: world.private["s1"]).open(box, "/key")
    for damaged in ("", "%%%", box[:-8], "A" * len(box)):
        with pytest.raises(CannotOpen):
            Opener(lambda path: world.private["c"]).open(damaged, "/key")


def test_hosts_without_a_public_key_get_nothing(world: World) -> None:
    assert world.done(recipients={"c": None, "s1": ""}).plan.facts["sealed"] == {}


def test_a_keyring_is_not_made_where_servers_hold_keys(world: World) -> None:
    refused = world.run(found=False)
    assert "servers hold keys already" in str(refused.failure)
    for state in ("introduced", "promoted", "retired", "reverted"):
        assert "there is no keyring" in str(world.run(state).failure)
    assert not world.path.exists()
    world.done("revoked", only=["x", "t"], found=False)
    assert world.standings() == {"x": ["current"], "t": ["current"]}


def test_without_its_folder(world: World) -> None:
    world.path.parent.rmdir()
    assert "does not exist" in str(world.run().failure)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b"[" * 50, b"[" * 99999])
def test_what_is_no_keyring_stays_as_it_is(world: World, content: bytes) -> None:
    world.path.write_bytes(content)
    assert "is not a keyring" in str(world.run("introduced").failure)
    assert world.path.read_bytes() == content


def test_all_that_is_wrong_is_told_at_once(world: World) -> None:
    classes = [{"name": "x"}, {"name": "X.y"}, {"name": "x"}]
    wrong = world.run("revoked", path="relative", classes=classes, min_age=-1, retire_after=-1)
    assert isinstance(wrong.failure, InvalidInput)
    assert [problem.where for problem in wrong.failure.problems] == [
        "path",
        "classes[1].name",
        "classes[2].name",
        "only",
        "min_age",
        "retire_after",
    ]
    unknown = world.run("introduced", only=["nobody"])
    assert "only[0]" in str(unknown.failure)


def test_the_file_is_for_root_alone_and_nothing_is_left_beside_it(world: World) -> None:
    world.done()
    world.done("introduced")
    world.done("revoked", only=["x"])
    assert world.path.stat().st_mode & 0o777 == 0o600
    assert len(world.secrets()) == 3
    assert list((world.base / "journal").iterdir()) == []
    assert [path.name for path in world.path.parent.iterdir()] == ["keyring.json"]


def test_no_secret_in_results_diffs_failures_and_the_journal(world: World) -> None:
    drawn: list[bytes] = []
    texts: list[str] = []

    def draw(size: int) -> bytes:
        drawn.append(f"secret {len(drawn)} ".encode().ljust(size, b"!"))
        return drawn[-1]

    def look() -> None:
        texts.extend(path.read_text() for path in world.records.journal.folder.iterdir())

    def result(state: str, check: bool = False, files: Files | None = None, **more: Any) -> None:
        operation = TsigKeyring(files or HookedFiles(look, "write"), Sealer(), world.clock, draw)
        told = result_of(
            lambda module: run(operation, module, world.records),
            world.params(state, **more),
            check=check,
            diff=True,
        )
        texts.append(json.dumps(told))

    def fail() -> None:
        look()
        raise OSError(28, "No space left on device")

    result("present", check=True)
    result("present")
    result("introduced", files=HookedFiles(fail, "write", after=True))
    result("introduced")
    result("promoted")
    result("promoted", proofs={"s1": ["g2.x", "g2.t"], "s2": ["g2.x", "g2.t"]})
    result("retired", force=True)
    result("revoked", only=["x"])
    texts.append((world.base / "audit").read_text())
    assert len(texts) == 8 + 6 + 1
    assert len(drawn) == 2 + 2 + 2 + 2 + 1, "a secret that is drawn in check mode stays secret, too"
    assert "sha256:" in "".join(texts)
    for secret in drawn:
        for shape in (base64.b64encode(secret).decode(), secret.hex(), secret.decode()):
            assert not [text for text in texts if shape in text]


def test_a_box_holds_just_the_classes_of_its_host(world: World) -> None:
    world.private["stranger"] = draw_private()
    sealed = world.rotate_to_promoted()
    classes = {host: sorted(world.held(sealed, host)) for host in world.private}
    assert classes == {"s1": ["t", "x"], "s2": ["t", "x"], "c": ["x"], "stranger": []}
    serves = {host: world.held(sealed, host)["x"].serves for host in ("s1", "s2", "c")}
    assert serves == {"s1": "update", "s2": "update", "c": ""}
    again = world.done("promoted")
    assert not again.changed
    assert world.held(again, "c") == world.held(sealed, "c"), "boxes come without a change, too"


def test_a_class_that_is_not_described_any_more_is_kept_and_sealed_for_nobody(
    world: World,
) -> None:
    world.done()
    alone = world.done(classes=CLASSES[:1])
    assert alone.changed
    assert "the class is not used" in alone.plan.differences[0].after
    assert not world.done(classes=CLASSES[:1]).changed
    assert world.standings() == {"x": ["current"], "t": ["current"]}
    assert sorted(world.held(alone, "s1")) == ["x"]


def test_a_class_that_is_new_is_founded_in_any_state(world: World) -> None:
    world.done(classes=CLASSES[:1])
    world.done("introduced")
    assert world.standings() == {"x": ["current", "incoming"], "t": ["current", "incoming"]}


def test_what_may_be_known_of_it(world: World) -> None:
    look = TsigKeyringInfo(Files(), world.clock).look
    assert look({"path": str(world.path)})["exists"] is False
    world.done()
    world.clock.sleep(77)
    found = look({"path": str(world.path)})
    assert found["keyring"]["x"]["age"] == 77
    assert found["keyring"]["x"]["settled"]
