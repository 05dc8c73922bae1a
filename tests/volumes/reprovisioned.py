# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: a guest that is there to stay, and the images that its disk is filled from.

``python3 reprovisioned.py prepare|look|snapshot|stop|clear FOLDER``; ``look`` prints a line of JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import libvirt
from boot_sector import boot_sector
from guest import NAME, described, serial_port

SYSTEMS = ("first", "second", "deaf")
DISK = (8 << 20) - 512
HOST = "qemu:///system"


def prepare(folder: Path) -> None:
    """Make the images, and define the guest: its disk is yet to come."""
    clear(folder)
    (folder / "pool").mkdir(parents=True)
    site = folder / "site"
    site.mkdir()
    for system in SYSTEMS:
        publish(make_image(system, site))
    publish(cut_off(make_image("damaged", site)))
    Path(f"{make_image('other', site)}.sha256").write_text(f"{0:064}\n")
    host = libvirt.open(HOST)
    host.defineXML(described(host, {"file": f"{folder}/pool/{NAME}.raw"}))


def make_image(system: str, site: Path) -> Path:
    """Make an image of a system that says its name; no cache has it from an earlier time."""
    disk, image = site / "disk.raw", site / f"{system}.qcow2"
    sector = boot_sector(f"the {system} system\n", deaf=system == "deaf")
    disk.write_bytes(sector.ljust(DISK, b"\0") + os.urandom(512))
    words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(image)]
    subprocess.run(words, check=True)
    return image


def cut_off(image: Path) -> Path:
    """Take half of an image away: its head is well."""
    with image.open("r+b") as stream:
        stream.truncate(image.stat().st_size // 2)
    return image


def publish(image: Path) -> None:
    """Say what the image's digest is."""
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    Path(f"{image}.sha256").write_text(f"{digest}  {image.name}\n")


def look(_folder: Path) -> None:
    """Tell which number the running guest has (-1 where it is down), and what it said since it started."""
    said = serial_port()
    domain = libvirt.open(HOST).lookupByName(NAME)
    told = {"id": domain.ID(), "said": said.read_text() if said.exists() else ""}
    print(json.dumps(told))


def snapshot(_folder: Path) -> None:
    """Put the guest's disk behind an overlay."""
    overlay = (
        "<domainsnapshot><disks><disk name='vda' snapshot='external'/></disks></domainsnapshot>"
    )
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    )
    libvirt.open(HOST).lookupByName(NAME).snapshotCreateXML(overlay, flags)


def stop(_folder: Path) -> None:
    """Cut the guest's power."""
    libvirt.open(HOST).lookupByName(NAME).destroy()


def clear(folder: Path) -> None:
    """Leave nothing of it."""
    with contextlib.suppress(libvirt.libvirtError):
        domain = libvirt.open(HOST).lookupByName(NAME)
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    shutil.rmtree(folder, ignore_errors=True)
    serial_port().unlink(missing_ok=True)


if __name__ == "__main__":
    acts = (prepare, look, snapshot, stop, clear)
    {act.__name__: act for act in acts}[sys.argv[1]](Path(sys.argv[2]))
