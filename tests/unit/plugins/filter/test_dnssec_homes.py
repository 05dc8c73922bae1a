# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which primary has the keys of a signed zone."""

from __future__ import annotations

from ansible_collections.debvisor.hci.plugins.filter.dnssec_homes import FilterModule

dnssec_homes = FilterModule().filters()["dnssec_homes"]


def test_the_first_host_with_a_key_counts() -> None:
    folder = "/var/lib/bind/keys"
    results = [
        {"item": "n1", "unreachable": True},
        {"item": "n2", "files": [{"path": f"{folder}/Ka.example.+013+00001.private"}]},
        {
            "item": "n3",
            "files": [
                {"path": f"{folder}/Ka.example.+013+00001.private"},
                {"path": f"{folder}/Kb.a.example.+013+20000.private"},
                {"path": f"{folder}/Kodd.private"},
            ],
        },
    ]
    assert dnssec_homes(results) == {"a.example": "n2", "b.a.example": "n3"}
    assert dnssec_homes([]) == {}
