# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the DNS modules share; the documentation fragment ``debvisor.hci.dns`` documents them."""

from __future__ import annotations

from typing import Any

SERVER: dict[str, Any] = {
    "server": {"type": "str", "required": True},
    "port": {"type": "int", "default": 53},
    "key_file": {"type": "path", "no_log": False},
    "timeout": {"type": "float", "default": 10},
}

RECORD: dict[str, Any] = {
    "name": {"type": "str"},
    "type": {"type": "str"},
    "value": {"type": "raw", "aliases": ["values"]},
    "ttl": {"type": "raw"},
    "state": {"type": "str"},
    "exact": {"type": "bool"},
    "ptr": {"type": "bool"},
}
"""What stands in an entry of ``records`` is checked by :mod:`record_sets`, which knows the entry's position."""

PRUNE: dict[str, Any] = {
    "below": {"type": "str", "required": True},
    "types": {"type": "list", "elements": "str", "required": True},
    "allow_empty": {"type": "bool", "default": False},
}
