# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of a host, and what is counted of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job, Owner
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_counters import (
    Counters,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.jobs import Jobs

from tests.fakes.job_world import World

RUNNING = Job(
    "j1",
    status="running",
    queued_at="2026-01-31T12:00:00Z",
    updated_at="2026-01-31T12:00:05Z",
    owner=Owner(100, 5000, "boot-1"),
)


@pytest.fixture
def world() -> World:
    return World()


def jobs(world: World) -> Jobs:
    return Jobs(world.files, world.processes)


def put(world: World, *some: Job) -> None:
    for job in some:
        world.files.write(job.job_id, job.written())


def test_all_jobs_oldest_first(world: World) -> None:
    put(
        world,
        replace(RUNNING, job_id="a", queued_at="2026-01-31T12:00:02Z"),
        replace(RUNNING, job_id="b", queued_at="2026-01-31T12:00:01Z"),
    )
    assert [job.job_id for job in jobs(world).all()] == ["b", "a"]
    assert jobs(world).find("c") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 9}'])
def test_a_damaged_record_is_a_job_that_failed(world: World, damage: str) -> None:
    put(world, RUNNING)
    world.files.texts["j0"] = damage
    [broken, well] = jobs(world).all()
    assert (broken.job_id, broken.status, well) == ("j0", "failed", RUNNING)
    assert "cannot be read" in broken.error.what
    assert jobs(world).settle() == []
    jobs(world).forget(["j0"])
    assert world.files.ids() == ["j1"]


def test_one_that_died_is_settled_once(world: World) -> None:
    put(world, RUNNING)
    assert jobs(world).settle() == []
    world.processes.table.clear()
    world.files.asked["j1"] = "root"
    [settled] = jobs(world).settle()
    assert (settled.status, world.record()["status"]) == ("failed", "failed")
    assert world.files.asked == {}
    assert jobs(world).settle() == []
    assert world.files.counters()["ended"] == {"volume_image": {"failed": 1}}


def test_one_that_died_is_counted_before_it_is_forgotten(world: World) -> None:
    put(world, RUNNING)
    world.processes.table.clear()
    jobs(world).forget(["j1", "unknown"])
    assert world.files.ids() == []
    assert jobs(world).counters().ended == {"volume_image": {"failed": 1}}


def test_one_that_began_anew_is_not_forgotten(world: World) -> None:
    put(world, RUNNING)
    jobs(world).forget(["j1"])
    assert world.files.ids() == ["j1"]


def test_counters_add_up_and_survive_their_record() -> None:
    first = replace(
        RUNNING,
        status="completed",
        cache_hit=False,
        bytes_downloaded=100,
        timings={"downloading": 2.0, "converting": 1.5},
        ended_at="2026-01-31T12:00:10Z",
    )
    second = replace(first, cache_hit=True, bytes_downloaded=0, timings={"converting": 0.5})
    third = replace(second, status="failed", rolled_back=True, cache_hit=None, timings={})
    fourth = replace(third, status="cancelled", rolled_back=False, operation="image_cache")
    counters = Counters()
    for job in (first, second, third, fourth):
        counters = counters.after(job)
    assert Counters.read(json.loads(json.dumps(counters.written()))) == counters
    assert counters == Counters(
        ended={"volume_image": {"completed": 2, "failed": 1}, "image_cache": {"cancelled": 1}},
        downloaded=100,
        cache={"miss": 1, "hit": 1},
        rollbacks={"complete": 1, "incomplete": 1},
        stages={
            "downloading": {"count": 1, "seconds": 2.0},
            "converting": {"count": 2, "seconds": 2.0},
        },
        last_success=1769860810,
    )


@pytest.mark.parametrize("damage", [[], {}, {"format": 2}, {"format": 1}, "x"])
def test_counters_that_are_none_are_refused(damage: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Counters.read(damage)
