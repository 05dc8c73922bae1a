# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume is filled, beside, in place or by a clone; whatever fails, the old one is there or the new one is proved."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    InvalidInput,
    Refused,
    TimedOut,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Outcome
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.checksums import (
    BadChecksum,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    Cancelled,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_operation import (
    VolumeImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Space,
)

from tests.fakes.operation_contract import Case, OperationContract, named
from tests.fakes.switchboard import Fault, Killed
from tests.fakes.volume_world import NAME, NOW, PARAMS, SIZE, WRITES, World
from tests.fakes.volumes import BLOCK, FakePool, Held, picture

MEMORY = Path("/dev/shm")


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder in memory: thousands of runs write their journals, and here it is not the machine that is cut off."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def world(base: Path) -> World:
    return World(base)


def verbs(outcome: Outcome) -> list[str]:
    return [action.verb for action in outcome.plan.actions]


def well(outcome: Outcome) -> Outcome:
    assert outcome.failure is None, outcome.failure
    return outcome


# -- When all goes well


def test_a_volume_is_made_filled_proved_and_marked(world: World) -> None:
    outcome = well(world.run())
    assert verbs(outcome) == ["fetch", "create", "populate", "publish"]
    assert outcome.changed
    assert bytes(world.volume.content) == world.filled
    assert world.volume.marks == Marks(world.mark, "00000001", NOW, len(world.image.disk))
    assert world.names == {NAME, "neighbour"}
    assert outcome.facts["volume"] == {
        "device": f"/dev/vg/thin/{NAME}",
        "identity": world.volume.identity,
        "size": SIZE,
        "image": world.mark,
        "filled_at": NOW,
    }
    assert outcome.facts["image_path"] == f"/cache/{world.image.digest}.qcow2"
    assert (outcome.plan.facts["cache_hit"], outcome.plan.facts["virtual_size"]) == (
        False,
        len(world.image.disk),
    )
    assert world.open_transactions == []


def test_connections_are_let_go_of_whether_it_went_well_or_not(world: World) -> None:
    well(world.run())
    assert (world.pool.closed, world.guests.closed) == (True, True)
    world.pool.closed = world.guests.closed = False
    assert world.run(size="1K").failure is not None
    assert (world.pool.closed, world.guests.closed) == (True, True)


def test_the_run_is_seen_as_a_job(world: World) -> None:
    well(world.run(correlation_id="ticket-7"))
    assert world.work.stages == [
        "preflight",
        "resolving_checksum",
        "checking_cache",
        "downloading",
        "creating_volume",
        "converting",
        "syncing",
        "verifying_volume",
        "publishing",
        "finalizing",
    ]
    job = world.work.job
    assert (job.job_id, job.correlation_id, job.volume_name) == ("job-1", "ticket-7", NAME)
    assert (job.image_sha256, job.cache_hit) == (world.image.digest, False)
    assert job.volume["device"] == f"/dev/vg/thin/{NAME}"
    assert world.work.ends == [("", False)]
    assert len(world.image.disk) in world.work.done


def test_the_image_is_looked_at_once_and_the_volume_read_back_after_it_is_on_the_medium(
    world: World,
) -> None:
    well(world.run())
    calls = world.board.calls
    assert [calls.count(f"disks.{name}") for name in ("info", "extents", "convert")] == [1, 1, 1]
    from_image, from_volume = (at for at, call in enumerate(calls) if call == "disks.read")
    assert calls.index("disks.extents") < from_image < calls.index("pool.sync") < from_volume


def test_nothing_is_written_before_it_is_our_turn(world: World) -> None:
    well(world.run())
    calls = world.board.calls
    writes = ("pool.create", "disks.convert", "cache.store")
    assert calls.index("work.take_turn") < min(calls.index(call) for call in writes)


def test_a_second_run_changes_nothing_and_asks_no_server_for_the_image(world: World) -> None:
    well(world.run())
    world.volume.content[:4] = b"mine"  # the guest's by now
    again = well(world.run())
    assert (again.changed, verbs(again)) == (False, [])
    assert again.facts["volume"]["filled_at"] == NOW
    assert again.plan.before == again.plan.after == {"size": SIZE, "image": world.mark}
    assert "source.look" not in world.board.calls
    assert "pool.mark" not in world.board.calls
    assert world.volume.content[:4] == b"mine"


def test_an_image_in_the_cache_is_not_fetched(world: World) -> None:
    world.cached()
    outcome = well(world.run())
    assert verbs(outcome) == ["create", "populate", "publish"]
    assert outcome.plan.facts["cache_hit"] is True
    assert "source.download" not in world.board.calls
    assert "source.look" not in world.board.calls
    assert bytes(world.volume.content) == world.filled


def test_another_image_replaces_the_content_beside_and_the_old_volume_goes(world: World) -> None:
    old = world.give_filled(picture(9))
    outcome = well(world.run(overwrite="different"))
    assert world.volume.identity != old.identity
    assert bytes(world.volume.content) == world.filled
    assert world.names == {NAME, "neighbour"}
    [difference] = outcome.plan.differences
    assert difference.name == f"lvm_thin:vg/thin/{NAME}"
    assert difference.before == f"size: {SIZE}\nimage: sha256:{picture(9).digest}\n"
    assert difference.after == f"size: {SIZE}\nimage: {world.mark}\n"


def test_the_same_image_stays_unless_it_shall_always_be_filled_afresh(world: World) -> None:
    old = world.give_filled(world.image)
    for overwrite in ("never", "different"):
        assert well(world.run(overwrite=overwrite)).changed is False
    assert world.volume is old
    assert well(world.run(overwrite="always")).changed
    assert world.volume is not old
    assert bytes(world.volume.content) == world.filled


def test_a_volume_that_nobody_marked_is_replaced_where_that_is_said(world: World) -> None:
    old = world.give(NAME, b"data", None)
    assert isinstance(world.run().failure, Refused)
    assert isinstance(world.run(overwrite="always").failure, Refused)
    assert world.volume is old
    well(world.run(adopt=True, overwrite="different"))
    assert bytes(world.volume.content) == world.filled


def test_content_is_replaced_in_place_where_that_is_said(world: World) -> None:
    old = world.give_filled(picture(9))
    outcome = well(world.run(overwrite="different", replace="in_place"))
    assert verbs(outcome) == ["fetch", "overwrite"]
    assert world.volume is old
    assert bytes(old.content) == world.filled
    assert old.marks == Marks(world.mark, "00000001", NOW, len(world.image.disk))
    assert world.work.stages[4:6] == ["preparing_target", "converting"]


def test_in_place_a_volume_that_is_not_there_is_made(world: World) -> None:
    assert verbs(well(world.run(replace="in_place")))[1:] == ["create", "populate", "publish"]


def test_a_backend_that_promises_no_zeros_gets_them_written(base: Path) -> None:
    world = World(base, FakePool(fresh_is_zero=False, can_clone=False))
    well(world.run())
    assert bytes(world.volume.content) == world.filled
    assert world.board.calls.count("pool.zero") == 1


def test_the_end_of_an_image_that_is_no_whole_sector_is_left_to_qemu(base: Path) -> None:
    world = World(base, FakePool(fresh_is_zero=False, can_clone=False))
    world.image = world.source.image = replace(picture(1, image_type="raw"), disk=b"x" * 1000)
    world.image = world.source.image = replace(world.image, file=b"x" * 1000)
    world.source.published = world.image.digest
    zeroed: list[int] = []
    world.pool.zero = lambda volume, start, length, tick: zeroed.append(start)  # type: ignore[method-assign]
    world.disks.described = {"virtual-size": 1024}
    assert "does not hold" in str(world.run(image_type="raw").failure)  # as nobody wrote the zeros
    assert zeroed == [1024]


def test_every_byte_is_compared_where_that_is_asked_for(world: World) -> None:
    well(world.run(verify="full"))
    assert "disks.compare" in world.board.calls
    well(world.run(overwrite="always"))
    assert "disks.compare" not in world.board.calls


def test_a_raw_image_is_its_own_disk(world: World) -> None:
    world.image = world.source.image = picture(3, image_type="raw")
    world.source.published = world.image.digest
    well(world.run(image_type="raw"))
    assert bytes(world.volume.content) == world.filled


def test_a_volume_is_removed(world: World) -> None:
    world.give_filled(world.image)
    outcome = well(world.run(state="absent"))
    assert (verbs(outcome), world.names) == (["remove"], {"neighbour"})
    assert outcome.plan.after == {}
    again = well(world.run(state="absent"))
    assert again.changed is False
    assert "source.checksum_text" not in world.board.calls


def test_a_volume_that_nobody_marked_is_removed_where_that_is_said(world: World) -> None:
    world.give(NAME, b"data", None)
    assert isinstance(world.run(state="absent").failure, Refused)
    well(world.run(state="absent", adopt=True))
    assert world.names == {"neighbour"}


@pytest.mark.parametrize(
    "options", [{}, {"golden": True}, {"overwrite": "different", "replace": "in_place"}]
)
def test_check_mode_foretells_all_of_the_plan(world: World, options: dict[str, Any]) -> None:
    if "replace" in options:
        world.give_filled(picture(9))
    foretold = well(world.run(check=True, **options))
    assert well(world.run(**options)).plan == foretold.plan


# -- Refusals on the way


def test_the_options_are_checked_before_anything_is_looked_at(world: World) -> None:
    for options in ({"volume_name": ""}, {"size": "128 bits"}, {"job_id": "a/b"}):
        assert isinstance(world.run(**options).failure, InvalidInput)
    assert isinstance(world.run(checksum="sha256:abc").failure, BadChecksum)
    assert not any(call.startswith("pool") for call in world.board.calls)


def test_a_name_that_the_backend_cannot_have_is_not_looked_for(world: World) -> None:
    failure = world.run(volume_name="a b").failure
    assert isinstance(failure, Refused)
    assert "bad characters" in str(failure)
    assert "pool.find" not in world.board.calls


def test_a_checksum_that_nobody_published_stops_the_run(world: World) -> None:
    world.source.published = None
    assert "checksum: none" in str(world.run().failure)
    world.source.published = "not one"
    assert isinstance(world.run().failure, BadChecksum)


def test_the_checksum_may_be_given_or_be_elsewhere(world: World) -> None:
    world.source.published = None
    well(world.run(checksum=f"sha256:{world.image.digest.upper()}"))
    world.source.published = f"{world.image.digest} *debian.qcow2\n"
    assert well(world.run(checksum="https://images.example.org/SHA256SUMS")).changed is False


def test_an_image_of_another_digest_fills_nothing(world: World) -> None:
    old = world.give_filled(picture(9))
    world.source.image = picture(2)
    outcome = world.run(overwrite="different")
    assert isinstance(outcome.failure, VerificationFailed)
    assert world.volume is old
    assert "pool.create" not in world.board.calls


def test_an_image_that_needs_another_file_is_not_opened(world: World) -> None:
    bad = replace(
        world.image, file=world.image.file[:8] + b"\0" * 7 + b"\x70" + world.image.file[16:]
    )
    world.source.image, world.source.published = bad, bad.digest
    failure = world.run().failure
    assert "backing file" in str(failure)
    assert "source.download" not in world.board.calls
    world.cache.put(bad, world.source)
    assert "backing file" in str(world.run().failure)
    assert not {"disks.info", "disks.convert"} & set(world.board.calls)


def test_what_qemu_sees_of_an_image_must_be_what_its_head_says(world: World) -> None:
    world.disks.described = {"virtual-size": 7}
    outcome = world.run()
    assert "7 bytes" in str(outcome.failure)
    assert world.names == {"neighbour"}


def test_an_image_that_was_cut_off_before_it_was_published_is_found_out(world: World) -> None:
    old = world.give_filled(picture(9))
    before = told(old)
    world.disks.damaged.append(world.image)
    for replaced in ("beside", "in_place"):
        outcome = world.run(overwrite="different", replace=replaced)
        assert isinstance(outcome.failure, VerificationFailed)
        assert "disks.convert" not in world.board.calls
        assert (outcome.rolled_back, told(world.volume)) == (True, before)
        assert world.volume is old


def test_an_image_that_turns_out_larger_than_it_said_is_not_written(world: World) -> None:
    world.source.published = None
    small = world.source.look()
    world.source.look = lambda _check=None: small  # type: ignore[method-assign]
    world.source.image = picture(2, blocks=64)
    outcome = world.run(checksum="none")
    assert "does not fit" in str(outcome.failure)
    assert "disks.convert" not in world.board.calls
    assert world.names == {"neighbour"}


# -- Others


def test_a_guest_that_runs_keeps_its_disk(world: World) -> None:
    old = world.give_filled(picture(9))
    world.guests.start("web", NAME)
    for options in ({"overwrite": "different"}, {"overwrite": "always", "replace": "in_place"}):
        assert "guest web" in str(world.run(**options).failure)
    assert "guest web" in str(world.run(state="absent").failure)
    assert world.volume is old
    assert bytes(old.content).startswith(b"guest's data")


def test_a_volume_that_is_right_may_be_in_use(world: World) -> None:
    world.give_filled(world.image)
    world.guests.start("web", NAME)
    assert well(world.run()).changed is False


MOMENTS = ["cache.store", "pool.create", "disks.convert", "pool.sync", "pool.rename"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_guest_that_is_started_meanwhile_keeps_its_disk(world: World, moment: str) -> None:
    old = world.give_filled(picture(9))
    world.board.watchers[moment] = lambda: world.guests.start("web", NAME)
    outcome = world.run(overwrite="different")
    assert isinstance(outcome.failure, Conflict)
    assert outcome.rolled_back
    assert world.volume is old
    assert world.names == {NAME, "neighbour"}


@pytest.mark.parametrize("moment", ["cache.store", "pool.mark"])
def test_in_place_a_guest_that_is_started_meanwhile_keeps_its_data(
    world: World, moment: str
) -> None:
    old = world.give_filled(picture(9))
    world.board.watchers[moment] = lambda: world.guests.start("web", NAME)
    outcome = world.run(overwrite="different", replace="in_place")
    assert isinstance(outcome.failure, Conflict)
    assert bytes(old.content).startswith(b"guest's data")


def test_a_volume_that_is_opened_before_it_is_removed_comes_back(world: World) -> None:
    old = world.give_filled(world.image)
    world.board.watchers["pool.rename"] = lambda: world.guests.start("web", NAME)
    outcome = world.run(state="absent")
    assert isinstance(outcome.failure, Conflict)
    assert (outcome.rolled_back, world.volume) == (True, old)


@pytest.mark.parametrize("options", [{"replace": "beside"}, {"replace": "in_place"}])
def test_a_volume_that_is_another_one_by_now_is_left_alone(
    world: World, options: dict[str, str]
) -> None:
    world.give_filled(picture(9))
    others: list[Held] = []
    world.board.watchers["cache.store"] = lambda: others.append(world.give(NAME, b"new", None))
    outcome = world.run(overwrite="always", **options)
    assert "another volume" in str(outcome.failure)
    assert world.volume is others[0]
    assert bytes(world.volume.content).startswith(b"new")
    assert world.names == {NAME, "neighbour"}


def test_a_volume_that_somebody_makes_while_ours_is_filled_is_left_alone(world: World) -> None:
    others: list[Held] = []
    world.board.watchers["pool.sync"] = lambda: others.append(world.give(NAME, b"new", None))
    outcome = world.run()
    assert isinstance(outcome.failure, Conflict)
    assert world.volume is others[0]
    assert world.names == {NAME, "neighbour"}


def test_a_name_that_somebody_takes_while_it_is_free_is_told(world: World) -> None:
    """The old volume is aside for a moment. Who takes its name then has it; nothing is thrown away."""
    old = world.give_filled(picture(9))
    aside = f"{NAME}.old-00000001"

    def take() -> None:
        world.board.watchers["pool.rename"] = lambda: world.give(NAME, b"new", None)

    world.board.watchers["pool.rename"] = take
    outcome = world.run(overwrite="different")
    assert isinstance(outcome.failure, Refused)
    assert any(aside in warning for warning in outcome.warnings)
    assert world.pool.held[aside] is old
    assert bytes(world.volume.content).startswith(b"new")
    assert world.names == {NAME, aside, "neighbour"}


def test_a_volume_that_is_swapped_after_it_was_published_is_not_taken_for_ours(
    world: World,
) -> None:
    def swap() -> None:
        world.give_filled(world.image)

    world.cached()
    original = world.pool.rename

    def rename(volume: Any, name: str) -> Any:
        renamed = original(volume, name)
        if name == NAME:
            swap()
        return renamed

    world.pool.rename = rename  # type: ignore[method-assign]
    outcome = world.run()
    assert isinstance(outcome.failure, VerificationFailed)
    assert "another volume" in str(outcome.failure)


def test_an_image_that_is_evicted_meanwhile_is_fetched_again(world: World) -> None:
    world.cached()
    world.board.watchers["pool.create"] = world.cache.evict
    well(world.run())
    assert "source.download" in world.board.calls
    assert bytes(world.volume.content) == world.filled


def test_an_image_that_is_evicted_just_before_it_is_held_takes_the_run_back(world: World) -> None:
    world.cached()
    world.board.watchers["cache.hold"] = world.cache.evict
    outcome = world.run()
    assert isinstance(outcome.failure, Conflict)
    assert (outcome.rolled_back, world.names) == (True, {"neighbour"})


def test_an_image_in_use_is_held(world: World) -> None:
    world.cached()
    world.board.watchers["disks.convert"] = world.cache.evict
    world.board.watchers["disks.extents"] = world.cache.evict
    well(world.run())
    assert "source.download" not in world.board.calls


# -- An image whose digest nobody published


def test_an_image_without_digest_is_taken_as_it_comes_and_known_from_then_on(world: World) -> None:
    world.source.published = None
    outcome = well(world.run(checksum="none"))
    assert "taken as it comes" in outcome.warnings[0]
    assert outcome.facts["image_sha256"] == world.image.digest
    assert world.volume.marks is not None
    assert world.volume.marks.image == world.mark
    again = well(world.run(checksum="none"))
    assert (again.changed, again.warnings) == (False, [])
    world.source.image, world.source.etag = picture(2), '"v2"'
    assert isinstance(world.run(checksum="none").failure, Refused)
    assert well(world.run(checksum="none", overwrite="different")).changed


def test_a_guests_disk_is_not_replaced_by_its_own_image_because_the_cache_forgot(
    world: World,
) -> None:
    world.source.published = None
    old = world.give_filled(world.image)
    outcome = world.run(checksum="none", overwrite="different")
    assert "holds this image already" in str(outcome.failure)
    assert world.volume is old
    assert well(world.run(checksum="none", overwrite="different")).changed is False
    well(world.run(checksum="none", overwrite="always"))
    assert world.volume is not old


# -- What the device does


@pytest.mark.parametrize("options", [{}, {"verify": "full"}, {"golden": True}])
def test_a_device_that_loses_what_is_written_is_found_out(
    world: World, options: dict[str, Any]
) -> None:
    old = world.give_filled(picture(9))
    world.disks.lost = (0,)
    outcome = world.run(overwrite="different", **options)
    assert isinstance(outcome.failure, VerificationFailed)
    assert world.volume is old
    assert world.names == {NAME, "neighbour"}


def test_a_volume_that_cannot_be_proved_in_place_does_not_pass_for_a_good_one(
    world: World,
) -> None:
    old = world.give_filled(picture(9))
    world.disks.lost = (0,)
    outcome = world.run(overwrite="different", replace="in_place")
    assert isinstance(outcome.failure, VerificationFailed)
    assert old.marks == Marks(token="00000001")
    assert "lost" in outcome.rollback_errors[0]
    assert (outcome.rolled_back, outcome.nothing_left) == (False, False)
    assert world.work.ends[0][1] is False
    world.disks.lost = ()
    again = well(world.run(overwrite="different", replace="in_place"))
    assert any("lost" in warning for warning in again.warnings)
    assert bytes(old.content) == world.filled
    assert world.open_transactions == []


def test_a_tail_that_is_no_zeros_is_found_out(world: World) -> None:
    world.pool.fresh_is_zero = False
    world.pool.zero = lambda volume, start, length, tick: None  # type: ignore[method-assign]
    assert isinstance(world.run().failure, VerificationFailed)
    assert world.names == {"neighbour"}


# -- Golden volumes


def test_the_first_makes_the_golden_volume_and_the_second_only_clones(world: World) -> None:
    first = well(world.run(golden=True))
    assert verbs(first) == ["fetch", "make golden", "clone", "publish"]
    golden = world.pool.held[world.golden]
    assert golden.sealed
    assert golden.marks == Marks(world.mark, "00000001", NOW, len(world.image.disk), golden=True)
    assert bytes(golden.content) == world.image.disk
    assert bytes(world.volume.content) == world.filled
    assert world.volume.marks == Marks(world.mark, "00000001", NOW, len(world.image.disk))
    world.cache.evict()
    second = well(world.run(golden=True, volume_name="db-root"))
    assert verbs(second) == ["clone", "publish"]
    assert second.plan.facts["cache_hit"] is True
    assert not {"source.look", "source.download", "disks.convert"} & set(world.board.calls)
    assert bytes(world.pool.held["db-root"].content) == world.filled
    assert world.names == {NAME, "db-root", world.golden, "neighbour"}
    assert well(world.run(golden=True)).changed is False


@pytest.mark.parametrize("needed", [True, False])
def test_a_golden_volume_goes_at_once_or_stays(base: Path, needed: bool) -> None:
    world = World(base, FakePool(clones_need_golden=needed))
    well(world.run(golden=True))
    outcome = world.run(volume_name=world.golden, state="absent")
    assert verbs(outcome) == ["remove golden"]
    if needed:
        assert "has clones: web-root" in str(outcome.failure)
        assert (outcome.changed, world.names) == (False, {NAME, world.golden, "neighbour"})
        well(world.run(state="absent"))
        well(world.run(volume_name=world.golden, state="absent"))
        assert world.names == {"neighbour"}
    else:
        assert world.names == {NAME, "neighbour"}
        assert bytes(world.volume.content) == world.filled
    assert world.open_transactions == []


def test_a_clone_needs_no_look_at_the_image_in_the_cache(world: World) -> None:
    world.give_golden()
    world.cached()
    well(world.run(golden=True))
    assert "disks.info" not in world.board.calls


def test_a_golden_volume_in_use_or_changed_stays(world: World) -> None:
    world.give_golden()
    world.guests.start("web", world.golden)
    assert "guest web" in str(world.run(volume_name=world.golden, state="absent").failure)
    world.guests.running.clear()
    world.board.watchers["work.take_turn"] = lambda: world.guests.start("web", world.golden)
    outcome = world.run(volume_name=world.golden, state="absent")
    assert isinstance(outcome.failure, Conflict)
    world.guests.running.clear()
    world.board.watchers["work.take_turn"] = world.give_golden
    outcome = world.run(volume_name=world.golden, state="absent")
    assert "another volume" in str(outcome.failure)
    assert world.golden in world.names


def test_a_backend_that_cannot_clone_fills_each_volume(base: Path) -> None:
    world = World(base, FakePool(can_clone=False))
    assert "make golden" not in verbs(well(world.run(golden=True)))
    assert world.names == {NAME, "neighbour"}


@pytest.mark.parametrize("cached", [False, True])
def test_two_runs_that_want_the_same_golden_volume_make_one(world: World, cached: bool) -> None:
    if cached:
        world.cached()
    lock = f"golden:lvm_thin:vg/thin:{world.image.digest}"
    world.locks.others.add(lock)
    others: list[Held] = []
    operation = world.operation

    def with_another_run() -> Any:
        made = operation()

        def end() -> None:
            others.append(world.give_golden())
            world.locks.others.clear()

        world.work.meanwhile = end
        return made

    world.operation = with_another_run  # type: ignore[method-assign]
    well(world.run(golden=True))
    assert world.work.waits == ["another run makes the same golden volume"]
    assert world.pool.held[world.golden] is others[0]
    assert world.names == {NAME, world.golden, "neighbour"}
    assert bytes(world.volume.content) == world.filled


def test_a_wait_for_a_golden_volume_can_be_ended(world: World) -> None:
    world.locks.others.add(f"golden:lvm_thin:vg/thin:{world.image.digest}")
    operation = world.operation

    def cancelled_while_it_waits() -> Any:
        made, work = operation(), world.work

        def cancel() -> None:
            work.trouble = Cancelled("the job was cancelled")

        work.meanwhile = cancel
        return made

    world.operation = cancelled_while_it_waits  # type: ignore[method-assign]
    outcome = world.run(golden=True)
    assert isinstance(outcome.failure, Cancelled)
    assert world.names == {"neighbour"}


def test_a_golden_volume_is_fetched_and_known_by_what_came(world: World) -> None:
    world.source.published = None
    well(world.run(golden=True, checksum="none"))
    assert world.golden in world.names


def test_what_only_has_the_name_of_a_golden_volume_is_not_cloned(world: World) -> None:
    for marks in (None, Marks("sha256:" + "0" * 64, golden=True), Marks(world.mark)):
        stranger = world.give(world.golden, b"not it", marks)
        outcome = world.run(golden=True)
        assert isinstance(outcome.failure, Refused)
        assert world.pool.held[world.golden] is stranger
        assert world.names == {world.golden, "neighbour"}


def test_a_golden_volume_that_goes_meanwhile_takes_the_run_back(world: World) -> None:
    world.give_golden()
    world.board.watchers["pool.clone"] = lambda: world.pool.held.pop(world.golden)
    outcome = world.run(golden=True)
    assert isinstance(outcome.failure, Refused)
    assert world.names == {"neighbour"}


def test_a_clone_that_is_no_copy_is_found_out(world: World) -> None:
    golden = world.give_golden()
    original = world.pool.clone

    def clone(*args: Any) -> Any:
        made = original(*args)
        world.pool.held[made.name].content[:BLOCK] = b"\x01" * BLOCK
        return made

    world.pool.clone = clone  # type: ignore[method-assign]
    outcome = world.run(golden=True)
    assert isinstance(outcome.failure, VerificationFailed)
    assert world.pool.held[world.golden] is golden
    assert world.names == {world.golden, "neighbour"}


# -- Every call of every port may fail, or be the last one


def told(held: Held) -> tuple[str, bytes, Marks | None]:
    return held.identity, bytes(held.content), held.marks


def right(held: Held | None, content: bytes, world: World) -> bool:
    """Tell whether a volume holds that, and is marked as proved to hold the image."""
    marks = held and held.marks
    return bool(held and marks and (held.content, marks.image) == (content, world.mark))


@dataclass(frozen=True)
class Scenario:
    """What is asked for, and what is there before."""

    title: str
    options: dict[str, Any]
    prepare: Callable[[World], object] = field(default=lambda world: None)
    makes_golden: bool = False
    fresh_is_zero: bool = True

    def world(self, base: Path) -> World:
        world = World(base, FakePool(fresh_is_zero=self.fresh_is_zero))
        self.prepare(world)
        return world

    def state(self, world: World) -> dict[str, Any]:
        """What there is, but for a golden volume that this run made, proved and sealed: it may stay."""
        held = {name: told(each) for name, each in world.pool.held.items()}
        golden = world.pool.held.get(world.golden)
        proved = golden and golden.sealed and right(golden, world.image.disk, world)
        if self.makes_golden and proved:
            del held[world.golden]
        return held

    def wanted(self, world: World) -> bool:
        names = set(self.state(world)) - (set() if self.makes_golden else {world.golden})
        if self.options.get("state") == "absent":
            return names == {"neighbour"}
        return names == {NAME, "neighbour"} and right(world.volume, world.filled, world)

    def case(self, base: Path) -> Case:
        world = self.world(base)
        return Case(
            world.operation,
            {**PARAMS, **self.options},
            lambda: self.state(world),
            READS,
            wanted=lambda: self.wanted(world),
            repeats=self.options.get("overwrite") != "always",
            restores=self.options.get("state") == "absent",  # a volume that is proved may stay
        )


READS = (
    {f"pool.{call}" for call in ("find", "name_fault", "space", "users")}
    | {f"cache.{call}" for call in ("find", "find_by_origin", "space")}
    | {"source.look", "source.checksum_text", "disks.head", "disks.info"}
    | {"guests.needing_disk", "work.stage"}
)
"""What check mode may call; ``work.stage`` only writes outside of it."""
DIFFERENT, GOLDEN = {"overwrite": "different"}, {"golden": True}
ALWAYS = {"overwrite": "always"}
REPLACED = Scenario("replaced", DIFFERENT, lambda world: world.give_filled(picture(9)))
GOLDEN_OVER = Scenario(
    "golden over", GOLDEN | ALWAYS, lambda world: world.give_filled(world.image), makes_golden=True
)
ABSENT = Scenario("absent", {"state": "absent"}, lambda world: world.give_filled(world.image))
SCENARIOS = (
    Scenario("new", {}),
    Scenario("dirty", {"verify": "full"}, fresh_is_zero=False),
    Scenario("cached", DIFFERENT, World.cached),
    REPLACED,
    Scenario("adopted", DIFFERENT | {"adopt": True}, lambda world: world.give(NAME, b"data", None)),
    Scenario("unpublished", {"checksum": "none"}),
    Scenario("golden", GOLDEN, makes_golden=True),
    GOLDEN_OVER,
    Scenario("second clone", GOLDEN, World.give_golden),
    ABSENT,
)


class TestContract(OperationContract):
    operation = VolumeImage
    cases = tuple(named(each.title, partial(each.case)) for each in SCENARIOS)


BROKEN = DebvisorError("the port broke")


def test_a_run_whose_end_cannot_be_told_is_a_good_run_with_a_warning(world: World) -> None:
    def fail() -> None:
        raise BROKEN

    world.board.watchers["work.ended"] = fail
    outcome = well(world.run())
    assert outcome.warnings
    assert bytes(world.volume.content) == world.filled


def faults(base: Path, scenario: Scenario, failure: BaseException) -> Iterator[Fault]:
    """Yield a fault before every call, and one after every call that has an effect."""
    world = scenario.world(base / "well")
    well(world.run(**scenario.options))
    for number, call in enumerate(world.board.calls):
        yield Fault(number, False, failure)
        if call in WRITES:
            yield Fault(number, True, failure)


@pytest.mark.parametrize("scenario", [REPLACED, GOLDEN_OVER, ABSENT], ids=lambda each: each.title)
def test_what_a_killed_run_left_is_swept_by_a_run_on_another_volume(
    base: Path, scenario: Scenario
) -> None:
    for fault in faults(base, scenario, Killed()):
        world = scenario.world(base / str(fault))
        before = scenario.state(world)
        with pytest.raises(Killed):
            world.run(fault=fault, **scenario.options)
        what = f"{fault}, {world.board.calls[fault.number]}"
        check_nothing_is_lost(world, before[NAME], what)
        well(world.run(volume_name="elsewhere", state="absent"))
        assert scenario.state(world) == before or scenario.wanted(world), what
        assert world.open_transactions == [], what


def check_nothing_is_lost(world: World, old: tuple[Any, ...], what: str) -> None:
    """Whatever stands under whatever name: the old data are there, or the run was verified and is final."""
    if old in [told(held) for held in world.pool.held.values()]:
        return
    assert NAME not in world.names or bytes(world.volume.content) == world.filled, what
    final = [json.loads(path.read_bytes())["committed"] for path in world.open_transactions]
    assert all(final), f"{what}: the old volume went too early"


def test_an_old_volume_that_is_not_known_again_stays_and_is_told_of(base: Path) -> None:
    """Killed between the two renames: what is aside is the only copy."""
    world = REPLACED.world(base / "well")
    well(world.run(**REPLACED.options))
    first_rename = Fault(world.board.calls.index("pool.rename"), True, Killed())
    world = REPLACED.world(base / "killed")
    with pytest.raises(Killed):
        world.run(fault=first_rename, **REPLACED.options)
    aside = f"{NAME}.old-00000001"
    old = world.pool.held[aside]
    old.identity = "another"
    outcome = world.run(**REPLACED.options)
    assert aside in str(outcome.failure)
    assert NAME not in world.names
    assert world.pool.held[aside] is old
    world.pool.held[NAME] = world.pool.held.pop(aside)  # as its message says
    well(world.run(**REPLACED.options))
    assert world.open_transactions == []


@pytest.mark.parametrize("failure", [BROKEN, Killed()], ids=["failed", "killed"])
def test_in_place_a_volume_is_the_old_one_the_new_one_or_known_as_neither(
    base: Path, failure: BaseException
) -> None:
    scenario = replace(REPLACED, options={**DIFFERENT, "replace": "in_place"})
    states = set()
    for fault in faults(base, scenario, failure):
        world = scenario.world(base / str(fault))
        old = world.volume
        before = told(old)
        with contextlib.suppress(Killed):
            world.run(fault=fault, **scenario.options)
        what = f"{fault}, {world.board.calls[fault.number]}"
        assert (world.volume, world.names) == (old, {NAME, "neighbour"}), what
        assert old.marks is not None, what
        if told(old) == before:
            states.add("old")
        elif old.marks.image:
            assert bytes(old.content) == world.filled, what
            states.add("new")
        else:
            assert isinstance(world.run().failure, Refused), what
            states.add("neither")
        well(world.run(**scenario.options))
        assert bytes(old.content) == world.filled, what
        assert world.open_transactions == [], what
    assert states == {"old", "new", "neither"}


# -- Stopped on purpose


def test_a_run_that_is_cancelled_half_way_is_rolled_back(world: World) -> None:
    old = world.give_filled(picture(9))

    def cancel() -> None:
        world.work.trouble = Cancelled("the job was cancelled")

    world.board.watchers["disks.convert"] = cancel
    outcome = world.run(overwrite="different")
    assert isinstance(outcome.failure, Cancelled)
    assert (outcome.rolled_back, outcome.changed, world.volume) == (True, False, old)
    assert world.names == {NAME, "neighbour"}
    assert world.work.ends == [("the job was cancelled", True)]


def test_a_run_that_is_cancelled_between_two_steps_goes_no_further(world: World) -> None:
    world.give_golden()

    def cancel() -> None:
        world.work.trouble = Cancelled("the job was cancelled")

    world.board.watchers["pool.mark"] = cancel  # the last that is done to the clone
    outcome = world.run(golden=True)
    assert isinstance(outcome.failure, Cancelled)
    assert "pool.rename" not in world.board.calls
    assert world.names == {world.golden, "neighbour"}


def test_a_run_whose_time_is_over_is_rolled_back(world: World) -> None:
    def late() -> None:
        world.work.trouble = TimedOut("the job may work for 3600 s")

    world.board.watchers["pool.sync"] = late
    outcome = world.run()
    assert isinstance(outcome.failure, TimedOut)
    assert world.names == {"neighbour"}


def test_an_interrupt_is_rolled_back(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.run(fault=Fault(30, False, KeyboardInterrupt()))
    assert world.names == {"neighbour"}
    assert world.work.ends[0][1] is True


# -- Taking back is by token


def test_only_what_carries_the_token_of_the_run_is_removed(world: World) -> None:
    """Somebody's volume has the name that ours would have had."""
    theirs = world.give(f"{NAME}.new-00000001", b"theirs", Marks(token="ffffffff"))
    outcome = world.run()
    assert isinstance(outcome.failure, Refused)
    assert world.pool.held[f"{NAME}.new-00000001"] is theirs
    assert outcome.rolled_back


def test_a_new_volume_that_is_in_use_already_is_not_taken_away(world: World) -> None:
    """A guest was started with the new disk before the run failed: it is told, and left to a person."""
    old = world.give_filled(picture(9))
    world.board.watchers["work.note"] = list

    def start_and_fail(*args: Any, **facts: Any) -> None:
        if "volume" in facts:
            world.guests.start("web", NAME)
            raise BROKEN

    operation = world.operation

    def failing_at_its_end() -> Any:
        made = operation()
        world.work.note = start_and_fail  # type: ignore[method-assign]
        return made

    world.operation = failing_at_its_end  # type: ignore[method-assign]
    outcome = world.run(overwrite="different")
    assert outcome.failure is BROKEN
    assert "guest web" in outcome.rollback_errors[0]
    assert outcome.changed
    assert bytes(world.volume.content) == world.filled
    assert world.pool.held[f"{NAME}.old-00000001"] is old
    assert world.open_transactions != []
    world.guests.running.clear()
    world.operation = operation  # type: ignore[method-assign]
    well(world.run(volume_name="elsewhere", state="absent"))
    assert bytes(world.volume.content) == world.filled, "a guest may have written to it since"
    assert world.names == {NAME, "neighbour"}
    assert world.names == {NAME, "neighbour"}


def test_an_old_volume_that_cannot_be_removed_yet_goes_with_a_later_run(world: World) -> None:
    old = world.give_filled(picture(9))
    held_back: list[bool] = []
    original = world.pool.remove

    def remove(volume: Any) -> None:
        if volume.identity == old.identity and not held_back:
            held_back.append(True)
            raise Refused("something has it open for a moment")
        original(volume)

    world.pool.remove = remove  # type: ignore[method-assign]
    outcome = world.run(overwrite="different")
    assert isinstance(outcome.failure, Refused)
    assert (outcome.changed, outcome.rolled_back) == (True, False)
    assert bytes(world.volume.content) == world.filled
    assert well(world.run(overwrite="different")).changed is False
    assert world.names == {NAME, "neighbour"}


def test_a_pool_that_is_not_fit_is_not_written_to(world: World) -> None:
    world.pool.room = Space(1 << 30, BLOCK, ("its metadata is nearly full",))
    assert "nearly full" in str(world.run().failure)
