# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ZFS says, and what we ask of it. That a kernel sees it the same way is for tests/vm to show."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import (
    block_device,
    device_volumes,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.zfs import (
    GRANULE,
    ZfsVolumes,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Volume,
)

from tests.fakes.zfs_tool import GIB, ZfsTool

MARKS = Marks(
    image=f"sha256:{'ab' * 32}", token="0123beef", at="2026-01-31T12:00:00Z", virtual_size=7
)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ZfsTool:
    found = ZfsTool()
    monkeypatch.setattr(command, "run", found)
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path)
    monkeypatch.setattr(block_device, "wait_for", lambda path: None)
    monkeypatch.setattr(device_volumes, "PAUSE", 0)
    monkeypatch.setattr(device_volumes, "RELEASE", 0.05)
    return found


@pytest.fixture
def backend(tool: ZfsTool) -> ZfsVolumes:
    return ZfsVolumes("tank")


def present(backend: ZfsVolumes, name: str) -> Volume:
    found = backend.find(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["vm-root_1.a", "a.new-0123beef", "a:b", "x" * 235])
def test_good_names(name: str) -> None:
    assert ZfsVolumes("tank").name_fault(name) == ""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-a", "a b", "a@b", "a#b", "ü", "a\n", "x" * 236]
)
def test_bad_names(name: str) -> None:
    assert ZfsVolumes("tank").name_fault(name) != ""


def test_a_volume_has_its_marks_from_the_first_moment(tool: ZfsTool, backend: ZfsVolumes) -> None:
    made = backend.create("a", GIB + 1, MARKS)
    assert (made.marks, made.special, made.size) == (MARKS, "", GIB + GRANULE)
    assert made.path == "/dev/zvol/tank/a"
    assert backend.owned() == (made,)
    [words] = tool.changes()
    assert "debvisor:owner=debvisor.hci" in words


def test_inherited_marks_make_nothing_ours(tool: ZfsTool, backend: ZfsVolumes) -> None:
    tool.datasets["tank"]["debvisor:owner"] = "debvisor.hci"
    tool.add("tank/a")
    assert present(backend, "a").marks is None
    assert backend.owned() == ()


def test_all_marks_are_replaced_at_once(tool: ZfsTool, backend: ZfsVolumes) -> None:
    made = backend.mark(backend.create("a", GIB, MARKS), Marks(token="1"))
    assert made.marks == Marks(token="1")
    [words] = tool.changes()[1:]
    assert words[0] == "set"
    assert {"debvisor:token=1", "debvisor:image="} < set(words)


def test_what_is_more_than_a_plain_volume_is_left_alone(tool: ZfsTool, backend: ZfsVolumes) -> None:
    tool.add("tank/home", type="filesystem", volsize="-")
    backend.create("a", GIB, MARKS)
    tool.snapshots.add("tank/a@backup")
    for name, special in (("home", "file system"), ("a", "origin of snapshots")):
        found = present(backend, name)
        assert found.special == special
        for act in (
            backend.remove,
            lambda v: backend.rename(v, "b"),
            lambda v: backend.mark(v, MARKS),
        ):
            with pytest.raises(Refused, match=special):
                act(found)
    assert len(tool.changes()) == 1


def test_another_volume_of_the_name_is_left_alone(tool: ZfsTool, backend: ZfsVolumes) -> None:
    made = backend.create("a", GIB, MARKS)
    tool.add("tank/a")
    for act in (
        backend.remove,
        lambda v: backend.rename(v, "b"),
        lambda v: backend.mark(v, Marks()),
    ):
        with pytest.raises(Refused, match="another volume than before"):
            act(made)
    assert len(tool.changes()) == 1


def test_a_golden_volume_is_plain_and_its_clones_too(tool: ZfsTool, backend: ZfsVolumes) -> None:
    golden = backend.mark(backend.create("golden", GIB, MARKS), Marks(golden=True))
    backend.seal(golden)
    backend.seal(golden)
    clone = backend.clone(golden, "a", GIB + 1, Marks(token="1"))
    assert (clone.size, clone.special, clone.marks) == (GIB + GRANULE, "", Marks(token="1"))
    assert present(backend, "golden").special == ""
    assert [words[0] for words in tool.changes()].count("snapshot") == 1
    with pytest.raises(Refused, match="tank/a"):
        backend.remove(golden)
    backend.remove(clone)
    backend.remove(golden)
    assert list(tool.datasets) == ["tank"]


def test_a_snapshot_of_others_protects_a_golden_volume(tool: ZfsTool, backend: ZfsVolumes) -> None:
    golden = backend.mark(backend.create("golden", GIB, MARKS), Marks(golden=True))
    backend.seal(golden)
    tool.snapshots.add("tank/golden@backup")
    with pytest.raises(Refused, match="origin of snapshots"):
        backend.remove(golden)
    assert backend.clone(golden, "a", GIB, MARKS).special == ""


def test_a_volume_that_is_looked_at_for_a_moment_goes_all_the_same(
    tool: ZfsTool, backend: ZfsVolumes
) -> None:
    made = backend.create("a", GIB, MARKS)
    tool.failures = [("destroy", "cannot destroy 'tank/a': dataset is busy")]
    backend.remove(made)
    assert backend.find("a") is None


def test_a_volume_that_stays_in_use_is_refused_in_the_end(
    tool: ZfsTool, backend: ZfsVolumes
) -> None:
    made = backend.create("a", GIB, MARKS)
    tool.failures = [("destroy", "cannot destroy 'tank/a': dataset is busy")] * 100_000
    with pytest.raises(Refused, match="busy"):
        backend.remove(made)


def test_taken_names_are_refused(backend: ZfsVolumes) -> None:
    one, other = backend.create("a", GIB, MARKS), backend.create("b", GIB, MARKS)
    with pytest.raises(Refused, match="already exists"):
        backend.rename(one, "b")
    with pytest.raises(Refused, match="already exists"):
        backend.create("b", GIB, MARKS)
    assert present(backend, "b") == other


def test_room_and_health(tool: ZfsTool, backend: ZfsVolumes) -> None:
    assert (backend.space().free, backend.space().troubles) == (10 * GIB, ())
    tool.health = "DEGRADED"
    assert backend.space().troubles == ("the pool tank is DEGRADED",)


def test_a_pool_that_is_not_there_is_an_error(tool: ZfsTool) -> None:
    other = ZfsVolumes("tank/other")
    for look in (lambda: other.find("a"), other.owned, other.space):
        with pytest.raises(Unreachable, match="there is no dataset"):
            look()


def test_no_answer_is_not_taken_for_no_volume(tool: ZfsTool, backend: ZfsVolumes) -> None:
    tool.failures = [("get", "The ZFS modules cannot be auto-loaded.")]
    with pytest.raises(Unreachable, match="modules"):
        backend.find("a")


def test_a_volume_and_its_snapshots_are_seen_with_one_question(
    tool: ZfsTool, backend: ZfsVolumes
) -> None:
    backend.create("a", GIB, MARKS)
    tool.snapshots |= {"tank/a@backup", "tank/ab@backup"}
    tool.asked.clear()
    assert present(backend, "a").special == "origin of snapshots"
    assert [words[0] for words in tool.asked] == ["get"]
