# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our tables in a node's kernel, and Debian's nftables.service, whose start flushes them."""

from __future__ import annotations

import re

NFTABLES_INACTIVE = (
    "systemctl stop nftables"
    " && systemctl start $(systemctl show -P Wants nftables | grep -o 'debvisor-[a-z-]*.service')"
)
"""Let it be as Debian leaves it. Its stop stops the units that load our tables, and these are what it wants."""
RULESET = "nft --stateless list ruleset"


def tables(ruleset: str) -> list[str]:
    """Cut a rule set into its tables, in whatever order they were made."""
    return sorted(re.findall(r"^table .*?^}", ruleset, re.DOTALL | re.MULTILINE))


def ours(ruleset: str) -> list[str]:
    """Return those of its tables that are ours, without who speaks to DNS and who writes it just now."""
    found = [table for table in tables(ruleset) if "debvisor_" in table.partition("{")[0]]
    return [_without_traffic(table) if " debvisor_dns " in table else table for table in found]


def _without_traffic(table: str) -> str:
    return re.sub(r"(flags (?:dynamic|timeout)\n)\s*elements = \{[^}]*\}\n", r"\1", table)
