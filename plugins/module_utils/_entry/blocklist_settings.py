# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of the blocklist work on: feeds, and the lists that are loaded, as the role wrote them down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._firewall import blocklist_operation, feed_operation

LOADING: Mapping[str, Any] = {
    "lists": [],
    "protected": [],
    "max_share": 0.1,
    "strict": False,
    "rebuild": False,
    "state": "present",
}
"""The options of ``nft_blocklist`` where nobody says otherwise."""
LIST: Mapping[str, Any] = {"name": None, "action": "block", "files": [], "entries": []}
"""Those of one of its lists."""

YES_OR_NO: Mapping[str, bool] = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no", "off"), False),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of every feed by its name, and those of the lists."""

    feeds: dict[str, dict[str, Any]]
    loading: dict[str, Any]


def read(path: Path) -> Settings:
    """Read the file as the modules read their options, and fill in what it leaves out.

    :raises DebvisorError: where it cannot be read, or is not what the role writes.
    """
    try:
        told = json.loads(path.read_bytes())
        loading = _filled(told["nft_blocklist"], LOADING)
        feeds = {each["name"]: _feed(each, loading) for each in told["feeds"]}
        loading["lists"] = [_filled(each, LIST) for each in loading["lists"]]
    except OSError as cause:
        raise DebvisorError(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise DebvisorError(
            f"{path} is not what the role debvisor.hci.blocklist writes",
            why=f"{type(cause).__name__}: {cause}",
            hint="Run the role again",
        ) from cause
    return Settings(feeds, loading)


def _feed(given: Mapping[str, Any], loading: Mapping[str, Any]) -> dict[str, Any]:
    name = given["name"]
    if not blocklist_operation.NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a feed")
    dest = str(settings.feeds_dir() / f"{name}.txt")
    alike = {option: loading[option] for option in ("max_share", "strict")}
    return _filled(given, {**feed_operation.DEFAULTS, **alike, "name": name, "dest": dest})


def _filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := given.keys() - defaults.keys():
        raise ValueError(f"{', '.join(sorted(unknown))} is no option")
    return {name: _like(default, given.get(name, default)) for name, default in defaults.items()}


def _like(default: Any, value: Any) -> Any:
    """Make of a value what Ansible does: an inventory may say ``"0.5"``, ``"yes"``, or one file that is no list."""
    match default, value:
        case bool(), str():
            return YES_OR_NO[value.lower()]
        case int(), str():
            return int(value)
        case float(), str():
            return float(value)
        case list(), str():
            return [each.strip() for each in value.split(",")]
    return value
