# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the other end of the SSH session that this process belongs to."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

VARIABLE = "SSH_CONNECTION"
"""sshd(8) sets it: the client's address and port, then ours."""


def client() -> tuple[str, int] | None:
    """Return the client's address and the port of ours that it came to, or None where there is no session.

    sudo(8) drops the variable, so the processes above us are asked, too.
    """
    said = os.environ.get(VARIABLE) or _above(os.getppid())
    try:
        address, _port, _ours, port = said.split()
        return str(ip_address(address.partition("%")[0])), int(port)
    except ValueError:
        return None


def _above(process: int) -> str:
    while process > 1:
        folder = Path("/proc", str(process))
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            # The command's name in brackets may hold anything, so what follows the last bracket counts.
            process = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
        for variable in variables:
            name, _sign, value = variable.partition(b"=")
            if name == VARIABLE.encode():
                return value.decode(errors="replace")
    return ""
