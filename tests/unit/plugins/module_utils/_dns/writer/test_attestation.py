# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a writer attests, and who can have done so."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.attestation import (
    Attestation,
    attest,
)

from tests.fakes.zone_changes import ZONE

KEY = Key("g1.debvisor-role", "hmac-sha256", Secret(b"r" * 32))
OTHER = Key("g1.debvisor-role", "hmac-sha256", Secret(b"x" * 32))


def test_the_writers_word_holds_for_just_what_it_says() -> None:
    said = attest(KEY, ZONE, 7, 12, "d")
    assert said.holds({KEY.name: KEY}.get)
    assert not said.holds({KEY.name: OTHER}.get)
    assert not said.holds({}.get)
    for change in ({"zone": "y.test"}, {"term": 8}, {"serial": 13}, {"digest": "e"}):
        assert not said._replace(**change).holds({KEY.name: KEY}.get), change


def test_a_younger_term_outweighs_any_serial() -> None:
    old = attest(KEY, ZONE, 7, 12, "d")
    assert old.newer(None)
    assert not old.newer(old)
    assert attest(KEY, ZONE, 7, 13, "e").newer(old)
    assert attest(KEY, ZONE, 8, 1, "e").newer(old)
    assert not attest(KEY, ZONE, 6, 99, "e").newer(old)
    assert attest(KEY, ZONE, 7, 1, "e").newer(attest(KEY, ZONE, 7, (1 << 32) - 1, "e"))
    assert attest(OTHER, ZONE, 7, 12, "d").newer(old), "the key was rotated"


@pytest.mark.parametrize(
    "given",
    [
        [ZONE, 7, 12, "d", "k"],
        [ZONE, "7", 12, "d", "k", "m"],
        [ZONE, 7, 1e999, "d", "k", "m"],
        [ZONE, True, 12, "d", "k", "m"],
        [ZONE, 7, 1 << 32, "d", "k", "m"],
        [ZONE, 7, 12, "d", "k", "\u00e9"],
        [ZONE, 7, 12, None, "k", "m"],
    ],
)
def test_what_is_no_attestation_is_said_so(given: list[object]) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Attestation.parse(given)
