# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease's messages on their way: only who holds a key is heard, and only in the present session."""

from __future__ import annotations

import dataclasses
import hmac
import itertools
import json
from collections.abc import Callable
from random import Random

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.lease import (
    Ask,
    Candidate,
    Grant,
    Refusal,
    Release,
    Voter,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.lease_channel import (
    PURPOSE,
    CandidateDesk,
    Challenge,
    Content,
    Letter,
    VoterDesk,
    electorate,
    seal,
    unseal,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.signed_text import LONGEST

KEY = Key("g1.debvisor-xfer", "hmac-sha256", Secret(b"k" * 32))
OTHER = Key("g1.debvisor-xfer", "hmac-sha256", Secret(b"o" * 32))
WE = electorate(["n1", "n2", "n3"], 2, 1.0)
CONTENTS: list[Content] = [
    Ask("n1", 7, 2),
    Release("n1", 8),
    Grant("n2", 7, 2),
    Refusal("n2", 7, 3, "n3", 0.25),
    Challenge("n2", 7, "s1"),
]


def keyring(*keys: Key) -> Callable[[str], Key | None]:
    return {key.name: key for key in keys}.get


@pytest.mark.parametrize("content", CONTENTS, ids=lambda each: type(each).__name__)
def test_what_is_sealed_is_read(content: Content) -> None:
    letter = Letter("n1", "n2", WE, "life", "session", content)
    datagram = seal(letter, KEY)
    assert unseal(datagram, keyring(KEY)) == letter
    assert len(datagram) < LONGEST // 2


def test_no_byte_may_differ() -> None:
    datagram = seal(Letter("n1", "n2", WE, "life", "session", CONTENTS[0]), KEY)
    for position in range(len(datagram)):
        changed = bytearray(datagram)
        changed[position] ^= 1
        assert unseal(bytes(changed), keyring(KEY)) is None
    assert unseal(datagram, keyring(OTHER)) is None
    assert unseal(datagram, keyring()) is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b" ",
        b"  ",
        b"\xff \xff \xff",
        b"g1.debvisor-xfer",
        b"g1.debvisor-xfer  {}",
        b"[" * LONGEST,
    ],
    ids=repr,
)
def test_what_is_no_letter_is_passed_over(datagram: bytes) -> None:
    assert unseal(datagram, keyring(KEY)) is None


def test_a_signed_message_of_another_form_is_passed_over() -> None:
    name, _mac, text = seal(Letter("n1", "n2", WE, "l", "s", CONTENTS[0]), KEY).split(b" ", 2)
    good = json.loads(text)
    wrong = [{"node": "n1", "number": "7", "term": 2}, {"node": 1, "number": 7, "term": 2}, {}, []]
    changes = ({"v": 2}, {"kind": "order"}, {"kind": None}, *({"content": each} for each in wrong))
    for text in (b"", b"[]", b"null", *(json.dumps({**good, **each}).encode() for each in changes)):
        mac = hmac.new(KEY.secret.reveal(), PURPOSE + text, "sha256").hexdigest().encode()
        assert unseal(b" ".join((name, mac, text)), keyring(KEY)) is None


class Talk:
    """One voter and one candidate that talk by letters."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.voter = Voter("v", 1.0, -1.0)
        self.desk = VoterDesk(self.voter, ["n1"], WE, lambda: f"s{next(numbers)}")
        self.sent: list[Letter] = []
        self.life("one")

    def life(self, name: str) -> None:
        """Let the candidate's program start."""
        self.candidate = Candidate("n1", 1, 1, 1.0, Random(1).uniform)
        self.candidate.want(True, 0.0)
        self.asking = CandidateDesk(self.candidate, ["v"], WE, name)

    def ask(self, now: float) -> None:
        """Tick, and carry letters until no more come."""
        letters = self.asking.address(self.candidate.tick(now))
        for _round in range(3):
            self.sent += letters
            replies = [self.desk.answer(letter, now) for letter in letters]
            letters = [each for reply in replies if reply for each in self.asking.hear(reply, now)]
        assert not letters


def test_a_program_that_starts_is_challenged_once_and_then_heard() -> None:
    talk = Talk()
    talk.ask(0.0)
    assert talk.candidate.left(0.0) > 0.9
    assert [letter.session for letter in talk.sent] == ["", "s1"]
    talk.ask(0.3)
    assert len(talk.sent) == 3


def test_its_successor_counts_from_one_and_is_heard_too() -> None:
    talk = Talk()
    for now in (0.0, 0.3, 0.6):
        talk.ask(now)
    talk.life("two")
    talk.ask(0.7)
    assert talk.candidate.left(0.7) > 0.9


def test_nothing_that_was_recorded_is_of_use() -> None:
    talk = Talk()
    for now in (0.0, 0.3, 0.6):
        talk.ask(now)
    recorded = list(talk.sent)
    talk.life("two")
    talk.ask(0.7)
    bound = talk.voter.binds_until
    for letter in recorded + recorded[::-1]:
        reply = talk.desk.answer(letter, 5.0)
        assert reply is None or isinstance(reply.content, Challenge)
    assert talk.voter.binds_until == bound
    talk.ask(1.0)
    assert talk.candidate.left(1.0) > 0.9, "the replays cost the present program its session"


def test_a_voter_hears_only_those_who_may_ask_and_only_for_themselves() -> None:
    talk = Talk()
    talk.ask(0.0)
    good = talk.sent[-1]
    later = dataclasses.replace(good, content=Ask("n1", 9, 9))
    for change in (
        {"source": "n9"},
        {"target": "other"},
        {"electorate": electorate(["n1", "n2", "n3", "n4"], 3, 1.0)},
        {"content": Ask("n9", 9, 9)},
        {"content": Grant("v", 9, 9)},
    ):
        assert talk.desk.answer(dataclasses.replace(later, **change), 0.1) is None  # type: ignore[arg-type]
    assert talk.desk.answer(later, 5.0) is not None


def test_a_candidate_hears_only_replies_to_its_own_life() -> None:
    talk = Talk()
    (letter,) = talk.asking.address(talk.candidate.tick(0.0))
    reply = Letter("v", "n1", WE, "one", "", Grant("v", letter.content.number, 1))
    for change in (
        {"life": "zero"},
        {"target": "n2"},
        {"source": "w"},
        {"content": Grant("w", 1, 1)},
    ):
        assert talk.asking.hear(dataclasses.replace(reply, **change), 0.1) == []  # type: ignore[arg-type]
        assert not talk.candidate.left(0.1)
    talk.asking.hear(reply, 0.1)
    assert talk.candidate.left(0.1)


def test_who_votes_and_for_how_long_makes_the_electorate() -> None:
    assert electorate(["n3", "n1", "n2"], 2, 1.0) == WE
    others = {electorate(["n1", "n2"], 2, 1.0), electorate(["n1", "n2", "n3"], 3, 1.0)}
    assert len(others | {electorate(["n1", "n2", "n3"], 2, 2.0), WE}) == 4
