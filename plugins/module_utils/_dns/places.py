# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as people write them."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import Problem
from . import rdata


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens."""

    address: str
    port: int


def read_place(where: str, text: str, port: int, problems: list[Problem]) -> Place:
    """Read ``address``, ``address:port`` or ``[IPv6 address]:port``."""
    address, bracket, rest = text.partition("]")
    if bracket and address.startswith("["):
        address = address[1:]
    elif text.count(":") == 1:
        address, _colon, rest = text.partition(":")
        rest = ":" + rest
    else:
        address, rest = text, ""
    number = rest.removeprefix(":")
    if not address or (
        rest and not (number.isascii() and number.isdigit() and 0 < int(number) < 65536)
    ):
        problems.append(
            Problem(where, f"{rdata.shortened(text)} is not an address, or address:port")
        )
        return Place(text, port)
    return Place(address, int(number) if rest else port)
