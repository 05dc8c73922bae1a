# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on DNS servers and TSIG keys, with their real ports."""

from __future__ import annotations

from .._core import settings
from .._core.resource import Managed
from .._core.waiting import SystemClock
from .._dns.keys.canary_operation import DnsCanary
from .._dns.keys.dnssec_keys import DnssecKeys
from .._dns.keys.key_probe import KeyProbe
from .._dns.keys.key_use import KeyUse
from .._dns.keys.keyring_operation import TsigKeyring, TsigKeyringInfo
from .._dns.keys.recipient_operation import TsigRecipient, read_private
from .._dns.keys.rotation_report import RotationReport
from .._dns.keys.tsig_key_operation import TsigKey, TsigKeyInfo
from .._dns.keys.tsig_keys_operation import TsigKeys
from .._dns.protocol.connections import Connections
from .._dns.records.record_sets_operation import RecordSets
from .._dns.records.zone_info import ZoneInfo
from .._ports.crypto.sealing import Opener, Sealer, draw_private, public_of
from .._ports.dns.bind import local_bind
from .._ports.dns.dns_server import DnsServer
from .._ports.dns.dnssec import DnssecValidator
from .._ports.dns.dnssec_keygen import DnssecKeygen
from .._ports.dns.logs import Logs
from .._ports.host.files import Files
from .._ports.host.transient_unit import TransientUnits

CANARY_REPORT = str(settings.RUN_DIR / "dns-canary.json")


def _connections() -> Connections:
    files = Files()
    return Connections(DnsServer, files.read, SystemClock(), files.listing)


def dns_record_sets() -> RecordSets:
    """Return the operation of the module of this name; so do all functions here."""
    return RecordSets(_connections(), SystemClock(), DnssecValidator(), Files().exposed)


def dns_zone_info() -> ZoneInfo:
    return ZoneInfo(_connections())


def dns_canary() -> DnsCanary:
    return DnsCanary(TransientUnits(), Files(), SystemClock(), str(settings.LIBEXEC_DIR))


def tsig_key() -> TsigKey:
    return TsigKey(Files(), SystemClock())


def tsig_key_info() -> TsigKeyInfo:
    return TsigKeyInfo(Files(), SystemClock())


def tsig_key_probe_info() -> KeyProbe:
    return KeyProbe(Files(), DnsServer, SystemClock())


def tsig_key_use_info() -> KeyUse:
    return KeyUse(Logs(), SystemClock())


def tsig_keyring() -> TsigKeyring:
    return TsigKeyring(Files(), Sealer(), SystemClock())


def tsig_keyring_info() -> TsigKeyringInfo:
    return TsigKeyringInfo(Files(), SystemClock())


def tsig_keys() -> TsigKeys:
    files = Files()
    opener = Opener(lambda path: read_private(files.read, path))
    return TsigKeys(files, opener, local_bind(), DnsServer, SystemClock())


def dnssec_keys() -> Managed:
    return Managed(DnssecKeys(DnssecKeygen()))


def tsig_recipient() -> Managed:
    return Managed(TsigRecipient(Files(), draw_private, public_of))


def tsig_rotation_report() -> RotationReport:
    return RotationReport(Files(), SystemClock())
