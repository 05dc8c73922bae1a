# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles make of the inventory: where images come from and go to, and whom they take for a node."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT

WAY = {"s3", "ca_path", "client_cert", "client_key"}
CACHE = {"debvisor.hci.image_cache": "path", "debvisor.hci.volume_image": "cache_path"}


def calls(node: Any, module: str) -> Iterator[dict[str, Any]]:
    """Yield the options of every task that calls a module."""
    if isinstance(node, dict):
        if module in node:
            yield node[module]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from calls(each, module)


@pytest.mark.parametrize("module", CACHE)
def test_an_image_is_brought_as_the_inventory_says(module: str) -> None:
    found = {
        (path.parts[-3], place): options
        for path in sorted(ROOT.glob("roles/*/tasks/*.yml"))
        for place, options in enumerate(calls(yaml.safe_load(path.read_text("utf-8")), module))
    }
    assert found
    for where, options in found.items():
        assert CACHE[module] in options, where
        assert "image_url" not in options or options.keys() >= WAY, where


@pytest.mark.parametrize(
    ("role", "variable"), [("firewall", "firewall_peers"), ("blocklist", "blocklist_protected")]
)
def test_further_networks_of_the_nodes_are_theirs(role: str, variable: str) -> None:
    """Ceph's cluster network, say: who is there is a node, and nobody bans it."""
    networks = ["198.51.100.0/24", "2001:db8:0:10::/64"]
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")),
            "--inventory=inventories/example",
            f"--extra-vars=@roles/{role}/defaults/main.yml",
            f"--extra-vars={json.dumps({'debvisor_cluster_networks': networks})}",
            "--module-name=ansible.builtin.debug",
            f"--args=var={variable}",
            "--one-line",
            "hv1",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout.partition("=> ")[2])[variable]
    assert {"192.0.2.11", "2001:db8::12", "192.0.2.10", *networks} <= set(found)


def test_a_folder_that_a_module_writes_into_is_there_whatever_tags_are_asked_for() -> None:
    tasks = yaml.safe_load((ROOT / "roles/quarantine/tasks/main.yml").read_text("utf-8"))
    tagged = {each["name"]: each["tags"] for each in tasks}
    assert tagged["Quarantine or release the host"] == "configure"
    assert tagged["Create the folder for metrics"] == "always"
