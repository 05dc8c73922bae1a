# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look: what it accepts, and how fast it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._entry import dns_check
from ansible_collections.debvisor.hci.plugins.module_utils._entry.dns_check import judge
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns_probe import Answer, Question

from tests.checkout import ROOT

QUESTION = Question("127.0.0.1", "z.test")
GOOD = Answer(0, True, 7)
STATE: dict[str, Any] = {"heartbeat": 100.0, "zones": {"z.test": {"behind_for": 0.0}}}


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (GOOD, STATE, dns_check.OK),
        (None, STATE, dns_check.UNSERVED),
        (Answer(2, False, None), STATE, dns_check.UNSERVED),
        (Answer(5, False, None), STATE, dns_check.UNSERVED),
        (Answer(0, False, 7), STATE, dns_check.UNSERVED),
        (Answer(0, True, None), STATE, dns_check.UNSERVED),
        (GOOD, None, dns_check.STALE),
        (GOOD, {**STATE, "heartbeat": 90.0}, dns_check.STALE),
        (GOOD, {**STATE, "zones": {"z.test": {"behind_for": 61.0}}}, dns_check.BEHIND),
        (GOOD, {**STATE, "zones": {"z.test": {"behind_for": 59.0}}}, dns_check.OK),
    ],
)
def test_table(answer: Answer | None, state: dict[str, Any] | None, code: int) -> None:
    found, why = judge({QUESTION: answer}, state, 101.0, stale_after=3.0, behind_limit=60.0)
    assert found == code
    assert why


@pytest.mark.parametrize(
    ("rcode", "code"), [(5, dns_check.OK), (2, dns_check.UNSERVED), (9, dns_check.UNSERVED)]
)
def test_a_zone_that_is_not_configured_yet_does_not_make_the_others_homeless(
    rcode: int, code: int
) -> None:
    other = Question("127.0.0.1", "new.test")
    answers = {QUESTION: GOOD, other: Answer(rcode, False, None)}
    found, why = judge(answers, STATE, 101.0, stale_after=3.0, behind_limit=60.0)
    assert found == code, why


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"zones": ["z.test"]}'])
def test_an_unusable_configuration_is_not_healthy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dns.json"
    path.write_text(content)
    assert dns_check.main([str(path)]) != dns_check.OK


def test_no_configuration_is_not_healthy(tmp_path: Path) -> None:
    assert dns_check.main([str(tmp_path / "none")]) == dns_check.UNKNOWN
    assert dns_check.main([]) == dns_check.UNKNOWN


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    path = tmp_path / "dns.json"
    path.write_text(json.dumps({"port": 9, "zones": ["z.test"], "state_file": "none"}))
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from plugins.module_utils._entry.dns_check import main;"
        f"code = main([{str(path)!r}]);"
        "assert not {'dns', 'ansible', 'yaml'} & set(sys.modules);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, timeout=10, check=False
    )
    assert done.returncode == dns_check.UNSERVED, done.stderr.decode()
