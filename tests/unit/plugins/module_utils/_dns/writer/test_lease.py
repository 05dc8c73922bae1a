# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: what voters grant, what a candidate believes, and that no storm of faults makes two holders."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import lease
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.lease import (
    DRIFT,
    MARGIN,
    Ask,
    Candidate,
    Grant,
    Refusal,
    Release,
    Voter,
)

from tests.fakes.lease_world import Violation, Walk, World

TWICE = 2 * DRIFT
WALKS = 100_000
SHARES = 20
STORMS = 200


def awake(name: str = "v", now: float = 0.0) -> Voter:
    """Return a voter whose silence after the start is over."""
    return Voter(name, 1.0, now - 1.0)


def test_a_voter_that_just_started_grants_nothing() -> None:
    voter = Voter("v", 1.0, 10.0)
    assert voter.answer(Ask("a", 1, 1), 10.9) == Refusal("v", 1, 0, "", pytest.approx(0.1))
    assert voter.answer(Ask("a", 2, 1), 11.0) == Grant("v", 2, 1)


def test_a_vote_binds_for_the_duration_from_the_last_grant() -> None:
    voter = awake()
    assert isinstance(voter.answer(Ask("a", 1, 1), 0.0), Grant)
    assert isinstance(voter.answer(Ask("a", 2, 1), 0.5), Grant)
    assert voter.answer(Ask("b", 1, 2), 1.4) == Refusal("v", 1, 1, "a", pytest.approx(0.1))
    assert voter.answer(Ask("b", 2, 2), 1.5) == Grant("v", 2, 2)


def test_another_holder_needs_another_term() -> None:
    voter = awake()
    voter.answer(Ask("a", 1, 7), 0.0)
    assert voter.answer(Ask("b", 1, 7), 5.0) == Refusal("v", 1, 7, "", 0.0)
    assert voter.answer(Ask("b", 2, 8), 5.0) == Grant("v", 2, 8)
    assert isinstance(voter.answer(Ask("a", 2, 7), 9.0), Refusal)


def test_what_was_overtaken_on_its_way_is_passed_over() -> None:
    voter = awake()
    voter.answer(Ask("a", 1, 1), 0.0)
    voter.answer(Release("a", 3), 0.1)
    assert voter.answer(Ask("a", 2, 1), 0.2) is None
    assert voter.holder == ""
    voter.answer(Ask("a", 4, 2), 0.3)
    assert voter.answer(Release("a", 3), 0.4) is None
    assert voter.holder == "a"


def test_a_release_is_the_holders_own() -> None:
    voter = awake()
    voter.answer(Ask("a", 1, 1), 0.0)
    voter.answer(Release("b", 1), 0.1)
    assert isinstance(voter.answer(Ask("b", 2, 2), 0.2), Refusal)


def test_numbers_begin_anew_with_a_program_that_started_again() -> None:
    voter = awake()
    voter.answer(Ask("a", 9, 1), 0.0)
    voter.begin_anew("a")
    assert isinstance(voter.answer(Ask("a", 1, 2), 0.1), Grant), "the same node may go on"


def candidate(voters: int = 3, quorum: int = 2) -> Candidate:
    made = Candidate("a", voters, quorum, 1.0, Random(1).uniform)
    made.want(True, 0.0)
    return made


def test_a_majority_makes_a_holder_from_before_the_question() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    asking.hear(Grant("v1", ask.number, 1), 0.4)
    asking.hear(Grant("v1", ask.number, 1), 0.4)
    assert not asking.left(0.4), "one voter counts once"
    asking.hear(Grant("v2", ask.number, 1), 0.4)
    assert asking.left(0.4) == pytest.approx(1 - MARGIN - 0.4)
    assert asking.term == 1


def test_grants_for_different_questions_do_not_add_up() -> None:
    asking = candidate()
    asking.hear(Grant("v1", asking.tick(0.0)[0].number, 1), 0.1)
    asking.hear(Grant("v2", 1, 1), 0.1)
    (renewal,) = asking.tick(0.25)
    asking.hear(Grant("v1", renewal.number, 1), 0.3)
    asking.hear(Grant("v3", 1, 1), 0.3)
    assert asking.left(0.3) == pytest.approx(1 - MARGIN - 0.3)


def test_what_made_no_majority_is_given_back_and_counts_no_more() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    asking.hear(Grant("v1", ask.number, 1), 0.01)
    assert asking.tick(0.2) == (Ask("a", ask.number + 1, 1),)
    assert asking.tick(0.5) == (Release("a", ask.number + 2),)
    asking.hear(Grant("v2", ask.number, 1), 0.51)
    assert not asking.left(0.51)


def test_a_slow_network_is_no_hindrance() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    asking.tick(0.2)
    asking.tick(0.4)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, ask.number, 1), 0.45)
    assert asking.left(0.45) == pytest.approx(1 - MARGIN - 0.45)


def test_a_voter_with_a_younger_term_is_won_back_by_a_holder_that_has_a_majority() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, ask.number, 1), 0.01)
    tenure = asking.tenure
    (renewal,) = asking.tick(0.3)
    asking.hear(Refusal("v3", renewal.number, 6, "", 0.0), 0.31)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, renewal.number, 1), 0.32)
    assert asking.tick(0.6) == (Ask("a", renewal.number + 1, 7),)
    assert asking.tenure == tenure


def test_a_holder_without_a_majority_does_not_take_a_younger_term() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, ask.number, 1), 0.01)
    (renewal,) = asking.tick(0.3)
    asking.hear(Refusal("v3", renewal.number, 6, "", 0.0), 0.31)
    assert asking.tick(0.6) == (Ask("a", renewal.number + 1, 1),)


def test_a_voter_learns_that_a_holder_was_succeeded() -> None:
    voter = awake()
    voter.learn(7)
    assert voter.answer(Ask("a", 1, 7), 0.0) == Refusal("v", 1, 7, "", 0.0)
    assert isinstance(voter.answer(Ask("a", 2, 8), 0.0), Grant)


def test_each_time_that_it_gets_the_lease_is_a_tenure_of_its_own() -> None:
    asking = candidate()
    for now in (0.0, 5.0):
        while not isinstance((request := asking.tick(now)[0]), Ask):
            now += 0.2
        for voter in ("v1", "v2"):
            asking.hear(Grant(voter, request.number, request.term), now)
    assert asking.tenure == 2


def test_who_does_not_want_it_any_more_has_let_go_before_others_hear_of_it() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, ask.number, 1), 0.01)
    assert asking.want(False, 0.1) == (Release("a", ask.number + 1),)
    assert not asking.left(0.1)
    assert asking.tick(5.0) == ()


def test_a_holder_whose_clock_stood_still_hears_of_its_successor() -> None:
    asking = candidate()
    (ask,) = asking.tick(0.0)
    for voter in ("v1", "v2"):
        asking.hear(Grant(voter, ask.number, 1), 0.0)
    (renewal,) = asking.tick(0.25)
    asking.hear(Refusal("v1", renewal.number, 2, "b", 0.9), 0.26)
    assert asking.left(0.26), "one voter may have lost sight of it"
    asking.hear(Refusal("v2", renewal.number, 2, "b", 0.9), 0.26)
    assert not asking.left(0.26)
    assert asking.rival(0.26) == "b"
    assert asking.rival(1.2) == ""


def test_no_majority_no_candidate() -> None:
    with pytest.raises(ValueError, match="2 of 4 is no majority"):
        Candidate("a", 4, 2, 1.0, Random(1).uniform)


@pytest.mark.parametrize("share", range(SHARES))
def test_no_walk_makes_two_holders(share: int) -> None:
    each = WALKS // SHARES
    for seed in range(share * each, (share + 1) * each):
        Walk(lease, seed, drift=TWICE).run()


@pytest.mark.parametrize("share", range(4))
def test_no_storm_makes_two_writers_and_after_each_somebody_writes(share: int) -> None:
    for seed in range(share * STORMS // 4, (share + 1) * STORMS // 4):
        World(lease, seed, drift=TWICE).run()


SOURCE = Path(str(lease.__file__)).read_text(encoding="utf-8")
MUTATIONS = {
    "a voter is not silent after its start": (
        "self.binds_until = now + duration\n",
        "self.binds_until = now\n",
    ),
    "a voter takes a lease that runs": (
        "if now < self.binds_until and self.holder != request.node:",
        "if False:",
    ),
    "a voter binds itself too short": (
        "self.binds_until = now + self._duration\n",
        "self.binds_until = now + self._duration * 0.9\n",
    ),
    "messages that were overtaken count": (
        "if request.number <= self._last.get(request.node, 0):",
        "if False:",
    ),
    "a release frees any holder's vote": (
        "if self.holder == request.node:\n                self.holder,",
        "if True:\n                self.holder,",
    ),
    "the holder counts as long as the voters": ("(1 - MARGIN)", "1"),
    "the holder counts from the reply": ("question.asked + self._duration * (1", "now + self._duration * (1"),
    "less than a majority is enough": ("(question.granted) >= self._quorum", "(question.granted) >= self._quorum - 1"),
    "a voter counts twice": (
        "question.granted.add(reply.voter)",
        "question.granted.add((reply.voter, len(question.granted)))",
    ),
    "the lease is given back before it is let go": (
        'self.until = float("-inf")\n        self._open.clear()',
        "self._open.clear()",
    ),
    "a candidate keeps what made no majority": (
        "elif self._failed or now - self._began >= ATTEMPT * self._duration:",
        "elif False:",
    ),
}  # fmt: skip


@pytest.fixture
def mutated(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Return the module with one rule broken."""
    old, new = MUTATIONS[request.param]
    assert SOURCE.count(old) == 1
    module = ModuleType("mutated_lease")
    sys.modules[module.__name__] = module
    exec(compile(SOURCE.replace(old, new), "mutated_lease", "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("mutated", MUTATIONS, indirect=True)
def test_each_rule_is_needed(mutated: ModuleType) -> None:
    with pytest.raises(Violation):
        many_schedules(mutated)


def many_schedules(code: ModuleType) -> None:
    for seed in range(4000):
        Walk(code, seed, drift=TWICE).run()
        if seed % 50 == 0:
            World(code, seed, drift=TWICE).run()
