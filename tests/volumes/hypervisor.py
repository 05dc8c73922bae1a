# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node with the pools as a hypervisor: libvirt, QEMU's emulation, and the programs that the tests run there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.volumes.gateway import Gateway

PROGRAMS = "/root/volumes"
FILES = (
    "bad_cases",
    "boot_sector",
    "boots",
    "guest",
    "http_server",
    "interruptions",
    "reprovisioned",
)
PACKAGES = (
    "libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-driver-secret python3-libvirt python3-lxml"
    " qemu-system-x86 e2fsprogs"
)


def make(node: Gateway) -> None:
    """Bring code, programs and packages there."""
    node.deploy()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in FILES:
            archive.add(Path(__file__).with_name(f"{name}.py"), f"{name}.py")
    node.feed(f"mkdir -p {PROGRAMS} && tar -x --no-same-owner -C {PROGRAMS}", packed.getvalue())
    install = "apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io"
    node.cluster.run(
        node.node,
        f"dpkg -s {PACKAGES} >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive {install} {PACKAGES}",
        300,
    )
