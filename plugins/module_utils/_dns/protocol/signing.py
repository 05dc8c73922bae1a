# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG over messages (RFC 8945): sign what we send, check what comes back."""

from __future__ import annotations

import hmac
import struct

from . import wire
from .errors import BadKey, BadSignature, BadTime, UntrustedAnswer
from .tsig import Key

FUDGE = 300
"""Seconds that the clocks may differ; what RFC 8945 recommends."""

_BADSIG, _BADKEY, _BADTIME = 16, 17, 18

LONGEST_SIGNATURE = 255 + 10 + 13 + 16 + 64
"""Bytes that a signature adds to a message at most: name, fixed fields, algorithm, fixed fields, digest."""


def _algorithm(key: Key) -> bytes:
    return bytes([len(key.algorithm)]) + key.algorithm.encode() + b"\0"


def _clock(seconds: int) -> bytes:
    return struct.pack("!HI", seconds >> 32, seconds & 0xFFFFFFFF)


class Exchange:
    """One signed request and its answers, which may be many messages in a transfer."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._digest = key.algorithm.removeprefix("hmac-")
        self._mac = b""
        self._sent_at = 0
        self._first = True
        self._unsigned: list[bytes] = []

    def sign(self, message: bytes, now: int) -> bytes:
        """Return the message with its signature."""
        key = self._key
        self._sent_at = now
        name, algorithm = key.wire_name, _algorithm(key)
        variables = (
            name
            + struct.pack("!HI", wire.ANY, 0)
            + algorithm
            + _clock(now)
            + struct.pack("!HHH", FUDGE, 0, 0)
        )
        self._mac = hmac.digest(key.secret.reveal(), message + variables, self._digest)
        data = (
            algorithm
            + _clock(now)
            + struct.pack("!HH", FUDGE, len(self._mac))
            + self._mac
            + message[:2]
            + b"\0\0\0\0"
        )
        record = name + struct.pack("!HHIH", wire.TSIG, wire.ANY, 0, len(data)) + data
        count = int.from_bytes(message[10:12], "big") + 1
        return message[:10] + count.to_bytes(2, "big") + message[12:] + record

    def check(self, answer: wire.Message, now: int, server: str) -> None:
        """Check one message of the answer.

        :raises BadKey: and its like, where the server says so.
        :raises UntrustedAnswer: where the signature is missing or wrong.
        """
        if answer.tsig is None:
            if self._first:
                raise UntrustedAnswer(
                    f"{server} answered a signed request without a signature ({answer.rcode_text})",
                    hint=f"Check that it is the right server, and that it knows the key {self._key.name}",
                )
            self._unsigned.append(answer.wire)
            if len(self._unsigned) > 99:
                raise UntrustedAnswer(f"{server} left off signing in the middle of a transfer")
            return
        try:
            self._check_signed(answer, answer.tsig, now, server)
        except (struct.error, IndexError, wire.Malformed) as cause:
            raise UntrustedAnswer(f"{server} sent a malformed signature") from cause

    def finish(self, server: str) -> None:
        """Make sure that the last message of a transfer was signed.

        :raises UntrustedAnswer: where it was not.
        """
        if self._unsigned:
            raise UntrustedAnswer(f"{server} did not sign the end of its transfer")

    def _check_signed(
        self, answer: wire.Message, record: wire.Record, now: int, server: str
    ) -> None:
        data = record.data
        algorithm, position = wire.read_name(data, 0, {})
        high, low, fudge, mac_length = struct.unpack_from("!HIHH", data, position)
        position += 10
        mac = data[position : position + mac_length]
        position += mac_length
        original, error, other_length = struct.unpack_from("!HHH", data, position)
        other = data[position + 6 : position + 6 + other_length]
        signed_at = high << 32 | low
        self._raise_denial(error, server)
        if (record.rdclass, record.ttl) != (wire.ANY, 0) or position + 6 + other_length != len(
            data
        ):
            raise wire.Malformed("its fixed parts are not as they have to be")
        if (record.name, algorithm) != (self._key.wire_name, _algorithm(self._key)):
            raise UntrustedAnswer(f"{server} signed with another key than it was asked with")
        plain = (
            original.to_bytes(2, "big")
            + answer.wire[2:10]
            + (int.from_bytes(answer.wire[10:12], "big") - 1).to_bytes(2, "big")
            + answer.wire[12 : answer.tsig_at]
        )
        timers = _clock(signed_at) + struct.pack("!H", fudge)
        variables = timers
        if self._first:
            variables = (
                record.name
                + struct.pack("!HI", wire.ANY, 0)
                + algorithm
                + timers
                + struct.pack("!HH", error, other_length)
                + other
            )
        digest = hmac.digest(
            self._key.secret.reveal(),
            len(self._mac).to_bytes(2, "big")
            + self._mac
            + b"".join(self._unsigned)
            + plain
            + variables,
            self._digest,
        )
        if not hmac.compare_digest(digest, mac):
            raise UntrustedAnswer(
                f"the signature of {server}'s answer does not hold",
                hint="Something between changed the answer, or the server uses another secret for the key",
            )
        self._mac, self._first, self._unsigned = mac, False, []
        if error == _BADTIME:
            self._raise_bad_time(other, server)
        if abs(now - signed_at) > fudge:
            raise self._bad_time(signed_at - now, server)
        if error:
            raise UntrustedAnswer(f"{server} answered with the TSIG error {error}")

    def _raise_denial(self, error: int, server: str) -> None:
        key = self._key
        if error == _BADKEY:
            raise BadKey(
                f"{server} does not know the key {key.name} (BADKEY)",
                why=f"it has no key of that name with {key.algorithm} where the request arrived",
                hint="Check the key's name and algorithm, and that the address is the one that takes updates",
                details={"key": key.name},
            )
        if error == _BADSIG:
            raise BadSignature(
                f"{server} knows the key {key.name} with another secret (BADSIG)",
                hint=f"Copy the key again; ours is {key.secret.fingerprint}",
                details={"key": key.name, "fingerprint": key.secret.fingerprint},
            )

    def _raise_bad_time(self, other: bytes, server: str) -> None:
        if len(other) != 6:
            raise BadTime(
                f"{server} says that the clocks differ too much (BADTIME)",
                hint=f"Set both clocks; at most {FUDGE} s are allowed",
            )
        raise self._bad_time(int.from_bytes(other, "big") - self._sent_at, server)

    def _bad_time(self, skew: int, server: str) -> BadTime:
        return BadTime(
            f"the clocks differ too much (BADTIME): {server} is {abs(skew)} s {'ahead' if skew > 0 else 'behind'}",
            why=f"at most {FUDGE} s are allowed",
            hint="Synchronise both clocks (timedatectl shows whether they are)",
            details={"skew_seconds": skew},
        )
