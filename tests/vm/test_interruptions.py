# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An interrupted run, wherever it was, leaves the old volume or the new one: on LVM and ZFS, and after a power cut."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.vm import access, deploy, machine
from tests.vm.layout import THIN_POOL, VOLUME_GROUP, ZPOOL
from tests.volumes import interrupting

FILE = "/root/interruptions.py"
POOLS = {"lvm": VOLUME_GROUP, "lvm_thin": f"{VOLUME_GROUP}/{THIN_POOL}", "zfs": ZPOOL}
PATIENCE = 1800
"""Seconds for all points of one backend. The machine is emulated."""


@pytest.fixture(scope="module")
def program(vm: None) -> str:
    access.write(FILE, interrupting.PROGRAM.read_bytes())
    deploy.unit("volume_host", "volume-recover.service")
    start_libvirt()
    return f"python3 {FILE}"


def start_libvirt() -> None:
    """Debian's package without its units, as the machine has it, starts nothing by itself."""
    access.run("pgrep -x libvirtd || libvirtd --daemon")


def interrupt(program: str, kind: str, how: str, mode: str = "beside") -> str:
    return access.run(f"{program} {kind} {POOLS[kind]} {how} {mode}", timeout=PATIENCE).stdout


@pytest.mark.parametrize("kind", POOLS)
def test_killed(program: str, kind: str) -> None:
    interrupting.judge(interrupt(program, kind, "kill"))


@pytest.mark.parametrize("kind", POOLS)
def test_each_change_refused(program: str, kind: str) -> None:
    rounds = interrupting.told(interrupt(program, kind, "fail"))
    assert len(rounds) >= 5
    assert [each for each in rounds if each["faults"]] == []


@pytest.mark.parametrize("kind", ["lvm_thin", "zfs"])
def test_killed_while_a_golden_volume_is_made(program: str, kind: str) -> None:
    rounds = interrupting.told(interrupt(program, kind, "kill", "golden"))
    assert [each for each in rounds if each["faults"]] == []
    assert {"clone", "seal"} <= {each["point"].rpartition(" ")[2] for each in rounds}


def test_cancelled(program: str) -> None:
    interrupting.judge(interrupt(program, "lvm", "cancel"))


def test_the_power_fails(program: str) -> None:
    """In every stage, and between the two renames; the boot cleans up, before guests start."""
    points = json.loads(interrupt(program, "lvm", "points").splitlines()[-1])
    renames = [point for point in points if point.endswith("rename")]
    for point in [*(point for point in points if point.startswith("stage ")), *renames[1:3]]:
        run_until(program, point)
        machine.reset()
        access.run("systemctl is-system-running --wait || true", timeout=300)
        start_libvirt()
        [seen] = interrupting.told(interrupt(program, "lvm", "check"))
        assert seen["faults"] == [], f"{point}: {seen['faults']}"
        assert seen["held"] in ("a", "b")


def run_until(program: str, point: str) -> None:
    """Start a run, and return when it stands at that point."""
    words = f"{program} lvm {VOLUME_GROUP} hold beside '{point}'"
    run = subprocess.Popen(
        [*access.ssh_command(), "--", words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert run.stdout is not None
        assert json.loads(run.stdout.readline()) == {"held": point}
    finally:
        run.kill()
        run.communicate()
