# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads of second factors."""

from __future__ import annotations

import hashlib
from datetime import date

from ansible_collections.debvisor.hci.plugins.module_utils._access.factor_metrics import (
    Facts,
    families,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.metrics import text


def render(facts: Facts, *, hash_names: bool) -> str:
    return text(families(facts, hash_names=hash_names))


FACTS = Facts(True, {"anna": True, "ben": False}, {"robots": date(2027, 6, 30)}, 1_800_000_000.9)


def test_names_are_hashed_unless_they_may_be_told() -> None:
    digest = hashlib.sha256(b"anna").hexdigest()
    hashed, plain = render(FACTS, hash_names=True), render(FACTS, hash_names=False)
    assert f'debvisor_mfa_user_enrolled{{user="{digest[:12]}"}} 1\n' in hashed
    assert not [name for name in ("anna", "ben", "robots") if name in hashed]
    assert 'debvisor_mfa_user_enrolled{user="ben"} 0\n' in plain


def test_an_exemption_ends_when_its_last_day_is_over() -> None:
    told = render(FACTS, hash_names=False)
    # 2027-07-01T00:00:00Z
    assert 'debvisor_mfa_exemption_expires_timestamp_seconds{name="robots"} 1814400000\n' in told


def test_break_glass_that_was_never_used_has_no_time() -> None:
    name = "debvisor_mfa_break_glass_last_use_timestamp_seconds"
    assert f"{name} 1800000001\n" in render(FACTS, hash_names=True)
    assert f"{name} 0\n" in render(Facts(False, {}, {}), hash_names=True)


def test_a_store_that_cannot_be_used_and_a_change_that_was_rolled_back_are_told() -> None:
    told = render(Facts(True, {}, {}, store_usable=False, rolled_back=18.0), hash_names=True)
    assert "debvisor_mfa_store_usable 0\n" in told
    assert "debvisor_mfa_rolled_back_timestamp_seconds 18\n" in told
    usual = render(FACTS, hash_names=True)
    assert "debvisor_mfa_store_usable 1\n" in usual
    assert "debvisor_mfa_rolled_back_timestamp_seconds 0\n" in usual
