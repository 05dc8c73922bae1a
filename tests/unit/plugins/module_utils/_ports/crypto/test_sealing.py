# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed boxes: one host alone opens them."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto import sealing
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto.sealing import (
    CannotOpen,
    Opener,
    Sealer,
    draw_private,
    public_of,
)


def test_what_is_sealed_can_be_opened_and_is_not_in_the_box() -> None:
    private = draw_private()
    content = "Gruß".encode() * 1000
    box = Sealer().seal(content, public_of(private))
    assert content not in base64.b64decode(box)
    assert Opener(lambda path: private).open(box, "/key") == content
    assert Sealer().seal(content, public_of(private)) != box


def test_nobody_else_opens_it() -> None:
    box = Sealer().seal(b"x", public_of(draw_private()))
    with pytest.raises(CannotOpen):
        Opener(lambda path: draw_private()).open(box, "/key")


@pytest.mark.parametrize("recipient", ["", "no base64!", "AAAA"])
def test_a_malformed_recipient_is_refused(recipient: str) -> None:
    with pytest.raises(DebvisorError, match="public key is malformed"):
        Sealer().seal(b"x", recipient)


def test_a_damaged_private_key_is_told() -> None:
    with pytest.raises(CannotOpen, match="damaged"):
        public_of(Secret(b"short"))


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MISSING", ImportError("No module named 'nacl'"))
    for act in (draw_private, lambda: Sealer().seal(b"", ""), lambda: public_of(Secret(b"x" * 32))):
        with pytest.raises(DebvisorError, match="PyNaCl is missing"):
            act()
