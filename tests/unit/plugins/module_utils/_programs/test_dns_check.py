# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look: what it accepts, and how fast it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_probe import (
    Answer,
    Question,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_check, dns_concerns
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_check import judge
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_concerns import concerns

from tests.checkout import ROOT

QUESTION = Question("127.0.0.1", "z.test")
GOOD = Answer(0, True, 7)


def state(serial: int | None = 7, behind_for: float = 0.0, **changed: Any) -> dict[str, Any]:
    """Return what dns-role writes, as far as it is judged."""
    return {
        "heartbeat": 100.0,
        "healthy": True,
        "quorum": True,
        "trouble": "",
        "zones": {"z.test": {"serial": serial, "behind_for": behind_for}},
        "peers": {"n2": {"z.test": 8}, "n3": {"z.test": 9}},
        "primaries": ["n2"],
        "unshared": {"waiting": 0, "waiting_for": 0.0},
        **changed,
    }


STATE = state()
FORMER = ("heartbeat", "healthy", "quorum", "trouble", "zones")


@pytest.mark.parametrize(
    ("answer", "told", "code"),
    [
        (GOOD, STATE, dns_concerns.OK),
        (None, STATE, dns_concerns.UNSERVED),
        (Answer(2, False, None), STATE, dns_concerns.UNSERVED),
        (Answer(5, False, None), STATE, dns_concerns.UNSERVED),
        (Answer(0, False, 7), STATE, dns_concerns.UNSERVED),
        (Answer(0, True, None), STATE, dns_concerns.UNSERVED),
        (GOOD, None, dns_concerns.STALE),
        (GOOD, state(heartbeat=90.0), dns_concerns.STALE),
        (GOOD, state(behind_for=61.0), dns_concerns.BEHIND),
        (GOOD, state(behind_for=59.0), dns_concerns.OK),
    ],
)
def test_table(answer: Answer | None, told: dict[str, Any] | None, code: int) -> None:
    found, why = judge({QUESTION: answer}, told, 101.0, stale_after=3.0, behind_limit=60.0)
    assert found == code
    assert why


@pytest.mark.parametrize(
    ("rcode", "code"),
    [(5, dns_concerns.OK), (2, dns_concerns.UNSERVED), (9, dns_concerns.UNSERVED)],
)
def test_a_zone_that_is_not_configured_yet_does_not_make_the_others_homeless(
    rcode: int, code: int
) -> None:
    other = Question("127.0.0.1", "new.test")
    answers = {QUESTION: GOOD, other: Answer(rcode, False, None)}
    found, why = judge(answers, STATE, 101.0, stale_after=3.0, behind_limit=60.0)
    assert found == code, why


@pytest.mark.parametrize(
    ("told", "words", "code"),
    [
        (None, "reports nothing", dns_concerns.STALE),
        (state(heartbeat=90.0), "last heard of 11 s ago", dns_concerns.STALE),
        (state(healthy=False), "does not answer", dns_concerns.OK),
        (state(quorum=False), "no majority", dns_concerns.OK),
        (state(trouble="the key is gone"), "the key is gone", dns_concerns.OK),
        (state(serial=None), "z.test is not loaded", dns_concerns.OK),
        (state(serial=None, behind_for=61.0), "z.test is not loaded", dns_concerns.BEHIND),
        (state(behind_for=61.0), "z.test is behind for 61 s", dns_concerns.BEHIND),
        (state(behind_for=61.0, primaries=["n4"]), "z.test is behind", dns_concerns.OK),
        (state(behind_for=61.0, serial=8), "z.test is behind", dns_concerns.OK),
        (state(behind_for=61.0, peers={}), "z.test is behind", dns_concerns.OK),
        (
            state(unshared={"waiting": 1, "waiting_for": 301.0}),
            "cannot be compared",
            dns_concerns.OK,
        ),
    ],
)
def test_people_are_told_all_and_keepalived_what_concerns_the_vip(
    told: dict[str, Any] | None, words: str, code: int
) -> None:
    [found] = concerns(told, 101.0, stale_after=3.0, behind_limit=60.0)
    assert words in found.what
    assert found.code == code
    assert judge({QUESTION: GOOD}, told, 101.0, stale_after=3.0, behind_limit=60.0)[0] == code


def test_what_a_former_version_does_not_tell_is_no_reason_to_lose_the_vip() -> None:
    told = {key: value for key, value in state(behind_for=61.0).items() if key in FORMER}
    assert judge({QUESTION: GOOD}, told, 101.0, stale_after=3.0, behind_limit=60.0)[0] == 0


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert list(concerns(STATE, 101.0, stale_after=3.0, behind_limit=60.0)) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"zones": ["z.test"]}'])
def test_an_unusable_configuration_is_not_healthy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dns.json"
    path.write_text(content)
    assert dns_check.main([str(path)]) != dns_concerns.OK


def test_no_configuration_is_not_healthy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dns_check.main([str(tmp_path / "none")]) == dns_concerns.UNKNOWN
    capsys.readouterr()
    assert dns_check.main([]) == dns_concerns.UNKNOWN
    assert "usage: dns-check FILE" in capsys.readouterr().err


def test_a_dns_role_that_hangs_is_not_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It did not say so, and its last words are fresh: the lease runs out long before they are old."""
    configuration, health = tmp_path / "dns.json", tmp_path / dns_check.HEALTH
    told = state(heartbeat=time.monotonic())
    (tmp_path / "state").write_text(json.dumps(told))
    configuration.write_text(
        json.dumps({"port": 9, "zones": ["z.test"], "state_file": f"{tmp_path}/state"})
    )
    monkeypatch.setattr(dns_check, "ask", lambda questions, budget: {QUESTION: GOOD})
    health.write_text("0\n")
    assert dns_check.main([str(configuration)]) == dns_concerns.OK
    assert (tmp_path / dns_check.CHECKED).stat().st_mtime == pytest.approx(time.time(), abs=60)
    os.utime(health, (1, time.monotonic() - dns_check.SILENT_FOR - 0.1))
    assert dns_check.main([str(configuration)]) == dns_concerns.STALE
    assert health.read_text() == "1\n"
    assert "dns-role hangs, for 1." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("noted", "code"),
    [
        (5.0, dns_concerns.OK),
        (-0.1, dns_concerns.UNSERVED),
        ("torn", dns_concerns.UNSERVED),
        (None, dns_concerns.UNSERVED),
    ],
)
def test_zones_that_are_being_loaded_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: float | str | None, code: int
) -> None:
    """The VIP went from server to server: each lost it while it loaded what it was about to write."""
    configuration = tmp_path / "dns.json"
    (tmp_path / "state").write_text(json.dumps(state(heartbeat=time.monotonic())))
    configuration.write_text(
        json.dumps({"port": 9, "zones": ["z.test"], "state_file": f"{tmp_path}/state"})
    )
    if noted is not None:
        until = time.monotonic() + noted if isinstance(noted, float) else noted
        (tmp_path / dns_check.LOADING).write_text(f"{until}\n")
    monkeypatch.setattr(dns_check, "ask", lambda questions, budget: {QUESTION: None})
    assert dns_check.main([str(configuration)]) == code


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    path = tmp_path / "dns.json"
    path.write_text(json.dumps({"port": 9, "zones": ["z.test"], "state_file": f"{tmp_path}/state"}))
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from plugins.module_utils._programs.dns_check import main;"
        f"code = main([{str(path)!r}]);"
        "assert not {'dns', 'ansible', 'yaml'} & set(sys.modules);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, timeout=10, check=False
    )
    assert done.returncode == dns_concerns.UNSERVED, done.stderr.decode()
