# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut a host off, and let that stay only where a new connection reaches it."""

from __future__ import annotations

from ansible_collections.debvisor.hci.plugins.plugin_utils.commit_confirm import CommitConfirm


class ActionModule(CommitConfirm):
    """Runs the module ``quarantine_host``, and confirms its change."""
