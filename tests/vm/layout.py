# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the virtual machine consists of, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.layout import BUILD

STATE = BUILD / "vm"
RUN = STATE / "run"
"""What belongs to one running machine; it goes when the machine goes."""

NAME = "vm"
MEMORY_MIB = 4096
ROOT_GIB = 24


@dataclass(frozen=True, slots=True)
class Disk:
    """A sparse disk beside the root. Its name is its serial number: ``/dev/disk/by-id/virtio-NAME``."""

    name: str
    gib: int
    zeroes: bool = True
    """Whether it discards, and zeroes ranges by itself, as a solid-state disk does; else it is a plain one."""

    @property
    def file(self) -> Path:
        return RUN / f"{self.name}.raw"

    @property
    def device(self) -> str:
        return f"/dev/disk/by-id/virtio-{self.name}"


LVM = Disk("hv", 48)
ZFS = Disk("tank", 24)
SPARE = Disk("spare", 24, zeroes=False)
"""For a test of its own, such as a disk that fails."""

DISKS = (LVM, ZFS, SPARE)

VOLUME_GROUP = "hv"
THIN_POOL = "thin"
THIN_POOL_GIB = 20
ZPOOL = "tank"

PID_FILE = RUN / "qemu.pid"
MONITOR = RUN / "monitor"
SERIAL_LOG = STATE / "serial.log"
PORT_FILE = RUN / "port"
