# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module that changes something, because one executor runs them all.

Ansible's fragments cannot carry return values, so notes describe what the executor returns.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.operation) in a module that changes something."""

    DOCUMENTATION = r"""
options: {}
notes:
  - Returns in RV(ignore:actions) the steps of the plan, in order, each with C(verb), C(target), C(effect) and C(undo)
    (V(reversible), V(compensable) or V(irreversible)); in check mode they are the steps that a run would take.
    RV(ignore:before) and RV(ignore:after) are the state found and the state planned, without secrets, and outside of
    check mode verified. RV(ignore:transaction) names the run in journal and audit log, and RV(ignore:duration) is its
    time in seconds, without the start of the module.
  - When a step fails, the steps before it are rolled back in reverse order. The failure then lists in RV(ignore:done)
    what had been done. RV(ignore:rolled_back) is whether all of it was rolled back, and RV(ignore:rollback_errors) what
    was not.
  - Each step is written to a journal before it is taken. When a run is interrupted, the next run on the same object
    rolls back what it left, warns about it, names such runs in RV(ignore:rolled_back_runs), and reports a change. In
    check mode nothing is rolled back; a warning names what is pending.
  - Two runs on the same object wait for each other.
  - Each run that changes something, or fails while changing, adds one line to the audit log, without secrets. For root
    the journal is below C(/var/lib/debvisor) and the audit log below C(/var/log/debvisor); for other accounts both are
    below C($XDG_STATE_HOME/debvisor).
"""
