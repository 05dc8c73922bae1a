# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LVM says, and what we ask of it. That a kernel sees it the same way is for tests/vm to show."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import device_volumes
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.lvm import (
    LogicalVolumes,
    ThickVolumes,
    ThinVolumes,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Volume,
)

from tests.fakes.lvm_tool import EXTENT, LvmTool

MARKS = Marks(
    image=f"sha256:{'ab' * 32}", token="0123beef", at="2026-01-31T12:00:00Z", virtual_size=7
)
OWNER = "debvisor.owner=debvisor.hci"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LvmTool:
    found = LvmTool()
    found.add_thin_pool()
    monkeypatch.setattr(command, "run", found)
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path)
    monkeypatch.setattr(device_volumes, "PAUSE", 0)
    monkeypatch.setattr(device_volumes, "RELEASE", 0.05)
    return found


def backends() -> list[LogicalVolumes]:
    return [ThickVolumes("hv"), ThinVolumes("hv/thin")]


def present(backend: LogicalVolumes, name: str) -> Volume:
    found = backend.find(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["vm-root_1.a+b", "_", "a.new-0123beef", "x" * 100])
def test_good_names(name: str) -> None:
    assert ThickVolumes("hv").name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "-a", "a b", "a@b", "ü", "a\n", "x" * 110, "-".join("a" * 40)),
        *("snapshot1", "pvmove0", "a_tdata", "a_tmeta", "a_rimage_0", "a_mlog", "lvol0_pmspare"),
    ],
)
def test_bad_names(name: str) -> None:
    assert ThickVolumes("hv").name_fault(name) != ""


@pytest.mark.parametrize("backend", backends(), ids=lambda backend: backend.kind)
def test_a_volume_has_its_marks_from_the_first_moment(
    tool: LvmTool, backend: LogicalVolumes
) -> None:
    made = backend.create("a", EXTENT, MARKS)
    assert (made.marks, made.special, made.size) == (MARKS, "", EXTENT)
    assert backend.owned() == (made,)
    [words] = tool.changes()
    assert f"--addtag={OWNER}" in words


def test_sizes_are_whole_sectors(tool: LvmTool) -> None:
    made = ThickVolumes("hv").create("a", EXTENT + 1, MARKS)
    assert f"{EXTENT + 512}b" in tool.changes()[0]
    assert made.size == 2 * EXTENT


@pytest.mark.parametrize(
    ("fields", "special"),
    [
        ({}, ""),
        ({"lv_layout": "raid,raid1"}, ""),
        ({"lv_layout": "cache,pool", "lv_role": "private"}, "cache pool"),
        ({"lv_role": "public,snapshot,thicksnapshot", "origin": "root"}, "snapshot"),
        ({"lv_role": "public,origin,thickorigin"}, "origin of snapshots"),
        ({"lv_layout": "thin,sparse", "pool_lv": "thin"}, "volume of the pool thin"),
    ],
)
def test_what_is_more_than_a_plain_thick_volume(
    tool: LvmTool, fields: dict[str, str], special: str
) -> None:
    tool.add("a", **fields)
    assert present(ThickVolumes("hv"), "a").special == special


@pytest.mark.parametrize(
    ("fields", "special"),
    [
        ({"pool_lv": "thin"}, ""),
        ({"pool_lv": "thin", "lv_role": "public,snapshot,thinsnapshot", "origin": "golden"}, ""),
        (
            {"pool_lv": "thin", "lv_role": "public,snapshot,thinsnapshot", "origin": "root"},
            "snapshot",
        ),
        (
            {"pool_lv": "thin", "lv_role": "public,snapshot,thinsnapshot", "origin": "gone"},
            "snapshot",
        ),
        ({"pool_lv": "thin", "lv_role": "public,origin,thinorigin"}, "origin of snapshots"),
        ({"pool_lv": "other"}, "volume outside the pool hv/thin"),
        ({}, "volume outside the pool hv/thin"),
    ],
)
def test_what_is_more_than_a_plain_thin_volume(
    tool: LvmTool, fields: dict[str, str], special: str
) -> None:
    tool.add("root", pool_lv="thin")
    tool.add("golden", pool_lv="thin", lv_tags=f"{OWNER},debvisor.golden=yes")
    tool.add("a", **fields)
    assert present(ThinVolumes("hv/thin"), "a").special == special


@pytest.mark.parametrize("backend", backends(), ids=lambda backend: backend.kind)
def test_the_thin_pool_itself_is_left_alone(tool: LvmTool, backend: LogicalVolumes) -> None:
    pool = present(backend, "thin")
    assert pool.special == "thin pool"
    for act in (backend.remove, lambda v: backend.rename(v, "b"), lambda v: backend.mark(v, MARKS)):
        with pytest.raises(Refused, match="thin pool"):
            act(pool)
    assert tool.changes() == []


def test_only_marks_that_differ_are_written_and_tags_of_others_stay(tool: LvmTool) -> None:
    tool.add("a", lv_tags=f"backup,{OWNER},debvisor.token=1,debvisor.at=x")
    backend = ThickVolumes("hv")
    made = backend.mark(present(backend, "a"), Marks(token="1", golden=True))
    assert made.marks == Marks(token="1", golden=True)
    assert tool.changes() == [
        ("lvchange", "--deltag=debvisor.at=x", "--addtag=debvisor.golden=yes", "hv/a")
    ]
    assert "backup" in tool.volumes["a"]["lv_tags"]
    backend.mark(made, Marks(token="1", golden=True))
    assert len(tool.changes()) == 1


def test_what_is_removed_is_named_by_its_uuid(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    backend.remove(made)
    assert tool.changes()[-1] == ("lvremove", "--yes", "--select", f"lv_uuid={made.identity}", "hv")
    backend.remove(made)
    assert len(tool.changes()) == 2


def test_another_volume_of_the_name_is_left_alone(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    tool.add("a")
    for act in (
        backend.remove,
        lambda v: backend.rename(v, "b"),
        lambda v: backend.mark(v, Marks()),
    ):
        with pytest.raises(Refused, match="another volume than before"):
            act(made)
    assert len(tool.changes()) == 1


def test_a_volume_that_is_looked_at_for_a_moment_goes_all_the_same(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    tool.failures = [("lvremove", "  Logical volume hv/a in use.")]
    backend.remove(made)
    assert backend.find("a") is None


def test_a_volume_that_stays_in_use_is_refused_in_the_end(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    tool.failures = [("lvremove", "  Logical volume hv/a in use.")] * 100_000
    with pytest.raises(Refused, match="in use"):
        backend.remove(made)


def test_other_refusals_are_not_repeated(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    tool.failures = [("lvremove", "  Cannot process volume group hv")]
    with pytest.raises(Refused, match="Cannot process"):
        backend.remove(made)
    assert len(tool.changes()) == 2


@pytest.mark.parametrize("backend", backends(), ids=lambda backend: backend.kind)
def test_taken_names_are_refused(tool: LvmTool, backend: LogicalVolumes) -> None:
    one, other = backend.create("a", EXTENT, MARKS), backend.create("b", EXTENT, MARKS)
    with pytest.raises(Refused, match="already exists"):
        backend.rename(one, "b")
    with pytest.raises(Refused, match="already exists"):
        backend.create("b", EXTENT, MARKS)
    assert present(backend, "b") == other


def test_a_clone_is_plain_and_as_large_as_wanted(tool: LvmTool) -> None:
    backend = ThinVolumes("hv/thin")
    golden = backend.mark(backend.create("golden", EXTENT, MARKS), Marks(golden=True))
    backend.seal(golden)
    backend.seal(golden)
    clone = backend.clone(golden, "a", 2 * EXTENT, Marks(token="1"))
    assert (clone.size, clone.special, clone.marks) == (2 * EXTENT, "", Marks(token="1"))
    assert present(backend, "golden").special == ""
    assert [words[0] for words in tool.changes()].count("lvchange") == 2
    same = backend.clone(golden, "b", EXTENT, Marks(token="1"))
    assert (same.size, tool.changes()[-1][0]) == (EXTENT, "lvcreate")


def test_thick_volumes_cannot_be_cloned(tool: LvmTool) -> None:
    backend = ThickVolumes("hv")
    made = backend.create("a", EXTENT, MARKS)
    assert not backend.can_clone
    with pytest.raises(Refused):
        backend.clone(made, "b", EXTENT, MARKS)
    with pytest.raises(Refused):
        backend.seal(made)


@pytest.mark.parametrize(("zero", "promised"), [("zero", True), ("", False)])
def test_zeros_are_promised_where_the_pool_zeroes(tool: LvmTool, zero: str, promised: bool) -> None:
    tool.add_thin_pool(zero=zero)
    backend = ThinVolumes("hv/thin")
    assert backend.fresh_is_zero is backend.can_clone is promised


def test_room(tool: LvmTool) -> None:
    assert ThickVolumes("hv").space().free == 100 * EXTENT
    assert ThinVolumes("hv/thin").space().free == 75 * EXTENT
    assert ThinVolumes("hv/thin").space().granule == EXTENT


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({"metadata_percent": "90.00"}, "metadata is 90.00 % full"),
        ({"lv_health_status": "metadata_read_only"}, "metadata_read_only"),
        ({"data_percent": "", "metadata_percent": ""}, "not active"),
    ],
)
def test_troubles_of_a_thin_pool(tool: LvmTool, fields: dict[str, str], trouble: str) -> None:
    tool.add_thin_pool(**fields)
    [told] = ThinVolumes("hv/thin").space().troubles
    assert trouble in told


@pytest.mark.parametrize(
    ("attributes", "trouble"),
    [("rz--n-", "read-only"), ("wzx-n-", "exported"), ("wz-pn-", "lacks physical volumes")],
)
def test_troubles_of_a_group(tool: LvmTool, attributes: str, trouble: str) -> None:
    tool.group["vg_attr"] = attributes
    for backend in (ThickVolumes("hv"), ThinVolumes("hv/thin")):
        [told] = backend.space().troubles
        assert trouble in told


@pytest.mark.parametrize(
    "backend", [ThickVolumes("other"), ThinVolumes("hv/other"), ThinVolumes("hv/a")]
)
def test_a_pool_that_is_not_there_is_an_error(tool: LvmTool, backend: LogicalVolumes) -> None:
    tool.add("a")
    for look in (lambda: backend.find("b"), backend.owned, backend.space):
        with pytest.raises(Unreachable, match="there is no"):
            look()


def test_what_is_no_answer_is_an_error(tool: LvmTool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.failures = [("lvs", "  Devices file is locked")]
    with pytest.raises(Unreachable, match="Devices file is locked"):
        ThickVolumes("hv").find("a")
    monkeypatch.setattr(tool, "_answer", lambda verb, words: "{}")
    with pytest.raises(Unreachable, match="invalid report"):
        ThickVolumes("hv").find("a")


def test_an_inactive_volume_has_no_users(tool: LvmTool) -> None:
    tool.add("a", lv_device_open="unknown", lv_attr="-wi-------")
    backend = ThickVolumes("hv")
    assert backend.users(present(backend, "a")) == ()


def test_the_kernels_count_knows_users_that_leave_no_other_trace(tool: LvmTool) -> None:
    tool.add("a", lv_device_open="open")
    backend = ThickVolumes("hv")
    assert backend.users(present(backend, "a")) == (("kernel", "", ""),)
