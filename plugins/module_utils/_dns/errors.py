# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DNS server can say against us, each with its own type."""

from __future__ import annotations

from .._core.errors import Conflict, DebvisorError, Refused, Unreachable


class NotAuthoritative(Refused):
    """NOTAUTH without a TSIG error, or an answer without the AA bit: this server does not hold the zone."""


class RequestRefused(Refused):
    """REFUSED: the server knows the zone and the key (if any), and its policy says no."""


class BadKey(Refused):
    """BADKEY: the server does not know the key's name, or has it with another algorithm."""


class BadSignature(Refused):
    """BADSIG: the server knows the key's name and has another secret for it."""


class BadTime(Refused):
    """BADTIME: the clocks differ by more than the signature's allowance."""


class ServerFailed(Unreachable):
    """SERVFAIL, NOTIMP, FORMERR and the like: the server could not do it."""


class MalformedAnswer(Unreachable):
    """The bytes that came back are not a DNS answer to what was asked."""


class UntrustedAnswer(Unreachable):
    """The answer was to be signed, and is not, or not rightly."""


class DnssecBogus(DebvisorError):
    """DNSSEC validation was asked for, and the answer does not validate."""


class PrerequisiteFailed(Conflict):
    """An UPDATE met something else than it was planned for (YXDOMAIN, YXRRSET, NXDOMAIN, NXRRSET)."""
