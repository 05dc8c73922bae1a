# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that others can see, stop and wait for."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    Conflict,
    Refused,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    Cancelled,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import (
    JobRun,
    UnrecordedRun,
)

from tests.fakes.job_world import World


@pytest.fixture
def world() -> World:
    return World()


def begun(world: World, **limits: float) -> JobRun:
    run = world.run(**limits)
    run.begin("j1", correlation_id="c1", volume_name="vm1")
    return run


def in_turn(world: World, **limits: float) -> JobRun:
    run = begun(world, **limits)
    run.stage("preflight")
    run.take_turn()
    return run


def test_a_job_from_its_beginning_to_its_end(world: World) -> None:
    run = begun(world)
    assert world.signals.caught
    record = world.record()
    assert (record["status"], record["correlation_id"], record["volume_name"]) == (
        "queued",
        "c1",
        "vm1",
    )
    assert record["owner"] == {"pid": 100, "started": 5000, "boot": "boot-1"}
    assert record["requester"] == {"account": "root", "host": "node1"}
    assert record["waiting_for"] == "other runs on the same object"
    world.clock.sleep(1)
    run.stage("preflight")
    assert (world.record()["status"], world.record()["waiting_for"]) == ("running", "")
    assert world.record()["started_at"] == "2027-01-15T08:00:01Z"
    run.take_turn()
    run.stage("downloading", 100)
    run.progress(0)
    world.clock.sleep(2)
    run.progress(40)
    assert world.record()["progress"] == {
        "stage": "downloading",
        "percent": 21,
        "stage_percent": 40,
        "bytes_processed": 40,
        "bytes_total": 100,
        "rate": 20,
        "eta": 3,
    }
    run.note(cache_hit=False, image_path="/images/x")
    assert world.record()["image_path"] == "/images/x"
    run.ended(None, False)
    record = world.record()
    assert (record["status"], record["progress"]["percent"], record["error"]) == (
        "completed",
        100,
        None,
    )
    assert (record["ended_at"], record["rolled_back"]) == ("2027-01-15T08:00:03Z", None)
    assert record["timings"] == {
        "queued": 1.0,
        "preflight": 0.0,
        "downloading": 2.0,
        "finalizing": 0.0,
    }
    assert not world.queue.joined


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Refused("no", why="because", hint="ask"), "failed"),
        (OSError("odd"), "failed"),
        (Cancelled("stop"), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
@pytest.mark.parametrize("rolled_back", [True, False])
def test_a_job_that_does_not_end_well(
    world: World, failure: BaseException, status: str, rolled_back: bool
) -> None:
    run = in_turn(world)
    run.stage("converting", 10)
    run.progress(5)
    run.ended(failure, rolled_back)
    record = world.record()
    assert (record["status"], record["rolled_back"]) == (status, rolled_back)
    assert (record["error"]["stage"], record["progress"]["percent"]) == ("converting", 73)
    if isinstance(failure, Refused):
        assert record["error"] == {
            "what": "no",
            "why": "because",
            "hint": "ask",
            "stage": "converting",
        }


def test_progress_is_recorded_once_a_second_and_without_waiting_for_the_disk(world: World) -> None:
    run = in_turn(world)
    run.stage("downloading", 10_000)
    before = len(world.files.writes)
    for done in range(1000):
        run.progress(done)
        world.clock.sleep(0.01)
    writes = world.files.writes[before:]
    assert 9 <= len(writes) <= 10
    assert not any(durable for _job, durable in writes)


def test_beginning_and_end_are_on_disk_when_told(world: World) -> None:
    run = in_turn(world)
    run.ended(None, False)
    durable = [durable for _job, durable in world.files.writes]
    assert (durable[0], durable[-1]) == (True, True)
    assert not any(durable[1:-1])


def test_two_jobs_of_one_name_at_once(world: World) -> None:
    begun(world)
    second = world.run()
    with pytest.raises(
        Conflict, match=r"the job j1 is queued already.*process 100.*another job_id"
    ) as caught:
        second.begin("j1", volume_name="other")
    second.ended(caught.value, True)
    assert (world.record()["status"], world.record()["volume_name"]) == ("queued", "vm1")


def test_a_name_is_free_again_once_its_job_ended_or_died(world: World) -> None:
    begun(world).ended(None, False)
    begun(world)
    world.processes.table[100] = 6000
    begun(world).ended(None, False)
    ended = world.files.counters()["ended"]["volume_image"]
    assert ended == {"completed": 2, "failed": 1}, "the dead one counts, too"


def test_a_stale_request_to_stop_does_not_stop_the_next_job(world: World) -> None:
    world.files.asked["j1"] = "somebody, long ago"
    in_turn(world).check()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_stops_the_job(world: World, name: str) -> None:
    run = in_turn(world)
    run.check()
    world.signals.came = name
    with pytest.raises(Cancelled, match=name):
        run.check()
    world.files.request_cancel("j1", "root at node9")
    with pytest.raises(Cancelled, match="root at node9"):
        run.check()


def test_a_request_stops_the_job_and_says_whose_it_was(world: World) -> None:
    run = in_turn(world)
    run.check()
    world.files.request_cancel("j1", "root at node9")
    world.clock.sleep(0.3)
    with pytest.raises(Cancelled, match="root at node9"):
        run.check()


def test_the_time_to_work_is_limited(world: World) -> None:
    run = in_turn(world, timeout=60)
    run.stage("converting", 10)
    world.clock.sleep(60)
    run.check()
    world.clock.sleep(0.5)
    with pytest.raises(TimedOut, match=r"its timeout of 60 s.*at converting"):
        run.check()


def test_time_in_the_queue_does_not_count(world: World) -> None:
    run = begun(world, timeout=60)
    world.clock.sleep(500)
    run.stage("preflight")
    world.clock.sleep(50)
    world.queue.before = 2
    world.clock.at(640, lambda: setattr(world.queue, "before", 1))
    run.take_turn()
    run.check()
    assert world.clock.now >= 1640
    assert world.record()["timings"]["queued"] == pytest.approx(590, abs=1)


def test_a_look_takes_of_the_time_to_work(world: World) -> None:
    run = begun(world, timeout=60)
    run.stage("resolving_checksum")
    world.clock.sleep(59)
    run.check()
    world.clock.sleep(2)
    with pytest.raises(TimedOut, match=r"its timeout of 60 s.*it was at resolving_checksum"):
        run.check()


def test_the_time_to_wait_is_limited_all_in_all(world: World) -> None:
    run = begun(world, queue_timeout=100)
    world.clock.sleep(60)
    run.check()
    run.stage("preflight")
    world.clock.sleep(1000)
    run.check()
    world.queue.before = 2
    began = world.clock.now
    with pytest.raises(
        TimedOut, match=r"its queue_timeout of 100 s.*its turn: 2 jobs ahead, 2 at once"
    ):
        run.take_turn()
    assert world.clock.now - began == pytest.approx(40, abs=1)


def test_a_job_that_waits_for_its_turn_says_so_and_can_be_stopped(world: World) -> None:
    run = begun(world)
    run.stage("preflight")
    world.queue.before = 3
    seen: list[tuple[str, str]] = []
    world.clock.at(
        5, lambda: seen.append((world.record()["status"], world.record()["waiting_for"]))
    )
    world.clock.at(6, lambda: world.files.request_cancel("j1", "root"))
    with pytest.raises(Cancelled) as caught:
        run.take_turn()
    assert seen == [("queued", "its turn: 3 jobs ahead, 2 at once")]
    run.ended(caught.value, True)
    assert (world.record()["status"], world.queue.joined) == ("cancelled", False)


def test_a_turn_is_taken_once(world: World) -> None:
    run = in_turn(world)
    run.take_turn()
    assert world.queue.history == ["join"]


def test_waiting_for_another_job_gives_the_turn_back_and_takes_another(world: World) -> None:
    run = in_turn(world, timeout=60, queue_timeout=1000)
    run.stage("downloading", 100)
    with run.waiting("job j0 downloads the same image"):
        assert not world.queue.joined
        assert (world.record()["status"], world.record()["waiting_for"]) == (
            "queued",
            "job j0 downloads the same image",
        )
        world.clock.sleep(500)
        run.check()
        world.queue.before = 2
        world.clock.at(600, lambda: setattr(world.queue, "before", 0))
    assert world.queue.history == ["join", "leave", "join"]
    assert world.clock.now == pytest.approx(1600, abs=1)
    assert (world.record()["status"], world.record()["waiting_for"]) == ("running", "")
    run.check()
    world.clock.sleep(61)
    with pytest.raises(TimedOut, match="its timeout of 60 s"):
        run.check()


def test_waiting_before_the_turn_takes_none(world: World) -> None:
    run = begun(world)
    run.stage("checking_cache")
    with run.waiting("another"):
        pass
    assert world.queue.history == []


def test_waiting_for_another_job_ends(world: World) -> None:
    run = in_turn(world, queue_timeout=100)

    def wait() -> None:
        with run.waiting("another job"):
            world.clock.sleep(101)
            run.check()

    with pytest.raises(TimedOut, match=r"its queue_timeout of 100 s.*another job"):
        wait()
    run.ended(TimedOut("x"), True)
    assert world.queue.history == ["join", "leave"]


def test_a_full_disk_does_not_stop_a_job_that_began(world: World) -> None:
    run = in_turn(world)
    world.files.full = True
    run.stage("downloading", 100)
    world.clock.sleep(2)
    run.progress(50)
    run.check()
    with pytest.raises(CannotRecord):
        run.ended(None, False)


def test_a_full_disk_keeps_a_job_from_beginning(world: World) -> None:
    world.files.full = True
    with pytest.raises(CannotRecord):
        begun(world)


def test_what_came_over_the_network_is_counted(world: World) -> None:
    run = in_turn(world)
    run.stage("downloading", 100)
    run.progress(60)  # what an earlier try had left
    run.progress(100)
    run.stage("verifying", 100)
    run.progress(100)
    run.stage("downloading", 100)  # once more, as the object changed
    run.progress(0)
    run.progress(30)
    run.progress(0)  # from the beginning, as the server knows no ranges
    run.progress(100)
    run.ended(None, False)
    assert world.record()["bytes_downloaded"] == 170
    assert world.files.counters()["downloaded"] == 170


def test_each_stage_and_the_end_leave_a_line_in_the_log(world: World) -> None:
    run = in_turn(world)
    run.stage("converting", 10)
    run.ended(Refused("no", why="because"), True)
    lines = world.events.lines
    assert [(line["event"], line["stage"]) for line in lines] == [
        ("queued", "queued"),
        ("stage", "preflight"),
        ("stage", "converting"),
        ("ended", "converting"),
    ]
    assert {(line["job_id"], line["correlation_id"]) for line in lines} == {("j1", "c1")}
    last = lines[-1]
    assert (last["failed"], last["status"], last["error"], last["why"]) == (
        True,
        "failed",
        "no",
        "because",
    )


def test_in_check_mode_nothing_is_written_and_nobody_waits(world: World) -> None:
    run = UnrecordedRun()
    run.begin("j1", volume_name="vm1")
    run.take_turn()
    run.stage("converting", 10)
    run.progress(5)
    run.note(cache_hit=True)
    with run.waiting("another"):
        run.check()
    run.ended(None, False)
