# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module whose changes can lock people out."""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.commit_confirm) in a module whose changes must be confirmed over a new connection."""

    DOCUMENTATION = r"""
options:
  confirm_within:
    description:
      - Seconds within which a change must be confirmed, counted from its start. Otherwise the revert timer of the host
        rolls it back.
      - The action plugin of the same name confirms it over a new connection, so that it stays only where one can be
        opened. A control node that dies meanwhile leaves the host as it was.
    type: float
    default: 60
  confirm:
    description:
      - Confirms the change of that name, as in RV(ignore:awaiting.transaction), and does nothing else.
      - The action plugin uses it. Confirming twice does no harm; confirming a change that was rolled back fails.
    type: str
  rollback:
    description:
      - Rolls back the change of that name now, and does nothing else.
      - The action plugin uses it where a new connection fails. Rolling back twice does no harm; rolling back a change
        that was confirmed fails.
    type: str
notes:
  - Until a change is confirmed another run on the same object waits, and a restart of the host brings back what was
    before the change.
"""
