# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals are remembered, not died of."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.stop_signals import (
    WATCHED,
    StopSignals,
)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """As a program begins; whoever started these tests may ignore some, as nohup(1) does."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in WATCHED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", WATCHED)
def test_a_signal_is_remembered(number: signal.Signals) -> None:
    signals = StopSignals()
    signals.catch()
    assert signals.received() == ""
    os.kill(os.getpid(), number)
    assert signals.received() == number.name


def test_the_first_one_counts_and_later_ones_do_no_harm() -> None:
    signals = StopSignals()
    signals.catch()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert signals.received() == "SIGHUP"


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = StopSignals()
    signals.catch()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.received() == ""
