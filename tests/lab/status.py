# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's table."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.layout import Lab


def show(host: Host, lab: Lab) -> int:
    return 0
