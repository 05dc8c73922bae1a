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
from .._core.errors import DebvisorError, InvalidInput
from .._core.spec import filled
from .._firewall import blocklist_options, feed_options
from .._firewall.blocklist_options import NAME


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
        written = json.loads(path.read_bytes())
        loading = filled(blocklist_options.SPEC, {"lists": [], **written["nft_blocklist"]})
        feeds = {each["name"]: _feed(each, loading) for each in written["feeds"]}
    except OSError as cause:
        raise DebvisorError(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise DebvisorError(
            f"{path} is not what the role debvisor.hci.blocklist writes",
            why=str(cause),
            hint="Run the role again",
        ) from cause
    return Settings(feeds, loading)


def _feed(given: Mapping[str, Any], loading: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(given)
    name = own.pop("name")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a feed")
    dest = str(settings.feeds_dir() / f"{name}.txt")
    alike = {option: loading[option] for option in ("max_share", "strict")}
    return filled(feed_options.SPEC, {**alike, **own, "dest": dest})
