# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use SSH on every node, by the role's own table."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.checkout import ROOT

DEFAULTS: dict[str, Any] = yaml.safe_load(
    (ROOT / "roles/firewall/defaults/main.yml").read_text("utf-8")
)
HOSTS = {
    "hv1": {"debvisor_address": "192.0.2.11", "debvisor_address6": "2001:db8::11"},
    "hv2": {"debvisor_address": "192.0.2.12"},
}
NETWORKS = ["198.51.100.0/24"]
LIMITED = {"debvisor_management_networks": NETWORKS}


@pytest.mark.parametrize(
    ("manager", "given", "sources"),
    [
        (["hv1"], {}, [["any"], ["192.0.2.11", "2001:db8::11"]]),
        (["hv1"], LIMITED, [NETWORKS, ["192.0.2.11", "2001:db8::11"]]),
        (["hv2"], LIMITED, [NETWORKS, ["192.0.2.12"]]),
        ([], LIMITED, [NETWORKS, []]),
    ],
)
def test_management_networks_and_the_tsig_manager_may_use_ssh(
    manager: list[str], given: dict[str, Any], sources: list[list[str]]
) -> None:
    """An empty list is nobody."""
    groups = {"debvisor": list(HOSTS), "tsig_manager": manager}
    variables = {**trusted(DEFAULTS), "groups": groups, "hostvars": HOSTS, **given}
    template = trust_as_template("{{ firewall_openings.debvisor }}")
    openings = Templar(DataLoader(), variables).template(template)
    assert [each["sources"] for each in openings if each["service"] == "ssh"] == sources


def trusted(value: Any) -> Any:
    """Mark every text as one that may be a template."""
    if isinstance(value, dict):
        return {name: trusted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [trusted(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value
