# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a collector of debvisor-metrics returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._core.metrics import Family


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector found. ``concerns`` say what of it needs attention."""

    families: Iterable[Family]
    concerns: Sequence[str] = ()
