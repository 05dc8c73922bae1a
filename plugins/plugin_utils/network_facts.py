# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible's facts say of a host's interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def interface_addresses(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each interface with each of its addresses."""
    for name in sorted(facts.get("interfaces", [])):
        about = facts.get(name.replace("-", "_").replace(":", "_"), {})
        found = [about.get("ipv4"), *about.get("ipv4_secondaries", []), *about.get("ipv6", [])]
        for entry in found:
            if entry and entry.get("address"):
                yield name, entry["address"]
