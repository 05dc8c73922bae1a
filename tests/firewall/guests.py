# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: make three guests that boot nothing, tell what guests there are, or remove them all."""

from __future__ import annotations

import json
import sys

import libvirt

XML = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>
"""
GUESTS = {"web": (True, True), "db": (False, True), "idle": (True, False)}
"""Name: whether it starts with the machine, and whether it runs."""
STATES = {1: "running", 3: "paused", 5: "shut off"}


def main() -> None:
    host = libvirt.open("qemu:///system")
    if sys.argv[1] != "tell":
        for domain in host.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()
    if sys.argv[1] == "make":
        for name, (autostart, runs) in GUESTS.items():
            domain = host.defineXML(XML.format(name=name))
            domain.setAutostart(int(autostart))
            if runs:
                domain.create()
    print(
        json.dumps(
            {
                domain.name(): [STATES[domain.state()[0]], bool(domain.autostart())]
                for domain in host.listAllDomains()
            }
        )
    )


main()
