# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring's steps: each twice is each once, no sequence of them breaks it, and no secret ever shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import public
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import host_bundle, keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.host_bundle import (
    Description,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.keyring import (
    KeyClass,
    Keyring,
    KeyringUnreadable,
    NotProved,
    Standing,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import (
    class_of,
    generation_key,
)
from hypothesis import given
from hypothesis import strategies as st

SERVERS = ("a", "b", "c")
ALGORITHM = "hmac-sha256"
WEEK = 604800


class Drawer:
    """Draws secrets that tell what they are, and remembers them."""

    def __init__(self) -> None:
        self.drawn: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        self.drawn.append(f"secret {len(self.drawn)} ".encode().ljust(size, b"!"))
        return self.drawn[-1]


def founded(draw: Drawer | None = None) -> KeyClass:
    return keyring.founded("x", ALGORITHM, draw or Drawer(), 1000)


def introduced(of: KeyClass | None = None) -> KeyClass:
    return keyring.introduced(of or founded(), ALGORITHM, Drawer(), 2000)


def promoted(of: KeyClass | None = None) -> KeyClass:
    ready = keyring.proved(of or introduced(), 2, SERVERS)
    return keyring.promoted(ready, SERVERS, 3000, WEEK)


def standings(of: KeyClass) -> dict[int, str]:
    return {each.number: each.standing.value for each in of.generations}


def test_a_rotation_goes_from_one_generation_to_the_next() -> None:
    assert standings(founded()) == {1: "current"}
    assert standings(introduced()) == {1: "current", 2: "incoming"}
    assert standings(promoted()) == {1: "retiring", 2: "current"}
    assert standings(keyring.retired(promoted(), ())) == {2: "current"}


def test_a_young_key_is_not_rotated_and_an_old_one_is() -> None:
    of = founded()
    assert keyring.introduced(of, ALGORITHM, Drawer(), 1999, min_age=1000) is of
    assert standings(keyring.introduced(of, ALGORITHM, Drawer(), 2000, min_age=1000)) == {
        1: "current",
        2: "incoming",
    }


def test_nothing_is_promoted_past_a_server_that_has_not_proved_it() -> None:
    partly = keyring.proved(introduced(), 2, ["a", "c"])
    with pytest.raises(NotProved) as refusal:
        keyring.promoted(partly, SERVERS, 3000, WEEK)
    assert refusal.value.details == {"class": "x", "servers": ["b"]}
    whole = keyring.proved(partly, 2, ["b"])
    assert standings(keyring.promoted(whole, SERVERS, 3000, WEEK))[2] == "current"


def test_a_proof_of_another_generation_is_none() -> None:
    with pytest.raises(NotProved):
        keyring.promoted(keyring.proved(introduced(), 1, SERVERS), SERVERS, 3000, WEEK)


def test_going_back_from_each_state_and_going_back_twice() -> None:
    for before in (founded(), introduced(), promoted()):
        once = keyring.reverted(before, 4000, WEEK)
        assert once.current.number == 1
        assert keyring.reverted(once, 5000, WEEK) == once
    back = keyring.reverted(promoted(), 4000, WEEK)
    assert standings(back) == {1: "current", 2: "retiring"}
    assert [each.retire_after for each in back.generations] == [None, 4000 + WEEK]
    assert standings(keyring.retired(back, ())) == {1: "current"}


def test_a_number_is_never_used_twice() -> None:
    aborted = keyring.reverted(introduced(), 4000, WEEK)
    again = keyring.introduced(aborted, ALGORITHM, Drawer(), 5000)
    assert standings(again) == {1: "current", 3: "incoming"}


def test_revocation_leaves_one_new_generation() -> None:
    for before in (founded(), introduced(), promoted()):
        after = keyring.revoked(before, ALGORITHM, Drawer(), 6000)
        assert standings(after) == {before.last + 1: "current"}


@pytest.mark.parametrize(
    ("used", "absent", "now", "why"),
    [
        ((), (), 3001, None),
        (("g1.x",), (), 3001, "a server saw it in use"),
        (("g2.x", "g1.y"), (), 3001, None),
        ((), ("n9", "n7"), 3001, "n7, n9 may still sign with it"),
        (("g1.x",), ("n7",), 3000 + WEEK, None),
    ],
)
def test_what_keeps_a_generation_from_being_retired(
    used: tuple[str, ...], absent: tuple[str, ...], now: int, why: str | None
) -> None:
    found = keyring.waiting(promoted(), used, absent, now)
    assert found == ({1: why} if why else {})
    assert standings(keyring.retired(promoted(), found)).get(1) == ("retiring" if why else None)


Step = Callable[[KeyClass, int], KeyClass]
STEPS: dict[str, Step] = {
    "introduce": lambda of, now: keyring.introduced(of, ALGORITHM, Drawer(), now),
    "prove": lambda of, now: keyring.proved(of, of.last, SERVERS),
    "promote": lambda of, now: keyring.promoted(of, SERVERS, now, 10),
    "revert": lambda of, now: keyring.reverted(of, now, 10),
    "retire": lambda of, now: keyring.retired(of, keyring.waiting(of, (), ("n",), now)),
    "retire at once": lambda of, now: keyring.retired(of, ()),
    "revoke": lambda of, now: keyring.revoked(of, ALGORITHM, Drawer(), now),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 20)), max_size=30))
def test_no_sequence_of_steps_breaks_a_class(steps: list[tuple[str, int]]) -> None:
    of = founded()
    now = 1000
    seen = {1}
    for name, pause in steps:
        now += pause
        before = of
        try:
            of = STEPS[name](of, now)
        except NotProved:
            assert name == "promote"
            assert before.incoming is not None
            continue
        kinds = [each.standing for each in of.generations]
        assert kinds.count(Standing.CURRENT) == 1
        assert kinds.count(Standing.INCOMING) <= 1
        new = {each.number for each in of.generations} - {g.number for g in before.generations}
        assert not new & seen, "a number was used twice"
        seen |= new
        if name == "promote" and of.current.number != before.current.number:
            assert of.current.proved >= set(SERVERS)
            assert before.current.number in {g.number for g in of.retiring}, "loses its clients"
        if name != "revoke":  # every other step done twice is done once
            assert STEPS[name](of, now) == of
            # Hosts that did not hear of this step yet and hosts that did understand each other.
            assert before.current.number in {g.number for g in of.generations}
            assert of.current.number in {g.number for g in before.generations}
            kept = {g.number: g.secret for g in before.generations}
            assert all(kept.get(g.number, g.secret) == g.secret for g in of.generations)
        read = keyring.load(json.loads(json.dumps(Keyring({"x": of}).dump())), "here")
        assert read.classes["x"] == of


def whole(draw: Drawer) -> Keyring:
    return Keyring({"x": keyring.introduced(founded(draw), ALGORITHM, draw, 2000)})


def shapes(secret: bytes) -> list[str]:
    return [base64.b64encode(secret).decode(), secret.hex(), secret.decode()]


def test_no_secret_shows_but_in_the_file_itself() -> None:
    draw = Drawer()
    ring = whole(draw)
    shown = repr(ring) + repr(ring.classes) + json.dumps(public(ring.public(3000)))
    assert len(draw.drawn) == 2
    for secret in draw.drawn:
        assert not [shape for shape in shapes(secret) if shape in shown]
        assert shapes(secret)[0] in json.dumps(ring.dump())


def broken() -> list[Any]:
    good = whole(Drawer()).dump()
    entry = good["classes"]["x"]
    first = entry["generations"][0]

    def generations(*generations: Any) -> Any:
        return {"format": 1, "classes": {"x": {**entry, "generations": list(generations)}}}

    return [
        None,
        [],
        "text",
        {},
        {"format": 2, "classes": {}},
        {"format": 1, "classes": []},
        {"format": 1, "classes": {"x": None}},
        {"format": 1, "classes": {"X y": entry}},
        generations(),
        generations(first, first),
        generations({**first, "standing": "nothing"}),
        generations({**first, "secret": first["secret"][:-4]}),
        generations({**first, "secret": 7}),
        generations({**first, "algorithm": "hmac-md5"}),
        generations({**first, "number": 9}),
        generations({**first, "number": "1"}),
        generations({**first, "created": float("inf")}),
        generations({**first, "retire_after": float("nan")}),
        generations({**first, "proved": "abc"}),
        generations({**first, "proved": [1]}),
        {"format": 1, "classes": {"x": {**entry, "last": 1e400}}},
        generations({key: value for key, value in first.items() if key != "created"}),
    ]


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just("1")
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.data(), ANYTHING)
def test_anything_in_the_place_of_anything_is_a_keyring_or_is_told(
    data: st.DataObject, thing: Any
) -> None:
    document = whole(Drawer()).dump()
    place: Any = document
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = thing
    try:
        read = keyring.load(document, "here")
    except KeyringUnreadable:
        return
    assert keyring.load(json.loads(json.dumps(read.dump())), "here") == read


@given(st.data(), ANYTHING)
def test_anything_in_the_place_of_a_part_of_a_bundle_is_a_bundle_or_is_told(
    data: st.DataObject, thing: Any
) -> None:
    about = [Description("x", ALGORITHM, "update", True, frozenset("s"), frozenset("s"))]
    document = host_bundle.bundle(whole(Drawer()), about, "s")
    entry = document["classes"]["x"]
    place = data.draw(st.sampled_from([document, entry, entry["keys"], entry["keys"]["1"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = thing
    try:
        held = host_bundle.read_bundle(document)
    except KeyringUnreadable:
        return
    assert all(each.current in each.keys for each in held)


@pytest.mark.parametrize("field", ["number", "standing", "algorithm", "created", "promoted"])
def test_a_secret_in_the_wrong_place_does_not_show(field: str) -> None:
    draw = Drawer()
    document = whole(draw).dump()
    generation = document["classes"]["x"]["generations"][0]
    generation[field] = generation["secret"]
    for text in (json.dumps(document), json.dumps({**document, "format": generation["secret"]})):
        with pytest.raises(KeyringUnreadable) as refusal:
            keyring.load(json.loads(text), "here")
        told = str(refusal.value) + repr(refusal.value.__context__)
        assert not [shape for secret in draw.drawn for shape in shapes(secret) if shape in told]


def test_a_secret_in_the_place_of_a_name_does_not_show() -> None:
    draw = Drawer()
    document = whole(draw).dump()
    entry = document["classes"].pop("x")
    name = entry["generations"][0]["secret"]
    with pytest.raises(KeyringUnreadable) as refusal:
        keyring.load({**document, "classes": {name: entry}}, "here")
    assert name not in str(refusal.value)


@pytest.mark.parametrize("document", broken())
def test_what_is_no_keyring_is_said_to_be_none(document: Any) -> None:
    with pytest.raises(KeyringUnreadable) as refusal:
        keyring.load(document, "/x/keyring.json")
    assert "/x/keyring.json" in str(refusal.value)
    assert "secret 0" not in str(refusal.value)
    assert base64.b64encode(b"secret 0")[:8].decode() not in str(refusal.value)


def test_a_bundle_holds_what_the_host_serves_or_uses_and_no_more() -> None:
    ring = Keyring({name: replace(founded(), name=name) for name in ("x", "y", "z")})
    about = [
        Description("x", ALGORITHM, "update", True, frozenset("s"), frozenset("c")),
        Description("y", ALGORITHM, "transfer", False, frozenset("s"), frozenset()),
        Description("missing", ALGORITHM, "update", False, frozenset("s"), frozenset("c")),
    ]
    held = {
        host: {
            each.name: each
            for each in host_bundle.read_bundle(host_bundle.bundle(ring, about, host))
        }
        for host in "sc-"
    }
    assert [sorted(held[host]) for host in "sc-"] == [["x", "y"], ["x"], []]
    assert (held["s"]["x"].serves, held["c"]["x"].serves) == ("update", "")
    assert held["s"]["y"].serves == "transfer"
    assert held["s"]["x"].reads
    key = held["c"]["x"].keys[1]
    assert (key.name, key.secret) == ("g1.x", ring.classes["x"].current.secret)


@pytest.mark.parametrize(
    "document", [None, {}, {"format": 1, "classes": {"x": {"current": 1, "keys": {}}}}]
)
def test_what_is_no_bundle_is_said_to_be_none(document: Any) -> None:
    with pytest.raises(KeyringUnreadable):
        host_bundle.read_bundle(document)


@pytest.mark.parametrize(
    ("name", "found"),
    [("g2.debvisor-node", ("debvisor-node", 2)), ("g0.x", None), ("x.g1", None), ("g1.a.b", None)],
)
def test_names_of_keys(name: str, found: tuple[str, int] | None) -> None:
    assert class_of(name) == found
    if found:
        assert generation_key(*found) == name


def test_a_revision_grows_with_each_change_and_past_the_clock() -> None:
    one = Keyring().changed({"x": founded()}, 1000)
    assert one.revision == 1000
    assert one.changed({"x": founded()}, 2000) is one
    two = one.changed({"x": introduced()}, 900)
    assert two.revision == 1001, "a clock that was set back does not matter"
    assert keyring.load(json.loads(json.dumps(two.dump())), "here") == two
    assert host_bundle.revision_of(host_bundle.bundle(two, [], "h")) == 1001
