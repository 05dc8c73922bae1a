# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of a zone, and deltas that add them."""

from __future__ import annotations

from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    Delta,
    Record,
)

ZONE = "z.test"
APEX = names.parse(f"{ZONE}.")


def record(name: str, rdtype: int = rdata.A, data: bytes = b"\x01\x02\x03\x04") -> Record:
    return Record((names.parse(name, APEX) if name else APEX, rdtype), 60, data)


def adds(start: int, *records: Record) -> Delta:
    return Delta(start, start + 1, (), records)
