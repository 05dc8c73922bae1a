# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in the system's log that people and dashboards look for."""

from __future__ import annotations

import syslog


class SystemLog:
    """syslog(3), which on our nodes is the journal."""

    def note(self, line: str) -> None:
        """Write a line as the program ``debvisor``; it never fails."""
        syslog.openlog("debvisor", 0, syslog.LOG_AUTH)
        syslog.syslog(syslog.LOG_WARNING, line)
