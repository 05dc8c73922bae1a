# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PAM's files: what replaces the password, and that the former file is what it was."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access import pam_settings
from ansible_collections.debvisor.hci.plugins.module_utils._access.pam_settings import UnknownLayout
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.access_host import COMMON_AUTH, DEBIAN

NAME = "debvisor-mfa"
WHERE = "/etc/pam.d/sshd"
LINES = st.lists(
    st.sampled_from(
        ["", "# a comment", "account required pam_nologin.so", "@include common-session"]
    )
)


def test_the_code_stands_in_the_place_of_the_password() -> None:
    demanding = pam_settings.demanding(DEBIAN, NAME, WHERE)
    assert "\n@include common-auth" not in demanding
    assert demanding.count(f"\n@include {NAME}\n") == 1
    assert pam_settings.demanding(demanding, NAME, WHERE) == demanding


@given(LINES, LINES, st.sampled_from(["@include common-auth", "@include\tcommon-auth  "]))
def test_the_former_file_is_made_of_the_present_one(
    above: list[str], below: list[str], password: str
) -> None:
    text = "".join(f"{line}\n" for line in (*above, password, *below))
    demanding = pam_settings.demanding(text, NAME, WHERE)
    assert demanding != text
    assert pam_settings.former(demanding, NAME) == text
    assert pam_settings.former(f"# new\n{demanding}", NAME) == f"# new\n{text}"
    assert pam_settings.former(text, NAME) == text


@given(LINES, LINES)
def test_another_service_asks_after_the_password(above: list[str], below: list[str]) -> None:
    text = "".join(f"{line}\n" for line in (*above, "@include common-auth", *below))
    demanding = pam_settings.also_demanding(text, NAME, WHERE)
    assert f"@include common-auth\n{pam_settings.ALSO_MARK}\n@include {NAME}\n" in demanding
    assert pam_settings.also_demanding(demanding, NAME, WHERE) == demanding
    assert pam_settings.also_former(demanding, NAME) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 times"),
        (DEBIAN * 2, "2 times"),
        (f"auth required pam_faillock.so\n{DEBIAN}", "pam_faillock"),
        (f"-auth  optional pam_x.so\n{DEBIAN}", "pam_x"),
        (DEBIAN.replace("@include common-auth", "# @include common-auth"), "0 times"),
        (f"@include site-radius\n{DEBIAN}", "site-radius"),
    ],
)
def test_another_layout_is_not_guessed_at(text: str, why: str) -> None:
    with pytest.raises(UnknownLayout, match="is not as Debian has it") as caught:
        pam_settings.demanding(text, NAME, WHERE)
    assert why in caught.value.why
    assert WHERE in caught.value.why


FACTOR = "auth required pam_google_authenticator.so nullok\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{FACTOR}{DEBIAN}",
        f"{DEBIAN}{FACTOR}",
        DEBIAN.replace("@include common-auth\n", f"# @include common-auth\n{FACTOR}"),
        DEBIAN.replace("@include common-auth", FACTOR.strip()),
    ],
)
def test_a_code_that_was_asked_for_so_far_is_asked_for_by_us_alone(text: str) -> None:
    demanding = pam_settings.demanding(text, NAME, WHERE)
    lines = demanding.splitlines()
    assert lines.count(f"@include {NAME}") == 1
    assert not [line for line in lines if line.startswith("auth")]
    assert pam_settings.former(demanding, NAME) == text
    assert pam_settings.demanding(demanding, NAME, WHERE) == demanding


@pytest.mark.parametrize(
    "line",
    [
        "auth sufficient pam_ssh_agent_auth.so",
        "-auth  sufficient pam_x.so",
        "auth [success=done default=ignore] pam_x.so",
    ],
)
def test_what_lets_in_without_asking_on_is_found(line: str) -> None:
    with pytest.raises(UnknownLayout) as caught:
        pam_settings.check_goes_on(f"{COMMON_AUTH}{line}\n", WHERE)
    assert line in caught.value.why
    pam_settings.check_goes_on(COMMON_AUTH, WHERE)


def test_the_alarm_is_for_break_glass_alone() -> None:
    assert "session" not in pam_settings.include("/totp", "", "/alarm", "/drop-in")
    told = pam_settings.include("/totp", "firefighter", "/alarm", "/drop-in")
    assert "user = firefighter" in told
    assert "session optional pam_exec.so" in told
    assert "nullok" not in told


def test_without_the_drop_in_a_code_opens_nothing() -> None:
    """sshd would take it for a password."""
    first = next(
        line
        for line in pam_settings.include("/totp", "", "/alarm", "/drop-in").splitlines()
        if line.startswith("auth")
    )
    assert first == "auth requisite pam_exec.so quiet /usr/bin/test -e /drop-in"


def test_root_needs_no_code_at_the_console() -> None:
    told = pam_settings.also_include("/totp", ["firefighter"], ["oncall"])
    assert "auth [success=2 default=ignore] pam_succeed_if.so quiet user = root" in told
    assert pam_settings.also_include("/totp", ["root"], []).count("user = root") == 1


def test_what_somebody_put_back_himself_asks_for_no_code_and_leaves_no_remark() -> None:
    demanding = pam_settings.demanding(DEBIAN, NAME, WHERE)
    assert pam_settings.asks(demanding, NAME)
    put_back = demanding.replace(f"@include {NAME}", "@include common-auth")
    assert not pam_settings.asks(put_back, NAME)
    assert not pam_settings.asks(DEBIAN, NAME)
    assert pam_settings.former(put_back, NAME) == DEBIAN
    assert pam_settings.demanding(put_back, NAME, WHERE) == demanding
