# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time-based one-time passwords (RFC 6238), judged as pam_google_authenticator(8) judges them."""

from __future__ import annotations

import hmac
import re
from enum import Enum
from typing import Protocol

from .enrolment import Enrolment

CODE = re.compile(r"[0-9]{6}")


class Codes(Protocol):
    """Makes codes of a shared secret (RFC 4226)."""

    def at(self, secret: bytes, counter: int) -> str:
        """Return the code of six digits that belongs to the counter; the secret is in base32."""


class Verdict(Enum):
    """What sshd would say of a code now."""

    RIGHT = "right"
    USED = "used"
    WRONG = "wrong"


def judge(codes: Codes, enrolment: Enrolment, code: str, now: float) -> Verdict:
    """Say whether the code would let its owner in, in a time that does not depend on how much of it is right."""
    here = int(now) // enrolment.step + enrolment.skew
    window = enrolment.window
    matching = [
        counter
        for counter in range(here - (window - 1) // 2, here + window // 2 + 1)
        if hmac.compare_digest(codes.at(enrolment.secret.reveal(), counter), code)
    ]
    if not matching:
        return Verdict.WRONG
    return Verdict.USED if matching[0] in enrolment.used else Verdict.RIGHT
