# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who writes, as a table of situations."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.writer import (
    Role,
    Situation,
    Verb,
    decide,
    further,
)
from hypothesis import given
from hypothesis import strategies as st

ZONES = ("a.test", "b.test")
LEVEL = {"a.test": 10, "b.test": 20}
QUIET = Situation(
    role=Role.FOLLOWER,
    vip=False,
    healthy=True,
    zones=ZONES,
    own=LEVEL,
    peers={"n2": LEVEL, "n3": LEVEL},
    servers=3,
    quorum=2,
    lease=1,
    wrote_in=1,
    primaries=frozenset({"n2"}),
)
PROVED = {"n3": frozenset({"b.test"})}


@pytest.mark.parametrize(
    ("change", "verb"),
    [
        ({}, Verb.STAY),
        ({"vip": True}, Verb.PROMOTE),
        ({"vip": True, "hold": True}, Verb.STAY),
        ({"vip": True, "peers": {}}, Verb.STAY),
        ({"vip": True, "peers": {"n3": LEVEL}}, Verb.PROMOTE),
        ({"vip": True, "peers": {"n3": {}}}, Verb.PROMOTE),
        ({"vip": True, "healthy": False}, Verb.WAIT),
        ({"vip": True, "healthy": False, "peers": {"n2": LEVEL}}, Verb.STAY),
        ({"vip": True, "peers": {"n2": {"a.test": 11, "b.test": 20}}}, Verb.PULL),
        ({"vip": True, "own": {"a.test": 10}}, Verb.PULL),
        ({"vip": True, "peers": {"n3": {"a.test": 5000, "b.test": 20}}}, Verb.PROMOTE),
        ({"vip": True, "own": {"a.test": 10}, "peers": {"n3": LEVEL}}, Verb.WAIT),
        ({"vip": True, "own": {"a.test": 10}, "peers": {"n3": LEVEL}, "proved": PROVED}, Verb.PULL),
        ({"vip": True, "differs": frozenset({"b.test"})}, Verb.WAIT),
        ({"vip": True, "differs": frozenset({"b.test"}), "proved": PROVED}, Verb.PULL),
        (
            {
                "vip": True,
                "differs": frozenset({"b.test"}),
                "proved": PROVED,
                "peers": {"n2": LEVEL},
            },
            Verb.WAIT,
        ),
        ({"vip": True, "own": {"a.test": 10}, "peers": {"n2": {"a.test": 10}}}, Verb.WAIT),
        ({"vip": True, "peers": {"n2": {"a.test": 9, "b.test": 20}}}, Verb.PROMOTE),
        ({"role": Role.WRITER, "vip": True}, Verb.STAY),
        ({"role": Role.WRITER}, Verb.DEMOTE),
        ({"role": Role.WRITER, "vip": True, "peers": {}}, Verb.STAY),
        ({"role": Role.WRITER, "vip": True, "lease": 0}, Verb.DEMOTE),
        ({"role": Role.WRITER, "vip": True, "lease": 0, "rival": "n2"}, Verb.DEMOTE),
        ({"role": Role.WRITER, "vip": True, "lease": 2}, Verb.DEMOTE),
        ({"vip": True, "lease": 0}, Verb.STAY),
        ({"role": Role.CLOSED, "vip": True, "lease": 0}, Verb.FOLLOW),
        ({"role": Role.WRITER, "vip": True, "hold": True}, Verb.DEMOTE),
        ({"role": Role.CLOSED}, Verb.FOLLOW),
        ({"role": Role.PULL}, Verb.FOLLOW),
        ({"role": Role.CLOSED, "vip": True}, Verb.PROMOTE),
        ({"role": Role.PULL, "vip": True}, Verb.PROMOTE),
    ],
)
def test_table(change: dict[str, object], verb: Verb) -> None:
    step = decide(dataclasses.replace(QUIET, **change))  # type: ignore[arg-type]
    assert step.verb is verb
    assert step.why


def test_it_pulls_from_the_one_furthest_ahead() -> None:
    peers = {"n2": {**LEVEL, "a.test": 11}, "n3": {**LEVEL, "a.test": 70000}}
    both = frozenset({"n2", "n3"})
    step = decide(dataclasses.replace(QUIET, vip=True, peers=peers, primaries=both))
    assert (step.verb, step.server, step.zones) == (Verb.PULL, "n3", ("a.test",))


def test_it_does_not_pull_what_a_later_writer_left_behind() -> None:
    peers = {"n2": {**LEVEL, "a.test": 70000}}
    ours = dataclasses.replace(QUIET, vip=True, peers=peers, primaries=frozenset({"n2"}))
    assert decide(ours).verb is Verb.PULL
    passed = dataclasses.replace(ours, outdated=frozenset({("n2", "a.test")}))
    assert decide(passed).verb is Verb.PROMOTE


SERIALS = st.dictionaries(st.sampled_from(ZONES), st.integers(0, 2**32 - 1))
SITUATIONS = st.builds(
    Situation,
    role=st.sampled_from(Role),
    vip=st.booleans(),
    healthy=st.booleans(),
    zones=st.just(ZONES),
    own=SERIALS,
    peers=st.dictionaries(st.sampled_from(["n2", "n3"]), SERIALS),
    servers=st.just(3),
    quorum=st.just(2),
    lease=st.integers(0, 2),
    wrote_in=st.integers(0, 2),
    hold=st.booleans(),
    primaries=st.just(frozenset({"n2"})),
    differs=st.frozensets(st.sampled_from(ZONES), max_size=1),
)


@given(SITUATIONS)
def test_nobody_writes_without_the_vip_and_the_lease_or_begins_without_the_newest_data(
    situation: Situation,
) -> None:
    step = decide(situation)
    writes = step.verb is Verb.PROMOTE or (
        situation.role is Role.WRITER and step.verb is not Verb.DEMOTE
    )
    if writes:
        assert situation.vip
        assert situation.lease
        assert step.verb is Verb.PROMOTE or situation.lease == situation.wrote_in
        assert not situation.hold
    if step.verb is Verb.PROMOTE:
        assert situation.majority
        assert not further(situation)
        assert set(situation.own) == set(ZONES)
        assert not situation.differs
