# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked again, when and how often, and when a server stands still."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.retries import (
    Flow,
    Portion,
    Retry,
    retry_after,
    worth_another_try,
)

NOW = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_mend(status: int) -> None:
    assert worth_another_try(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 412, 416])
def test_what_stays_as_it_is(status: int) -> None:
    assert not worth_another_try(status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:30 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:30 -0000", 30.0),
        ("soon", 0.0),
        ("-3", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_when_a_server_wants_to_be_asked_again(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


def test_pauses_double_up_to_the_longest_and_end() -> None:
    retry = Retry(attempts=6, first=1, longest=5)
    assert [retry.pause(n, 0, lambda: 1) for n in range(1, 7)] == [1, 2, 4, 5, 5, None]
    assert [retry.pause(n, 0, lambda: 0) for n in range(1, 4)] == [0.5, 1, 2]


def test_a_server_is_left_alone_as_long_as_it_asks_and_not_for_ever() -> None:
    retry = Retry(first=1, patience=60)
    assert retry.pause(1, 20, lambda: 0) == 20
    assert retry.pause(1, 20, lambda: 1) == 20.5
    assert retry.pause(1, 61, lambda: 0) is None


def test_a_flow_stalls_by_bytes_in_a_stretch_of_time() -> None:
    flow = Flow(rate=100, seconds=10)
    assert not flow.stalled(0, 0)
    assert not flow.stalled(9, 999)
    assert not flow.stalled(10, 1000), "that is enough; a new stretch begins"
    assert not flow.stalled(19, 1999)
    assert flow.stalled(20, 1999)
    assert flow.stood_still
    assert str(flow) == "fewer than 100 bytes a second came in 10 s"


def test_a_flow_that_drips_stalls_though_each_look_sees_more() -> None:
    flow = Flow(rate=100, seconds=10)
    assert [flow.stalled(second, second) for second in range(11)] == [False] * 10 + [True]


def test_a_portion_is_as_large_as_comes_soon() -> None:
    portion = Portion(1 << 18)
    sizes = []
    for seconds in [0.01] * 7 + [0.2] + [0.6] * 8:
        portion.took(seconds)
        sizes.append(portion.size >> 10)
    assert sizes == [8, 16, 32, 64, 128, 256, 256, 256, 128, 64, 32, 16, 8, 4, 4, 4]


def test_a_portion_is_never_larger_than_there_is_room_for() -> None:
    portion = Portion(1000)
    for seconds in (0, 1, 1):
        assert portion.size == 1000
        portion.took(seconds)
