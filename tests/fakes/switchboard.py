# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of every port goes through one place, which counts them and makes one go wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any


class Killed(BaseException):
    """The process is no more. Nothing in it runs on, so nothing is taken back either."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at one call."""

    number: int
    """Of the call, from 0."""
    after: bool
    """True where the call takes effect and only its answer is lost."""
    failure: BaseException

    def __str__(self) -> str:
        return f"{type(self.failure).__name__} {'after' if self.after else 'before'} call {self.number}"


class Switchboard:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fault: Fault | None = None
        self.dead = False
        self.forbidden: Collection[str] = ()
        """Calls that nobody may make now."""
        self.allowed: Collection[str] | None = None
        """The only calls that may be made now; None allows all."""
        self.watchers: dict[str, Callable[[], object]] = {}
        """What happens in the world just before a call, once."""

    def wire(self, name: str, port: Any) -> Any:
        """Return the port as it is to be handed to an operation."""
        return _Wired(self, name, port)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.check_alive()
        allowed = name not in self.forbidden and (self.allowed is None or name in self.allowed)
        assert allowed, f"{name} must not be called now"
        if watcher := self.watchers.pop(name, None):
            watcher()
        number = len(self.calls)
        self.calls.append(name)
        fault = self.fault if self.fault is not None and self.fault.number == number else None
        if fault is not None and not fault.after:
            self._fail(fault)
        answer = function(*args, **options)
        if fault is not None:
            if hasattr(answer, "__exit__"):  # a lock that was never handed over is held by no one
                with answer:
                    pass
            self._fail(fault)
        return answer

    def check_alive(self) -> None:
        if self.dead:
            raise Killed

    def _fail(self, fault: Fault) -> None:
        self.dead = isinstance(fault.failure, Killed)
        raise fault.failure

    def restart(self) -> None:
        """Begin anew, as another process does."""
        self.calls, self.fault, self.dead = [], None, False


def methods_of(protocol: type) -> list[str]:
    """Return the names of a protocol's methods, those of its bases, too."""
    return [name for name in dir(protocol) if not name.startswith("_")]


def calls(port: str, protocol: type) -> frozenset[str]:
    """Return the calls of a port as they are counted."""
    return frozenset(f"{port}.{name}" for name in methods_of(protocol))


class _Wired:
    def __init__(self, board: Switchboard, name: str, port: Any) -> None:
        self._board, self._name, self._port = board, name, port

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if not callable(value) or attribute == "close":  # which never fails, and is no step
            return value
        return self._bound(attribute, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._board.call(self._name, self._port, *args, **options)

    def _bound(self, attribute: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            return self._board.call(f"{self._name}.{attribute}", function, *args, **options)

        return called
