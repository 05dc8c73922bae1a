# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has to know of the control node before it asks anybody for a second factor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

LOOK = "id -un; date +%s.%N"


class TellsOfController(ActionBase):
    """Adds the option ``controller`` to those of the task."""

    def _controller(self) -> dict[str, Any]:
        """Return who we come as, how far the clocks are apart at worst, and whether there is a break-glass key."""
        begun = time.time()
        told = self._low_level_execute_command(LOOK, sudoable=False)
        ended = time.time()
        lines = told["stdout"].split()
        if told["rc"] != 0 or len(lines) < 2:
            raise AnsibleActionFail(f"The host does not tell its clock: {told['stderr']}")
        account, clock = lines[-2], float(lines[-1])
        return {
            "account": account,
            # It was read at some time in between; so it is off by no more than this.
            "clock_offset": max(abs(clock - begun), abs(ended - clock)),
            "break_glass_key": self._break_glass_key() is not None,
        }

    def _break_glass_key(self) -> Path | None:
        """Return the file that names the key of the break-glass account, where it is there."""
        given = (self._task.args.get("break_glass") or {}).get("private_key")
        if not given:
            return None
        path = Path(given).expanduser()
        if not path.is_absolute():
            path = Path(self._loader.path_dwim(str(path)))
        return path if path.is_file() else None
