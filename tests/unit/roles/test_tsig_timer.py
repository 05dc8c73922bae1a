# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manager is told of the cluster: what a rotation reads of its variables, and no more."""

from __future__ import annotations

import re
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.checkout import ROOT

ROLES = ROOT / "roles"
OF_ONE_RUN = {"debvisor_tsig_rotation", "debvisor_tsig_only", "debvisor_tsig_emergency"}
CLASSES = [{"name": "yes: no", "used_by": ["a"], "grants": [{"types": ["TXT"], "below": "\u00e4"}]}]


def carried() -> list[str]:
    names: list[str] = yaml.safe_load((ROLES / "tsig_timer/vars/main.yml").read_text("utf-8"))[
        "tsig_timer_variables"
    ]
    return names


def render(template: str, hosts: dict[str, dict[str, Any]]) -> str:
    """Render a template of the role, as the first host."""
    variables = {
        "groups": {"debvisor": list(hosts), "dns_primaries": list(hosts), "all": list(hosts)},
        "hostvars": hosts,
        "tsig_timer_variables": carried(),
        "tsig_timer_key": "/key",
        "tsig_timer_known_hosts": "/known",
    }
    text = (ROLES / "tsig_timer/templates" / template).read_text("utf-8")
    rendered: str = Templar(DataLoader(), variables).template(trust_as_template(text))
    return rendered


def test_the_manager_knows_what_a_rotation_reads() -> None:
    read: set[str] = set()
    for role in ("tsig_keys", "tsig_rotation"):
        for folder in ("defaults", "vars", "tasks"):
            for path in (ROLES / role / folder).glob("*.yml"):
                read |= set(re.findall(r"\bdebvisor_\w+", path.read_text("utf-8")))
    assert read > OF_ONE_RUN
    assert carried() == sorted(read - OF_ONE_RUN)


def test_the_inventory_holds_no_secret_and_nothing_of_one_run() -> None:
    about = {
        "debvisor_address": "192.0.2.11",
        "debvisor_tsig_grace": 30,
        "debvisor_tsig_classes": CLASSES,
        "debvisor_tsig_rotation": "abort",
        "debvisor_image_s3": {"secret_key": "hidden"},
        "ansible_host": "hv1.example.com",
        "ansible_port": 2222,
        "ansible_password": "hidden",
    }
    inventory = yaml.safe_load(render("inventory.yml.j2", {"hv1": about}))["debvisor"]
    assert inventory["hosts"]["hv1"] == {
        "ansible_host": "192.0.2.11",
        "ansible_port": 2222,
        "debvisor_address": "192.0.2.11",
        "debvisor_tsig_grace": 30,
        "debvisor_tsig_classes": CLASSES,
    }
    assert inventory["vars"] == {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": "/key",
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/known -o GlobalKnownHostsFile=/dev/null"
        " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
    }
    assert inventory["children"] == {"dns_primaries": {"hosts": {"hv1": None}}}
