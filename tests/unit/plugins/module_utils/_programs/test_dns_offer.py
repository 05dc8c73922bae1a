# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keepalived is told: with the other primary able to write, and without."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_offer
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_offer import LONE, Offer


class Place:
    """An offer, its file, its clock, and what the other primary says."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.other_able = True
        self.file = folder / "health"
        self.offer = Offer(self.file, lambda: self.other_able)
        self.offer.withdraw("answers", "")

    def offers(self) -> bool:
        self.offer.look()
        return self.file.read_text() == "0\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setattr(dns_offer.time, "monotonic", lambda: made.now)
    return made


def test_nothing_is_offered_before_the_server_was_asked(tmp_path: Path) -> None:
    made = Offer(tmp_path / "health", lambda: True)
    made.look()
    assert (tmp_path / "health").read_text() == "1\n"
    assert not made.able


def test_what_is_withdrawn_is_not_offered_whatever_the_others_can_do(place: Place) -> None:
    assert place.offers()
    place.other_able = False
    for source in ("hands over", "stands back"):
        place.offer.withdraw(source, "for a reason")
        assert not place.offers()
    place.offer.withdraw("hands over", "")
    assert not place.offers(), "there is another reason"
    place.offer.withdraw("stands back", "")
    assert place.offers()


def test_who_cannot_write_gives_way_until_it_can(place: Place) -> None:
    place.offer.hinder("fence", "no table")
    assert not place.offers()
    assert place.offer.hindrances == ["no table"]
    assert not place.offer.able
    place.offer.hinder("fence", "")
    assert place.offers()
    assert place.offer.able


def test_who_cannot_write_goes_on_answering_where_nobody_else_can(place: Place) -> None:
    place.other_able = False
    place.offer.hinder("fence", "no table")
    assert place.offers()
    place.other_able = True
    assert not place.offers()
    place.other_able = False
    place.now += LONE - 0.1
    assert not place.offers(), "the other one may be on its way to writing"
    place.now += 0.2
    assert place.offers()


def test_each_look_shows_that_the_program_lives(place: Place) -> None:
    assert place.offers()
    before = place.file.stat()
    time.sleep(0.02)
    assert place.offers()
    assert place.file.stat().st_mtime_ns > before.st_mtime_ns
    assert place.file.stat().st_ino == before.st_ino, "keepalived is not woken up"
    place.file.write_text("1\n")
    assert place.offers(), "dns-check took the offer back while this program hung"
    place.file.unlink()
    assert place.offers(), "it is written again where somebody removed it"


def test_a_program_that_ends_offers_nothing(place: Place) -> None:
    assert place.offers()
    place.offer.end()
    assert not place.offers()
