# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine for what containers cannot show: device-mapper, LVM, ZFS, a reboot, a disk that fails.

Run ``python3 -m tests.vm --help``.
"""

from __future__ import annotations
