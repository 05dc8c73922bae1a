# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab: three real Debian 13 nodes on one machine.  Run ``python3 -m tests.lab --help``."""

from __future__ import annotations
