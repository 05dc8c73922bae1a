# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every operation, shown for each in its own world.

A test module of an operation has ``class TestContract(OperationContract)`` with ``operation`` and ``cases``; the
architecture tests find an operation that has none.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit, public
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirming import (
    confirm,
    roll_back_unconfirmed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import (
    Journal,
    Transaction,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Operation

from tests.fakes.switchboard import Fault, Killed, Switchboard


def unwired(name: str, port: Any) -> Any:
    """Wires nothing, for runs outside of the contract."""
    return port


Wire = Callable[[str, Any], Any]


@dataclass
class Case:
    """One change of one world.

    :ivar operation: makes the operation as a new process has it, with each port wired by the function it is given.
    :ivar state: what the change is about, by name, without what differs from run to run.
    :ivar reads: the calls that check mode may make, such as ``files.read``; all others are refused.
    :ivar secrets: what must stand nowhere but in the state.
    :ivar drawn: those of them that runs draw, as they stand in the state now.
    :ivar aside: what is kept for undo alone; a run that was killed may leave it to the next one.
    :ivar repeats: whether a second run is unchanged.
    :ivar wanted: whether what a good run is to bring about is there, where the world can tell.
    :ivar restores: whether a failure leaves what was there; else it may leave what was wanted, too.
    """

    operation: Callable[[Wire], Operation[Any, Any]]
    params: Mapping[str, Any]
    state: Callable[[], Mapping[str, Any]]
    reads: Collection[str] = ()
    secrets: Collection[bytes] = ()
    drawn: Callable[[], Collection[bytes]] = tuple
    aside: Callable[[], Collection[Any]] = tuple
    wanted: Callable[[], bool] = lambda: True
    repeats: bool = True
    restores: bool = True
    timer: Any = None
    base: Path = Path()
    board: Switchboard = field(default_factory=Switchboard)

    def settle_in(self, base: Path) -> Case:
        self.base = base
        self.diary = Diary(base / "journal", self.board)
        self.records = Records(self.diary, Audit(base / "audit"), base / "lock")
        return self

    def process(self) -> Operation[Any, Any]:
        return self.operation(self.board.wire)

    def run(self, *, fault: Fault | None = None, check: bool = False) -> Outcome:
        self.board.restart()
        self.board.fault = fault
        self.board.allowed = self.reads if check else None
        timer = {"revert_timer": self.timer} if self.timer else {}
        try:
            return execute(self.process(), self.params, self.records, check=check, **timer)
        finally:
            self.board.allowed = None

    def done(self) -> Outcome:
        """Run undisturbed, and have it confirmed where that is awaited."""
        outcome = self.run()
        assert outcome.failure is None, outcome.failure
        self.decide(outcome)
        assert self.wanted(), self.state()
        return outcome

    def decide(self, outcome: Outcome) -> None:
        """Confirm a change that awaits it."""
        if outcome.awaiting is not None:
            confirmed = confirm(self.process(), outcome.transaction, self.records, self.timer)
            assert confirmed.failure is None, confirmed.failure

    def recover(self) -> None:
        """Settle what a dead process left, and do nothing else."""
        self.board.restart()
        for path in sorted(self.diary.folder.glob("*.json"), reverse=True):
            outcome = roll_back_unconfirmed(self.process(), path.name.split(".")[0], self.records)
            assert outcome.failure is None, outcome.failure
        assert not list(self.diary.folder.glob("*.json"))


class Diary(Journal):
    """A journal that dies with its process, and keeps the text of every receipt."""

    def __init__(self, folder: Path, board: Switchboard) -> None:
        super().__init__(folder)
        self.board = board
        self.receipts: list[str] = []
        self.final = False
        """True once nothing is rolled back any more."""

    def open(self, identity: str, operation: str, scope: str) -> Transaction:
        opened = super().open(identity, operation, scope)
        mortal = _Mortal(opened.path, operation, scope, [])
        mortal.diary = self
        self.final = False
        return mortal


class _Mortal(Transaction):
    diary: Diary

    def begin(self, action: Any, receipt: Any) -> None:
        self.diary.receipts.append(json.dumps(receipt))
        super().begin(action, receipt)

    def begin_rollback(self) -> None:
        self.diary.board.check_alive()
        super().begin_rollback()

    def undone(self) -> None:
        self.diary.board.check_alive()
        super().undone()

    def commit(self, line: Any) -> None:
        super().commit(line)
        self.diary.final = True

    def close(self) -> None:
        self.diary.board.check_alive()
        super().close()
        self.diary.final = bool(self.steps)


Build = Callable[[Path], Case]


def named(name: str, build: Build) -> Build:
    """Return ``build`` under the name that the tests show."""
    build.__name__ = name
    return build


class OperationContract:
    """The tests."""

    operation: ClassVar[type]
    cases: ClassVar[Sequence[Build]]
    memory: ClassVar[str | None] = "/dev/shm" if Path("/dev/shm").is_dir() else None
    """Where the worlds are: thousands of runs write their journals."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.parametrize("build", self.cases, ids=[each.__name__ for each in self.cases])

    @pytest.fixture
    def new(self, build: Build) -> Iterator[Callable[[], Case]]:
        """Makes the same world any number of times."""
        with tempfile.TemporaryDirectory(dir=self.memory) as folder:

            def made() -> Case:
                base = Path(tempfile.mkdtemp(dir=folder))
                return build(base).settle_in(base / ".records")

            yield made

    def test_check_mode_writes_nothing(self, new: Callable[[], Case]) -> None:
        case = new()
        before = case.state()
        outcome = case.run(check=True)
        assert outcome.failure is None, outcome.failure
        assert outcome.changed
        assert case.state() == before
        assert not case.records.locks.parent.exists(), "no journal, audit line or lock either"
        done = case.done()
        assert done.plan.actions == outcome.plan.actions
        assert case.state() != before, "the case changes nothing"
        assert case.run(check=True).changed is not case.repeats

    def test_a_second_run_is_unchanged(self, new: Callable[[], Case]) -> None:
        case = new()
        outcome = case.done()
        assert outcome.changed
        again = case.done()
        assert again.changed is not case.repeats, again.plan.actions
        assert again.awaiting is None or not case.repeats

    def test_receipts_and_results_hold_no_secret(self, new: Callable[[], Case]) -> None:
        case = new()
        secrets = {*case.secrets, *case.drawn()}
        outcome = case.done()
        plan = outcome.plan
        texts = [*case.diary.receipts, case.records.audit.path.read_text(), repr(outcome)]
        texts.append(json.dumps([public(v) for v in (plan.before, plan.after, plan.facts)]))
        assert case.diary.receipts
        for secret in secrets.union(case.drawn()):
            for form in (secret, base64.b64encode(secret), secret.hex().encode()):
                assert not any(form.decode("latin-1") in text for text in texts)

    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("kind", [Refused, Killed])
    def test_each_call_that_fails_is_rolled_back(
        self, new: Callable[[], Case], kind: type[BaseException], late: bool
    ) -> None:
        example = new()
        example.done()
        for number, call in enumerate(_calls_of_a_run(new())):
            fault = Fault(number, late, kind("the port failed"))
            try:
                _bear(new(), fault)
            except AssertionError as found:
                raise AssertionError(f"{call}, {fault}") from found


def _calls_of_a_run(case: Case) -> list[str]:
    assert case.run().failure is None
    return list(case.board.calls)


def _bear(case: Case, fault: Fault) -> None:
    """Show that a run with a fault leaves what was there, or all that was wanted, and that the next run is good."""
    before = case.state()
    try:
        outcome = case.run(fault=fault)
    except Killed:
        final = case.diary.final
        case.recover()
    else:
        final = outcome.failure is None or outcome.committed
        assert outcome.rollback_errors == []
        assert final or not outcome.changed
        case.decide(outcome)
        case.recover()
    if not final and case.state() != before:
        assert not case.restores, "left other than it was"
        assert case.wanted(), "neither what was there nor what was wanted"
    case.done()
    assert not case.aside()
    if case.repeats:
        assert not case.done().changed
