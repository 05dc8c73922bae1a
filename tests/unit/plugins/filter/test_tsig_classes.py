# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one description of classes: the cluster's own, the operator's, and everything that can be wrong with those."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.debvisor.hci.plugins.filter.tsig_classes import FilterModule, tsig_classes

GROUPS = {
    "debvisor": ["n3", "n2", "n1"],
    "dns_primaries": ["n1", "n2"],
    "dns_secondaries": ["n3"],
    "hypervisors": ["n3"],
    "blue": ["n2", "n3"],
}


def by_name(*added: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in tsig_classes(added, GROUPS, **options)}


def test_the_clusters_own_classes() -> None:
    found = by_name()
    names = ("admin", "node", "role", "vm", "xfer", "xfer-n3")
    assert sorted(found) == [f"debvisor-{name}" for name in names]
    assert found["debvisor-node"]["clients"] == ["n1", "n2", "n3"]
    assert found["debvisor-vm"]["clients"] == ["n1", "n2", "n3"]
    for name, hosts in (("xfer", ["n1", "n2"]), ("xfer-n3", ["n1", "n2", "n3"])):
        about = found[f"debvisor-{name}"]
        assert (about["servers"], about["clients"]) == (hosts, hosts)
        assert about["purpose"] == "transfer"
    assert [name for name, each in found.items() if each["reads"]] == ["debvisor-admin"]
    assert {each["algorithm"] for each in found.values()} == {"hmac-sha256"}


def test_a_class_of_ones_own() -> None:
    grant = {"zone": "vm.test", "below": "blue.vm.test", "types": ["A"]}
    found = by_name(
        {"name": "blue", "used_by": ["blue"], "grants": [grant]}, algorithm="hmac-sha512"
    )
    assert found["blue"] == {
        "name": "blue",
        "algorithm": "hmac-sha512",
        "purpose": "update",
        "reads": False,
        "servers": ["n1", "n2"],
        "clients": ["n2", "n3"],
        "grants": [grant],
    }


def test_the_clusters_own_classes_need_not_have_every_group() -> None:
    found = {each["name"]: each for each in tsig_classes([], {"dns_primaries": ["n1"]})}
    assert found["debvisor-vm"]["clients"] == ["n1"]


@pytest.mark.parametrize(
    ("added", "what"),
    [
        ({"used_by": []}, "lacks name"),
        ({"name": "x", "used_by": ["nobody"]}, "there is no group 'nobody'"),
        ({"name": "x", "used_by": [], "purpose": "both"}, "neither update nor transfer"),
        (
            {"name": "x", "used_by": [], "served_by": ["dns_secondaries"]},
            "n3 cannot take updates",
        ),
        ({"name": "x"}, "lacks used_by"),
        ({"name": "x", "used_by": [], "user": 1}, "has no option user"),
        ({"name": "debvisor-vm", "used_by": []}, "is described twice"),
        ({"name": "x", "used_by": [], "grants": [{"zone": "z"}]}, "grants[0] lacks types"),
        (
            {"name": "x", "used_by": [], "grants": [{"types": ["A"]}]},
            "has to name a zone or a kind",
        ),
        (
            {"name": "x", "used_by": [], "grants": [{"types": ["A"], "zone": "z", "kind": "k"}]},
            "has to name a zone or a kind",
        ),
        (
            {"name": "x", "used_by": [], "grants": [{"types": ["A"], "zone": "z", "to": 1}]},
            "no option to",
        ),
        ("x", "debvisor_tsig_classes[0] is not a description of a class"),
        ({"name": "x", "used_by": "blue"}, "debvisor_tsig_classes[0].used_by is not a list"),
        ({"name": "x", "used_by": [], "served_by": "blue"}, "served_by is not a list"),
        ({"name": "x", "used_by": [], "grants": {"zone": "z"}}, "grants is not a list"),
        ({"name": "x", "used_by": [], "grants": ["z"]}, "grants[0] is not a description"),
        (
            {"name": "x", "used_by": [], "grants": [{"types": "TXT", "zone": "z"}]},
            "grants[0].types is not a list",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_told(added: Any, what: str) -> None:
    with pytest.raises(AnsibleFilterError) as refusal:
        tsig_classes([added], GROUPS)
    assert what in str(refusal.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = [{"name": "x"}, "y", {"name": "debvisor-vm", "used_by": [], "grants": [{}], "user": 1}]
    with pytest.raises(AnsibleFilterError) as refusal:
        tsig_classes(wrong, GROUPS)  # type: ignore[arg-type]
    assert str(refusal.value).removeprefix("tsig_classes: ").split("; ") == [
        "debvisor_tsig_classes[0] lacks used_by",
        "debvisor_tsig_classes[1] is not a description of a class",
        "debvisor_tsig_classes[2] has no option user",
        "debvisor_tsig_classes[2].grants[0] lacks types",
        "debvisor_tsig_classes[2].grants[0] has to name a zone or a kind",
        "'debvisor-vm' is described twice",
    ]


def test_ansible_finds_it() -> None:
    assert FilterModule().filters() == {"tsig_classes": tsig_classes}
