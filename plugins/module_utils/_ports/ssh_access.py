# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ssh_access`` with the real machine behind it."""

from __future__ import annotations

from pathlib import Path

from .._access.ssh_access_operation import SshAccess
from .._access.ssh_access_state import Places, Ports, SshAccessState
from .._core.waiting import SystemClock
from . import ssh_session
from .accounts import Accounts
from .clock_sync import ClockSync
from .files import Files
from .pam_modules import PamModules
from .sshd import Sshd
from .totp_store import TotpStore


def ssh_access(**places: str) -> SshAccess:
    """Return the operation. ``places`` are those of :func:`settings.ssh_access_places`."""
    where = Places(**places)
    files, sshd = Files(), Sshd(Path(where.drop_in))
    ports = Ports(
        files,
        sshd,
        Accounts(),
        TotpStore(Path(where.store)),
        PamModules(),
        ClockSync(),
        SystemClock(),
        ssh_session.client,
    )
    return SshAccess(files, sshd, SshAccessState(ports, where), where)
