# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's tests begin and end with a whole cluster, as those of a failover do."""

from __future__ import annotations

from tests.failover.conftest import cluster, lab

__all__ = ["cluster", "lab"]
