# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says which class of keys serves at which server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._core.errors import Problem
from ..protocol import fields
from ..protocol.endpoints import check_address
from .keyring import CLASS_NAME


def check_peers(option: str, given: Mapping[str, Any], problems: list[Problem]) -> None:
    """Note what is wrong with addresses and their classes."""
    for address, of_class in given.items():
        check_address(option, str(address), problems)
        if not isinstance(of_class, str) or not CLASS_NAME.fullmatch(of_class):
            shown = fields.shortened(str(of_class))
            problems.append(Problem(f"{option}[{address}]", f"{shown} is not the name of a class"))
