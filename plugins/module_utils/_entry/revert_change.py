# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""revert-change: take back a change that nobody confirmed in time. The dead-man's timer runs it.

A change that is decided meanwhile, or that never began, is left alone. A failure may be tried again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from .._core import settings
from .._core.operation import Records, revert
from .._core.plan import Operation
from .._core.waiting import SystemClock
from .._firewall.quarantine_operation import Ports, QuarantineHost
from .._firewall.ruleset_operation import NftRuleset
from .._ports import ssh_session
from .._ports.evidence import EvidenceRecorder
from .._ports.files import Files
from .._ports.libvirt_host import LibvirtHost
from .._ports.nft import Nft
from .._ports.system_log import SystemLog
from .._ports.tcp_probe import TcpProbe
from .console import complain, tell


def _nft_ruleset() -> NftRuleset:
    return NftRuleset(Nft(), Files(), ssh_session.client, str(settings.firewall_dir()))


def _quarantine_host() -> QuarantineHost:
    ports = Ports(
        Nft(), Files(), LibvirtHost(), EvidenceRecorder(), TcpProbe(), SystemLog(), ssh_session.client, SystemClock()
    )  # fmt: skip
    return QuarantineHost(ports, str(settings.firewall_dir()))


OPERATIONS: Mapping[str, Callable[[], Operation[Any, Any]]] = {
    "nft_ruleset": _nft_ruleset,
    "quarantine_host": _quarantine_host,
}
"""Every operation that asks for confirmation, with its real ports."""


def main(
    arguments: list[str] | None = None,
    operations: Mapping[str, Callable[[], Operation[Any, Any]]] | None = None,
    records: Records | None = None,
) -> int:
    """Exit 0: nothing is left of the change, or it was confirmed; 1: it cannot be taken back now."""
    operations = OPERATIONS if operations is None else operations
    parser = argparse.ArgumentParser(prog="revert-change", description=(__doc__ or "").strip())
    parser.add_argument("operation", choices=sorted(operations))
    parser.add_argument("transaction")
    options = parser.parse_args(arguments)
    outcome = revert(
        operations[options.operation](), options.transaction, records or Records.default()
    )
    for warning in outcome.warnings:
        complain(warning)
    if outcome.failure is not None:
        complain(f"revert-change: {outcome.failure}")
        return 1
    if not outcome.unwound:
        tell(f"{options.transaction}: there is nothing to take back")
    return 0
