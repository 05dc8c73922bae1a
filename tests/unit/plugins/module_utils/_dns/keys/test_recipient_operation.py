# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's private key: made once, kept, for its owner alone, and shown to nobody."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Action
from ansible_collections.debvisor.hci.plugins.module_utils._core.resource import Managed
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.recipient_operation import (
    SPEC,
    PrivateKeyInvalid,
    TsigRecipient,
    read_private,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto.sealing import (
    Opener,
    Sealer,
    public_of,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.files import files_case
from tests.fakes.operation_contract import Case, OperationContract

PRIVATE = bytes(range(32))


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "state").mkdir()
        self.path = base / "state" / "recipient"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def operation(self, files: Files) -> Managed:
        return Managed(TsigRecipient(files, lambda: Secret(PRIVATE), public_of))

    def run(self, check: bool = False, path: str | None = None) -> Outcome:
        params = filled(SPEC, {"path": path or str(self.path)})
        return execute(self.operation(Files()), params, self.records, check=check)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_made_once_and_what_is_sealed_for_it_opens(world: World) -> None:
    made = world.run()
    assert (made.failure, made.changed) == (None, True)
    assert world.path.stat().st_mode & 0o777 == 0o600
    kept = world.run()
    assert (kept.failure, kept.changed) == (None, False)
    assert kept.plan.facts["public"] == made.facts["public"]
    box = Sealer().seal(b"for you", str(made.facts["public"]))
    opener = Opener(lambda path: read_private(Files().read, path))
    assert opener.open(box, str(world.path)) == b"for you"


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"not base64!", b"c2hvcnQ="])
def test_a_damaged_one_is_told_and_stays(world: World, content: bytes) -> None:
    world.path.write_bytes(content)
    told = str(world.run().failure)
    assert "private key" in told
    assert "Remove the file" in told
    assert world.path.read_bytes() == content


def test_what_is_no_base64_has_its_own_error() -> None:
    with pytest.raises(PrivateKeyInvalid):
        read_private(lambda path: b"%", "/x")


@pytest.mark.parametrize("path", ["relative", "/folder/", "/a\0b"])
def test_a_path_that_is_none(world: World, path: str) -> None:
    assert "not the absolute path" in str(world.run(path=path).failure)


def test_without_its_folder(world: World) -> None:
    world.path.parent.rmdir()
    assert "does not exist" in str(world.run().failure)
    foretold = world.run(check=True)
    assert foretold.failure is None, "the folder is made by the play that it foretells"


def test_one_that_others_put_there_after_an_interrupted_run_is_kept(world: World) -> None:
    journal = world.records.journal.open("1-1", "tsig_recipient", "tsig_recipient")
    receipt = {"key": str(world.path), "before": None, "after": {}, "kept": None, "lost": False}
    journal.begin(Action("create", str(world.path)), receipt)
    world.path.write_bytes(base64.b64encode(bytes(32)) + b"\n")
    restored = world.path.read_bytes()
    outcome = world.run()
    assert "is kept" in outcome.warnings[0]
    assert (outcome.failure, outcome.changed) == (None, True)
    assert world.path.read_bytes() == restored


def made(base: Path) -> Case:
    world = World(base)
    return files_case(
        lambda wire: world.operation(wire("files", Files())),
        filled(SPEC, {"path": str(world.path)}),
        world.path.parent,
        secrets=[PRIVATE],
        restores=False,  # a key stays
    )


class TestContract(OperationContract):
    operation = TsigRecipient
    cases = (made,)
