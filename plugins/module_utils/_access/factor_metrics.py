# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of second factors: whether they are asked for, who is enrolled, and what is unusual."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from .._core.metrics import Family, sample, single

HASHED = 12
"""Letters of a name's hash: enough to tell people apart, and nobody's name to a stranger."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told. ``expiries`` are the last days of exemptions, by whom they are for.

    ``rolled_back`` is when a change of logins was last taken back because nobody could prove or confirm it.
    """

    enabled: bool
    enrolled: Mapping[str, bool]
    expiries: Mapping[str, date]
    break_glass_used: float | None = None
    store_usable: bool = True
    rolled_back: float | None = None


def families(facts: Facts, *, hash_names: bool) -> list[Family]:
    """Return the metrics. What never happened has the time 0."""

    def shown(name: str) -> str:
        return _hash(name) if hash_names else name

    return [
        single(
            "debvisor_node_mfa_enabled",
            "gauge",
            "Whether sshd asks for a second factor, by its own word.",
            int(facts.enabled),
        ),
        Family(
            "debvisor_mfa_user_enrolled",
            "gauge",
            "Whether a user has a second factor that PAM takes.",
            [sample(int(has), user=shown(user)) for user, has in sorted(facts.enrolled.items())],
        ),
        Family(
            "debvisor_mfa_exemption_expires_timestamp_seconds",
            "gauge",
            "When an exemption ends.",
            [sample(_end(day), name=shown(name)) for name, day in sorted(facts.expiries.items())],
        ),
        single(
            "debvisor_mfa_break_glass_last_use_timestamp_seconds",
            "gauge",
            "When break-glass was last used.",
            round(facts.break_glass_used or 0),
        ),
        single(
            "debvisor_mfa_store_usable",
            "gauge",
            "Whether PAM can write down a login; where it cannot, no code opens.",
            int(facts.store_usable),
        ),
        single(
            "debvisor_mfa_rolled_back_timestamp_seconds",
            "gauge",
            "When a change of logins was last rolled back, unproven.",
            round(facts.rolled_back or 0),
        ),
    ]


def _end(last_day: date) -> int:
    return round(datetime.combine(last_day + timedelta(days=1), time(), UTC).timestamp())


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:HASHED]
