# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of signed zones: made once, and then left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput, Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.resource import Managed
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.dnssec_keys import (
    SPEC,
    DnssecKeys,
)

from tests.fakes.operation_contract import Case, OperationContract
from tests.fakes.switchboard import Fault, Killed

FOLDER = "/var/lib/bind/keys"
OLD = "Kold.example.+013+00001"


class Keyfolder:
    """The folder of keys, in memory; tags of keys count up from 2."""

    def __init__(self) -> None:
        self.names = {(FOLDER, "old.example"): [OLD]}

    def keys(self, folder: str, zone: str) -> list[str]:
        return list(self.names.get((folder, zone), []))

    def create(self, folder: str, zone: str) -> None:
        tag = 1 + sum(map(len, self.names.values()))
        self.names[folder, zone] = [f"K{zone}.+013+{tag:05}"]


def made(base: Path, given: Keyfolder | None = None) -> Case:
    folder = given or Keyfolder()
    return Case(
        operation=lambda wire: Managed(DnssecKeys(wire("keygen", folder))),
        params=filled(SPEC, {"zones": ["old.example", "new.example", "sub.new.example"]}),
        state=lambda: {"names": dict(folder.names)},
        reads={"keygen.keys"},
        restores=False,  # a key stays
    )


class TestContract(OperationContract):
    operation = DnssecKeys
    cases = (made,)


def test_a_zone_that_has_a_key_is_left_alone(tmp_path: Path) -> None:
    facts = made(tmp_path).settle_in(tmp_path).done().facts
    assert facts["key_names"] == {
        "old.example": [OLD],
        "new.example": ["Knew.example.+013+00002"],
        "sub.new.example": ["Ksub.new.example.+013+00003"],
    }


def settled(case: Case) -> Any:
    """Run for no zones, so that all it does is to settle what the run before it left."""
    case.params = {**case.params, "zones": []}
    return case.done()


def call_of(case: Case, name: str, nth: int = 0) -> int:
    """Return the number of the nth call of that name in an undisturbed run."""
    case.done()
    return [n for n, call in enumerate(case.board.calls) if call == name][nth]


def test_a_key_that_an_interrupted_run_made_is_kept(tmp_path: Path) -> None:
    number = call_of(made(tmp_path).settle_in(tmp_path / "1"), "keygen.create")
    case = made(tmp_path).settle_in(tmp_path / "2")
    with pytest.raises(Killed):
        case.run(fault=Fault(number, True, Killed()))
    before = case.state()
    assert len(before["names"]) == 2
    outcome = settled(case)
    assert case.state() == before
    assert outcome.changed, "what an earlier run left was settled"
    assert f"{FOLDER}/new.example is kept" in outcome.warnings[0]


def test_a_key_that_was_restored_after_an_interrupted_run_is_kept(tmp_path: Path) -> None:
    number = call_of(made(tmp_path).settle_in(tmp_path / "1"), "keygen.create")
    folder = Keyfolder()
    case = made(tmp_path, folder).settle_in(tmp_path / "2")
    with pytest.raises(Killed):
        case.run(fault=Fault(number, False, Killed()))
    assert (FOLDER, "new.example") not in folder.names
    folder.names[FOLDER, "new.example"] = ["restored"]
    settled(case)
    assert folder.names[FOLDER, "new.example"] == ["restored"]


def test_a_run_that_fails_keeps_the_keys_it_made(tmp_path: Path) -> None:
    number = call_of(made(tmp_path).settle_in(tmp_path / "1"), "keygen.create", 1)
    case = made(tmp_path).settle_in(tmp_path / "2")
    outcome = case.run(fault=Fault(number, False, Refused("no entropy")))
    assert (FOLDER, "new.example") in case.state()["names"]
    assert any("new.example is kept" in warning for warning in outcome.warnings)


@pytest.mark.parametrize(
    "zone", ["", "A.example", "a.example.", "../a", "0/25.2.0.192.in-addr.arpa"]
)
def test_what_is_no_name_of_a_zone(zone: str) -> None:
    with pytest.raises(InvalidInput, match="zones"):
        DnssecKeys(Keyfolder()).parse(filled(SPEC, {"zones": ["a.example", zone]}))
