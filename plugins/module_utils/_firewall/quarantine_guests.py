# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping guests and letting them run again, whatever they do themselves meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from .._core.errors import DebvisorError, TimedOut
from .._core.ports import Clock
from .._core.waiting import wait_until
from .quarantine_record import PAUSED, RUNNING, SHUT_OFF, Guest, Stopped

SHUTDOWN_TIMEOUT = 60.0
"""Seconds for all guests to shut down. One that does not is paused: it may be in the hands of others."""
SETTLE_TIMEOUT = 10.0
"""Seconds for guests to be paused, to go on, or to start."""


class Hypervisor(Protocol):
    """The guests of the machine; none where it has no hypervisor."""

    def guests(self) -> Sequence[Guest]: ...

    def set_autostart(self, uuid: str, wanted: bool) -> None: ...

    def pause(self, uuid: str) -> None: ...

    def resume(self, uuid: str) -> None: ...

    def shut_down(self, uuid: str) -> None: ...

    def start(self, uuid: str) -> None: ...

    def close(self) -> None: ...


class GuestControl:
    """The guests of one hypervisor."""

    def __init__(self, hypervisor: Hypervisor, clock: Clock) -> None:
        self._hypervisor = hypervisor
        self._clock = clock

    def stop(self, guests: Sequence[Stopped]) -> None:
        """Stop those that still run. One that ignores that it is to shut down is paused.

        A guest may end by itself at any moment, and whoever is in it may choose the moment: that must stop nothing.
        """
        states = self._states()
        running = [guest for guest in guests if states.get(guest.uuid) == RUNNING]
        going = [guest.uuid for guest in running if guest.how == SHUT_OFF]
        self._pause(guest.uuid for guest in running if guest.how == PAUSED)
        for uuid in going:
            self._halt(uuid, self._hypervisor.shut_down)
        try:
            self._wait_stopped(going, SHUTDOWN_TIMEOUT)
        except TimedOut:
            states = self._states()
            self._pause(uuid for uuid in going if states.get(uuid) == RUNNING)

    def _pause(self, uuids: Iterable[str]) -> None:
        pausing = list(uuids)
        for uuid in pausing:
            self._halt(uuid, self._hypervisor.pause)
        self._wait_stopped(pausing, SETTLE_TIMEOUT)

    def _halt(self, uuid: str, act: Callable[[str], None]) -> None:
        """Stop one guest; a refusal is none where it does not run any more."""
        try:
            act(uuid)
        except DebvisorError:
            if self._states().get(uuid) == RUNNING:
                raise

    def _wait_stopped(self, uuids: Sequence[str], timeout: float) -> None:
        def settled() -> tuple[bool, str]:
            states = self._states()
            left = [uuid for uuid in uuids if states.get(uuid) == RUNNING]
            return not left, f"{', '.join(left)} still run"

        if uuids:
            wait_until(settled, what="the guests", timeout=timeout, clock=self._clock)

    def wake(self, uuids: Collection[str]) -> list[str]:
        """Let guests run as well as possible, and return what to tell about those that resist."""
        guests = self._hypervisor.guests()
        states = {guest.uuid: guest.state for guest in guests}
        names = {guest.uuid: guest.name for guest in guests}
        troubles: dict[str, str] = {}
        for uuid in uuids:
            try:
                if states.get(uuid) == PAUSED:
                    self._hypervisor.resume(uuid)
                elif states.get(uuid) == SHUT_OFF:
                    self._hypervisor.start(uuid)
            except DebvisorError as cause:
                troubles[uuid] = str(cause)

        def settled() -> tuple[bool, dict[str, str]]:
            now = self._states()
            left = {
                uuid: now.get(uuid, "gone")
                for uuid in uuids
                if uuid not in troubles and now.get(uuid) != RUNNING
            }
            return not left, left

        with contextlib.suppress(TimedOut):
            wait_until(settled, what="the guests", timeout=SETTLE_TIMEOUT, clock=self._clock)
        troubles.update({uuid: f"it is {state}" for uuid, state in settled()[1].items()})
        return [
            f"The guest {names.get(uuid, uuid)} does not run again: {why}"
            for uuid, why in troubles.items()
        ]

    def set_autostart(self, uuids: Iterable[str], wanted: bool) -> None:
        """Set it where the guest is still there. One that is not persistent never starts with the machine."""
        for uuid in uuids:
            if not self._differs(uuid, wanted):
                continue
            try:
                self._hypervisor.set_autostart(uuid, wanted)
            except DebvisorError:
                if self._differs(uuid, wanted):
                    raise

    def _differs(self, uuid: str, wanted: bool) -> bool:
        return any(
            guest.uuid == uuid and guest.persistent and guest.autostart != wanted
            for guest in self._hypervisor.guests()
        )

    def _states(self) -> dict[str, str]:
        return {guest.uuid: guest.state for guest in self._hypervisor.guests()}

    def bring_back(self, was: Mapping[str, str]) -> str | None:
        """Bring guests back to what they were, as well as possible: what cannot be must not stand in the way for good.

        One that was shut off before it was started is paused instead. One that was paused and is shut off now, after a
        restart of the host perhaps, is left.
        """
        states = self._states()
        other = {uuid: state for uuid, state in was.items() if states.get(uuid) != state}
        stopping = [
            uuid
            for uuid, state in other.items()
            if state != RUNNING and states.get(uuid) in (RUNNING, PAUSED)
        ]
        self._pause(uuid for uuid in stopping if states[uuid] == RUNNING)
        notes = self.wake(
            [uuid for uuid, state in other.items() if state == RUNNING and uuid in states]
        )
        if paused := sorted(uuid for uuid in stopping if was[uuid] == SHUT_OFF):
            notes.append(f"Guests that were shut off are paused: {', '.join(paused)}")
        if lost := sorted(
            uuid
            for uuid, state in other.items()
            if state == PAUSED and states.get(uuid) == SHUT_OFF
        ):
            notes.append(
                f"Guests that were paused are shut off, and are left so: {', '.join(lost)}"
            )
        if gone := sorted(uuid for uuid in other if uuid not in states):
            notes.append(f"Guests are gone: {', '.join(gone)}")
        return ". ".join(notes) or None
