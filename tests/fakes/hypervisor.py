# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor in memory. Guests may ignore that they are to shut down, and any call may fail."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError


@dataclass(frozen=True)
class FakeGuest:
    uuid: str
    name: str
    state: str
    autostart: bool = False
    persistent: bool = True


class FakeHypervisor:
    def __init__(self, *guests: FakeGuest) -> None:
        self.held = {guest.uuid: guest for guest in guests}
        self.stubborn: set[str] = set()
        """Guests that ignore that they are to shut down."""
        self.broken: dict[str, DebvisorError] = {}
        """What each method raises, for once."""
        self.unreachable: DebvisorError | None = None
        self.read_only = False
        self.closed = False

    def guests(self) -> tuple[FakeGuest, ...]:
        if self.unreachable is not None:
            raise self.unreachable
        return tuple(self.held.values())

    def set_autostart(self, uuid: str, wanted: bool) -> None:
        self._change("set_autostart", uuid, autostart=wanted)

    def pause(self, uuid: str) -> None:
        self._change("pause", uuid, state="paused")

    def resume(self, uuid: str) -> None:
        self._change("resume", uuid, state="running")

    def start(self, uuid: str) -> None:
        self._change("start", uuid, state="running")

    def shut_down(self, uuid: str) -> None:
        if uuid in self.stubborn:
            return
        self._change("shut_down", uuid, state="shut off")
        if not self.held[uuid].persistent:
            del self.held[uuid]

    def close(self) -> None:
        self.closed = True

    def _change(self, method: str, uuid: str, **change: object) -> None:
        assert not self.read_only, "a write"
        if method in self.broken:
            raise self.broken.pop(method)
        self.held[uuid] = replace(self.held[uuid], **change)  # type: ignore[arg-type]
