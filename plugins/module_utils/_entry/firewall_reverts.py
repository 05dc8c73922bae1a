# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on the packet filter that ask for confirmation, with their real ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._core import settings
from .._core.plan import Operation
from .._core.waiting import SystemClock
from .._firewall.quarantine_operation import Ports, QuarantineHost
from .._firewall.ruleset_operation import NftRuleset
from .._ports import ssh_session, tcp_table
from .._ports.evidence import EvidenceRecorder
from .._ports.files import Files
from .._ports.libvirt_host import LibvirtHost
from .._ports.nft import Nft
from .._ports.system_log import SystemLog
from .._ports.tcp_probe import TcpProbe


def _nft_ruleset() -> NftRuleset:
    return NftRuleset(
        Nft(), Files(), ssh_session.client, tcp_table.incoming, str(settings.firewall_dir())
    )


def _quarantine_host() -> QuarantineHost:
    ports = Ports(
        Nft(), Files(), LibvirtHost(), EvidenceRecorder(), TcpProbe(), SystemLog(), ssh_session.client, SystemClock()
    )  # fmt: skip
    return QuarantineHost(ports, str(settings.firewall_dir()))


OPERATIONS: Mapping[str, Callable[[], Operation[Any, Any]]] = {
    "nft_ruleset": _nft_ruleset,
    "quarantine_host": _quarantine_host,
}
