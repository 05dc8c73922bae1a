# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that only the owner of an OpenPGP certificate can read, by gpg(1)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..._core.durable import private_umask
from ..._core.errors import DebvisorError, Refused
from ..host import command

GPG = "/usr/bin/gpg"
RECIPIENT = "./recipient"
"""The certificate's file, in the folder that gpg works in."""
TIMEOUT = 60.0
"""Seconds; a message this short takes less than one."""
FIELD_VALIDITY, FIELD_CAPABILITIES, FIELD_TEXT = 1, 11, 9
"""Where a line of --with-colons has them (GnuPG's doc/DETAILS)."""
UNUSABLE = {
    "e": "it has expired",
    "r": "it was revoked",
    "i": "it is invalid",
    "d": "it is disabled",
}


class OpenPgpSealer:
    """Encrypts, in a folder of its own that goes with it: no keyring of this machine is read or written."""

    def recipient(self, certificate: str) -> str:
        """Return the certificate's fingerprint.

        :raises Refused: where it is not exactly one certificate that messages can be encrypted for.
        """
        listed = self._gpg(certificate, b"", "--with-colons", "--show-keys", RECIPIENT)
        rows = [line.split(":") for line in listed.decode(errors="replace").splitlines()]
        found = [row for row in rows if row[0] in ("pub", "sec")]
        if len(found) != 1 or found[0][0] == "sec":
            raise Refused(
                "the recipient is not one public certificate", hint="Give gpg --armor --export USER"
            )
        why = UNUSABLE.get(found[0][FIELD_VALIDITY], "")
        if why or "E" not in found[0][FIELD_CAPABILITIES]:
            raise Refused(
                "nothing can be encrypted for the recipient", why=why or "it has no key for that"
            )
        return next(row[FIELD_TEXT] for row in rows if row[0] == "fpr")

    def seal(self, content: bytes, certificate: str) -> str:
        """Return an armoured message.

        :raises Refused: where gpg cannot make one for the certificate.
        """
        # The certificate was given by who may decide; no web of trust has to vouch for it.
        trusting = ("--armor", "--trust-model", "always")
        encrypt = ("--recipient-file", RECIPIENT, "--encrypt")
        return self._gpg(certificate, content, *trusting, *encrypt).decode()

    def _gpg(self, certificate: str, content: bytes, *arguments: str) -> bytes:
        with private_umask(), tempfile.TemporaryDirectory(prefix="debvisor-") as home:
            (Path(home) / RECIPIENT).write_text(certificate, encoding="utf-8")
            try:
                ended = command.attempt(
                    [GPG, "--batch", "--no-options", "--no-autostart", *arguments],
                    input=content,
                    timeout=TIMEOUT,
                    folder=home,
                    environment={"GNUPGHOME": home, "LC_ALL": "C.UTF-8"},
                )
            except command.ProgramFailed as cause:
                raise DebvisorError(
                    f"{GPG} cannot be run", why=cause.why, hint="Install the package gpg"
                ) from cause
        if ended.status != 0:
            lines = ended.complained.decode(errors="replace").splitlines()
            said = [line for line in lines if line.strip() and "keybox" not in line]
            raise Refused(
                "gpg does not take the recipient's certificate",
                why="; ".join(said[-2:]).rstrip("."),
                hint="Give gpg --armor --export USER",
            )
        return ended.printed
