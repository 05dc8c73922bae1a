# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors as Prometheus' text format: whether they are asked for, who is enrolled, and what is unusual."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

HASHED = 12
"""Letters of a name's hash: enough to tell people apart, and nobody's name to a stranger."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told. ``expiries`` are the last days of exemptions, by whom they are for.

    ``taken_back`` is when a change of logins was last taken back because nobody could prove or confirm it.
    """

    enabled: bool
    enrolled: Mapping[str, bool]
    expiries: Mapping[str, date]
    break_glass_used: float | None = None
    store_usable: bool = True
    taken_back: float | None = None


def render(facts: Facts, *, hash_names: bool) -> str:
    """Return the metrics. What never happened has the time 0."""
    return "\n".join(_lines(facts, hash_names)) + "\n"


def _lines(facts: Facts, hash_names: bool) -> Iterator[str]:
    yield "# HELP debvisor_node_mfa_enabled Whether sshd asks for a second factor, by its own word."
    yield "# TYPE debvisor_node_mfa_enabled gauge"
    yield f"debvisor_node_mfa_enabled {int(facts.enabled)}"
    yield "# HELP debvisor_mfa_user_enrolled Whether a user has a second factor that PAM takes."
    yield "# TYPE debvisor_mfa_user_enrolled gauge"
    for user, enrolled in sorted(facts.enrolled.items()):
        shown = _hash(user) if hash_names else user
        yield f'debvisor_mfa_user_enrolled{{user="{shown}"}} {int(enrolled)}'
    yield "# HELP debvisor_mfa_exemption_expires_timestamp_seconds When an exemption ends."
    yield "# TYPE debvisor_mfa_exemption_expires_timestamp_seconds gauge"
    for name, last_day in sorted(facts.expiries.items()):
        shown = _hash(name) if hash_names else name
        over = datetime.combine(last_day + timedelta(days=1), time(), UTC).timestamp()
        yield f'debvisor_mfa_exemption_expires_timestamp_seconds{{name="{shown}"}} {over:.0f}'
    yield "# HELP debvisor_mfa_break_glass_last_use_timestamp_seconds When break-glass was last used."
    yield "# TYPE debvisor_mfa_break_glass_last_use_timestamp_seconds gauge"
    yield f"debvisor_mfa_break_glass_last_use_timestamp_seconds {facts.break_glass_used or 0:.0f}"
    yield "# HELP debvisor_mfa_store_usable Whether PAM can write down a login; where it cannot, no code opens."
    yield "# TYPE debvisor_mfa_store_usable gauge"
    yield f"debvisor_mfa_store_usable {int(facts.store_usable)}"
    yield "# HELP debvisor_mfa_taken_back_timestamp_seconds When a change of logins was last taken back, unproven."
    yield "# TYPE debvisor_mfa_taken_back_timestamp_seconds gauge"
    yield f"debvisor_mfa_taken_back_timestamp_seconds {facts.taken_back or 0:.0f}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:HASHED]
