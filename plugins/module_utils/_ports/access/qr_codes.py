# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QR codes by the library qrcode."""

from __future__ import annotations

import io
from typing import Any

from ..._core.errors import DebvisorError

try:
    import qrcode
    from qrcode.image.pil import PilImage

    MISSING: ImportError | None = None
except ImportError as absent:  # reported at the first use
    MISSING = absent


class QrCodes:
    """Draws texts as pictures."""

    def text(self, content: str) -> str:
        """Return lines of half blocks, for a terminal with light letters on a dark ground."""
        written = io.StringIO()
        _drawn(content).print_ascii(out=written, invert=True)
        return written.getvalue()

    def png(self, content: str) -> bytes:
        """Return the picture as a file's content."""
        written = io.BytesIO()
        _drawn(content).make_image(image_factory=PilImage).save(written)
        return written.getvalue()


def _drawn(content: str) -> Any:
    if MISSING is not None:
        raise DebvisorError(
            "the Python library qrcode, or Pillow for it, is missing",
            why=str(MISSING),
            hint="Install python3-qrcode; the role debvisor.hci.mfa does",
        )
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M)
    code.add_data(content)
    return code
