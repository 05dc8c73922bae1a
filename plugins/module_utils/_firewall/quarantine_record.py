# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a quarantine as long as it lasts: why, since when, and what its end must put right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._core.errors import DebvisorError

FORMAT = 1
RUNNING, PAUSED, SHUT_OFF = "running", "paused", "shut off"


class Guest(Protocol):
    """A guest as the hypervisor tells of it."""

    @property
    def uuid(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def autostart(self) -> bool: ...

    @property
    def persistent(self) -> bool: ...


class RecordUnreadable(DebvisorError):
    """The record is not ours, or was damaged: what has to be put right is unknown."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A guest that ran until we stopped it; ``how`` is the state that we brought it to, or tried to."""

    uuid: str
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Record:
    """A quarantine. ``autostart`` holds uuid and name of each guest that would have started with the machine."""

    since: str
    reason: str
    requester: str
    evidence: Mapping[str, Any] | None = None
    stopped: tuple[Stopped, ...] = ()
    autostart: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """Return it as JSON."""
        document = {
            "format": FORMAT,
            "since": self.since,
            "reason": self.reason,
            "requester": self.requester,
            "evidence": self.evidence,
            "stopped": [
                {"uuid": guest.uuid, "name": guest.name, "how": guest.how} for guest in self.stopped
            ],
            "autostart": [{"uuid": uuid, "name": name} for uuid, name in self.autostart],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    def with_guests(self, stopped: Iterable[Stopped], autostart: Iterable[Guest]) -> Record:
        """Remember these guests, too."""
        known = {guest.uuid: guest for guest in self.stopped}
        starting = dict(self.autostart)
        return replace(
            self,
            stopped=tuple({**known, **{guest.uuid: guest for guest in stopped}}.values()),
            autostart=tuple(
                {**starting, **{guest.uuid: guest.name for guest in autostart}}.items()
            ),
        )


def decode(content: bytes, path: str) -> Record:
    """Read a record.

    :raises RecordUnreadable: where it is none.
    """
    try:
        parsed = json.loads(content)
        if parsed["format"] != FORMAT:
            raise ValueError(f"format {parsed['format']!r}, expected {FORMAT}")
        return Record(
            str(parsed["since"]),
            str(parsed["reason"]),
            str(parsed["requester"]),
            parsed["evidence"],
            tuple(Stopped(each["uuid"], each["name"], each["how"]) for each in parsed["stopped"]),
            tuple((each["uuid"], each["name"]) for each in parsed["autostart"]),
        )
    except (ValueError, KeyError, TypeError) as cause:
        raise RecordUnreadable(
            f"{path} cannot be read",
            why=str(cause),
            hint="It says which guests to start again; set them right by hand, remove it, and run again",
        ) from cause


def to_stop(guests: Sequence[Guest], policy: str) -> list[Stopped]:
    """Return the guests that run and shall not. One that would be gone for good once it is shut off is paused."""
    if policy == "leave":
        return []
    return [
        Stopped(
            guest.uuid,
            guest.name,
            SHUT_OFF if policy == "shutdown" and guest.persistent else PAUSED,
        )
        for guest in guests
        if guest.state == RUNNING
    ]


def to_wake(record: Record, guests: Sequence[Guest]) -> tuple[list[Stopped], list[str]]:
    """Return the guests that run again after the quarantine, and what to tell about the others."""
    now = {guest.uuid: guest.state for guest in guests}
    waking, parsed = [], []
    for guest in record.stopped:
        state = now.get(guest.uuid)
        if state == PAUSED or (state == SHUT_OFF and guest.how == SHUT_OFF):
            waking.append(guest)
        elif state == SHUT_OFF:
            parsed.append(
                f"The guest {guest.name} was paused, and is shut off now; it is left to you to start it"
            )
        elif state is None:
            parsed.append(f"The guest {guest.name} ran before, and is gone")
    return waking, parsed


def to_autostart(record: Record, guests: Sequence[Guest]) -> list[Guest]:
    """Return the guests that start with the machine again after the quarantine."""
    remembered = dict(record.autostart)
    return [guest for guest in guests if guest.uuid in remembered and not guest.autostart]
