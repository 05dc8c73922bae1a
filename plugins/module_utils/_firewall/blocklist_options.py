# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``nft_blocklist``, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.checks import refuse_any
from .._core.errors import Problem
from .._core.limits import check_option, limited
from .._core.spec import Spec
from . import protection
from .store import PROTECTED

TAKEN = {PROTECTED: "use the option protected", "bans": "metrics count the bans under it"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
"""What a list may be called, and a feed."""
MOST_SOURCES = 256
SPEC = Spec(
    {
        "lists": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "action": {"type": "str", "choices": ["block", "allow"], "default": "block"},
                "files": {"type": "list", "elements": "path", "default": []},
                "entries": {"type": "list", "elements": "str", "default": []},
            },
        },
        "protected": {"type": "list", "elements": "str", "default": []},
        **limited(10),
        "strict": {"type": "bool", "default": False},
        "rebuild": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    required_if=[("state", "present", ["lists"])],
)


@dataclass(frozen=True, slots=True)
class WantedList:
    """One list as the options describe it."""

    name: str
    action: str
    files: tuple[str, ...]
    inline: tuple[str, ...]
    option: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    present: bool
    lists: tuple[WantedList, ...]
    protected: tuple[str, ...]
    max_share: float
    strict: bool
    rebuild: bool


def parse(params: Mapping[str, Any]) -> Wanted:
    """Check the options.

    :raises InvalidInput: with everything that is wrong.
    """
    problems: list[Problem] = []
    wanted = [
        _wanted_list(number, each, problems) for number, each in enumerate(params["lists"] or [])
    ]
    names = [each.name for each in wanted]
    for each in wanted:
        if names.count(each.name) > 1:
            problems.append(Problem(f"{each.option}.name", f"{each.name!r} is there twice"))
    protection.check("protected", params["protected"], problems)
    max_share = check_option(params, problems)
    refuse_any(problems)
    return Wanted(
        params["state"] == "present",
        tuple(wanted),
        tuple(params["protected"]),
        max_share,
        params["strict"],
        params["rebuild"],
    )


def _wanted_list(number: int, each: Mapping[str, Any], problems: list[Problem]) -> WantedList:
    option = f"lists[{number}]"
    name = each["name"]
    if not NAME.fullmatch(name):
        problems.append(
            Problem(
                f"{option}.name", f"{name!r} is not a letter and up to 30 more of a-z, 0-9 and _"
            )
        )
    if name in TAKEN:
        problems.append(Problem(f"{option}.name", f"{name!r} is taken: {TAKEN[name]}"))
    for line, entry in enumerate(each["entries"]):
        if "\n" in entry:
            problems.append(Problem(f"{option}.entries[{line}]", "is more than one line"))
    if len(each["files"]) >= MOST_SOURCES:
        problems.append(Problem(f"{option}.files", f"has more than {MOST_SOURCES - 1} files"))
    for place, path in enumerate(each["files"]):
        if not path.startswith("/"):
            problems.append(
                Problem(f"{option}.files[{place}]", f"{path!r} is not an absolute path")
            )
        elif path in each["files"][:place]:
            problems.append(Problem(f"{option}.files[{place}]", f"{path} is there twice"))
    return WantedList(name, each["action"], tuple(each["files"]), tuple(each["entries"]), option)
