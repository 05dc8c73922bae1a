# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirms the rules over a new connection."""

from __future__ import annotations

from ..plugin_utils.commit_confirm import CommitConfirm


class ActionModule(CommitConfirm):
    """The module does the work."""
