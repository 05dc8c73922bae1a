# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's private key: made once, kept, for its owner alone, and shown to nobody."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.recipient_operation import (
    PrivateKeyInvalid,
    TsigRecipient,
    read_private,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.files import Files
from ansible_collections.debvisor.hci.plugins.module_utils._ports.sealing import (
    Opener,
    Sealer,
    public_of,
)

from tests.unit.plugins.module_utils._dns.test_tsig_key_operation import HookedFiles, ReadOnlyFiles

PRIVATE = bytes(range(32))


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "state").mkdir()
        self.path = base / "state" / "recipient"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def run(
        self, files: Files | None = None, check: bool = False, path: str | None = None
    ) -> Outcome:
        operation = TsigRecipient(files or Files(), lambda: Secret(PRIVATE), public_of)
        return execute(operation, {"path": path or str(self.path)}, self.records, check=check)


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
    opener = Opener(lambda: read_private(Files().read, str(world.path)))
    assert opener.open(box) == b"for you"


def test_check_mode_makes_none(world: World) -> None:
    foretold = world.run(ReadOnlyFiles(), check=True)
    assert (foretold.failure, foretold.changed) == (None, True)
    assert not world.path.exists()
    world.run()
    assert not world.run(ReadOnlyFiles(), check=True).changed


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


@pytest.mark.parametrize("after", [False, True])
def test_a_failure_leaves_none(world: World, after: bool) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    assert world.run(HookedFiles(fail, "write", after=after)).failure is not None
    assert list(world.path.parent.iterdir()) == []


@pytest.mark.parametrize("after", [False, True])
def test_after_a_kill_the_next_run_makes_one(world: World, after: bool) -> None:
    child = os.fork()
    if child == 0:
        world.run(HookedFiles(lambda: os._exit(9), "write", after=after))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert world.run().failure is None
    assert [path.name for path in world.path.parent.iterdir()] == ["recipient"]


def test_it_is_nowhere_but_in_its_file(world: World) -> None:
    texts: list[str] = []

    def look() -> None:
        texts.extend(path.read_text() for path in world.records.journal.folder.iterdir())

    outcome = world.run(HookedFiles(look, "write"))
    texts += [world.records.audit.path.read_text(), repr(outcome), repr(world.run())]
    assert len(texts) == 4
    for text in texts:
        assert base64.b64encode(PRIVATE).decode() not in text
        assert PRIVATE.hex() not in text
        assert repr(PRIVATE)[2:-1] not in text
