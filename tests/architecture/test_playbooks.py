# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is told a host does something there, or fails: a run that touches nobody is no success."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT

HOSTS: dict[str, Any] = {"debvisor": {"hosts": {"hv1": {}, "hv2": {}}}}


def play(folder: Path, *arguments: str) -> tuple[int, str]:
    (folder / "hosts.json").write_text(json.dumps(HOSTS))
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
        ("block_ips", "block_hosts", "Nobody would be banned anywhere"),
        ("provision_volume", "debvisor_target", "There is no host"),
        ("quarantine_host", "debvisor_reason=x debvisor_target", "There is no host"),
    ],
)
def test_a_run_without_hosts_fails(
    tmp_path: Path, playbook: str, target: str, told: str, options: list[str]
) -> None:
    named, *limit = options
    extra = f"--extra-vars=blocked_ips=192.0.2.1 {target}={named}"
    code, said = play(tmp_path, f"debvisor.hci.{playbook}", extra, *limit)
    assert code != 0, said
    assert told in said


@pytest.mark.parametrize(
    ("playbook", "target", "told"),
    [
        ("block_ips", "block_hosts", "blocked_ips is missing"),
        ("provision_volume", "debvisor_target", "Needed are -e image_url"),
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
