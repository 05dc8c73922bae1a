# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a machine is, and when."""

from __future__ import annotations

HERE = {"192.0.2.10", "2001:db8::10"}
GATEWAYS = {"192.0.2.1", "2001:db8::1"}


class Place:
    """A machine with addresses, gateways and somebody logged in."""

    def __init__(self) -> None:
        self.own = HERE
        self.somebody: str | None = "198.51.100.200"
        self.bridges: set[str] = set()

    def own_addresses(self) -> frozenset[str]:
        return frozenset(self.own)

    def gateways(self) -> frozenset[str]:
        return frozenset(GATEWAYS)

    def bridges_below_ip(self) -> frozenset[str]:
        return frozenset(self.bridges)

    def client(self) -> str | None:
        return self.somebody


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def wall(self) -> float:
        return self.now
