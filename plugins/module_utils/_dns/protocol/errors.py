# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DNS server can say against us, each with its own type."""

from __future__ import annotations

from ..._core.errors import Conflict, DebvisorError, Refused, Unreachable
from . import names, wire


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


def denied(answer: wire.Message, server: str, asked: bytes | None = None) -> DebvisorError:
    """Return the error that an answer with an rcode stands for.

    :param asked: the name, where it answers a question and no transfer or update.
    """
    details = {"rcode": answer.rcode_text, "server": server}
    if answer.rcode == wire.REFUSED and asked is not None:
        return RequestRefused(
            f"{server} does not answer for {names.render(asked)} (REFUSED)",
            why="it holds no zone that this name is in, or its allow-query leaves out this machine or key",
            hint="Check the zone's name, and that the address is that of a server that holds the zone",
            details=details,
        )
    if answer.rcode == wire.REFUSED:
        return RequestRefused(
            f"{server} refused (REFUSED)",
            why="its policy does not allow this to this key, a name offends its check-names,"
            " a name server or an MX would have no address, or it is not the writer",
            hint="Check that the key may do this in this zone, and that the address is the writer's."
            " The server's log says which",
            details=details,
        )
    if answer.rcode == wire.NOTAUTH:
        return NotAuthoritative(
            f"{server} does not hold the zone (NOTAUTH)",
            hint="Check the zone's name, and that the address is the one that takes updates",
            details=details,
        )
    if answer.rcode in (wire.NXDOMAIN, wire.YXDOMAIN, wire.YXRRSET, wire.NXRRSET):
        return PrerequisiteFailed(
            f"{server} holds something else than was planned for ({answer.rcode_text})",
            hint="It was changed by others meanwhile. Run again to see the present state",
            details=details,
        )
    return ServerFailed(
        f"{server} could not do it ({answer.rcode_text})",
        hint="Its log says why; record sets over its max-records-per-type are one cause",
        details=details,
    )
