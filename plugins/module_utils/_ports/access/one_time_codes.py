# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One-time codes by pyotp."""

from __future__ import annotations

from ..._core.errors import DebvisorError

try:
    import pyotp

    MISSING: ImportError | None = None
except ImportError as absent:  # reported at the first use
    MISSING = absent


class OneTimeCodes:
    """Codes of six digits, by SHA-1, as every authenticator knows them."""

    def at(self, secret: bytes, counter: int) -> str:
        """Return the code of a counter. pyotp's own way from a time to a counter goes through the local time zone,
        and is wrong in the hour that comes twice; ours does not.
        """
        if MISSING is not None:
            raise DebvisorError(
                "the Python library pyotp is missing",
                why=str(MISSING),
                hint="Install python3-pyotp; the role debvisor.hci.mfa does",
            )
        return pyotp.HOTP(secret.decode()).at(counter)
