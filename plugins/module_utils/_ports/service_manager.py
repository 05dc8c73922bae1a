# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notify socket of systemd (sd_notify(3)), in a few lines."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*states: str) -> None:
    """Tell systemd, where it asked to be told: ``READY=1``, ``WATCHDOG=1``, ``STATUS=...``."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect(path)
        link.send("\n".join(states).encode())
