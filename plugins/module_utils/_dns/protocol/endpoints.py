# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..._core.errors import Problem
from . import names
from .fields import shortened


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens."""

    address: str
    port: int


_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*"
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)


def check_address(where: str, text: str, problems: list[Problem]) -> None:
    """Check the form of an address or a host's name. A name whose last label is a number is a mistyped address."""
    if names.is_address(text):
        return
    last = text.removesuffix(".").rpartition(".")[2]
    if len(text) > 253 or not _HOST.fullmatch(text) or last.isdigit():
        problems.append(
            Problem(where, f"{shortened(text)} is neither an IP address nor a host's name")
        )


def read_endpoint(where: str, text: str, port: int, problems: list[Problem]) -> Endpoint:
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
        problems.append(Problem(where, f"{shortened(text)} is not an address, or address:port"))
        return Endpoint(text, port)
    check_address(where, address, problems)
    return Endpoint(address, int(number) if rest else port)
