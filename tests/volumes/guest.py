# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests for the tests, on the host that has the volumes: in QEMU's emulation, by libvirt or without it.

Needs no other part of the tests.
"""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

try:
    import libvirt
except ImportError:
    libvirt = None

EMULATOR = "/usr/bin/qemu-system-x86_64"
NAME = "volume-test"
CLIENT = "volumes"
"""Of Ceph."""
KEYRING = Path(f"/etc/ceph/ceph.client.{CLIENT}.keyring")
PATIENCE = 60.0
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='{kind}' device='disk'>
      <driver name='qemu' type='raw'/>
      {auth}
      <source{source}>{monitor}</source>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='{serial}'/></serial>
  </devices>
</domain>
"""
SECRET = """
<secret ephemeral='no' private='yes'>
  <uuid>{uuid}</uuid>
  <usage type='ceph'><name>client.{client}</name></usage>
</secret>
"""


def serial_port() -> Path:
    """Return where a guest's serial port writes to."""
    return Path(tempfile.gettempdir()) / f"{NAME}.serial"


@contextlib.contextmanager
def libvirt_guest(source: dict[str, str]) -> Iterator[Any]:
    """Let a guest run whose disk has these attributes of a source element; yield its domain."""
    host = libvirt.open("qemu:///system")
    serial_port().unlink(missing_ok=True)
    domain = host.createXML(described(host, source))
    try:
        yield domain
    finally:
        domain.destroy()
        host.close()


def described(host: Any, source: dict[str, str]) -> str:
    """Describe a guest to libvirt whose disk has these attributes of a source element."""
    network, device = "protocol" in source, "dev" in source
    return DOMAIN.format(
        name=NAME,
        emulator=EMULATOR,
        kind="network" if network else "block" if device else "file",
        auth=_auth(host) if network else "",
        monitor=_monitor() if network else "",
        source="".join(f" {name}={quoteattr(value)}" for name, value in source.items()),
        serial=serial_port(),
    )


def _auth(host: Any) -> str:
    """Let libvirt know the client's key, and return how a disk refers to it."""
    key = KEYRING.read_text().partition("key = ")[2].split()[0]
    known = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{CLIENT}.invalid"))
    secret = host.secretDefineXML(SECRET.format(uuid=known, client=CLIENT))
    secret.setValue(base64.b64decode(key))
    return f"<auth username='{CLIENT}'><secret type='ceph' uuid='{known}'/></auth>"


def _monitor() -> str:
    """Return how a disk says where Ceph is: its configuration is not for guests to read."""
    told = subprocess.check_output(["ceph-conf", "--lookup", "mon_host"], text=True)
    address, port = told.partition("v1:")[2].strip("]\n").rsplit(":", 1)
    return f"<host name='{address}' port='{port}'/>"


@contextlib.contextmanager
def qemu_guest(disk: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let a guest run without libvirt; it has its disk when this begins."""
    words = [EMULATOR, "-machine", "pc,accel=tcg", "-m", "32", "-display", "none", "-nodefaults"]
    words += ["-drive", f"file={disk},format=raw,if=virtio", "-serial", f"file:{serial_port()}"]
    words += ["-qmp", "stdio"]
    serial_port().unlink(missing_ok=True)
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not process.stdout.readline().startswith(b'{"QMP"'):
            raise AssertionError("QEMU did not start")
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def await_text(text: str) -> str:
    """Wait until the guest says so; return all that it said."""
    end = time.monotonic() + PATIENCE
    while text not in (said := _said()):
        if time.monotonic() > end:
            raise AssertionError(f"the guest said {said!r}, not {text!r}")
        time.sleep(0.1)
    return said


def _said() -> str:
    try:
        return serial_port().read_text(errors="replace")
    except FileNotFoundError:
        return ""
