# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send changes to the server: through its moments of absence, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..._core.errors import Conflict, DebvisorError, TimedOut, Unreachable
from ..._core.ports import Clock
from ..._core.waiting import intervals
from ..protocol import names
from ..protocol.client import Client
from ..protocol.errors import BadKey, PrerequisiteFailed
from ..protocol.retrying import TRANSIENT
from ..protocol.rrset import Change, RRset, Sets
from .packing import Batch
from .zone_reader import read_zone

NAMED_CONFLICTS = 20


class StateUnknown(Unreachable):
    """The answer to an update was lost, and so were the answers to the questions whether it was made."""


def apply_changes(
    client: Client,
    batches: Sequence[Batch],
    retry_for: float,
    clock: Clock,
    meanwhile: Callable[[], object] | None = None,
) -> None:
    """Make all changes of all batches.

    After a lost answer the record sets are read. Where they are as wanted, the update was made;
    where they are as before, it is sent again until ``retry_for`` seconds have passed.

    :param meanwhile: something to do once while the server works.
    :raises Conflict: naming the record sets that others changed meanwhile.
    :raises DebvisorError: the last one met, where time ran out.
    """
    deadline = clock.monotonic() + retry_for
    open_batches = list(batches)
    for pause in intervals(0.05, 1.0):
        outcomes = client.update(*[batch.message for batch in open_batches], meanwhile=meanwhile)
        meanwhile = None
        again: list[tuple[Batch, DebvisorError]] = []
        for batch, outcome in zip(open_batches, outcomes, strict=True):
            if outcome is None:
                continue
            if isinstance(outcome, PrerequisiteFailed):
                if not _is_made(client, batch, outcome):
                    raise _conflict(client, batch, outcome)
            elif isinstance(outcome, (*TRANSIENT, TimedOut, Unreachable)):
                again.append((batch, outcome))
            else:
                raise outcome
        unknown = [(batch, why) for batch, why in again if not isinstance(why, TRANSIENT)]
        refused = [(batch, why) for batch, why in again if isinstance(why, TRANSIENT)]
        left = deadline - clock.monotonic()
        if refused and left <= 0:
            raise refused[0][1]
        unmade = _unmade(client, unknown, deadline, clock) if unknown else []
        if unmade and deadline <= clock.monotonic():
            raise unmade[0][1]
        open_batches = [batch for batch, _why in [*refused, *unmade]]
        if not open_batches:
            return
        clock.sleep(min(pause, max(left, 0.0)))


def _unmade(
    client: Client, unknown: list[tuple[Batch, DebvisorError]], deadline: float, clock: Clock
) -> list[tuple[Batch, DebvisorError]]:
    """Return those of the unanswered batches that were not made. Asks at least once, and until the deadline."""
    for pause in intervals(0.05, 1.0):
        try:
            return [(batch, why) for batch, why in unknown if not _is_made(client, batch, why)]
        except (TimedOut, Unreachable, BadKey, *TRANSIENT) as silence:
            if clock.monotonic() >= deadline:
                raise StateUnknown(
                    f"{client} was sent an update and did not answer; whether it was made is not known",
                    why=f"{unknown[0][1].what}; then: {silence.what}",
                    hint="Run again when the server answers; the run begins by finding out",
                ) from silence
        clock.sleep(min(pause, max(deadline - clock.monotonic(), 0.0)))
    return []


def _is_made(client: Client, batch: Batch, cause: DebvisorError) -> bool:
    """Return whether all of the batch is as wanted; False where all is as before.

    :raises Conflict: where it is neither.
    """
    sets = read_zone(client, batch.zone, keys_of(batch.changes)).sets
    if all(holds_after(change, sets.get(change[:2])) for change in batch.changes):
        return True
    if all(same(sets.get(change[:2]), change.before) for change in batch.changes):
        return False
    raise conflict(client, batch.zone, conflicting(batch.changes, sets), cause)


def _conflict(client: Client, batch: Batch, cause: DebvisorError) -> Conflict:
    sets = read_zone(client, batch.zone, keys_of(batch.changes)).sets
    return conflict(client, batch.zone, conflicting(batch.changes, sets), cause)


def keys_of(changes: Iterable[Change]) -> list[tuple[bytes, int]]:
    """Return the names and types of the changed record sets."""
    return [(change.name, change.rdtype) for change in changes]


def same(one: RRset | None, other: RRset | None) -> bool:
    """Return whether two record sets hold the same data. Prerequisites cannot see TTLs, so neither does this."""
    return (one and one.data) == (other and other.data)


def holds_after(change: Change, held: RRset | None) -> bool:
    """Return whether the change was made. Where it was one of TTL alone, the TTL decides."""
    if same(change.before, change.after):
        return held == change.after
    return same(held, change.after)


def conflicting(changes: Iterable[Change], sets: Sets) -> list[Change]:
    """Return the changes whose record set is neither as before nor as after."""
    return [
        change
        for change in changes
        if not same(sets.get(change[:2]), change.before)
        and not same(sets.get(change[:2]), change.after)
    ]


def conflict(
    client: Client, zone: bytes, others: Sequence[Change], cause: DebvisorError | None = None
) -> Conflict:
    """Return the error that names the record sets which others changed."""
    titles = [change.title for change in others]
    shown = ", ".join(titles[:NAMED_CONFLICTS]) + (", ..." if len(titles) > NAMED_CONFLICTS else "")
    rcode: Mapping[str, str] = cause.details if cause else {}
    return Conflict(
        f"{names.render(zone)} was changed by others meanwhile",
        why=f"{shown or 'names that were free are in use'} on {client}",
        hint="Nothing of theirs was overwritten. Run again to start from the present state",
        details={"conflicts": titles, **rcode},
    )
