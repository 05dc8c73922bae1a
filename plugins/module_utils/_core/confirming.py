# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a change that awaits its confirmation: it is confirmed, or rolled back by a user or by the revert timer."""

from __future__ import annotations

import contextlib
from typing import Any

from .confirmation import RevertTimer
from .durable import recording
from .errors import Conflict
from .executor import CONFIRMED, FINISHED_LATER, Outcome, Records, Run
from .journal import FIX, NOTHING_CHANGED, Transaction
from .locking import LOCK_TIMEOUT
from .plan import Operation

FINAL = {CONFIRMED, FINISHED_LATER}
AGAIN = "Run again to repeat the change"


def confirm(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    revert_timer: RevertTimer,
    *,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Make the change that awaits it final. A second time changes nothing; a mere failure is part of the outcome."""
    run = Run(operation, records, Outcome(identity), revert_timer, lock_timeout)
    try:
        transaction = records.journal.find(identity)
        if transaction is not None:
            with contextlib.nullcontext() if check else run.locked(transaction.scope):
                # It may have been decided while we waited.
                transaction = records.journal.find(identity)
                if transaction is not None:
                    _check_confirmable(transaction, operation, revert_timer)
                    run.outcome.confirmed = True
                    if not check:
                        _make_final(run, transaction)
        if transaction is None:
            _check_confirmed(run)
    except Exception as failure:  # as in execute()
        run.outcome.failure = failure
    finally:
        operation.close()
    return run.outcome


def _result_of(run: Run) -> str | None:
    with recording("audit file", run.records.audit.path, f"{NOTHING_CHANGED}. {FIX}"):
        return run.records.audit.result_of(run.outcome.transaction)


def _check_confirmed(run: Run) -> None:
    """Let an answer that got lost be asked for again."""
    result = _result_of(run)
    if result not in FINAL:
        raise Conflict(
            f"the change {run.outcome.transaction} cannot be confirmed",
            why="it was rolled back" if result else "there is no such change",
            hint=AGAIN,
        )


def _check_confirmable(
    transaction: Transaction, operation: Operation[Any, Any], revert_timer: RevertTimer
) -> None:
    why = ""
    if transaction.operation != operation.name:
        why = f"it is one of {transaction.operation}, not of {operation.name}"
    elif transaction.committed:
        return
    elif transaction.awaiting_until is None:
        why = "its run was interrupted before everything was verified"
    elif transaction.rolling_back:
        why = "it is being rolled back, and may be gone in part"
    elif not revert_timer.is_armed(transaction.identity):
        why = "its revert timer no longer runs (a restart of the machine?), so it may be incomplete"
    if why:
        raise Conflict(
            f"the change {transaction.identity} cannot be confirmed", why=why, hint=AGAIN
        )


def _make_final(run: Run, transaction: Transaction) -> None:
    """Commit first: a revert timer that fires afterwards finds nothing to roll back.

    Stop it last: where tidying up fails, or we are killed, it does that later. The audit line comes before the journal
    goes: a confirmation whose answer got lost is asked for again, and then the line alone answers it.
    """
    line = run.line(transaction.scope, CONFIRMED)
    if not transaction.committed:
        run.ready()
        transaction.commit(line)
    run.outcome.committed = True
    run.close(transaction, recorded=run.record(line))
    run.disarm(transaction.identity)


def roll_back_unconfirmed(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Do what the revert timer is for. Harmless where the change is decided, or never began."""
    run = Run(operation, records, Outcome(identity), lock_timeout=lock_timeout)
    try:
        _settle(run)
    except Exception as failure:  # as in execute()
        run.outcome.failure = failure
    finally:
        operation.close()
    return run.outcome


def _settle(run: Run) -> None:
    identity, journal = run.outcome.transaction, run.records.journal
    if (transaction := journal.find(identity)) is not None:
        with run.locked(transaction.scope):
            # It may have been decided while we waited.
            if (transaction := journal.find(identity)) is not None:
                run.settle(transaction)


def roll_back(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    revert_timer: RevertTimer,
    *,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Roll the change that awaits its confirmation back now, for whoever found out that it must not stay.

    Where that fails its revert timer stays armed, and tries again. A second time changes nothing.
    """
    run = Run(operation, records, Outcome(identity), revert_timer, lock_timeout)
    try:
        transaction = records.journal.find(identity)
        if transaction is None:
            if _result_of(run) in FINAL:
                raise _final(identity)
        else:
            if transaction.committed:
                raise _final(identity)
            if transaction.operation != operation.name:
                raise Conflict(
                    f"the change {identity} cannot be rolled back",
                    why=f"it is one of {transaction.operation}, not of {operation.name}",
                )
            if not check:
                _settle(run)
                run.disarm(identity)
    except Exception as failure:  # as in execute()
        run.outcome.failure = failure
    finally:
        operation.close()
    return run.outcome


def _final(identity: str) -> Conflict:
    return Conflict(
        f"the change {identity} cannot be rolled back",
        why="it was confirmed, and is final",
        hint="Run with the previous options to restore the former state",
    )
