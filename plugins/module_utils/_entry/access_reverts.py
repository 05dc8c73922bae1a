# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on access that ask for confirmation, with their real ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._core import settings
from .._core.plan import Operation
from .._ports.ssh_access import ssh_access

OPERATIONS: Mapping[str, Callable[[], Operation[Any, Any]]] = {
    "ssh_access": lambda: ssh_access(**settings.ssh_access_places()),
}
