# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one executor: check, diff, journal, dead-man, undo in reverse, audit, and the translation to Ansible's result."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import settings
from .audit import Audit, public
from .confirmation import DeadMan
from .durable import private_umask, recording
from .errors import CannotRecord, Conflict, DebvisorError, TimedOut
from .journal import MEND, NOTHING_CHANGED, Journal, Transaction
from .plan import Operation, Plan, Receipt
from .waiting import wait_until

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

AWAITING, CONFIRMED = "awaiting confirmation", "confirmed"
"""What the audit log says of a change that can lock people out."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another run on the same scope. It is the longest that a queue of two may reasonably take."""


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
    unwound: list[str] = field(default_factory=list)
    failure: Exception | None = None
    awaiting: float | None = None
    """Seconds that are left to confirm the change; None where nobody needs to."""
    confirmed: bool = False
    """True where this run made an earlier one final."""
    committed: bool = False
    """True once that is recorded: nothing is taken back any more, even where tidying up fails."""

    @property
    def changed(self) -> bool:
        """True where the world differs from before: the plan ran, or it failed and could not be taken back."""
        if self.failure is None:
            return bool(self.plan.actions) or self.confirmed
        left = bool(self.done) and not self.rolled_back
        return self.committed or left or bool(self.rollback_errors)

    @property
    def taken_back(self) -> bool:
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
        """The places of :mod:`settings` for the present account."""
        return cls(
            Journal(settings.journal_dir()), Audit(settings.audit_file()), settings.lock_dir()
        )


def execute(
    operation: Operation[Any, Any],
    params: Mapping[str, Any],
    records: Records,
    *,
    dead_man: DeadMan | None = None,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Run ``operation`` once. Raises nothing that is a mere failure: the outcome tells.

    KeyboardInterrupt and its like take the changes back and then go on their way.
    """
    outcome = Outcome(transaction=_identity())
    failed: BaseException | None = None
    try:
        wanted = operation.parse(params)
        scope = operation.scope(wanted)
        if check:
            _foretell(operation, wanted, scope, records, outcome)
            return outcome

        def undecided() -> str:
            return _undecided(operation, scope, records, dead_man)

        operation.begun(wanted)
        with locked(records.locks, scope, lock_timeout, undecided, operation.waits):
            _unwind_leftovers(operation, scope, records, dead_man, outcome)
            if operation.sweeps:
                sweep(operation, records, outcome)
            outcome.plan = operation.plan(operation.observe(wanted), wanted)
            outcome.warnings.extend(outcome.plan.warnings)
            if outcome.plan.actions:
                _carry_out(operation, wanted, scope, records, dead_man, outcome)
            else:
                outcome.facts.update(operation.verify(outcome.plan, wanted))
    except Exception as failure:  # the executor is where every failure becomes a result
        outcome.failure = failed = failure
    except BaseException as interrupt:
        failed = interrupt
        raise
    finally:
        if not check:
            _tell_end(operation, failed, outcome)
        operation.close()
    return outcome


def _tell_end(
    operation: Operation[Any, Any], failed: BaseException | None, outcome: Outcome
) -> None:
    """Tell the operation. All is decided by now, so what goes wrong in that is a warning."""
    try:
        operation.ended(failed, failed is not None and outcome.taken_back)
    except Exception as cause:
        outcome.warnings.append(f"The end of the run could not be recorded: {_sentence(cause)}")


def sweep(operation: Operation[Any, Any], records: Records, outcome: Outcome) -> None:
    """Take back what dead runs of this operation left, on every scope that nobody works on now.

    A scope's lock dies with its holder, so one that is free belongs to a run that is dead. What awaits its confirmation
    is left alone: somebody decides about it. What resists is a warning: it is not this run's business, and the journal
    keeps it for the next one.
    """
    scopes = {each.scope for each in records.journal.unfinished(operation.name)}
    for scope in sorted(scopes):
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(records.locks, scope, timeout=0))
            except TimedOut:  # a run that lives, or our own
                continue
            for transaction in list(records.journal.unfinished(operation.name, scope)):
                _settle(operation, transaction, records, outcome)


def _settle(
    operation: Operation[Any, Any], transaction: Transaction, records: Records, outcome: Outcome
) -> None:
    """Close or take back what a dead run left on a scope that is not ours."""
    try:
        if transaction.committed:
            _close(operation, transaction)
        elif transaction.awaiting_until is None:
            _unwind(operation, transaction, records, outcome)
    except Exception as cause:
        outcome.warnings.append(_sentence(cause))


def confirm(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    dead_man: DeadMan,
    *,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Make the change that awaits it final. A second time changes nothing; raises nothing that is a mere failure."""
    outcome = Outcome(identity)
    try:
        transaction = records.journal.find(identity)
        if transaction is None:
            _check_confirmed(identity, records)
            return outcome
        with (
            contextlib.nullcontext()
            if check
            else locked(records.locks, transaction.scope, lock_timeout)
        ):
            transaction = records.journal.find(identity)
            if transaction is None:  # decided while we waited
                _check_confirmed(identity, records)
                return outcome
            _check_confirmable(transaction, operation, dead_man)
            outcome.confirmed = True
            if not check:
                _make_final(operation, transaction, records, dead_man, outcome)
    except Exception as failure:  # as in execute()
        outcome.failure = failure
    finally:
        operation.close()
    return outcome


def _check_confirmed(identity: str, records: Records) -> None:
    """Let an answer that got lost be asked for again."""
    with recording("audit file", records.audit.path, f"{NOTHING_CHANGED}. {MEND}"):
        result = records.audit.result_of(identity)
    if result != CONFIRMED:
        raise Conflict(
            f"the change {identity} cannot be confirmed",
            why="it was taken back" if result else "there is no such change",
            hint="Run again to make the change anew",
        )


def _check_confirmable(
    transaction: Transaction, operation: Operation[Any, Any], dead_man: DeadMan
) -> None:
    why = ""
    if transaction.operation != operation.name:
        why = f"it is one of {transaction.operation}, not of {operation.name}"
    elif transaction.committed:
        return
    elif transaction.awaiting_until is None:
        why = "its run was cut off before all was verified"
    elif transaction.reverting:
        why = "it is being taken back, and part of it may be gone"
    elif not dead_man.is_armed(transaction.identity):
        why = "nothing would have taken it back any more (a restart of the machine?), so it may not be whole"
    if why:
        raise Conflict(
            f"the change {transaction.identity} cannot be confirmed",
            why=why,
            hint="Run again to make the change anew",
        )


def _make_final(
    operation: Operation[Any, Any],
    transaction: Transaction,
    records: Records,
    dead_man: DeadMan,
    outcome: Outcome,
) -> None:
    """Commit first: a dead-man that fires afterwards finds nothing to take back.

    Stop it last: where tidying up fails, or we are killed, it does that later. The audit line comes before the journal
    goes: a confirmation whose answer got lost is asked for again, and then the line alone tells.
    """
    if not transaction.committed:
        transaction.commit()
    outcome.committed = True
    _record(operation, transaction.scope, records, outcome, CONFIRMED)
    _close(operation, transaction)
    _disarm(dead_man, transaction.identity, outcome)


def revert(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Take an open transaction back: what the dead-man does. Harmless where it is decided, or never began."""
    outcome = Outcome(identity)
    try:
        transaction = records.journal.find(identity)
        if transaction is None:
            return outcome
        with locked(records.locks, transaction.scope, lock_timeout):
            transaction = records.journal.find(identity)
            if transaction is None:  # decided while we waited
                return outcome
            if transaction.committed:
                _close(operation, transaction)
            else:
                _unwind(operation, transaction, records, outcome)
    except Exception as failure:  # as in execute()
        outcome.failure = failure
    finally:
        operation.close()
    return outcome


def take_back(
    operation: Operation[Any, Any],
    identity: str,
    records: Records,
    dead_man: DeadMan,
    *,
    check: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Outcome:
    """Take the change that awaits its confirmation back now, for whoever found out that it must not stay.

    Where that fails its dead-man stays armed, and tries again. A second time changes nothing.
    """
    outcome = Outcome(identity)
    try:
        transaction = records.journal.find(identity)
        if transaction is None:
            with recording("audit file", records.audit.path, f"{NOTHING_CHANGED}. {MEND}"):
                final = records.audit.result_of(identity) == CONFIRMED
            if final:
                raise _final(identity)
            return outcome
        if transaction.committed:
            raise _final(identity)
        if transaction.operation != operation.name:
            raise Conflict(
                f"the change {identity} cannot be taken back",
                why=f"it is one of {transaction.operation}, not of {operation.name}",
            )
    except Exception as failure:  # as in execute()
        outcome.failure = failure
        return outcome
    if check:
        return outcome
    outcome = revert(operation, identity, records, lock_timeout=lock_timeout)
    if outcome.failure is None:
        _disarm(dead_man, identity, outcome)
    return outcome


def _final(identity: str) -> Conflict:
    return Conflict(
        f"the change {identity} cannot be taken back",
        why="it was confirmed, and is final",
        hint="Run with the options of before to bring back what was there",
    )


def _undecided(
    operation: Operation[Any, Any], scope: str, records: Records, dead_man: DeadMan | None
) -> str:
    """Say which change on this scope awaits its confirmation; empty where none does.

    Another run waits for it as it waits for a lock, and does not take it back: whoever made the change may be about to
    prove it, and would be told that it failed. The dead-man bounds the wait. Where the dead-man is gone, or has begun,
    nobody decides any more, and the change is one that was cut off.
    """
    for transaction in records.journal.unfinished(operation.name, scope):
        until = transaction.awaiting_until
        if until is None or transaction.committed or transaction.reverting or dead_man is None:
            continue
        if dead_man.is_armed(transaction.identity):
            return (
                f"the change {transaction.identity} awaits its confirmation until {_clock(until)}"
            )
    return ""


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _identity() -> str:
    """A name that sorts by time, so that leftovers unwind youngest first."""
    return f"{time.time_ns():020d}-{os.getpid()}"


def _foretell(
    operation: Operation[Any, Any], wanted: Any, scope: str, records: Records, outcome: Outcome
) -> None:
    for transaction in records.journal.unfinished(operation.name, scope):
        if transaction.committed:
            continue
        if transaction.awaiting_until is None:
            happened = f"An earlier run was cut off ({transaction.identity})"
        else:
            happened = f"An earlier change was not confirmed ({transaction.identity})"
        outcome.warnings.append(
            f"{happened}; a real run would first take back its {len(transaction.steps)} steps,"
            " so this prediction may be off"
        )
    outcome.plan = operation.plan(operation.observe(wanted), wanted)
    outcome.warnings.extend(outcome.plan.warnings)


def _unwind_leftovers(
    operation: Operation[Any, Any],
    scope: str,
    records: Records,
    dead_man: DeadMan | None,
    outcome: Outcome,
) -> None:
    for transaction in list(records.journal.unfinished(operation.name, scope)):
        if transaction.committed:
            _close(operation, transaction)
        else:
            _unwind(operation, transaction, records, outcome)
        if dead_man is not None and dead_man.is_armed(transaction.identity):
            _disarm(dead_man, transaction.identity, outcome)


def _unwind(
    operation: Operation[Any, Any], transaction: Transaction, records: Records, outcome: Outcome
) -> None:
    """Take back what an earlier run did, all of it, and say so.

    :raises DebvisorError: where a step resists; the journal keeps what is left.
    """
    awaited = transaction.awaiting_until is not None
    fate = "was not confirmed" if awaited else "was cut off"
    if errors := _take_back(operation, transaction, outcome):
        raise DebvisorError(
            f"an earlier run {fate} ({transaction.identity}) and cannot be taken back",
            why="; ".join(errors),
            hint=f"Mend the cause and run again; its journal stays at {transaction.path}",
        )
    with recording("audit file", records.audit.path, f"What {fate} was taken back. {MEND}"):
        records.audit.append(
            transaction=transaction.identity,
            operation=operation.name,
            scope=transaction.scope,
            result="reverted" if awaited else "unwound",
            actions=[],
            before=None,
            after=None,
            error=f"the run {fate}; its steps were taken back later",
        )
    outcome.unwound.append(transaction.identity)
    outcome.warnings.append(f"Took back what a run had done that {fate} ({transaction.identity})")


def _carry_out(
    operation: Operation[Any, Any],
    wanted: Any,
    scope: str,
    records: Records,
    dead_man: DeadMan | None,
    outcome: Outcome,
) -> None:
    plan = outcome.plan
    with recording("audit file", records.audit.path, f"{NOTHING_CHANGED}. {MEND}"):
        records.audit.ready()
    transaction = records.journal.open(outcome.transaction, operation.name, scope)
    until = _arm(operation, plan, dead_man, transaction.identity)
    try:
        for action in plan.actions:
            receipt = operation.prepare(action, wanted)
            transaction.begin(action, receipt)
            operation.apply(action, receipt, wanted)
            transaction.applied()
            outcome.done.append(action.public())
        outcome.facts.update(operation.verify(plan, wanted))
        outcome.warnings.extend(operation.notes())
        if until is not None:
            transaction.await_confirmation(until)
        elif type(operation).commit is not Operation.commit:
            transaction.commit()  # where nothing is to be forgotten, removing the journal is the commit
    except BaseException as failure:
        begun = bool(transaction.steps)
        outcome.rollback_errors = _take_back(operation, transaction, outcome)
        outcome.rolled_back = begun and not outcome.rollback_errors
        result = "rolled_back" if not outcome.rollback_errors else "failed"
        _record(operation, scope, records, outcome, result, error=_sentence(failure))
        if dead_man is not None and until is not None and not outcome.rollback_errors:
            _disarm(dead_man, transaction.identity, outcome)
        raise
    if until is not None:
        outcome.awaiting = max(0.0, until - time.time())
        _record(operation, scope, records, outcome, AWAITING)
        return
    outcome.committed = transaction.committed
    if outcome.committed:  # it is final, even where tidying up fails
        _record(operation, scope, records, outcome, "changed")
        _close(operation, transaction)
    else:
        _close(operation, transaction)
        _record(operation, scope, records, outcome, "changed")


def _arm(
    operation: Operation[Any, Any], plan: Plan, dead_man: DeadMan | None, identity: str
) -> float | None:
    """Arm the dead-man where the plan asks for one, before anything is done; return until when it can be stopped."""
    if not plan.confirm_within:
        return None
    if dead_man is None:
        raise ValueError(f"{operation.name} asks for confirmation and was given no dead-man")
    until = time.time() + plan.confirm_within
    dead_man.arm(operation.name, identity, plan.confirm_within)
    return until


def _disarm(dead_man: DeadMan, identity: str, outcome: Outcome) -> None:
    """Stop the dead-man of a transaction that is decided. One that fires all the same finds nothing to do."""
    try:
        dead_man.disarm(identity)
    except DebvisorError as cause:
        outcome.warnings.append(f"The dead-man could not be stopped, and will do nothing: {cause}")


def _take_back(
    operation: Operation[Any, Any], transaction: Transaction, outcome: Outcome
) -> list[str]:
    """Undo the steps in reverse. A step that resists is reported and ends the walk: those before it rest on it."""
    transaction.revert()
    while transaction.steps:
        step = transaction.steps[-1]
        try:
            if note := operation.undo(step["receipt"]):
                outcome.warnings.append(note)
            transaction.undone()
        except Exception as cause:  # reported as a value: the original failure matters more
            return [f"{step['verb']} {step['target']}: {_sentence(cause)}"]
    try:
        transaction.close()
    except (
        CannotRecord
    ) as cause:  # all is taken back; the next run does it again, which is harmless
        outcome.warnings.append(_sentence(cause))
    return []


def _close(operation: Operation[Any, Any], transaction: Transaction) -> None:
    for step in transaction.steps:
        receipt: Receipt = step["receipt"]
        operation.commit(receipt)
    transaction.close()


def _record(
    operation: Operation[Any, Any],
    scope: str,
    records: Records,
    outcome: Outcome,
    result: str,
    error: str = "",
) -> None:
    try:
        records.audit.append(
            transaction=outcome.transaction,
            operation=operation.name,
            scope=scope,
            result=result,
            actions=outcome.done,
            before=outcome.plan.before,
            after=outcome.plan.after if result in {"changed", AWAITING} else None,
            error=error,
        )
    except OSError as cause:
        outcome.warnings.append(
            f"No audit line was written for {outcome.transaction} to {records.audit.path}: {cause}"
        )


@contextlib.contextmanager
def locked(
    folder: Path,
    scope: str,
    timeout: float,
    undecided: Callable[[], str] = str,
    meanwhile: Callable[[], object] = str,
) -> Iterator[None]:
    """Hold the scope's lock, once nothing is ``undecided``.

    flock(2) dies with its holder, so there is no stale lock to break.
    """
    with private_umask(), recording("lock", folder, f"{NOTHING_CHANGED}. {MEND}"):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(scope.encode()).hexdigest()[:32]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:

        def attempt() -> tuple[bool, str]:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                meanwhile()
                return False, "held by another run"
            if reason := undecided():
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return False, reason
            return True, "free"

        try:
            wait_until(attempt, what=f"the lock of {scope}", timeout=timeout)
        except TimedOut as late:
            late.hint = "Another run works on the same object. Let it end, then run again"
            raise
        yield
    finally:
        os.close(descriptor)


def _sentence(failure: BaseException) -> str:
    return str(failure) or type(failure).__name__


def run(
    operation: Operation[Any, Any],
    module: AnsibleModule,
    records: Records | None = None,
    dead_man: DeadMan | None = None,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
) -> NoReturn:
    """Run ``operation`` with the module's options, or confirm it, and end the module with the result."""
    started = time.monotonic()
    records = records or Records.default()
    check = module.check_mode
    gc.disable()  # the process ends with the module, and looking through 10,000 records for cycles costs a third of it
    decisions = {"confirm": confirm, "take_back": take_back}
    decided = next((name for name in decisions if module.params.get(name)), None)
    if decided and dead_man is not None:
        outcome = decisions[decided](
            operation,
            module.params[decided],
            records,
            dead_man,
            check=check,
            lock_timeout=lock_timeout,
        )
    else:
        outcome = execute(
            operation,
            module.params,
            records,
            dead_man=dead_man,
            check=check,
            lock_timeout=lock_timeout,
        )
    result = _result(outcome, with_diff=module._diff)
    result["duration"] = round(time.monotonic() - started, 3)
    for warning in outcome.warnings:
        module.warn(warning)
    if outcome.failure is not None:
        module.fail_json(
            msg=_sentence(outcome.failure), **result, **_failure(outcome, outcome.failure)
        )
    module.exit_json(**result)
    raise SystemExit  # exit_json does not return; this tells the type checker


def _result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    plan = outcome.plan
    result: dict[str, Any] = {
        **public(plan.facts),
        **public(outcome.facts),
        "changed": outcome.changed,
        "actions": [action.public() for action in plan.actions],
        "before": public(plan.before),
        "after": public(plan.after),
        "transaction": outcome.transaction,
    }
    if outcome.awaiting is not None:
        result["awaiting"] = {
            "transaction": outcome.transaction,
            "seconds": round(outcome.awaiting, 3),
        }
    if outcome.unwound:
        result["unwound"] = outcome.unwound
    if with_diff:
        result["diff"] = [
            {
                "before_header": difference.name,
                "after_header": difference.name,
                "before": difference.before,
                "after": difference.after,
            }
            for difference in plan.differences
        ]
    return result


def inform(
    look: Callable[[Mapping[str, Any]], Mapping[str, Any]], module: AnsibleModule
) -> NoReturn:
    """End a module that only reads: with what ``look`` finds, or with why it cannot."""
    started = time.monotonic()
    try:
        found = public(look(module.params))
    except Exception as failure:  # as in execute(): every failure becomes a result
        module.fail_json(msg=_sentence(failure), changed=False, **_explained(failure))
    else:
        module.exit_json(changed=False, duration=round(time.monotonic() - started, 3), **found)
    raise SystemExit  # exit_json does not return; this tells the type checker


def _failure(outcome: Outcome, failure: Exception) -> dict[str, Any]:
    return {
        "done": outcome.done,
        "rolled_back": outcome.rolled_back,
        "rollback_errors": outcome.rollback_errors,
        "committed": outcome.committed,
        **_explained(failure),
    }


def _explained(failure: Exception) -> dict[str, Any]:
    told: dict[str, Any] = {"error_type": type(failure).__name__}
    if isinstance(failure, DebvisorError):
        told.update({"what": failure.what, "why": failure.why, "hint": failure.hint})
        told.update(public(failure.details))
    else:
        told["hint"] = "This is unexpected: please report it with the exception below"
        told["exception"] = "".join(traceback.format_exception(failure))
    return told
