# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which alerts the rules have, and which of them a test of promtool sees fire."""

from __future__ import annotations

from collections.abc import Collection

import yaml


def named(text: str) -> list[str]:
    """Return the alerts of a file of rules."""
    return [
        rule["alert"]
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def fired(text: str) -> set[str]:
    """Return the alerts that a file of tests expects to fire at some time."""
    return {
        case["alertname"]
        for test in yaml.safe_load(text)["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }


def unseen(path: str, text: str, fired: Collection[str]) -> list[str]:
    """Name the alerts that no test sees fire: nobody knows whether they can."""
    return [f"{path}: no test sees {name} fire" for name in named(text) if name not in fired]
