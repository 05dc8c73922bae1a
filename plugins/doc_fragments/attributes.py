# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection promises about check mode, diff mode, platform and idempotence."""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.attributes) in a module that changes, C(debvisor.hci.attributes.info) in one that reads."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict its changes without sending any write.
    support: full
  diff_mode:
    description: Returns what was changed, or in C(check_mode) would be changed, when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: full
  platform:
    description: Operating systems on which the module runs.
    support: full
    platforms: debian
"""

    INFO = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict its changes without sending any write.
    support: full
    details:
      - This module only reads.
  diff_mode:
    description: Returns what was changed, or in C(check_mode) would be changed, when in diff mode.
    support: N/A
    details:
      - This module only reads.
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: full
    details:
      - This module only reads.
  platform:
    description: Operating systems on which the module runs.
    support: full
    platforms: debian
"""
