# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage that tests find in the machine: a volume group with a thin pool, and a zpool."""

from __future__ import annotations

from tests.vm import access
from tests.vm.layout import LVM, THIN_POOL, THIN_POOL_GIB, VOLUME_GROUP, ZFS, ZPOOL

COMMANDS = (
    f"vgcreate --quiet {VOLUME_GROUP} {LVM.device}",
    f"lvcreate --quiet --type thin-pool --zero y --size {THIN_POOL_GIB}g --name {THIN_POOL} {VOLUME_GROUP}",
    f"zpool create -f {ZPOOL} {ZFS.device}",
)


def prepare() -> None:
    """Make the storage on the empty disks."""
    access.run(["sh", "-ec", "; ".join(COMMANDS)], timeout=300)
