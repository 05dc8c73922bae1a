# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs did and do as metrics, from their records."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.processes import Processes
from ansible_collections.debvisor.hci.plugins.module_utils._programs import metrics
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job, Owner
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.jobs import Jobs
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.jobs import job_files

from tests.fakes.collecting import CollectingHost

PREFIX = "libvirt_volume_provisioner_"
PID, STARTED = Processes().own()
OURS = Owner(PID, STARTED, Processes().boot())
DEAD = Owner(PID, STARTED + 1, Processes().boot())
JOB = Job("j1", status="running", updated_at="2026-01-31T12:00:05Z", owner=OURS)
DONE = replace(
    JOB,
    status="completed",
    cache_hit=False,
    bytes_downloaded=5_000_000_000,
    timings={"downloading": 2.5},
    ended_at="2026-01-31T12:00:10Z",
)


class World:
    def __init__(self, base: Path) -> None:
        self.host = CollectingHost(base)
        self.output = self.host.output
        self.files = job_files()
        self.jobs = Jobs(self.files, Processes())

    def put(self, *jobs: Job) -> None:
        for job in jobs:
            if job.ended:
                self.jobs.end(job)
            else:
                self.files.write(job.job_id, job.written())

    def values(self) -> dict[str, float]:
        assert self.host.collect("volumes") == 0
        return {name.removeprefix(PREFIX): value for name, value in self.host.values().items()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "state_dir", lambda: tmp_path)
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path / "lock")
    return World(tmp_path)


def test_a_host_without_jobs_has_its_zeros(world: World) -> None:
    values = world.values()
    assert set(values.values()) == {0}
    for status in ("started", "completed", "failed", "cancelled"):
        assert f'jobs_total{{status="{status}"}}' in values
    assert 'runs_total{operation="volume_image",status="failed"}' in values
    assert 'stage_seconds_count{stage="converting"}' in values


def test_everything_is_told(world: World) -> None:
    world.put(
        DONE,
        replace(DONE, job_id="j2", cache_hit=True, bytes_downloaded=0),
        replace(DONE, job_id="j3", status="cancelled", cache_hit=None, rolled_back=True),
        replace(JOB, job_id="j4"),
        replace(JOB, job_id="j5", status="queued"),
    )
    values = world.values()
    assert {name: value for name, value in values.items() if value} == {
        'jobs_total{status="started"}': 5,
        'jobs_total{status="completed"}': 2,
        'jobs_total{status="cancelled"}': 1,
        'runs_total{operation="volume_image",status="completed"}': 2,
        'runs_total{operation="volume_image",status="cancelled"}': 1,
        "active_jobs": 2,
        "queued_jobs": 1,
        "downloaded_bytes_total": 10_000_000_000,
        "cache_hits_total": 1,
        "cache_misses_total": 1,
        'rollbacks_total{result="complete"}': 1,
        'stage_seconds_sum{stage="downloading"}': 7.5,
        'stage_seconds_count{stage="downloading"}': 3,
        "last_success_timestamp_seconds": 1769860810,
    }


def test_counters_survive_that_jobs_are_forgotten(world: World) -> None:
    world.put(DONE)
    before = world.values()
    world.jobs.forget(["j1"])
    assert world.files.ids() == []
    assert world.values() == before


def test_a_job_that_died_unheard_counts_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put(replace(JOB, owner=DEAD))
    first = world.values()
    assert (first['jobs_total{status="failed"}'], first["active_jobs"]) == (1, 0)
    assert "the job j1 failed: the job's process died" in capsys.readouterr().err
    assert world.values() == first
    assert capsys.readouterr().err == ""


def test_metrics_that_are_only_printed_settle_no_job(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put(replace(JOB, owner=DEAD))
    world.host.add("volumes")
    assert metrics.main(["--folder", str(world.host.folder), "--print", "volumes"]) == 0
    assert PREFIX in capsys.readouterr().out
    assert world.values()['jobs_total{status="failed"}'] == 1
    assert "the job j1 failed" in capsys.readouterr().err


def test_every_line_is_one_that_prometheus_reads(world: World) -> None:
    world.put(DONE)
    world.values()
    sample = re.compile(rf'{PREFIX}[a-z_]+(\{{[a-z]+="[a-z_]+"(,[a-z]+="[a-z_]+")*\}})? [0-9.]+')
    for line in world.output.read_text().splitlines():
        assert sample.fullmatch(line) or line.startswith(
            (f"# HELP {PREFIX}", f"# TYPE {PREFIX}")
        ), line


def test_what_cannot_be_known_is_not_written(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.job_counters().write_text("rubbish")
    assert world.host.collect("volumes") == 2
    assert "debvisor-metrics: volumes: " in capsys.readouterr().err
    assert not world.output.exists()
