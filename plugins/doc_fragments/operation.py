# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module that changes something, because one executor runs them all.

Ansible's fragments cannot carry return values: CONTRIBUTING.md has the block that such a module repeats.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.operation) in a module that changes something."""

    DOCUMENTATION = r"""
options: {}
notes:
  - When a step fails, the steps before it are taken back in reverse order. The failure then tells in RV(ignore:done)
    what had been done, in RV(ignore:rolled_back) whether all of it was taken back, and in RV(ignore:rollback_errors)
    what was not.
  - Each step is written to a journal before it is taken. When a run is killed, the next run on the same object takes
    back what it left, and says so in a warning. In check mode nothing is taken back; a warning tells what is pending.
  - Two runs on the same object wait for each other.
  - Each run that changes something, or fails while changing, adds one line to the audit log, without secrets. For root
    the journal is below C(/var/lib/debvisor) and the audit log below C(/var/log/debvisor); for anybody else both are
    below C($XDG_STATE_HOME/debvisor).
"""
