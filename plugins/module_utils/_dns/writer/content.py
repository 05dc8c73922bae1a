# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zone holds, as a digest.

The digest is a sum over the records, so that it follows from a delta without the zone: AdHash (Bellare and Micciancio,
Eurocrypt 1997) of SHAKE256 values modulo 2^4096. With that many bits the best known way to other records of the same
sum, Wagner's generalized birthday problem, costs 2^128, as long as each record counts once: see :mod:`adoption`. TTLs
are left out, as RFC 2136 compares none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..protocol.incremental import Delta
from ..protocol.rrset import Key as SetKey
from ..protocol.rrset import Sets

_BYTES = 512
_MODULUS = 1 << 8 * _BYTES
REMEMBERED = 1024
"""Serials whose digests are kept. A server that lags by more cannot be compared until it has come closer."""


def _weight(key: SetKey, data: bytes) -> int:
    name, rdtype = key
    text = name + rdtype.to_bytes(2, "big") + data
    return int.from_bytes(hashlib.shake_256(text).digest(_BYTES), "big")


@dataclass(slots=True)
class Content:
    """The digest of a zone's content at a serial, and at those that came before it."""

    serial: int
    total: int
    past: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, serial: int, sets: Sets) -> Content:
        """Return the digest of a whole zone."""
        total = sum(_weight(key, data) for key, held in sets.items() for data in held.data)
        found = cls(serial, total % _MODULUS)
        found.past[serial] = found.digest
        return found

    @property
    def digest(self) -> str:
        """The digest as text."""
        return hashlib.sha256(self.total.to_bytes(_BYTES, "big")).hexdigest()

    def take(self, deltas: Iterable[Delta]) -> None:
        """Follow the zone.

        :raises ValueError: where a delta does not begin at the serial that we are at.
        """
        for delta in deltas:
            if delta.start != self.serial:
                raise ValueError(
                    f"a delta begins at {delta.start}, and the zone is at {self.serial}"
                )
            gained = sum(_weight(record.key, record.data) for record in delta.added)
            lost = sum(_weight(record.key, record.data) for record in delta.removed)
            self.total = (self.total + gained - lost) % _MODULUS
            self.serial = delta.end
            self.past[delta.end] = self.digest
        while len(self.past) > REMEMBERED:
            del self.past[next(iter(self.past))]

    def before(self, deltas: Sequence[Delta]) -> Content:
        """Return the content from which these deltas lead to this one.

        :raises ValueError: where they lead elsewhere, or a record comes or goes more than once on the way: the sum
            proves nothing then.
        """
        net = Counter[tuple[SetKey, bytes]]()
        serial, total = self.serial, self.total
        for delta in reversed(deltas):
            if delta.end != serial:
                raise ValueError(f"a delta ends at {delta.end}, and {serial} is wanted")
            serial = delta.start
            for sign, records in ((1, delta.added), (-1, delta.removed)):
                for record in records:
                    net[record.key, record.data] += sign
                    total -= sign * _weight(record.key, record.data)
        if any(abs(times) > 1 for times in net.values()):
            raise ValueError("a record comes or goes more than once")
        found = Content(serial, total % _MODULUS)
        found.past[serial] = found.digest
        return found

    def copy(self) -> Content:
        """Return one that can go another way."""
        return Content(self.serial, self.total, dict(self.past))
