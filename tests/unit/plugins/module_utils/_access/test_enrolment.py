# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolments as files: read, written, taken over; and what is none."""

from __future__ import annotations

import base64
import contextlib
import random
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import (
    Enrolment,
    EnrolmentInvalid,
    adopted,
    checked_secret,
    fresh,
    parse,
    provisioning_uri,
    render,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from hypothesis import given
from hypothesis import strategies as st

KEY = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_764_112_000
USED = f"""{KEY}
" RATE_LIMIT 3 30 1764112003
" WINDOW_SIZE 17
" DISALLOW_REUSE 58803733 58803734
" TIME_SKEW -2
" TOTP_AUTH
12345678
87654321
"""


def test_a_new_one_is_what_google_authenticator_would_write() -> None:
    made = fresh(NOW, 5, source=random.Random(1))
    secret, *lines = render(made).decode().splitlines()
    assert len(base64.b32decode(secret)) == 20
    assert lines[:5] == [
        '" RATE_LIMIT 3 30',
        '" WINDOW_SIZE 3',
        '" DISALLOW_REUSE',
        '" TOTP_AUTH',
        f'" DEBVISOR_ENROLLED {NOW}',
    ]
    assert all(len(code) == 8 and code.isdigit() and code[0] != "0" for code in lines[5:])
    assert len(set(lines[5:])) == 5
    assert (made.since, made.last_used, made.step, made.window, made.skew) == (NOW, None, 30, 3, 0)


def test_no_two_are_alike() -> None:
    first, second = fresh(NOW, 5), fresh(NOW, 5)
    assert first.secret != second.secret
    assert set(first.scratch_codes) != set(second.scratch_codes)


@given(st.integers(0, 10), st.integers(0, 1 << 33), st.integers())
def test_what_is_written_is_read(count: int, now: int, seed: int) -> None:
    made = fresh(now, count, source=random.Random(seed))
    assert parse(render(made), "x") == made


def test_what_the_pam_module_wrote_is_read_and_kept_to_the_byte() -> None:
    read = parse(USED.encode(), "x")
    assert (read.window, read.skew, read.since) == (17, -2, None)
    assert (read.used, read.last_used) == ({58803733, 58803734}, 58803734 * 30)
    assert read.scratch_codes == (Secret("12345678"), Secret("87654321"))
    assert render(read).decode() == USED


def test_one_from_elsewhere_keeps_its_options_and_gets_the_missing_ones() -> None:
    theirs = parse(f'{KEY}\n" WINDOW_SIZE 17\n" TOTP_AUTH\n11111111\n'.encode(), "x")
    ours = adopted(theirs, NOW)
    assert ours.options == (
        ("RATE_LIMIT", "3 30"),
        ("DISALLOW_REUSE", ""),
        ("WINDOW_SIZE", "17"),
        ("TOTP_AUTH", ""),
        ("DEBVISOR_ENROLLED", str(NOW)),
    )
    assert (ours.secret, ours.scratch_codes) == (theirs.secret, theirs.scratch_codes)
    assert adopted(ours, NOW) == ours


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n", "line 1 is a secret of 0 bits"),
        ("not base 32!\n", "line 1 is not a secret in base32"),
        ("GEZDGNBVGY3TQOJQ\n", "line 1 is a secret of 80 bits"),
        (f"{KEY}\n", "do not go by time"),
        (f'{KEY}\n" HOTP_COUNTER 7\n', "do not go by time"),
        (f'{KEY}\n" TOTP_AUTH\n" HOTP_COUNTER 7\n', "do not go by time"),
        (f'{KEY}\n" TOTP_AUTH\n1234567\n', "line 3 is neither"),
        (f'{KEY}\n" TOTP_AUTH\n01234567\n', "line 3 is neither"),
        (f'{KEY}\n"TOTP_AUTH\n', "line 2 is neither"),
        (f'{KEY}\n" TOTP_AUTH\n" WINDOW_SIZE 0\n', "impossible value"),
        (f'{KEY}\n" TOTP_AUTH\n" STEP_SIZE 61\n', "impossible value"),
        (f'{KEY}\n" TOTP_AUTH\n" DEBVISOR_ENROLLED {1 << 70}\n', "impossible value"),
        (f'{KEY}\n" TOTP_AUTH\n" TIME_SKEW x\n', "no number"),
        (f'{KEY}\n" TOTP_AUTH\n" DISALLOW_REUSE x\n', "no number"),
        (f'{KEY}\n" TOTP_AUTH\n\xff\n', "is not text"),
    ],
)
def test_what_is_none_is_said_without_showing_it(content: str, why: str) -> None:
    with pytest.raises(EnrolmentInvalid, match=why) as caught:
        parse(content.encode("latin-1"), "/store/anna")
    assert "/store/anna" in str(caught.value)
    assert not any(line and line in str(caught.value) for line in content.splitlines())


@given(st.binary(max_size=200))
def test_rubbish_never_does_worse(content: bytes) -> None:
    with contextlib.suppress(EnrolmentInvalid):
        assert isinstance(parse(content, "x"), Enrolment)


@pytest.mark.parametrize(
    "text", [KEY, KEY.lower(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ", f" {KEY}= "]
)
def test_secrets_as_people_type_them(text: str) -> None:
    assert checked_secret(text) == Secret(KEY)


def test_the_address_for_an_authenticator() -> None:
    uri = provisioning_uri(fresh(NOW, 0, secret=Secret(KEY)), "Our Cluster", "anna@node1")
    parts = urlsplit(uri.reveal().decode())
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == (
        "otpauth",
        "totp",
        "/Our Cluster:anna@node1",
    )
    assert parse_qs(parts.query) == {"secret": [KEY], "issuer": ["Our Cluster"]}
    assert " " not in uri.reveal().decode()
    assert "+" not in uri.reveal().decode(), "authenticators show it as it is"


def test_the_address_tells_another_step() -> None:
    slow = parse(f'{KEY}\n" TOTP_AUTH\n" STEP_SIZE 60\n'.encode(), "x")
    assert b"&period=60" in provisioning_uri(slow, "a", "b").reveal()


def test_no_repr_shows_a_secret() -> None:
    shown = repr(parse(USED.encode(), "x"))
    assert not any(word in shown for word in (KEY, "12345678", "87654321"))
