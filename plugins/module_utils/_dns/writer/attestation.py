# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the writer says that a zone holds, signed, so that any primary can check it whoever passes it on."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NamedTuple

from ..protocol.serials import reached
from ..protocol.tsig import Key
from . import signed_text

_PURPOSE = b"debvisor content "


class Attestation(NamedTuple):
    """What a writer says that a zone holds at a serial, signed with a key that primaries alone have."""

    zone: str
    term: int
    serial: int
    digest: str
    key: str
    mac: str

    def mac_by(self, key: Key) -> str:
        """Return the MAC that it has where the holder of the key made it."""
        text = f"{self.zone} {self.term} {self.serial} {self.digest}"
        return signed_text.mac(_PURPOSE, text.encode(), key)

    def newer(self, other: Attestation | None) -> bool:
        """Return whether this one is of a younger term, or of the same term and no earlier."""
        if other is None or self.term != other.term:
            return other is None or self.term > other.term
        return self != other and reached(self.serial, other.serial)

    @classmethod
    def parse(cls, given: Any) -> Attestation:
        """Read it from JSON.

        :raises ValueError: where it is not of its form.
        """
        zone, term, serial, digest, key, mac = given
        texts = (zone, digest, key, mac)
        if not all(isinstance(each, str) and each.isascii() for each in texts):
            raise ValueError("not an attestation")
        return cls(zone, whole_number(term), whole_number(serial), digest, key, mac)

    def holds(self, keys: Callable[[str], Key | None]) -> bool:
        """Return whether a holder of the key made it."""
        key = keys(self.key)
        return key is not None and hmac.compare_digest(self.mac, self.mac_by(key))


def passed_over(serial: int, youngest: int, attested: Attestation) -> bool:
    """Return whether a zone went past an attested serial without the epoch in which that was attested.

    Its serial was raised by a server that began to write and was succeeded: the later writer's updates are not in it,
    for all that it has the higher serial.

    :param youngest: the number of the zone's youngest epoch.
    """
    beyond = serial != attested.serial and reached(serial, attested.serial)
    return beyond and youngest < attested.term


def whole_number(given: Any) -> int:
    """Return a number below 2^32.

    :raises ValueError: where it is something else.
    """
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < 1 << 32:
        raise ValueError(f"no number: {given!r}")
    return given


def attest(key: Key, zone: str, term: int, serial: int, digest: str) -> Attestation:
    """Return the writer's word."""
    bare = Attestation(zone, term, serial, digest, key.name, "")
    return bare._replace(mac=bare.mac_by(key))
