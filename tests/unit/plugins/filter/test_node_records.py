# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node enters into DNS."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.debvisor.hci.plugins.filter.node_records import FilterModule

node_records = FilterModule().filters()["node_records"]

LINES = [
    "node IN SSHFP 1 1 aa11",
    "node IN SSHFP 1 2 bb22",
    "node IN SSHFP 4 2 cc33",
    "; a comment",
]


def test_both_families_and_keys() -> None:
    assert node_records(["192.0.2.11", "2001:db8::11"], "n1", fingerprints=LINES) == [
        {"name": "n1", "type": "A", "value": ["192.0.2.11"]},
        {"name": "n1", "type": "AAAA", "value": ["2001:db8::11"]},
        {"name": "n1", "type": "SSHFP", "value": ["1 2 bb22", "4 2 cc33"]},
    ]


def test_a_family_without_addresses_goes_and_keys_stay_as_they_are() -> None:
    assert node_records(["2001:db8::11"], "n1") == [
        {"name": "n1", "type": "A", "state": "absent"},
        {"name": "n1", "type": "AAAA", "value": ["2001:db8::11"]},
    ]


def test_nonsense_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="nonsense"):
        node_records(["nonsense"], "n1")
