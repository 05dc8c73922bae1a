# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a job, and what a reader makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import (
    BadRecord,
    Job,
    Owner,
    Trouble,
    at,
    id_fault,
    judged,
    seconds_at,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.stages import Progress

from tests.fakes.job_world import START, Processes

JOB = Job(
    "j1",
    status="running",
    progress=Progress("converting", 60, 20, 5, 25, 3, 7),
    correlation_id="c1",
    volume_name="vm1",
    backend="lvm",
    pool="vg0",
    image_url="https://images.example/a.qcow2",
    cache_hit=False,
    volume={"device": "/dev/vg0/vm1"},
    timings={"queued": 1.5},
    queued_at="2026-01-31T12:00:00Z",
    updated_at="2026-01-31T12:00:05Z",
    requester={"account": "root"},
    owner=Owner(100, 5000, "boot-1"),
)


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        Job("x"),
        replace(JOB, status="failed", error=Trouble("a", "b", "c", "converting"), owner=None),
    ],
)
def test_a_job_survives_its_record(job: Job) -> None:
    assert Job.read(json.loads(json.dumps(job.written()))) == job


@pytest.mark.parametrize(
    "damage",
    [
        [],
        "text",
        7,
        {},
        {"format": 2},
        {**JOB.written(), "progress": None},
        {**JOB.written(), "owner": {"pid": 1}},
        {key: value for key, value in JOB.written().items() if key != "status"},
    ],
)
def test_what_is_no_record_is_refused(damage: object) -> None:
    with pytest.raises(BadRecord):
        Job.read(damage)


@pytest.mark.parametrize("name", ["a", "0", "A.b_c-d", "x" * 128, "awx-job.17"])
def test_good_names(name: str) -> None:
    assert id_fault(name) == ""


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "-a", "_a", "a/b", "a..b", "../a", "a b", "a\n", "a\0", "x" * 129, "\u00e4"]
)  # fmt: skip
def test_names_that_lead_elsewhere(name: str) -> None:
    assert id_fault(name)


def test_times_are_utc_and_whole_seconds() -> None:
    assert at(START) == "2027-01-15T08:00:00Z"
    assert seconds_at(at(START + 0.7)) == START


def test_a_trouble_says_what_why_and_what_to_do() -> None:
    assert Trouble.of(Refused("no", why="because", hint="ask"), "syncing") == Trouble(
        "no", "because", "ask", "syncing"
    )
    assert Trouble.of(OSError(28, "full"), "syncing").what == "OSError"


def test_a_job_whose_process_lives_is_as_it_says() -> None:
    assert judged(JOB, Processes()) is JOB


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_job_that_ended_needs_no_process(status: str) -> None:
    processes = Processes()
    processes.table.clear()
    job = replace(JOB, status=status)
    assert judged(job, processes) is job


@pytest.mark.parametrize("status", ["queued", "running"])
@pytest.mark.parametrize(
    ("table", "boot", "what"),
    [
        ({}, "boot-1", "the job's process died"),
        ({100: 5001}, "boot-1", "the job's process died"),
        ({100: 5000}, "boot-2", "the machine restarted while the job ran"),
    ],
)
def test_a_job_whose_process_is_gone_has_failed(
    status: str, table: dict[int, int], boot: str, what: str
) -> None:
    processes = Processes()
    processes.table, processes.boot_id = table, boot
    job = judged(replace(JOB, status=status, waiting_for="its turn"), processes)
    assert (job.status, job.error.what, job.error.stage) == ("failed", what, "converting")
    assert (job.waiting_for, job.ended_at, job.rolled_back) == ("", JOB.updated_at, None)


def test_a_job_of_nobody_has_failed() -> None:
    assert judged(replace(JOB, owner=None), Processes()).status == "failed"
