# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys two DNS servers share: what one secondary has is of no use anywhere but between it and the primaries."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.debvisor.hci.plugins.filter.transfer_classes import FilterModule
from ansible_collections.debvisor.hci.plugins.filter.tsig_classes import tsig_classes

GROUPS = {"dns_primaries": ["n2", "n1"], "dns_secondaries": ["n3", "Node_4.example.org", "n1"]}
transfer_classes = FilterModule().filters()["transfer_classes"]


def test_primaries_share_one_class_and_each_secondary_has_its_own() -> None:
    fourth = "debvisor-xfer-node-4-example-org"
    of_primaries = {
        "n1": "debvisor-xfer",
        "n2": "debvisor-xfer",
        "n3": "debvisor-xfer-n3",
        "Node_4.example.org": fourth,
    }
    assert transfer_classes(GROUPS, "n1") == transfer_classes(GROUPS, "n2") == of_primaries
    assert transfer_classes(GROUPS, "n3") == dict.fromkeys(("n1", "n2", "n3"), "debvisor-xfer-n3")
    assert transfer_classes(GROUPS, "n9") == {}
    assert transfer_classes({}, "n9") == {}


def test_both_sides_name_the_same_class_and_both_hold_it() -> None:
    hosts = ["n1", "n2", "n3", "Node_4.example.org"]
    holders = {each["name"]: each["servers"] for each in tsig_classes([], GROUPS)}
    for host in hosts:
        for other, name in transfer_classes(GROUPS, host).items():
            assert {host, other} <= set(holders[name])
            assert transfer_classes(GROUPS, other)[host] == name or host == other


@pytest.mark.parametrize(
    ("secondaries", "what"),
    [
        (["a.b", "a-b"], "a.b would have the class of keys debvisor-xfer-a-b of another"),
        (["a" * 60], "too long for a class"),
    ],
)
def test_names_that_make_no_class_of_their_own(secondaries: list[str], what: str) -> None:
    with pytest.raises(AnsibleFilterError, match=what):
        tsig_classes([], {"dns_primaries": ["n1"], "dns_secondaries": secondaries})


def test_a_class_of_the_operators_own_has_another_name() -> None:
    added = {"name": "debvisor-xfer-n3", "used_by": ["dns_primaries"]}
    with pytest.raises(AnsibleFilterError, match="'debvisor-xfer-n3' is described twice"):
        tsig_classes([added], GROUPS)
