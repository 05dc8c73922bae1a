# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard of every bulk change: a wrong inventory must not change most of what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import check_range
from .errors import DebvisorError, Problem

OPTION = "max_share"
"""The option of every bulk module that raises the limit, in percent."""


class TooManyChanges(DebvisorError):
    """The plan changes a larger share than allowed; nothing was changed."""


def limited(default: float) -> Mapping[str, Mapping[str, Any]]:
    """Return the option."""
    return {OPTION: {"type": "float", "default": default}}


def check_option(params: Mapping[str, Any], problems: list[Problem]) -> float:
    """Return the option's value; what is wrong with it goes into ``problems``."""
    share: float = params[OPTION]
    check_range(OPTION, share, 0, 100, problems)
    return share


def exceeds(part: int, whole: int, allowed: float) -> bool:
    """Return whether the part is more than ``allowed`` percent of the whole; 100 allows everything."""
    return allowed < 100 and part * 100 > allowed * whole


def check_share(what: str, changed: int, total: int, *, allowed: float, smallest: int = 10) -> None:
    """Refuse a plan that changes too much.

    :param what: the plural of the objects, such as "record sets of example.org".
    :param changed: how many of the ``total`` that exist now would be changed or removed.
    :param allowed: percent of ``total``.
    :param smallest: with fewer objects than this, shares mean little, and all is allowed.
    :raises TooManyChanges: where the share is larger.
    """
    if total < smallest or not exceeds(changed, total, allowed):
        return
    share = -(-changed * 100 // total)
    raise TooManyChanges(
        f"would change {changed} of {total} {what}, more than the allowed share of {allowed:g} %",
        hint=f"Check the input; set {OPTION}={share} to go on",
        details={"changed_objects": changed, "total_objects": total, "allowed_share": allowed},
    )
