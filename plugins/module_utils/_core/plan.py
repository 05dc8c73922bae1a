# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of change as values: what an operation is, what it plans, and what undo needs.

The executor in :mod:`operation` drives it; docs/ARCHITECTURE.md tells why it has this shape.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

Wanted = TypeVar("Wanted")
Observed = TypeVar("Observed")

Receipt = Mapping[str, Any]
"""What undo needs, as JSON: it must survive the process. Never a secret; refer to a copy instead."""


class Undo(Enum):
    """How an action can be rolled back."""

    REVERSIBLE = "reversible"
    """Exactly: afterwards nobody can tell."""
    COMPENSABLE = "compensable"
    """In effect: the data is as before, though a trace stays (a serial that went up)."""
    IRREVERSIBLE = "irreversible"
    """Not at all. Such actions come last in a plan, and only after an opt-in that names the object."""


class Plain(Mapping[str, Any]):
    """A large mapping that is made when somebody looks, and then kept.

    It holds plain JSON data and no secret, by its maker's word: nobody looks through it for any.
    """

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._content: dict[str, Any] | None = None
        self._text: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The mapping itself."""
        if self._content is None:
            self._content = self._make()
        return self._content

    def text(self) -> str:
        """Return the mapping as JSON, in its maker's order, which is fixed; sorting it would only cost time."""
        if self._text is None:
            self._text = json.dumps(self.content, check_circular=False)
        return self._text

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Action:
    """One effect. ``verb``, ``target`` and ``effect`` are for people; ``payload`` is for apply and is never shown."""

    verb: str
    target: str
    effect: str = ""
    undo: Undo = Undo.REVERSIBLE
    payload: Any = field(default=None, repr=False, compare=False)

    def public(self) -> dict[str, str]:
        """Return what may be shown of it."""
        return {
            "verb": self.verb,
            "target": self.target,
            "effect": self.effect,
            "undo": self.undo.value,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry of Ansible's diff: an object's name, and its text before and after."""

    name: str
    before: str
    after: str

    @classmethod
    def of(cls, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
        """Show properties, a line for each."""
        return cls(name, *("".join(f"{k}: {v}\n" for k, v in of.items()) for of in (before, after)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is, what will be, and the ordered steps between. A plan without actions changes nothing."""

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    differences: Sequence[Difference] = ()
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the module's result, known before any action ran."""
    context: Any = field(default=None, repr=False, compare=False)
    """For ``verify``, where it needs more than the facts; never shown."""
    confirm_within: float = 0
    """Seconds for a proof that nobody is locked out; without one the change is rolled back. 0 needs none."""

    def __post_init__(self) -> None:
        kinds = [action.undo is Undo.IRREVERSIBLE for action in self.actions]
        if kinds != sorted(kinds):
            raise ValueError("a plan puts its irreversible actions last")


class Operation(ABC, Generic[Wanted, Observed]):
    """A kind of change. Ports come in by the constructor; only prepare's caller decides whether apply ever runs."""

    name: str
    sweeps: bool = False
    """True where a run also rolls back what dead runs on other scopes left. For operations whose leftovers cost much (a
    volume that nobody uses), and whose receipts tell all that undo needs."""

    @abstractmethod
    def parse(self, params: Mapping[str, Any]) -> Wanted:
        """Turn options into the wanted state; pure.

        :raises InvalidInput: with every problem found.
        """

    @abstractmethod
    def scope(self, wanted: Wanted) -> str:
        """Name what a second run must not change meanwhile, such as a file's path or a zone."""

    def begun(self, wanted: Wanted) -> None:
        """Hear that a run begins, before it waits for its lock; for those who follow it from outside.

        Never called in check mode. What it raises ends the run.
        """

    def waits(self) -> None:
        """Hear, several times a second, that the run waits for its lock. What it raises ends the run."""

    @abstractmethod
    def observe(self, wanted: Wanted) -> Observed:
        """Read the present state. Sends no write, not even a harmless one."""

    @abstractmethod
    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        """Decide; pure."""

    @abstractmethod
    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        """Gather what undo will need. It is journalled before the effect; reads, and copies aside, only."""

    @abstractmethod
    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> str | None:
        """Bring about one effect. What resisted, and is no reason to roll back, is returned and becomes a warning."""

    @abstractmethod
    def undo(self, receipt: Receipt) -> str | None:
        """Roll the effect back. Idempotent, and harmless where the effect never happened.

        It may run in a later process than apply did, so the receipt is all it gets (and the ports). What was left
        because somebody else changed it since is not an error; it is returned as a sentence, which becomes a warning.
        """

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Read back after the last action; return further keys of the result.

        :raises VerificationFailed: where the world is not as planned. The executor then undoes everything.
        """
        return {}

    def commit(self, receipt: Receipt) -> None:
        """Make it final, after all is verified and, where that was asked for, confirmed.

        Forget what only undo needed, such as a copy kept aside; put in place what must not outlive a reboot before.
        Idempotent: a process that is killed leaves it to the next one.
        """

    def ended(self, plan: Plan, failure: BaseException | None, rolled_back: bool) -> None:
        """Hear how the run ended, after all else; for those who follow it from outside. Never called in check mode.

        :param plan: an empty one where the run did not come so far.
        :param failure: why it failed; None after a success.
        :param rolled_back: after a failure, True where nothing of the run is left, be it that nothing had begun.
        """

    def close(self) -> None:
        """Let go of connections. Called once, last, whatever happened."""
