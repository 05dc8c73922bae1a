# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend must do, and what LVM and ZFS must do besides, on a real kernel."""

from __future__ import annotations

import pytest

from tests.vm.programs import HERE, POOLS, VOLUMES, Case, Programs
from tests.volumes.checks import checks

OF_LVM, OF_ZFS = HERE / "lvm_contract.py", HERE / "zfs_contract.py"
CASES: list[Case] = [
    (kind, program.name, check)
    for kind, program in (
        *((kind, VOLUMES / "contract.py") for kind in POOLS),
        ("lvm", OF_LVM),
        ("lvm_thin", OF_LVM),
        ("zfs", OF_ZFS),
    )
    for check in checks(str(program))
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_contract(programs: Programs, case: Case) -> None:
    failure = programs.failure(case)
    assert failure is None, failure
