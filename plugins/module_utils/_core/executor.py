# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one executor: check, diff, journal, revert timer, undo in reverse, and audit."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import settings
from .audit import Audit, condensed, requester
from .confirmation import RevertTimer
from .durable import clear_leftovers_beside, recording
from .errors import CannotRecord, DebvisorError, TimedOut
from .journal import FIX, NOTHING_CHANGED, Journal, Transaction
from .locking import LOCK_TIMEOUT, locked
from .plan import Operation, Plan, Receipt

AWAITING, CONFIRMED = "awaiting confirmation", "confirmed"
CHANGED, FAILED = "changed", "failed"
FINISHED_LATER = "finished_later"
"""A change stands whose run could not write its line: a later one writes it."""
REVERTED, ROLLED_BACK, ROLLED_BACK_LATER = "reverted", "rolled_back", "rolled_back_later"
"""The results in the audit log: a change that was not confirmed is reverted, an interrupted run rolled back later."""


@dataclass(slots=True)
class Outcome:
    """What a run did. ``failure`` is None after a success."""

    transaction: str
    plan: Plan = field(default_factory=Plan)
    facts: dict[str, Any] = field(default_factory=dict)
    done: list[dict[str, str]] = field(default_factory=list)
    rolled_back: bool = False
    rollback_errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rolled_back_runs: list[str] = field(default_factory=list)
    failure: Exception | None = None
    awaiting: float | None = None
    """Seconds that are left to confirm the change; None where nobody needs to."""
    confirmed: bool = False
    """True where this run made an earlier one final."""
    committed: bool = False
    """True once that is recorded: nothing is rolled back any more, even where tidying up fails."""

    @property
    def changed(self) -> bool:
        """True where the world differs from before: the plan ran, or it failed and could not be rolled back.

        What was rolled back of earlier runs counts, too.
        """
        if self.rolled_back_runs:
            return True
        if self.failure is None:
            return bool(self.plan.actions) or self.confirmed
        left = bool(self.done) and not self.rolled_back
        return self.committed or left or bool(self.rollback_errors)

    @property
    def nothing_left(self) -> bool:
        """True where nothing is left of a run that failed: all was undone, or nothing had begun."""
        return not self.rollback_errors and (self.rolled_back or not self.done)


@dataclass(frozen=True, slots=True)
class Records:
    """Where a run keeps its journal, its audit line and its lock."""

    journal: Journal
    audit: Audit
    locks: Path

    @classmethod
    def default(cls) -> Records:
        """Those of :mod:`settings` for the present account."""
        return cls(
            Journal(settings.journal_dir()), Audit(settings.audit_file()), settings.lock_dir()
        )


def execute(
    operation: Operation[Any, Any],
    params: Mapping[str, Any],
    records: Records,
    *,
    revert_timer: RevertTimer | None = None,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Run ``operation`` once. A mere failure is not raised; it is part of the outcome.

    KeyboardInterrupt and its like roll the changes back and are raised again.
    """
    run = Run(operation, records, Outcome(_identity()), revert_timer, lock_timeout)
    failed: BaseException | None = None
    try:
        wanted = operation.parse(params)
        scope = operation.scope(wanted)
        if check:
            run.plan_only(wanted, scope)
        else:
            operation.begun(wanted)
            with run.locked(scope, lambda: run.undecided(scope), operation.waits):
                run.change(wanted, scope)
    except Exception as failure:  # the executor is where every failure becomes a result
        run.outcome.failure = failed = failure
    except BaseException as interrupt:
        failed = interrupt
        raise
    finally:
        if not check:
            run.end(failed)
        operation.close()
    return run.outcome


def sweep(operation: Operation[Any, Any], records: Records, outcome: Outcome) -> None:
    """Roll back what interrupted runs of this operation left, on every scope that no run works on now."""
    Run(operation, records, outcome).sweep()


def _identity() -> str:
    """A name that sorts by time, so that leftovers are rolled back youngest first."""
    return f"{time.time_ns():020d}-{os.getpid()}"


def sentence(failure: BaseException) -> str:
    """Return what went wrong as a sentence."""
    return str(failure) or type(failure).__name__


@dataclass(slots=True)
class Run:
    """One run of an operation, and what all its steps share."""

    operation: Operation[Any, Any]
    records: Records
    outcome: Outcome
    revert_timer: RevertTimer | None = None
    lock_timeout: float = LOCK_TIMEOUT

    def locked(
        self,
        scope: str,
        undecided: Callable[[], str] = str,
        meanwhile: Callable[[], object] = str,
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the scope's lock."""
        return locked(self.records.locks, scope, self.lock_timeout, undecided, meanwhile)

    def undecided(self, scope: str) -> str:
        """Say which change on this scope awaits its confirmation; empty where none does.

        Another run waits for it as it waits for a lock, and does not roll it back: whoever made the change may be about
        to prove it, and would see it fail. The revert timer bounds the wait. Where the timer is gone, or has begun, the
        change can no longer be confirmed, and counts as interrupted.
        """
        for transaction in self._unfinished(scope):
            until = transaction.awaiting_until
            if until is None or transaction.committed or transaction.rolling_back:
                continue
            if self.revert_timer is not None and self.revert_timer.is_armed(transaction.identity):
                moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
                return f"the change {transaction.identity} awaits its confirmation until {moment}"
        return ""

    def plan_only(self, wanted: Any, scope: str) -> None:
        """Do what check mode does."""
        for transaction in self._unfinished(scope):
            if transaction.decided:
                continue
            happened = (
                "An earlier run was interrupted"
                if transaction.awaiting_until is None
                else "An earlier change was not confirmed"
            )
            self.outcome.warnings.append(
                f"{happened} ({transaction.identity}); a real run would first roll back its"
                f" {len(transaction.steps)} steps, so this plan may be off"
            )
        self._plan(wanted)

    def change(self, wanted: Any, scope: str) -> None:
        """Roll back what earlier runs left, then do what is planned. The scope's lock is ours."""
        for transaction in list(self._unfinished(scope)):
            self.settle(transaction)
            if self.revert_timer is not None and self.revert_timer.is_armed(transaction.identity):
                self.disarm(transaction.identity)
        if self.operation.sweeps:
            self.sweep()
        self._plan(wanted)
        if self.outcome.plan.actions:
            self._carry_out(wanted, scope)
        else:
            self.outcome.facts.update(self.operation.verify(self.outcome.plan, wanted))

    def sweep(self) -> None:
        """Roll back what interrupted runs left, on every scope that no run works on now.

        A scope's lock dies with its holder, so one that is free belongs to a run that is dead. What awaits its
        confirmation is left alone: its revert timer decides. What resists is a warning: it is not this run's business,
        and the journal keeps it for the next one.
        """
        for scope in sorted({each.scope for each in self._unfinished()}):
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked(self.records.locks, scope, timeout=0))
                except TimedOut:  # a run that lives, or our own
                    continue
                for transaction in list(self._unfinished(scope)):
                    try:
                        if transaction.decided or transaction.awaiting_until is None:
                            self.settle(transaction)
                    except Exception as cause:
                        self.outcome.warnings.append(sentence(cause))

    def settle(self, transaction: Transaction) -> None:
        """Finish what an earlier run decided; roll back everything else that it did.

        :raises DebvisorError: where a step resists; the journal keeps what is left.
        """
        if transaction.decided:
            self.finish(transaction)
            return
        awaited = transaction.awaiting_until is not None
        fate = "was not confirmed" if awaited else "was interrupted"
        if errors := self.roll_back(transaction):
            raise DebvisorError(
                f"an earlier run {fate} ({transaction.identity}) and cannot be rolled back",
                why="; ".join(errors),
                hint=f"Fix the cause and run again; its journal stays at {transaction.path}",
            )
        audit = self.records.audit
        with recording("audit file", audit.path, f"The run that {fate} was rolled back. {FIX}"):
            audit.append(
                transaction=transaction.identity,
                operation=self.operation.name,
                scope=transaction.scope,
                result=REVERTED if awaited else ROLLED_BACK_LATER,
                actions=[],
                before=None,
                after=None,
                error=f"the run {fate}; its steps were rolled back later",
            )
        self._forget(transaction)
        self.outcome.rolled_back_runs.append(transaction.identity)
        what = "a change that was not confirmed" if awaited else "an interrupted run"
        self.outcome.warnings.append(f"Rolled back {what} ({transaction.identity})")

    def finish(self, transaction: Transaction) -> None:
        """Write the audit line that a decided run still owes, then close the transaction."""
        audit = self.records.audit
        line = transaction.line or self._line_of_earlier_version(transaction)
        with recording("audit file", audit.path, f"{NOTHING_CHANGED}. {FIX}"):
            owed = audit.result_of(transaction.identity) not in {line["result"], FINISHED_LATER}
            if owed:
                audit.append(**line | ({"result": FINISHED_LATER} if transaction.committed else {}))
        if owed:
            what = "made its changes" if transaction.committed else "was rolled back"
            self.outcome.warnings.append(
                f"An earlier run ({transaction.identity}) {what}, but its audit line was missing;"
                " it was written now"
            )
        self.close(transaction)

    def _line_of_earlier_version(self, transaction: Transaction) -> dict[str, Any]:
        """Return what is known of a committed run whose journal holds no line."""
        return {
            "transaction": transaction.identity,
            "operation": self.operation.name,
            "scope": transaction.scope,
            "result": CHANGED if transaction.awaiting_until is None else CONFIRMED,
            "actions": [
                {key: step[key] for key in ("verb", "target")} for step in transaction.steps
            ],
            "before": None,
            "after": None,
        }

    def roll_back(self, transaction: Transaction) -> list[str]:
        """Undo the steps in reverse. A step that resists is reported and ends it: those before it rest on it.

        The journal stays until the audit line is written: a run that is killed in between has the next one write it.
        """
        transaction.begin_rollback()
        while transaction.steps:
            step = transaction.steps[-1]
            try:
                if note := self.operation.undo(step["receipt"]):
                    self.outcome.warnings.append(note)
                clear_leftovers_beside(step["receipt"])
                transaction.undone()
            except Exception as cause:  # reported as a value: the original failure matters more
                return [f"{step['verb']} {step['target']}: {sentence(cause)}"]
        return []

    def _forget(self, transaction: Transaction) -> None:
        """Close a transaction whose steps are all rolled back."""
        try:
            transaction.close()
        except CannotRecord as cause:  # the next run does it again, which is harmless
            self.outcome.warnings.append(sentence(cause))

    def close(self, transaction: Transaction, *, recorded: bool = True) -> None:
        """Make every step final, then forget the transaction, unless its journal has to keep the audit line."""
        for step in transaction.steps:
            receipt: Receipt = step["receipt"]
            self.operation.commit(receipt)
        if recorded:
            transaction.close()

    def ready(self) -> None:
        """See to it that there is room for an audit line.

        :raises CannotRecord: where there is none.
        """
        audit = self.records.audit
        with recording("audit file", audit.path, f"{NOTHING_CHANGED}. {FIX}"):
            audit.ready()

    def line(self, scope: str, result: str, error: str = "") -> dict[str, Any]:
        """Return the run's audit line in a form that the journal may keep: plain, short and without secrets."""
        outcome = self.outcome
        return {
            "transaction": outcome.transaction,
            "operation": self.operation.name,
            "scope": scope,
            "result": result,
            "actions": condensed(outcome.done),
            "before": condensed(outcome.plan.before),
            "after": condensed(outcome.plan.after if result in {CHANGED, AWAITING} else None),
            "error": error,
            "who": requester(),
        }

    def record(self, line: Mapping[str, Any]) -> bool:
        """Write the run's audit line. All has happened by now, so what goes wrong in that is a warning.

        :returns: False where it was not written.
        """
        try:
            self.records.audit.append(**line)
        except OSError as cause:
            self.outcome.warnings.append(
                f"No audit line was written for {self.outcome.transaction}"
                f" to {self.records.audit.path}: {cause}"
            )
            return False
        return True

    def disarm(self, identity: str) -> None:
        """Cancel the revert timer of a transaction that is decided. One that fires all the same finds nothing to do."""
        try:
            if self.revert_timer is not None:
                self.revert_timer.disarm(identity)
        except DebvisorError as cause:
            self.outcome.warnings.append(
                f"Could not cancel the revert timer; it will fire without effect: {cause}"
            )

    def end(self, failed: BaseException | None) -> None:
        """Inform the operation. All is decided by now, so what goes wrong in that is a warning."""
        try:
            rolled_back = failed is not None and self.outcome.nothing_left
            self.operation.ended(self.outcome.plan, failed, rolled_back)
        except Exception as cause:
            self.outcome.warnings.append(
                f"The end of the run could not be recorded: {sentence(cause)}"
            )

    def _unfinished(self, scope: str | None = None) -> Iterator[Transaction]:
        return self.records.journal.unfinished(self.operation.name, scope)

    def _plan(self, wanted: Any) -> None:
        self.outcome.plan = self.operation.plan(self.operation.observe(wanted), wanted)
        self.outcome.warnings.extend(self.outcome.plan.warnings)

    def _carry_out(self, wanted: Any, scope: str) -> None:
        operation, outcome, plan = self.operation, self.outcome, self.outcome.plan
        self.ready()
        transaction = self.records.journal.open(outcome.transaction, operation.name, scope)
        until = self._arm(transaction.identity)
        try:
            for action in plan.actions:
                receipt = operation.prepare(action, wanted)
                transaction.begin(action, receipt)
                if note := operation.apply(action, receipt, wanted):
                    outcome.warnings.append(note)
                transaction.applied()
                outcome.done.append(action.public())
            outcome.facts.update(operation.verify(plan, wanted))
            line = self.line(scope, CHANGED if until is None else AWAITING)
            recorded = False
            if until is not None:
                transaction.await_confirmation(until)
                if not self.record(line):
                    raise CannotRecord(
                        f"the audit file {self.records.audit.path} cannot be used",
                        hint=f"The run is rolled back. {FIX}",
                    )
            else:
                tidies_up = type(operation).commit is not Operation.commit
                # Where nothing is to be forgotten, removing the journal is the commit, unless it must keep the line.
                recorded = not tidies_up and self.record(line)
                if not recorded:
                    transaction.commit(line)
        except BaseException as failure:
            self._fail(transaction, failure, armed=until is not None)
            raise
        if until is not None:
            outcome.awaiting = max(0.0, until - time.time())
            return
        outcome.committed = transaction.committed
        if tidies_up:  # the line first: the change is made, even where tidying up fails
            recorded = self.record(line)
        self.close(transaction, recorded=recorded)

    def _arm(self, identity: str) -> float | None:
        """Arm the revert timer where the plan asks for one, before anything is done; return when it fires."""
        seconds = self.outcome.plan.confirm_within
        if not seconds:
            return None
        if self.revert_timer is None:
            raise ValueError(f"{self.operation.name} asks for confirmation without a revert timer")
        until = time.time() + seconds
        self.revert_timer.arm(self.operation.name, identity, seconds)
        return until

    def _fail(self, transaction: Transaction, failure: BaseException, *, armed: bool) -> None:
        """Roll back what was done, and record that."""
        begun = bool(transaction.steps)
        errors = self.outcome.rollback_errors = self.roll_back(transaction)
        self.outcome.rolled_back = begun and not errors
        result = FAILED if errors else ROLLED_BACK
        line = self.line(transaction.scope, result, error=sentence(failure))
        recorded = self.record(line)
        if errors:
            return
        if recorded or not begun or not transaction.keep(line):
            self._forget(transaction)
        if armed:
            self.disarm(transaction.identity)
