# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on who may log in, with their real ports."""

from __future__ import annotations

import socket
from pathlib import Path

from .._access.ssh_access_operation import SshAccess
from .._access.ssh_access_state import Ports, SshAccessPaths, SshAccessState
from .._access.totp_secret_info import TotpSecretInfo
from .._access.totp_secret_operation import TotpSecret
from .._core import settings
from .._core.waiting import SystemClock
from .._ports.access.one_time_codes import OneTimeCodes
from .._ports.access.pam_modules import PamModules
from .._ports.access.qr_codes import QrCodes
from .._ports.access.sshd import Sshd
from .._ports.access.totp_store import TotpStore
from .._ports.crypto.openpgp_sealer import OpenPgpSealer
from .._ports.host.accounts import Accounts
from .._ports.host.clock_sync import ClockSync
from .._ports.host.files import Files
from .._ports.net import ssh_session


def ssh_access() -> SshAccess:
    """Return the operation of the module of this name."""
    where = SshAccessPaths(**settings.ssh_access_places())
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


def totp_secret() -> TotpSecret:
    """Return the operation of the module of this name."""
    ports = (SystemClock(), OneTimeCodes(), QrCodes(), OpenPgpSealer())
    return TotpSecret(Files(), str(settings.totp_dir()), *ports, socket.gethostname())


def totp_secret_info() -> TotpSecretInfo:
    """Return what reads the store of second factors."""
    store = settings.totp_dir()
    return TotpSecretInfo(Files(), TotpStore(store), str(store))
