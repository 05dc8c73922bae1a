# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One user's enrolment, as libpam-google-authenticator keeps it: a file that its PAM module rewrites at each login.

The first line is the secret in base32. Lines that begin with a quotation mark are options; the others are scratch
codes, each of which replaces one code, once. The PAM module passes over options that it does not know, and keeps them.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from .._core.errors import DebvisorError
from .._core.secret import Secret

SECRET_BYTES = 20
"""What RFC 4226 (section 4, R6) recommends; 32 letters in base32, without padding."""
SHORTEST_SECRET = 16
"""What it demands."""
RATE_LIMIT, WINDOW, REUSE, TIME_BASED = "RATE_LIMIT", "WINDOW_SIZE", "DISALLOW_REUSE", "TOTP_AUTH"
STEP, SKEW, COUNTER = "STEP_SIZE", "TIME_SKEW", "HOTP_COUNTER"
SINCE = "DEBVISOR_ENROLLED"
"""Ours: when the file came into the store. Its time of change only tells the last login."""
POLICY = ((RATE_LIMIT, "3 30"), (WINDOW, "3"), (REUSE, ""), (TIME_BASED, ""))
"""Three attempts in 30 seconds; the code of this step and of the ones before and after it; no code twice."""
MOST_SCRATCH_CODES = 10
LATEST = 1 << 40
"""No time or skew is beyond it."""
SCRATCH_CODE = re.compile(r"[1-9][0-9]{7}")
OPTION = re.compile(r'" (?P<name>[A-Z0-9_]+)(?:[ \t]+(?P<value>.*))?')
SYSTEM_RANDOM = random.SystemRandom()


class EnrolmentInvalid(DebvisorError):
    """A file is not an enrolment by time-based codes."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a file holds. The secret is in base32, as it is written and as people type it."""

    secret: Secret
    options: tuple[tuple[str, str], ...] = field(repr=False)
    scratch_codes: tuple[Secret, ...] = ()

    def option(self, name: str) -> str | None:
        """Return an option's value, or None where it is not set; the first one counts, as for the PAM module."""
        return next((value for key, value in self.options if key == name), None)

    def _number(self, name: str, default: int) -> int:
        return int(self.option(name) or default)

    @property
    def step(self) -> int:
        """Seconds for which a code holds."""
        return self._number(STEP, 30)

    @property
    def window(self) -> int:
        """How many steps are looked at."""
        return self._number(WINDOW, 3)

    @property
    def skew(self) -> int:
        """By how many steps the user's clock goes ahead of ours, as the PAM module once learnt."""
        return self._number(SKEW, 0)

    @property
    def used(self) -> frozenset[int]:
        """The steps whose codes were used lately."""
        return frozenset(int(step) for step in (self.option(REUSE) or "").split())

    @property
    def since(self) -> int | None:
        """When it came into the store, in seconds since 1970; None where it came by another way."""
        return self._number(SINCE, 0) or None

    @property
    def last_used(self) -> int | None:
        """When a code was last accepted, to the step; None where none was, or a scratch code alone."""
        return max(self.used) * self.step if self.used else None


def fresh(
    now: float,
    scratch_codes: int,
    *,
    secret: Secret | None = None,
    source: random.Random = SYSTEM_RANDOM,
) -> Enrolment:
    """Return a new enrolment, with the given secret or a new one."""
    drawn = secret or Secret(base64.b32encode(source.randbytes(SECRET_BYTES)))
    codes = drawn_scratch_codes(scratch_codes, source)
    return Enrolment(drawn, (*POLICY, (SINCE, str(int(now)))), codes)


def drawn_scratch_codes(count: int, source: random.Random = SYSTEM_RANDOM) -> tuple[Secret, ...]:
    """Return so many new scratch codes."""
    codes = source.sample(range(10_000_000, 100_000_000), count)
    return tuple(Secret(str(code)) for code in codes)


def adopted(enrolment: Enrolment, now: float) -> Enrolment:
    """Return an enrolment from elsewhere as the store keeps it: with its own options, and ours where it has none.

    So a code is never taken twice, whatever its owner once answered to google-authenticator(1).
    """
    own = [(name, value) for name, value in enrolment.options if name != SINCE]
    names = {name for name, value in own}
    missing = [(name, value) for name, value in POLICY if name not in names]
    return replace(enrolment, options=(*missing, *own, (SINCE, str(int(now)))))


def render(enrolment: Enrolment) -> bytes:
    """Return the file's content."""
    options = [f'" {name} {value}'.rstrip() for name, value in enrolment.options]
    lines = [
        enrolment.secret.reveal(),
        *(option.encode() for option in options),
        *(code.reveal() for code in enrolment.scratch_codes),
    ]
    return b"\n".join(lines) + b"\n"


def parse(content: bytes, where: str) -> Enrolment:
    """Read a file's content.

    :raises EnrolmentInvalid: where the PAM module would not take it, or takes codes by counter. Says which line is
        wrong, and never what is in it.
    """
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise _invalid(where, "it is not text") from None
    if not lines:
        raise _invalid(where, "it is empty")
    try:
        secret = checked_secret(lines[0])
    except ValueError as cause:
        raise _invalid(where, f"line 1 {cause}") from None
    options, codes = _options_and_codes(lines[1:], where)
    enrolment = Enrolment(secret, options, codes)
    _check_options(enrolment, where)
    return enrolment


def _options_and_codes(
    lines: Iterable[str], where: str
) -> tuple[tuple[tuple[str, str], ...], tuple[Secret, ...]]:
    options: list[tuple[str, str]] = []
    codes: list[Secret] = []
    for number, line in enumerate(lines, 2):
        if option := OPTION.fullmatch(line):
            options.append((option["name"], (option["value"] or "").strip()))
        elif SCRATCH_CODE.fullmatch(line):
            codes.append(Secret(line))
        elif line:
            raise _invalid(where, f"line {number} is neither an option nor a scratch code")
    return tuple(options), tuple(codes)


def _check_options(enrolment: Enrolment, where: str) -> None:
    if enrolment.option(TIME_BASED) is None or enrolment.option(COUNTER) is not None:
        raise _invalid(where, "its codes do not go by time")
    try:
        times = (enrolment.skew, enrolment.last_used or 0, enrolment.since or 0)
        sound = 1 <= enrolment.step <= 60 and 1 <= enrolment.window <= 100
    except ValueError:
        raise _invalid(where, "one of its options is no number where one belongs") from None
    if not sound or any(abs(time) > LATEST for time in times):
        raise _invalid(where, "one of its options has an impossible value")


def checked_secret(text: str) -> Secret:
    """Return a secret that somebody gave, in base32.

    :raises ValueError: with a sentence, where it is none; it does not repeat the text.
    """
    letters = text.strip().replace(" ", "").rstrip("=").upper()
    try:
        drawn = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        raise ValueError("is not a secret in base32") from None
    if len(drawn) < SHORTEST_SECRET:
        raise ValueError(
            f"is a secret of {8 * len(drawn)} bits; RFC 4226 wants {8 * SHORTEST_SECRET} or more"
        )
    return Secret(letters)


def provisioning_uri(enrolment: Enrolment, issuer: str, label: str) -> Secret:
    """Return what an authenticator reads from the picture (the Key URI format)."""
    parameters = {"secret": enrolment.secret.reveal().decode(), "issuer": issuer}
    if enrolment.step != 30:
        parameters["period"] = str(enrolment.step)
    return Secret(
        f"otpauth://totp/{quote(issuer)}:{quote(label)}?{urlencode(parameters, quote_via=quote)}"
    )


def _invalid(where: str, why: str) -> EnrolmentInvalid:
    return EnrolmentInvalid(f"{where} is no enrolment", why=why)
