# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs addresses of S3 on the control node."""

from __future__ import annotations

from ..plugin_utils.signed_addresses import SignedAddresses


class ActionModule(SignedAddresses):
    """The module does the work."""
