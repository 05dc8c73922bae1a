# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``tsig_key_probe_info`` does: sign with a key that is not in use yet, and check that every server accepts it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from ..._core.checks import refuse_any
from ..._core.errors import DebvisorError, InvalidInput, Problem
from ..._core.ports import Clock, ReadsFiles
from ..._core.spec import Spec
from ..protocol import fields, names, tsig, wire
from ..protocol.client import Client, Transport
from ..protocol.retrying import retry_transient
from ..protocol.tsig import Key, class_of
from .bind_keys import file_name
from .peers import check_peers

SPEC = Spec(
    {
        "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
        "folder": {"type": "path", "required": True},
        "zone": {"type": "str", "required": True},
        "server": {"type": "str", "required": True},
        "peers": {"type": "dict", "default": {}},
        "port": {"type": "int", "default": 53},
        "timeout": {"type": "float", "default": 3},
        "retry_for": {"type": "float", "default": 10},
    }
)


class NotAccepted(DebvisorError):
    """A server does not take a key that it has to take."""


class KeyProbe:
    """Tries the keys that this host holds: those of peers' classes by transfers, the others by empty updates."""

    def __init__(
        self, files: ReadsFiles, reach: Callable[[str, int, float], Transport], clock: Clock
    ) -> None:
        self._files = files
        self._reach = reach
        self._clock = clock

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the keys that were taken, and where.

        :raises NotAccepted: naming each server and key with what was wrong.
        """
        zone = _zone(params["zone"])
        refuse_any(_problems(params["peers"]))
        taken: dict[str, list[str]] = {}
        faults: list[str] = []
        for name in params["keys"]:
            if (key := self._held(params["folder"], name)) is None:
                continue
            of_class = _class(name)
            peers = [address for address, shared in params["peers"].items() if shared == of_class]
            transfers = bool(peers)
            for address in peers or [params["server"]]:
                try:
                    self._try(key, address, zone, transfers, params)
                except DebvisorError as fault:
                    faults.append(str(fault))
                else:
                    taken.setdefault(name, []).append(address)
        if faults:
            raise NotAccepted(
                f"{len(faults)} probe{'s' if len(faults) > 1 else ''} failed",
                why="; ".join(faults[:10]),
                hint="These keys are not signed with yet, so nothing is broken. Fix the server and run again",
                details={"faults": faults, "taken": taken},
            )
        return {"taken": taken}

    def _held(self, folder: str, name: str) -> Key | None:
        generation = class_of(name)
        if generation is None:
            raise InvalidInput([Problem("keys", f"{fields.shortened(name)} is not gN.CLASS")])
        path = posixpath.join(folder, file_name(*generation))
        if self._files.facts(path) is None:
            return None
        return tsig.parse(self._files.read(path), path)

    def _try(
        self, key: Key, address: str, zone: bytes, transfers: bool, params: Mapping[str, Any]
    ) -> None:
        client = Client(
            self._reach(address, params["port"], params["timeout"]), lambda: key, self._clock
        )
        try:
            if transfers:
                retry_transient(lambda: client.transfer(zone), params["retry_for"], self._clock)
            else:
                retry_transient(
                    lambda: _update_nothing(client, zone), params["retry_for"], self._clock
                )
        finally:
            client.close()


def _update_nothing(client: Client, zone: bytes) -> None:
    """Send an update without a change (RFC 2136): it proves that the server takes the key, and moves no serial."""
    [outcome] = client.update(wire.update(zone, [], []))
    if outcome is not None:
        raise outcome


def _problems(peers: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    check_peers("peers", peers, problems)
    return problems


def _zone(text: str) -> bytes:
    try:
        return names.parse(text.removesuffix(".") + ".")
    except names.NameProblem as cause:
        raise InvalidInput([Problem("zone", f"{fields.shortened(text)} {cause}")]) from cause


def _class(name: str) -> str:
    found = class_of(name)
    return found[0] if found else ""
