# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test begins and ends with a whole cluster."""

from __future__ import annotations

from tests.lab.fixtures import cluster, lab

__all__ = ["cluster", "lab"]
