# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that one call reads and one call writes: a pool, a dataset, a network, a silence.

Their author writes a :class:`Resource`; :class:`Managed` makes the operation of it, for one object or for many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .audit import public
from .errors import DebvisorError, InvalidInput, Problem, VerificationFailed
from .limits import OPTION, check_share
from .plan import Action, Difference, Operation, Plan, Receipt, Undo

State = Mapping[str, Any]
"""An object's properties: what ``write`` sets, and nothing that changes by itself. A secret one is a ``Secret``."""


class Resource(Protocol):
    """A kind of object. Subclass it: what is not abstract below has an answer that fits most kinds."""

    name: str
    plural: str = ""
    """What many are called. A resource that has it is refused where one run would change too large a share of all."""
    stepwise: Collection[str] = ()
    """Properties that ``write`` sets by calls of their own: any value of them may be left by an interrupted one."""

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, State | None]:
        """Return for each object what it is to be, by key; None is absent. Properties left out stay as they are.

        :raises InvalidInput: with every problem found; :func:`parse_each` collects those of a list.
        """

    def read(self, key: str) -> State | None:
        """Return what the object is now; None where there is none."""

    def write(self, key: str, before: State | None, after: State | None) -> None:
        """Create (``before`` is None), change or remove (``after`` is None). Twice is as good as once."""

    def removal(self, key: str, before: State, wanted: State | None) -> Undo:
        """Return how far a removal (``wanted`` is None) or a change can be rolled back; reads only.

        It is asked before a creation is undone, too: what has taken in data since is kept. So is what no property in
        the receipt identifies (a key that was drawn): it may be somebody else's by now.
        """
        return Undo.REVERSIBLE

    def read_many(self, keys: Collection[str]) -> Mapping[str, State | None]:
        """Return what these are now. May return more: a share is one of all the objects that are returned."""
        return {key: self.read(key) for key in keys}

    def facts(self, found: Mapping[str, State | None]) -> Mapping[str, Any]:
        """Return further keys of the result, from what was read."""
        return {}

    def keep(self, key: str, before: State) -> Any:
        """Put aside what undo needs and a receipt must not hold, and return as JSON where. Only secrets need it."""
        json.dumps(dict(before))  # refuses a secret before anything is changed

    def recall(self, key: str, before: State, kept: Any) -> State:
        """Return a state from its receipt, where it stands with fingerprints, and from what :meth:`keep` returned."""
        return before

    def forget(self, key: str, kept: Any) -> None:
        """Remove what :meth:`keep` put aside."""
        return


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    objects: Mapping[str, State | None]
    confirmed: frozenset[str]
    max_share: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read, and how far each change of what exists can be rolled back."""

    found: Mapping[str, State | None]
    undo: Mapping[str, Undo]


class Change(NamedTuple):
    """One object, before and after."""

    key: str
    before: State | None
    after: State | None


class Managed(Operation[Wanted, Observed]):
    """The operation of a resource. Runs on one kind of object wait for each other.

    A resource whose removal may be final has the option ``confirm_removal``, a list of keys.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self.name = resource.name

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return Wanted(
            self._resource.parse(params),
            frozenset(params.get("confirm_removal") or ()),
            params.get(OPTION) or 0,
        )

    def scope(self, wanted: Wanted) -> str:
        return self.name

    def observe(self, wanted: Wanted) -> Observed:
        found = self._resource.read_many(wanted.objects.keys())
        undo = {
            key: self._resource.removal(key, before, after)
            for key, before, after in _changes(found, wanted.objects)
            if before is not None
        }
        return Observed(found, undo)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        changes = list(_changes(observed.found, wanted.objects))
        actions = [_action(each, observed.undo.get(each.key, Undo.REVERSIBLE)) for each in changes]
        _check_confirmed(actions, wanted.confirmed)
        if self._resource.plural:
            check_share(
                self._resource.plural,
                sum(each.before is not None for each in changes),
                sum(state is not None for state in observed.found.values()),
                allowed=wanted.max_share,
            )
        actions.sort(key=lambda each: (each.undo is Undo.IRREVERSIBLE, each.payload.after is None))
        before = {key: observed.found.get(key) for key in wanted.objects}
        after = {**before, **{each.key: each.after for each in changes}}
        return Plan(
            before={key: state for key, state in before.items() if state is not None},
            after={key: state for key, state in after.items() if state is not None},
            actions=tuple(actions),
            differences=[Difference(c.key, _text(c.before), _text(c.after)) for c in changes],
            facts=self._resource.facts(before),
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        change: Change = action.payload
        kept = None
        if change.before is not None:
            kept = self._resource.keep(change.key, change.before)
        return {
            "key": change.key,
            "before": public(change.before),
            "after": public(change.after),
            "kept": kept,
            "lost": action.undo is Undo.IRREVERSIBLE,
        }

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        change: Change = action.payload
        self._resource.write(change.key, change.before, change.after)

    def undo(self, receipt: Receipt) -> str | None:
        note = self._restore(receipt)
        self.commit(receipt)
        return note

    def _restore(self, receipt: Receipt) -> str | None:
        key, before, after = receipt["key"], receipt["before"], receipt["after"]
        found = self._resource.read(key)
        now = public(found)
        if now == before:
            return None
        if receipt["lost"]:
            raise DebvisorError(f"{key} was changed or removed in a way that cannot be rolled back")
        if before is None:
            return self._remove(key, found or {}, after)
        old = self._resource.recall(key, before, receipt["kept"])
        if after is None:
            foreign = _differing(now, before, self._resource.stepwise) if now is not None else []
            names = [] if foreign else [*before]
        elif now is None:
            return f"{key} was removed by someone else after this run changed it, and stays so"
        else:
            names = _differing(before, after)
            foreign = [n for n in names if now.get(n) not in (before.get(n), after[n])]
            names = [n for n in names if n not in foreign]
        rest = {n: value for n, value in (found or {}).items() if n not in names}
        target = {**rest, **{n: old[n] for n in names if n in old}}
        if target != found:
            self._resource.write(key, found, target)
        return _left(key, foreign)

    def _remove(self, key: str, found: State, after: State) -> str | None:
        """Undo a creation."""
        names = set(found) - set(self._resource.stepwise)
        if names and not names & set(after):
            return f"{key} is kept: nothing shows whether the run that failed created it"
        if foreign := _differing(public(found), after, self._resource.stepwise):
            return _left(key, foreign)
        if self._resource.removal(key, found, None) is Undo.IRREVERSIBLE:
            return f"{key} was created, and is kept: data written to it since would be lost"
        self._resource.write(key, found, None)
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions:
            return {}
        found = self._resource.read_many(wanted.objects.keys())
        if wrong := list(_changes(found, wanted.objects)):
            raise VerificationFailed(
                f"{self.name}: {len(wrong)} objects are not as they were written",
                why="; ".join(f"{each.key} has {_line(each.before)}" for each in wrong[:10]),
            )
        return self._resource.facts({key: found.get(key) for key in wanted.objects})

    def commit(self, receipt: Receipt) -> None:
        if receipt["kept"] is not None:
            self._resource.forget(receipt["key"], receipt["kept"])


def parse_each(
    option: str,
    entries: Iterable[Mapping[str, Any]],
    parse: Callable[[Mapping[str, Any], list[Problem]], State | None],
    key: str = "name",
) -> dict[str, State | None]:
    """Parse a list of objects; ``parse`` adds the problems of one entry.

    :raises InvalidInput: with the problems of all entries, and with the number and name of each.
    """
    problems: list[Problem] = []
    found: dict[str, State | None] = {}
    for number, entry in enumerate(entries):
        name, own = str(entry[key]), list[Problem]()
        state = parse(entry, own)
        if name in found:
            own.append(Problem(key, "is there twice"))
        found[name] = state
        problems += [Problem(f"{option}[{number}].{p.where}", f"{name}: {p.what}") for p in own]
    if problems:
        raise InvalidInput(problems)
    return found


def _changes(
    found: Mapping[str, State | None], wanted: Mapping[str, State | None]
) -> Iterator[Change]:
    """Yield what is not as wanted."""
    for key, state in wanted.items():
        before = found.get(key)
        after = None if state is None else {**(before or {}), **state}
        if before != after:
            yield Change(key, before, after)


def _action(change: Change, undo: Undo) -> Action:
    if change.before is None:
        return Action("create", change.key, _line(change.after), undo, change)
    if change.after is None:
        return Action("remove", change.key, "", undo, change)
    names = _differing(change.before, change.after)
    effect = _line({name: change.after[name] for name in names})
    return Action("change", change.key, effect, undo, change)


def _check_confirmed(actions: Iterable[Action], confirmed: frozenset[str]) -> None:
    """Refuse what cannot be rolled back and was not named again."""
    problems = [
        Problem("confirm_removal", f"does not name {each.target}; to {each.verb} it is final")
        for each in actions
        if each.undo is Undo.IRREVERSIBLE and each.target not in confirmed
    ]
    if problems:
        raise InvalidInput(problems, hint="Name each object there whose loss you accept")


def _differing(state: State, other: State, except_for: Collection[str] = ()) -> list[str]:
    """Return the properties of ``other`` that are not so in ``state``."""
    return [n for n in other if n not in except_for and state.get(n) != other[n]]


def _left(key: str, foreign: Collection[str]) -> str | None:
    """Return what undo left alone, as a sentence."""
    return (
        f"{key}: someone else changed {', '.join(foreign)} since, and it stays so"
        if foreign
        else None
    )


def _line(state: State | None) -> str:
    """Return properties on one line, secrets as fingerprints."""
    shown = public(state or {})
    return ", ".join(f"{n}: {v if isinstance(v, str) else json.dumps(v)}" for n, v in shown.items())


def _text(state: State | None) -> str:
    """Return properties for the diff, a line for each. An object of which none is known yet is at least there."""
    if state is None:
        return ""
    return "".join(f"{_line({name: value})}\n" for name, value in state.items()) or "present\n"
