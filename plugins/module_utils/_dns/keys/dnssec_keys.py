# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resource behind ``dnssec_keys``: the key of each signed zone, made once and then left to BIND."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Protocol

from ..._core.errors import InvalidInput, Problem
from ..._core.resource import Resource, State
from ..._core.spec import Spec

ZONE = re.compile(r"[a-z0-9_-]+(?:[.][a-z0-9_-]+)*")
"""What can stand in the name of a file as it is."""
SPEC = Spec(
    {
        "zones": {"type": "list", "elements": "str", "required": True},
        "folder": {"type": "path", "default": "/var/lib/bind/keys"},
    }
)


class Keygen(Protocol):
    """The folder of keys."""

    def keys(self, folder: str, zone: str) -> list[str]: ...

    def create(self, folder: str, zone: str) -> None: ...


class DnssecKeys(Resource):
    """The keys of zones. An object is the path of a zone's keys, FOLDER/ZONE; its property, what they are named.

    A key is never removed, not even by undo: a DS at the parent may name it by then.
    """

    name = "dnssec_keys"

    def __init__(self, keygen: Keygen) -> None:
        self._keygen = keygen

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, State | None]:
        folder = params["folder"]
        problems = [
            Problem(f"zones[{number}]", f"{zone!r} is not the name of a zone")
            for number, zone in enumerate(params["zones"])
            if not ZONE.fullmatch(zone)
        ]
        if problems:
            raise InvalidInput(problems)
        return {f"{folder}/{zone}": {} for zone in params["zones"]}

    def read(self, key: str) -> State | None:
        folder, zone = posixpath.split(key)
        names = self._keygen.keys(folder, zone)
        return {"keys": names} if names else None

    def write(self, key: str, before: State | None, after: State | None) -> None:
        folder, zone = posixpath.split(key)
        if not self._keygen.keys(folder, zone):
            self._keygen.create(folder, zone)

    def facts(self, found: Mapping[str, State | None]) -> Mapping[str, Any]:
        return {
            "key_names": {
                posixpath.basename(key): list((state or {}).get("keys", []))
                for key, state in found.items()
            }
        }
