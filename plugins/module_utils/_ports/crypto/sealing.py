# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed boxes (libsodium's crypto_box_seal: X25519, XSalsa20, Poly1305): what only one host can open.

So secrets go from the host that makes them to the hosts that use them through results and variables of a run, and
nothing on the way, the control node included, ever sees them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from ..._core.errors import DebvisorError
from ..._core.secret import Secret

try:
    import nacl.exceptions
    import nacl.public

    MISSING: ImportError | None = None
except ImportError as absent:  # reported at the first use
    MISSING = absent

KEY_BYTES = 32


class CannotOpen(DebvisorError):
    """What came is not sealed for this host."""


def _needed() -> None:
    if MISSING is not None:
        raise DebvisorError(
            "the Python library PyNaCl is missing on this host",
            why=str(MISSING),
            hint="Install python3-nacl; the role debvisor.hci.node does",
        )


def draw_private() -> Secret:
    """Return a new private key."""
    _needed()
    return Secret(bytes(nacl.public.PrivateKey.generate()))


def public_of(private: Secret) -> str:
    """Return the public key that belongs to a private one, in base64.

    :raises CannotOpen: where the bytes are no private key.
    """
    return base64.b64encode(bytes(_private(private).public_key)).decode()


def _private(private: Secret) -> Any:
    _needed()
    if len(private.reveal()) != KEY_BYTES:
        raise CannotOpen(
            "this host's private key is damaged",
            hint="Remove the file; the next run makes a new one",
        )
    return nacl.public.PrivateKey(private.reveal())


class Sealer:
    """Closes boxes."""

    def seal(self, content: bytes, recipient: str) -> str:
        """Return the content for the owner of a public key, in base64. No two boxes of one content are equal."""
        _needed()
        try:
            public = nacl.public.PublicKey(base64.b64decode(recipient, validate=True))
        except (ValueError, binascii.Error, nacl.exceptions.CryptoError) as cause:
            raise DebvisorError(
                "a recipient's public key is malformed", why=type(cause).__name__
            ) from None
        return base64.b64encode(nacl.public.SealedBox(public).encrypt(content)).decode()


class Opener:
    """Opens boxes with this host's private key.

    :param read_private: gives the key in a file; called when a box comes.
    """

    def __init__(self, read_private: Callable[[str], Secret]) -> None:
        self._read_private = read_private

    def open(self, sealed: str, private_key: str) -> bytes:
        """Return the content.

        :param private_key: path of the key.
        :raises CannotOpen: where the box is damaged, or for another host.
        """
        private = _private(self._read_private(private_key))
        try:
            return bytes(
                nacl.public.SealedBox(private).decrypt(base64.b64decode(sealed, validate=True))
            )
        except (ValueError, binascii.Error, nacl.exceptions.CryptoError):
            raise CannotOpen(
                "what was sent is not sealed for this host, or was damaged on the way",
                hint="Run again: the host's public key is asked for anew",
            ) from None
