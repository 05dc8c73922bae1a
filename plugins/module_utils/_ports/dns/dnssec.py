# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNSSEC signatures, checked by dnspython."""

from __future__ import annotations

from typing import Any

from ..._core.errors import DebvisorError

try:
    import dns.dnssec
    import dns.exception
    import dns.message
    import dns.name
    import dns.rdatatype
except ImportError as cause:
    MISSING: ImportError | None = cause
else:
    MISSING = None


class DnssecValidator:
    """Checks the signatures of an answer against the zone's keys."""

    def check(self, zone: str, keys: bytes, answer: bytes) -> None:
        """Return where both the keys and the answer are rightly signed.

        :param keys: the message that answered the question for the zone's DNSKEY.
        :param answer: the message to check.
        :raises ValueError: with the reason, where one is not.
        :raises DebvisorError: where this machine cannot check that.
        """
        if MISSING is not None:
            raise DebvisorError(
                "DNSSEC validation needs dnspython",
                why=str(MISSING),
                hint="Install Debian's python3-dnspython and python3-cryptography, or turn validation off",
            )
        apex = dns.name.from_text(zone)
        dnskeys = self._signed_sets(keys)
        own = [found for found, _signatures in dnskeys if found.rdtype == dns.rdatatype.DNSKEY]
        trusted = {apex: own[0]} if own else {}
        if not trusted:
            raise ValueError(f"{zone} has no DNSKEY: it is not signed")
        answered = self._signed_sets(answer)
        if not answered:
            raise ValueError("there is no answer to validate")
        for found, signatures in [*dnskeys, *answered]:
            self._check_set(found, signatures, trusted)

    def _check_set(self, found: Any, signatures: Any, trusted: Any) -> None:
        if signatures is None:
            raise ValueError(f"{found.name} {dns.rdatatype.to_text(found.rdtype)} is not signed")
        try:
            dns.dnssec.validate(found, signatures, trusted)
        except ImportError as cause:
            raise DebvisorError(
                "DNSSEC validation needs Python's cryptography",
                why=str(cause),
                hint="Install Debian's python3-cryptography, or turn validation off",
            ) from cause
        except dns.exception.DNSException as cause:
            raise ValueError(str(cause) or type(cause).__name__) from cause

    def _signed_sets(self, message: bytes) -> list[tuple[Any, Any]]:
        answer = dns.message.from_wire(message, keyring=False).answer
        signatures = {
            (found.name, found.covers): found
            for found in answer
            if found.rdtype == dns.rdatatype.RRSIG
        }
        return [
            (found, signatures.get((found.name, found.rdtype)))
            for found in answer
            if found.rdtype != dns.rdatatype.RRSIG
        ]
