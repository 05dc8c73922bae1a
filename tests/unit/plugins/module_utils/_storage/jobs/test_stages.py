# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percent, rate and ETA of a job."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.stages import (
    STAGES,
    Meter,
    Progress,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.job_world import Clock

MIB = 1 << 20


def test_stages_follow_each_other_without_gaps() -> None:
    shares = list(STAGES.values())
    assert [start for start, _end in shares[1:]] == [end for _start, end in shares[:-1]]
    assert (shares[0][0], shares[-1][1]) == (0, 99)


@pytest.mark.parametrize(
    ("stage", "done", "percent", "stage_percent"),
    [
        ("downloading", 0, 5, 0),
        ("downloading", 25, 15, 25),
        ("downloading", 100, 45, 100),
        ("converting", 50, 73, 50),
        ("converting", 250, 95, 100),
        ("finalizing", 100, 99, 100),
    ],
)
def test_a_stage_has_its_share(stage: str, done: int, percent: int, stage_percent: int) -> None:
    meter = Meter(Clock())
    meter.begin(stage, 100)
    meter.done(done)
    assert meter.reading() == Progress(stage, percent, stage_percent, done, 100)


def test_a_stage_of_unknown_size_says_so() -> None:
    meter = Meter(Clock())
    meter.begin("syncing")
    meter.done(5)
    assert meter.reading() == Progress("syncing", 95, None, 5, 0)


def test_an_unknown_stage_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Meter(Clock()).begin("dancing")


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STAGES)), st.lists(st.integers(0, 200), max_size=5)),
        max_size=20,
    )
)
def test_percent_never_goes_back_and_is_100_only_when_all_is_done(
    walk: list[tuple[str, list[int]]],
) -> None:
    meter, seen = Meter(Clock()), [0]
    for stage, reports in walk:
        meter.begin(stage, 100)
        for done in reports:
            meter.done(done)
            seen.append(meter.reading().percent)
    assert seen == sorted(seen)
    assert seen[-1] < 100
    meter.complete()
    assert (meter.reading().stage, meter.reading().percent) == ("finalizing", 100)


def test_rate_and_eta_are_those_of_the_stage() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin("downloading", 100 * MIB)
    meter.done(0)
    assert (meter.reading().rate, meter.reading().eta) == (None, None)
    for second in range(1, 21):
        clock.sleep(1)
        meter.done(second * MIB)
    assert (meter.reading().rate, meter.reading().eta) == (MIB, 80)
    meter.begin("converting", 100)
    assert (meter.reading().rate, meter.reading().eta) == (None, None)


def test_a_stall_shows_and_a_hiccup_does_not() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin("downloading", 1000 * MIB)
    for second in range(30):
        meter.done(second * MIB)
        clock.sleep(1)
    meter.done(29 * MIB)
    assert meter.reading().rate > 0.8 * MIB
    for _second in range(30):
        clock.sleep(1)
        meter.done(29 * MIB)
    assert meter.reading().rate < 0.1 * MIB


def test_a_resumed_download_is_not_infinitely_fast() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin("downloading", 100 * MIB)
    clock.sleep(0.01)
    meter.done(90 * MIB)
    clock.sleep(1)
    meter.done(91 * MIB)
    assert (meter.reading().rate, meter.reading().eta) == (MIB, 9)


def test_many_reports_in_one_moment_are_one_sample() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin("downloading", 100 * MIB)
    for done in range(10):
        meter.done(done)
    assert meter.reading().rate is None


def test_waiting_is_no_time_of_the_stage_and_no_slowness() -> None:
    clock = Clock()
    meter = Meter(clock)
    clock.sleep(2)
    meter.begin("downloading", 10 * MIB)
    meter.done(0)
    clock.sleep(1)
    meter.done(MIB)
    meter.pause()
    clock.sleep(100)
    meter.resume()
    meter.done(MIB)
    clock.sleep(1)
    meter.done(2 * MIB)
    assert meter.reading().rate == MIB
    meter.begin("converting")
    clock.sleep(4)
    assert meter.timings() == {"queued": 102.0, "downloading": 2.0, "converting": 4.0}


def test_progress_survives_its_record() -> None:
    progress = Progress("converting", 60, 20, 5, 25, 3, 7)
    assert Progress.read(asdict(progress)) == progress
