# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on a host: real files, a name server that can be asked, steps in order, and all of it taken back on failure."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.tsig_keys_operation import (
    SPEC,
    TRANSFER_CONF,
    UPDATE_CONF,
    TsigKeys,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.bind.conftest import program
from tests.fakes.dns_server import FakeClock, FakeServer
from tests.fakes.files import content_of, files_case
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named
from tests.fakes.tsig import BOTH, CLIENT, ONE, SWITCHED, TWO, OwnFiles, Plain, bundle, secret


class NameServer:
    """A name server that accepts the keys of the files that its two includes name, once it was reconfigured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ours = True
        self.moods: list[Exception | None] = []
        self.stubborn = False
        self.reconfigured = 0
        self._state = folder.parent / "accepted.json"

    def is_ours(self) -> bool:
        return self.ours

    def check_text(self, text: str) -> None:
        if "broken" in text:
            raise DebvisorError("named-checkconf says no")

    def reconfigure(self, timeout: float = 3.0) -> None:
        mood = self.moods.pop(0) if self.moods else None
        if mood is not None:
            raise mood
        self.reconfigured += 1
        fresh = {}
        for conf in (TRANSFER_CONF, UPDATE_CONF):
            path = self.folder / conf
            for line in path.read_text().splitlines() if path.exists() else []:
                if line.startswith("include"):
                    key = tsig.parse(Path(line.split('"')[1]).read_bytes(), "")
                    fresh[key.name] = key.secret.reveal()
        kept = self._accepted() if self.stubborn else {}
        told = {name: value.hex() for name, value in {**kept, **fresh}.items()}
        self._state.write_text(json.dumps(told))

    def _accepted(self) -> dict[str, bytes]:
        """Return what the server has in memory, which outlives whoever reconfigured it."""
        if not self._state.exists():
            return {}
        told = json.loads(self._state.read_text())
        return {name: bytes.fromhex(value) for name, value in told.items()}

    def reach(self, address: str, port: int, timeout: float) -> FakeServer:
        return FakeServer("127.0.0.1", {"nothing.yet": b"x" * 32, **self._accepted()})

    @property
    def accepts(self) -> set[str]:
        return set(self._accepted())


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "keys"
        self.folder.mkdir()
        self.bind = NameServer(self.folder)
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, sealed: str, **more: Any) -> dict[str, Any]:
        return filled(
            SPEC,
            {
                "private_key": "/key",
                "sealed": sealed,
                "folder": str(self.folder),
                "peers": {
                    "192.0.2.10": "xfer",
                    "192.0.2.12": "xfer",
                    "192.0.2.13": "xfer-n3",
                    "192.0.2.14": "not-here",
                },
                **more,
            },
        )

    def run(self, sealed: str, files: Files | None = None, **more: Any) -> Outcome:
        operation = TsigKeys(files or OwnFiles(), Plain(), self.bind, self.bind.reach, FakeClock())
        return execute(operation, self.params(sealed, **more), self.records)

    def done(self, sealed: str, **more: Any) -> Outcome:
        outcome = self.run(sealed, **more)
        if outcome.failure:
            raise outcome.failure
        return outcome

    def content(self) -> dict[str, str]:
        return {
            path.name: os.readlink(path) if path.is_symlink() else path.read_text()
            for path in sorted(self.folder.iterdir())
        }


def case(title: str, before: str, wanted: str) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if before:
            world.done(before)

        def operation(wire: Wire) -> TsigKeys:
            bind, reach = wire("bind", world.bind), wire("reach", world.bind.reach)
            return TsigKeys(wire("files", OwnFiles()), Plain(), bind, reach, FakeClock())

        made = files_case(
            operation,
            world.params(wanted),
            world.folder,
            reads=("bind.is_ours", "bind.check_text", "reach"),
            secrets=[base64.b64decode(secret(f"{n}{i}")) for n in ("node", "xfer") for i in (1, 2)],
        )
        made.state = lambda: {**content_of(world.folder), "accepted": world.bind.accepts}
        return made

    return named(title, build)


class TestContract(OperationContract):
    operation = TsigKeys
    cases = (case("first", "", ONE), case("rotated", ONE, TWO), case("left", TWO, CLIENT))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_whole_rotation_on_a_server(world: World) -> None:
    world.done(ONE)
    assert world.bind.accepts == {"g1.node", "g1.xfer"}
    assert not world.done(ONE).changed
    both = world.done(BOTH)
    assert world.bind.accepts == {"g1.node", "g2.node", "g1.xfer", "g2.xfer"}
    assert both.facts["proved"] == sorted(world.bind.accepts)
    assert Secret(b"node2".ljust(32, b".")).fingerprint in repr(both), "so that people can compare"
    assert world.content()["node.key"] == "node.g1.key"
    world.done(SWITCHED)
    assert world.content()["node.key"] == "node.g2.key"
    gone = world.done(TWO)
    assert gone.facts["refused"] == ["g1.node", "g1.xfer"]
    assert world.bind.accepts == {"g2.node", "g2.xfer"}
    assert sorted(world.content()) == [
        "bind-transfer.conf",
        "bind-update.conf",
        "node.g2.key",
        "node.key",
        "xfer.g2.key",
        "xfer.key",
    ]
    assert not world.done(TWO).changed


def test_new_keys_come_first_and_old_ones_go_last(world: World) -> None:
    world.done(ONE)
    verbs = [action.verb for action in world.done(TWO).plan.actions]
    assert verbs == ["write", "write", "serve", "switch", "switch", "remove", "remove"]


def test_the_configurations(world: World) -> None:
    world.done(
        bundle(
            node=(1, [1], "update"),
            admin=(1, [1], "update"),
            xfer=(2, [1, 2], "transfer"),
            **{"xfer-n3": (1, [1], "transfer")},
        )
    )
    folder = world.folder
    assert world.content()[TRANSFER_CONF].splitlines()[1:] == [
        f'include "{folder}/xfer.g1.key";',
        f'include "{folder}/xfer.g2.key";',
        f'include "{folder}/xfer-n3.g1.key";',
        'acl "debvisor-transfer" { key "g1.xfer"; key "g2.xfer"; key "g1.xfer-n3"; };',
        'acl "debvisor-readers" { key "g1.admin"; };',
        'acl "debvisor-proof" { key "g1.node"; key "g1.admin"; };',
        'server 192.0.2.10 { keys "g2.xfer"; };',
        'server 192.0.2.12 { keys "g2.xfer"; };',
        'server 192.0.2.13 { keys "g1.xfer-n3"; };',
    ]
    assert world.content()[UPDATE_CONF].splitlines()[1:] == [
        f'include "{folder}/node.g1.key";',
        f'include "{folder}/admin.g1.key";',
    ]
    for name in (TRANSFER_CONF, UPDATE_CONF):
        subprocess.run([program("named-checkconf"), str(folder / name)], check=True, timeout=30)


def test_a_client_has_no_configurations_and_files_for_itself_alone(world: World) -> None:
    world.done(CLIENT)
    assert sorted(world.content()) == ["node.g1.key", "node.key"]
    assert (world.folder / "node.g1.key").stat().st_mode & 0o777 == 0o600
    assert world.bind.reconfigured == 0
    world.done(ONE)
    assert (world.folder / "node.g1.key").stat().st_mode & 0o777 == 0o640


def test_a_server_that_is_not_set_up_yet_is_not_asked(world: World) -> None:
    world.bind.ours = False
    outcome = world.done(ONE)
    assert (world.bind.reconfigured, outcome.facts["proved"]) == (0, [])


def test_what_lies_in_the_way_is_replaced(world: World) -> None:
    (world.folder / "node.key").write_text("an old file in the place of the link")
    (world.folder / "node.g9.key").write_text("no key at all")
    (world.folder / "gone.key").symlink_to("gone.g1.key")
    (world.folder / "mine.txt").write_text("somebody's own")
    world.done(CLIENT)
    assert sorted(world.content()) == ["mine.txt", "node.g1.key", "node.key"]


def test_a_server_that_does_not_accept_a_key_gets_its_old_ones_back(world: World) -> None:
    world.done(ONE)
    before = world.content()
    world.bind.reconfigure = lambda timeout=3.0: None  # type: ignore[method-assign]
    refused = world.run(TWO)
    assert "does not accept g2.node, g2.xfer" in str(refused.failure)
    assert refused.rolled_back
    assert world.content() == before


def test_a_server_that_was_not_told_of_its_files_is_told(world: World) -> None:
    world.done(ONE)
    (world.base / "accepted.json").unlink()
    told = world.done(ONE)
    assert [action.verb for action in told.plan.actions] == ["serve"]
    assert world.bind.accepts == {"g1.node", "g1.xfer"}


def test_a_server_that_still_accepts_an_old_key_gets_it_back(world: World) -> None:
    world.done(ONE)
    before = world.content()
    world.bind.stubborn = True
    refused = world.run(TWO)
    assert "still accepts g1.node, g1.xfer" in str(refused.failure)
    assert world.content() == before


def test_a_server_that_is_away_for_a_moment_is_waited_for(world: World) -> None:
    world.bind.moods = [DebvisorError("rndc failed"), DebvisorError("rndc failed")]
    world.done(ONE)
    assert world.bind.accepts == {"g1.node", "g1.xfer"}


def test_a_server_that_stays_away_gets_its_old_files_back(world: World) -> None:
    world.done(ONE)
    before = world.content()
    world.bind.moods = [DebvisorError("rndc failed")] * 100
    failed = world.run(TWO)
    assert "rndc failed" in str(failed.failure)
    assert failed.rollback_errors, "it could not be reconfigured back either, and says so"
    world.bind.moods = []
    world.done(ONE)
    assert world.content() == before


def test_a_number_that_comes_again_with_another_secret_is_replaced(world: World) -> None:
    """The keyring was lost, and a new one begins with numbers that servers know already."""
    world.done(ONE)
    document = json.loads(ONE)
    for name, entry in document["classes"].items():
        entry["keys"]["1"]["secret"] = secret(f"another {name}")
    world.done(json.dumps(document))
    assert world.bind.accepts == {"g1.node", "g1.xfer"}
    assert b"another node".ljust(32, b".") in world.bind._accepted().values()
    assert not world.done(json.dumps(document)).changed


def test_a_server_that_keeps_another_secret_gets_its_old_files_back(world: World) -> None:
    world.done(ONE)
    before = world.content()
    document = json.loads(ONE)
    document["classes"]["node"]["keys"]["1"]["secret"] = secret("another")
    world.bind.reconfigure = lambda timeout=3.0: None  # type: ignore[method-assign]
    refused = world.run(json.dumps(document))
    assert "does not accept g1.node" in str(refused.failure)
    assert refused.rolled_back
    assert world.content() == before


def test_owner_and_mode_come_back_too(world: World) -> None:
    world.done(ONE)
    key = world.folder / "node.g1.key"
    key.chmod(0o604)
    world.bind.stubborn = True
    assert world.run(TWO).failure is not None
    assert key.stat().st_mode & 0o777 == 0o604
    assert sorted(path.name for path in world.folder.iterdir()) == sorted(world.content())
    assert not [name for name in world.content() if name.startswith(".")], "no copy is left"
    world.bind.stubborn = False
    world.done(ONE)
    assert key.stat().st_mode & 0o777 == 0o640, "a mode alone is mended"


def test_each_moment_of_a_rotation_is_a_good_one(world: World) -> None:
    """Whenever a client reads its key file, the server accepts what is in it, and has all files that it needs."""
    world.done(ONE)
    seen: list[tuple[set[str], str]] = []

    class Watched(OwnFiles):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name in {"write", "link", "remove"}:
                self._look()
            return found

        def _look(self) -> None:
            key = tsig.parse((world.folder / "node.key").read_bytes(), "")
            seen.append((world.bind.accepts, key.name))
            for conf in (TRANSFER_CONF, UPDATE_CONF):
                for line in (world.folder / conf).read_text().splitlines():
                    assert not line.startswith("include") or Path(line.split('"')[1]).exists()

    for sealed in (BOTH, SWITCHED, TWO):
        world.run(sealed, files=Watched())
    assert {signer for accepted, signer in seen} == {"g1.node", "g2.node"}
    assert not [each for each in seen if each[1] not in each[0]]


def test_a_configuration_that_bind_refuses_is_not_put_in_its_place(world: World) -> None:
    world.done(ONE)
    before = world.content()

    def refuse(text: str) -> None:
        raise DebvisorError("named-checkconf says no")

    world.bind.check_text = refuse  # type: ignore[method-assign]
    refused = world.run(TWO)
    assert "named-checkconf says no" in str(refused.failure)
    assert refused.rolled_back
    assert world.content() == before
    assert world.bind.accepts == {"g1.node", "g1.xfer"}


def test_a_switch_of_a_killed_run_leaves_no_link_behind(world: World) -> None:
    world.done(ONE)
    (world.folder / ".node.key.4711").symlink_to("node.g2.key")
    world.done(ONE)
    assert ".node.key.4711" not in world.content()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"folder": "keys"}, "folder"),
        ({"peers": {"192.0.2.1": "x", "no..": "x"}}, "peers"),
        ({"peers": {"192.0.2.1": "g1.x"}}, "peers[192.0.2.1]"),
    ],
)
def test_options_that_are_wrong(world: World, more: dict[str, Any], what: str) -> None:
    assert what in str(world.run(ONE, **more).failure)
    assert world.content() == {}


@pytest.mark.parametrize("sealed", ["", "{}", "not json", bundle(**{"A b": (1, [1], "")})])
def test_what_is_no_bundle_changes_nothing(world: World, sealed: str) -> None:
    world.done(ONE)
    before = world.content()
    assert "is not a set of keys" in str(world.run(sealed).failure)
    assert world.content() == before


def revised(sealed: str, revision: Any) -> str:
    return json.dumps({**json.loads(sealed), "revision": revision})


def test_what_is_older_than_what_is_held_changes_nothing(world: World) -> None:
    world.done(revised(TWO, 7))
    before = world.content()
    assert before["keyring.revision"] == "7\n"
    late = world.run(revised(BOTH, 6))
    assert "are older than those on this host" in str(late.failure)
    assert world.content() == before
    assert "older" in str(world.run(BOTH).failure), "without a revision it may be any age"
    assert not world.done(revised(TWO, 7)).changed
    assert [action.verb for action in world.done(revised(TWO, 8)).plan.actions] == ["note"]


@pytest.mark.parametrize("revision", ["7", 1.5, None, True])
def test_a_revision_is_a_number(world: World, revision: Any) -> None:
    assert "not a set of keys" in str(world.run(revised(ONE, revision)).failure)
