# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial number arithmetic (RFC 1982)."""

from __future__ import annotations

_HALF = 1 << 31
_ALL = 1 << 32


def ahead(one: int, other: int) -> int:
    """Return how far serial ``one`` is ahead of ``other``; negative where it is behind.

    Serials exactly half the number space apart have no order; they count as behind, so that a wait goes on.
    """
    distance = (one - other) % _ALL
    return distance if distance < _HALF else distance - _ALL


def reached(one: int, other: int) -> bool:
    """Return whether serial ``one`` is ``other`` or later."""
    return ahead(one, other) >= 0
