# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is told a host does something there, or fails: a run that touches nobody is no success."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT

HOSTS: dict[str, Any] = {"debvisor": {"hosts": {"hv1": {}, "hv2": {}}}}


def play(folder: Path, *arguments: str, variables: dict[str, Any] | None = None) -> tuple[int, str]:
    hosts = {**HOSTS, "all": {"hosts": {"fd00::1": {}}, "vars": variables or {}}}
    (folder / "hosts.json").write_text(json.dumps(hosts))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, f"--inventory={folder / 'hosts.json'}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("options", [["hv3"], ["hv2", "--limit=hv1"]], ids=["unknown", "limited"])
@pytest.mark.parametrize(
    ("playbook", "target", "told"),
    [
        ("block_ips", "debvisor_target", "Nothing would be banned on any host"),
        ("provision_volume", "debvisor_target", "There is no host"),
        ("quarantine_host", "debvisor_reason=x debvisor_target", "There is no host"),
    ],
)
def test_a_run_without_hosts_fails(
    tmp_path: Path, playbook: str, target: str, told: str, options: list[str]
) -> None:
    named, *limit = options
    extra = f"--extra-vars=debvisor_block_ips=192.0.2.1 {target}={named}"
    code, said = play(tmp_path, f"debvisor.hci.{playbook}", extra, *limit)
    assert code != 0, said
    assert told in said


@pytest.mark.parametrize(
    ("playbook", "target", "told"),
    [
        ("block_ips", "debvisor_target", "debvisor_block_ips is missing"),
        ("provision_volume", "debvisor_target", "Needed are -e debvisor_volume_image_url"),
    ],
)
def test_a_limit_that_leaves_the_host_is_fine(
    tmp_path: Path, playbook: str, target: str, told: str
) -> None:
    code, said = play(
        tmp_path, f"debvisor.hci.{playbook}", f"--extra-vars={target}=debvisor", "--limit=hv2"
    )
    assert code != 0
    assert told in said


@pytest.mark.parametrize(
    ("playbook", "former", "now"),
    [
        ("block_ips", "blocked_ips=192.0.2.1", "debvisor_block_ips for blocked_ips"),
        ("block_ips", "block_ttl=1h", "debvisor_block_ttl for block_ttl"),
        ("provision_volume", "image_url=x", "debvisor_volume_image_url for image_url"),
        ("provision_volume", "volume_name=x", "debvisor_volume_name for volume_name"),
        ("provision_volume", "guest=x", "debvisor_volume_guest for guest"),
        ("provision_volume", "start=false", "debvisor_volume_start for start"),
    ],
)
def test_a_former_name_is_refused_with_the_new_one(
    tmp_path: Path, playbook: str, former: str, now: str
) -> None:
    extra = f"--extra-vars=debvisor_target=hv1 {former}"
    code, said = play(tmp_path, f"debvisor.hci.{playbook}", extra)
    assert code != 0
    assert f"Variables have new names: use {now}" in said


COMMON = dict.fromkeys(("pool", "start", "guest", "backend", "checksum", "job_id"), "{{ theirs }}")


@pytest.mark.parametrize(
    ("inventory", "others"),
    [
        (COMMON, ""),
        ({}, "image_url=x debvisor_volume_image_url="),
        ({}, "pool=x debvisor_volume_pool="),
    ],
    ids=["inventory", "new-beside", "new-beside-common"],
)
def test_names_of_others_are_no_former_names(
    tmp_path: Path, inventory: dict[str, Any], others: str
) -> None:
    extra = f"--extra-vars=debvisor_target=hv1 {others}"
    code, said = play(tmp_path, "debvisor.hci.provision_volume", extra, variables=inventory)
    assert code != 0
    assert "Needed are -e debvisor_volume_image_url" in said


@pytest.mark.parametrize("target", ["debvisor", "all", "hv1,hv2", "hv1:hv2"])
def test_a_volume_is_provisioned_on_one_host(tmp_path: Path, target: str) -> None:
    extra = f"--extra-vars=debvisor_target={target}"
    code, said = play(tmp_path, "debvisor.hci.provision_volume", extra)
    assert code != 0
    assert "Name one host" in said


def test_a_volume_is_provisioned_on_one_host_wherever_the_run_starts(tmp_path: Path) -> None:
    code, said = play(
        tmp_path,
        "debvisor.hci.provision_volume",
        "--extra-vars=debvisor_target=debvisor ansible_connection=local",
        "--start-at-task=Check again that there is one target host",
    )
    assert code != 0
    assert "Name one host" in said


@pytest.mark.parametrize("playbook", ["block_ips", "provision_volume"])
@pytest.mark.parametrize("target", ["hv1,hv3", "hv1:hv3", "hv1,!hv3"])
def test_a_target_that_is_there_in_part_is_refused(
    tmp_path: Path, playbook: str, target: str
) -> None:
    extra = f"--extra-vars=debvisor_block_ips=192.0.2.1 debvisor_target={target}"
    code, said = play(tmp_path, f"debvisor.hci.{playbook}", extra)
    assert code != 0
    assert 'There is no host or group "hv3" in the inventory' in said


@pytest.mark.parametrize(
    "target", ["hv1,hv2", "hv1:&debvisor", "debvisor:!hv2", "debvisor[0:1]", "hv*", "fd00::1,hv1"]
)
def test_patterns_are_fine(tmp_path: Path, target: str) -> None:
    code, said = play(tmp_path, "debvisor.hci.block_ips", f"--extra-vars=debvisor_target={target}")
    assert code != 0
    assert "debvisor_block_ips is missing" in said


IMAGE = "debvisor_volume_image_url=x debvisor_volume_name=x debvisor_volume_pool=x"


@pytest.mark.parametrize(
    ("playbook", "wrong", "named"),
    [
        ("provision_volume", f"{IMAGE} debvisor_volume_size_gb=abc", "volume_size_gb"),
        ("provision_volume", f"{IMAGE} debvisor_volume_size=1G debvisor_volume_start=2", "_start"),
        (
            "provision_volume",
            f"{IMAGE} debvisor_volume_size=1G debvisor_volume_shut_down=abc",
            "_shut_down",
        ),
        ("block_ips", "debvisor_block_ips=192.0.2.1 debvisor_block_renew=abc", "_renew"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(
    tmp_path: Path, playbook: str, wrong: str, named: str
) -> None:
    extra = f"--extra-vars=debvisor_target=hv1 {wrong}"
    code, said = play(tmp_path, f"debvisor.hci.{playbook}", extra)
    assert code != 0
    assert re.search(rf"argument '\w+{named}' is of type", said), said
