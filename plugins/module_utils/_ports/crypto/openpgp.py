# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached OpenPGP signatures, judged by sqv(1), the verifier that apt brings along on Debian 13."""

from __future__ import annotations

import os

from ..._core.errors import DebvisorError, Refused, TimedOut
from ..host import command
from ..host.spool import Spool

SQV = "/usr/bin/sqv"
TIMEOUT = 60.0
"""Seconds to hash and judge; a slow machine hashes a hundred megabytes in a few."""


class CannotVerify(DebvisorError):
    """This machine cannot judge any signature, so nothing is known about this one."""


class OpenPgp:
    """The signatures of a keyring's owners."""

    def verify(self, content: Spool, signature: Spool, keyring: str) -> None:
        """Make sure that one of the certificates in ``keyring`` signed the content.

        :raises Refused: where none did.
        :raises CannotVerify: where that cannot be judged here.
        """
        if not os.access(keyring, os.R_OK):
            raise CannotVerify(
                f"the keyring {keyring} cannot be read",
                hint="Put the publisher's certificate there, as gpg --export or --export --armor writes it",
            )
        handles = (signature.handle, content.handle)
        try:
            ended = command.attempt(
                # sqv of Debian 13 calls this form an old one, and that of Debian 12 knows no other.
                [SQV, "--keyring", keyring, *(f"/dev/fd/{handle}" for handle in handles)],
                timeout=TIMEOUT,
                handles=handles,
            )
        except TimedOut as late:
            raise CannotVerify(late.what, why=late.why) from late
        except command.ProgramFailed as cause:
            raise CannotVerify(
                f"{SQV} cannot be run", why=cause.why, hint="Install the package sqv"
            ) from cause
        if ended.status != 0:
            said = ended.complained.decode(errors="replace").split("\n")
            reasons = [line.strip() for line in said if line.strip()]
            raise Refused(
                "the signature is not a valid one of the keyring",
                why="; ".join(reasons[:3]) or f"{SQV} ended with {ended.status}",
            )
