# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QR codes: the two forms show one and the same picture. What scanners make of it, a scanner has to say."""

from __future__ import annotations

import io

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access import qr_codes
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.qr_codes import QrCodes
from PIL import Image

CONTENT = (
    "otpauth://totp/debvisor:anna%40node1?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=debvisor"
)
LIGHT = {"█": (True, True), "▀": (True, False), "▄": (False, True), "\xa0": (False, False)}


def lit_in_terminal() -> list[list[bool]]:
    """Return which dots are light where letters are."""
    rows = QrCodes().text(CONTENT).splitlines()
    return [[LIGHT[letter][half] for letter in row] for row in rows for half in (0, 1)]


def lit_in_picture(dots: int) -> list[list[bool]]:
    image = Image.open(io.BytesIO(QrCodes().png(CONTENT))).convert("L")
    width = image.width // dots
    assert (image.width, image.height) == (width * dots, width * dots)
    middles = range(width // 2, image.width, width)
    return [[image.getpixel((x, y)) == 255 for x in middles] for y in middles]


def test_the_terminal_shows_what_the_picture_shows() -> None:
    shown = lit_in_terminal()
    dots = len(shown[0])
    assert dots > 21 + 8
    assert lit_in_picture(dots) == shown[:dots]


def test_there_is_a_light_margin_without_which_scanners_see_nothing() -> None:
    shown = lit_in_terminal()
    assert all(all(row) for row in shown[:4])
    assert all(all(row[:4] + row[-4:]) for row in shown[:-4])


def test_without_qrcode_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qr_codes, "MISSING", ImportError("no qrcode"))
    with pytest.raises(DebvisorError, match="python3-qrcode"):
        QrCodes().text(CONTENT)
