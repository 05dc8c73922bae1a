# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manager's own inventory holds what a rotation reads of the cluster's variables, and no more."""

from __future__ import annotations

import re

import yaml

from tests.checkout import ROOT

OF_ONE_RUN = {"debvisor_tsig_rotation", "debvisor_tsig_only", "debvisor_tsig_emergency"}


def test_the_manager_knows_what_a_rotation_reads() -> None:
    read: set[str] = set()
    for role in ("tsig_keys", "tsig_rotation"):
        for folder in ("defaults", "vars", "tasks"):
            for path in (ROOT / "roles" / role / folder).glob("*.yml"):
                read |= set(re.findall(r"\bdebvisor_\w+", path.read_text("utf-8")))
    assert read > OF_ONE_RUN
    carried = yaml.safe_load((ROOT / "roles/tsig_timer/vars/main.yml").read_text("utf-8"))
    assert carried["tsig_timer_variables"] == sorted(read - OF_ONE_RUN)
