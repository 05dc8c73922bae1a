# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on the packet filter, with their real ports."""

from __future__ import annotations

from .._core import settings
from .._core.audit import requester
from .._core.waiting import SystemClock
from .._firewall.ban_operation import NftBan
from .._firewall.blocklist_operation import NftBlocklist
from .._firewall.blocklist_state import BlocklistState
from .._firewall.feed_operation import BlocklistFeed
from .._firewall.quarantine_operation import Ports, QuarantineHost
from .._firewall.reachability import Reachability
from .._firewall.ruleset_operation import NftRuleset
from .._ports.crypto.openpgp import OpenPgp
from .._ports.firewall.evidence import EvidenceRecorder
from .._ports.firewall.nft import Nft
from .._ports.host.files import Files
from .._ports.host.spool import Spool
from .._ports.host.system_log import SystemLog
from .._ports.http.web import Web
from .._ports.net import ssh_session, tcp_table
from .._ports.net.network_identity import NetworkIdentity
from .._ports.net.tcp_probe import TcpProbe
from .._ports.virt.libvirt_host import LibvirtHost


def blocklist_state() -> BlocklistState:
    """Return what reads the lists and the bans that are in force."""
    store, book = str(settings.blocklist_store()), str(settings.ban_book())
    return BlocklistState(Files(), SystemClock(), store, book)


def blocklist_feed() -> BlocklistFeed:
    """Return the operation of the module of this name."""
    return BlocklistFeed(Files(), Web(), OpenPgp(), Spool, SystemClock())


def nft_ban() -> NftBan:
    """Return the operation of the module of this name."""
    by_default = " ".join(requester().values())
    return NftBan(Nft(), Files(), NetworkIdentity(), SystemClock(), blocklist_state(), by_default)


def nft_blocklist() -> NftBlocklist:
    """Return the operation of the module of this name."""
    store = str(settings.blocklist_store())
    return NftBlocklist(Nft(), Files(), NetworkIdentity(), SystemClock(), store)


def nft_ruleset() -> NftRuleset:
    """Return the operation of the module of this name."""
    return NftRuleset(
        Nft(), Files(), ssh_session.client, tcp_table.incoming, str(settings.firewall_dir())
    )


def quarantine_host() -> QuarantineHost:
    """Return the operation of the module of this name."""
    ports = Ports(
        Nft(), Files(), LibvirtHost(), EvidenceRecorder(), TcpProbe(), SystemLog(), ssh_session.client, SystemClock()
    )  # fmt: skip
    return QuarantineHost(ports, str(settings.firewall_dir()))


def reachability() -> Reachability:
    """Return what tries addresses."""
    return Reachability(TcpProbe())
