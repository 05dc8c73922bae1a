# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in the system's log that people and dashboards look for."""

from __future__ import annotations

import json
import syslog
from typing import Any


class SystemLog:
    """syslog(3), which on our nodes is the journal."""

    def note(self, line: str) -> None:
        """Write a line as the program ``debvisor``; it never fails."""
        syslog.openlog("debvisor", 0, syslog.LOG_AUTH)
        syslog.syslog(syslog.LOG_WARNING, line)

    def alarm(self, line: str) -> None:
        """Write a line that somebody has to act on; it never fails."""
        syslog.openlog("debvisor", 0, syslog.LOG_AUTH)
        syslog.syslog(syslog.LOG_ALERT, line)


class EventLog:
    """Events of one program as lines of JSON, for those who gather logs."""

    def __init__(self, program: str) -> None:
        self._program = program

    def note(self, event: str, *, failed: bool = False, **facts: Any) -> None:
        """Write one event; it never fails. Facts that are empty are left out."""
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        line = json.dumps({"level": "error" if failed else "info", "event": event, **told})
        syslog.openlog(self._program, 0, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_ERR if failed else syslog.LOG_INFO, line)
