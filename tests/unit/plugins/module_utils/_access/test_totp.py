# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes against RFC 6238 and oathtool(1), and the judgement of them."""

from __future__ import annotations

import base64
import random
import subprocess

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access import enrolment, totp
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import Enrolment
from ansible_collections.debvisor.hci.plugins.module_utils._access.totp import Verdict, judge
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access import one_time_codes
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.one_time_codes import (
    OneTimeCodes,
)

KEY = base64.b32encode(b"12345678901234567890")
NOW = 1_111_111_109
HERE = NOW // 30
CODES = OneTimeCodes()


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238(time: int, code: str) -> None:
    assert CODES.at(KEY, time // 30) == code[-6:]


def test_oathtool_agrees() -> None:
    source = random.Random(6238)
    for now in (source.randrange(1 << 32) for each in range(20)):
        secret = enrolment.fresh(0, 0, source=source).secret.reveal()
        said = subprocess.run(
            ["oathtool", "--totp", "--base32", f"--now=@{now}", secret.decode()],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert said.stdout.strip() == CODES.at(secret, now // 30)


def enrolled(*options: tuple[str, str]) -> Enrolment:
    return Enrolment(Secret(KEY), (*options, ("TOTP_AUTH", "")))


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ((), (-1, 0, 1)),
        ((("WINDOW_SIZE", "1"),), (0,)),
        ((("WINDOW_SIZE", "4"),), (-1, 0, 1, 2)),
        ((("WINDOW_SIZE", "17"),), range(-8, 9)),
        ((("TIME_SKEW", "5"),), (4, 5, 6)),
        ((("TIME_SKEW", "-5"),), (-6, -5, -4)),
    ],
)
def test_the_steps_that_count_are_those_of_the_pam_module(
    options: tuple[tuple[str, str], ...], right: tuple[int, ...]
) -> None:
    accepted = {
        step
        for step in range(-20, 21)
        if judge(CODES, enrolled(*options), CODES.at(KEY, HERE + step), NOW) is Verdict.RIGHT
    }
    assert accepted == set(right)


def test_a_code_that_was_used_is_told_from_a_wrong_one() -> None:
    used = enrolled(("DISALLOW_REUSE", f"{HERE} {HERE - 7}"))
    assert judge(CODES, used, CODES.at(KEY, HERE), NOW) is Verdict.USED
    assert judge(CODES, used, CODES.at(KEY, HERE + 1), NOW) is Verdict.RIGHT
    assert judge(CODES, used, CODES.at(KEY, HERE - 7), NOW) is Verdict.WRONG
    assert judge(CODES, used, "000000", NOW) is Verdict.WRONG


def test_another_step_size() -> None:
    slow = enrolled(("STEP_SIZE", "60"))
    assert judge(CODES, slow, CODES.at(KEY, NOW // 60), NOW) is Verdict.RIGHT
    assert judge(CODES, slow, CODES.at(KEY, HERE), NOW) is Verdict.WRONG


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", " 123456", "123456\n", "١٢٣٤٥٦"])
def test_what_is_no_code(code: str) -> None:
    assert totp.CODE.fullmatch(code) is None


def test_without_pyotp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_time_codes, "MISSING", ImportError("no pyotp"))
    with pytest.raises(DebvisorError, match="python3-pyotp"):
        CODES.at(KEY, 1)
