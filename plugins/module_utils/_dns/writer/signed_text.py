# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that servers tell each other in datagrams, signed: the lease's messages, and what zones hold."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from ..protocol.tsig import Key

LONGEST = 1024
"""Bytes of the longest datagram that is read."""


def sign(purpose: bytes, text: bytes, key: Key) -> bytes:
    """Return the datagram of a text. What is signed for one purpose is worth nothing for another."""
    return b" ".join((key.name.encode(), mac(purpose, text, key).encode(), text))


def verified(purpose: bytes, datagram: bytes, keys: Callable[[str], Key | None]) -> bytes | None:
    """Return the text of a datagram; None where nobody who holds a key made it for this purpose."""
    name, _space, rest = datagram.partition(b" ")
    given, _space, text = rest.partition(b" ")
    key = keys(name.decode("ascii", "replace"))
    if key is None or not hmac.compare_digest(given, mac(purpose, text, key).encode()):
        return None
    return text


def mac(purpose: bytes, text: bytes, key: Key) -> str:
    """Return the hexadecimal HMAC-SHA256 of a text for a purpose."""
    return hmac.new(key.secret.reveal(), purpose + text, "sha256").hexdigest()
