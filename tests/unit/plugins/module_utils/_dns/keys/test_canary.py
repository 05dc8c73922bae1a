# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a canary counts, and what a report of it says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import metrics
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    TimedOut,
    Unreachable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import (
    canary,
    keyring,
    rotation_report,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.canary import Tally, attempt
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.keyring import Keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    BadKey,
    RequestRefused,
)

from tests.fakes.dns_server import FakeClock, FakeServer
from tests.fakes.tsig import counts, outcome

ZONE = "example.test."


def outcomes(*errors: DebvisorError | None) -> Any:
    left = iter(itertools.chain(errors, itertools.repeat(errors[-1])))

    def work() -> None:
        error = next(left)
        if error is not None:
            raise error

    return work


def tally(*errors: DebvisorError | None) -> Tally:
    found = Tally()
    attempt(outcomes(*errors), found, 5.0, FakeClock())
    return found


def test_what_is_made_at_once_is_made() -> None:
    found = tally(None)
    assert (found.made, found.failed, found.retried) == (1, 0, 0)


@pytest.mark.parametrize("moment", [TimedOut("x"), Unreachable("x"), RequestRefused("x")])
def test_a_moment_without_a_writer_is_waited_for_and_counted(moment: DebvisorError) -> None:
    found = tally(moment, moment, None)
    assert (found.made, found.failed, found.retried) == (1, 0, 1)
    assert found.slowest > 0
    for_ever = tally(moment)
    assert (for_ever.made, for_ever.failed) == (0, 1)


def test_a_key_that_is_not_known_fails_at_once() -> None:
    found = tally(BadKey("x does not know the key", details={"key": "g1.x"}))
    assert (found.made, found.failed) == (0, 1)
    assert "does not know the key" in found.errors[0]


def test_only_the_last_errors_are_kept() -> None:
    found = Tally()
    for number in range(20):
        attempt(outcomes(BadKey(f"{number}")), found, 5.0, FakeClock())
    assert found.failed == 20
    assert [error.split(".")[0] for error in found.errors] == ["15", "16", "17", "18", "19"]


def test_the_record_is_set_replaced_and_removed() -> None:
    server = FakeServer()
    server.load(ZONE)
    client = Client(server)
    zone, label = names.parse(ZONE), b"\x07_canary"
    for text in ("1", "2", "2"):
        canary.write(client, zone, label, text)
    assert server.content(ZONE) == {"_canary TXT 60": ['"2"']}
    canary.write(client, zone, label, "")
    canary.write(client, zone, label, "")
    assert server.content(ZONE) == {}


def test_the_report_is_a_few_lines() -> None:
    assert rotation_report.summary(outcome()) == [
        "rotate: g1.x, g1.y went",
        "a: 10 updates made, 0 failed (slowest 3.5 ms); 2 transfers made, 0 failed",
        "b: 10 updates made, 0 failed (slowest 3.5 ms); 2 transfers made, 0 failed",
    ]


def test_the_report_tells_what_went_wrong_what_waits_and_who_is_missing() -> None:
    bad = {"updates": counts(9, 1, ("it broke",)), "transfers": counts(2, 2)}
    told = outcome(
        canaries={"a": bad, "b": None}, waiting={"g1.x": "why"}, missing=["n9", "n7"], dropped=[]
    )
    lines = "\n".join(rotation_report.summary(told))
    for part in ("no key went", "1 failed", "a: it broke", "b: its canary left", "g1.x waits: why"):
        assert part in lines
    assert "not reached: n7, n9" in lines
    assert rotation_report.losses_of(told["canaries"]) == 3


def test_metrics_are_in_the_text_format() -> None:
    of = keyring.founded("x", "hmac-sha256", lambda size: b"s" * size, 1000)
    text = metrics.text(
        rotation_report.families(Keyring({"x": of}), {"success": 900, "result": 1}, 1060)
    )
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples == [
        "debvisor_tsig_rotation_last_success_timestamp_seconds 900",
        "debvisor_tsig_rotation_last_run_failed 1",
        'debvisor_tsig_key_age_seconds{class="x"} 60',
        'debvisor_tsig_key_generations{class="x"} 1',
    ]
    for sample in samples:
        name = sample.partition("{")[0].partition(" ")[0]
        assert f"# HELP {name} " in text
        assert f"# TYPE {name} gauge\n" in text
    assert text.endswith("\n")
