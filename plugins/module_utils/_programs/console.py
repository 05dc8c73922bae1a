# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a program on a node speaks: answers on standard output, everything else on standard error, at once."""

from __future__ import annotations

import sys
import time


def tell(text: str) -> None:
    """Answer what was asked."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Say what happens or went wrong, to a person or to the unit's journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def now() -> str:
    """The present time in UTC, as people and records say it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
