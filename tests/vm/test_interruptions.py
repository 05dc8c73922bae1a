# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An interrupted run, wherever it was, leaves the old volume or the new one: on LVM and ZFS, and after a power cut."""

from __future__ import annotations

import json

import pytest

from tests.vm import access, deploy, machine, programs
from tests.vm.programs import POOLS
from tests.volumes import interrupting

PROGRAM = interrupting.PROGRAM.name
PATIENCE = 1800
"""Seconds for all points of one backend. The machine is emulated."""
CONFIGURATION = "/etc/debvisor/volumes.json"


def interrupt(kind: str, how: str, *mode: str) -> str:
    return programs.run(PROGRAM, kind, POOLS[kind], how, *mode, timeout=PATIENCE)


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("kind", POOLS)
def test_killed(kind: str) -> None:
    interrupting.judge(interrupt(kind, "kill"))


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("kind", POOLS)
def test_each_change_refused(kind: str) -> None:
    rounds = interrupting.told(interrupt(kind, "fail"))
    assert len(rounds) >= 5
    assert [each for each in rounds if each["faults"]] == []


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("kind", ["lvm_thin", "zfs"])
def test_killed_while_a_golden_volume_is_made(kind: str) -> None:
    rounds = interrupting.told(interrupt(kind, "kill", "golden"))
    assert [each for each in rounds if each["faults"]] == []
    assert {"clone", "seal"} <= {each["point"].rpartition(" ")[2] for each in rounds}


@pytest.mark.usefixtures("brought")
def test_cancelled() -> None:
    interrupting.judge(interrupt("lvm", "cancel"))


@pytest.mark.usefixtures("brought")
def test_the_power_fails() -> None:
    """In every stage, and between the two renames: many runs stand there, each in its own, when the machine is reset.

    The boot cleans up, before guests start.
    """
    deploy.unit("volume_host", "volume-recover.service")
    access.write(CONFIGURATION, b'{"jobs_at_once": 100}')  # all of them are to work at once
    run = programs.start(PROGRAM, "lvm", POOLS["lvm"], "hold")
    try:
        assert run.stdout is not None
        standing = json.loads(run.stdout.readline())["standing"]
        machine.reset()
    finally:
        run.kill()
        run.communicate()
    access.run(f"rm {CONFIGURATION}")
    programs.start_libvirt()
    rounds = interrupting.told(interrupt("lvm", "check"))
    assert [each for each in rounds if each["faults"]] == []
    assert [each["point"] for each in rounds] == standing
    assert {f"stage {stage}" for stage in interrupting.STAGES} <= set(standing)
    assert sum(point.endswith("rename") for point in standing) == 2
    assert {each["new"] for each in rounds} == {True, False}
