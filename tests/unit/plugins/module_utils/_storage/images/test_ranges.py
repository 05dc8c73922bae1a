# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object in parts, and the map of what has come."""

from __future__ import annotations

import json

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.ranges import (
    Arrivals,
    Delivered,
    Parts,
    Span,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    RemoteImage,
)
from hypothesis import given, settings
from hypothesis import strategies as st

IMAGE = RemoteImage(1000, '"v1"', b"", ranges=True, modified="Wed, 21 Oct 2026 07:28:00 GMT")


@given(st.integers(1, 10_000), st.integers(1, 3000))
def test_parts_cover_the_object_once(size: int, part_size: int) -> None:
    parts = Parts(size, part_size)
    spans = [parts.span(index) for index in range(parts.count)]
    assert [span.start for span in spans] == [0, *(span.end for span in spans[:-1])]
    assert spans[-1].end == size
    assert all(span.length == part_size for span in spans[:-1])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 0-99/1000", Delivered(Span(0, 100), 1000)),
        ("Bytes 5-5/6", Delivered(Span(5, 6), 6)),
        ("bytes */1000", Delivered(None, 1000)),
        ("bytes 0-99/*", None),
        ("items 0-99/1000", None),
        ("bytes 0-/1000", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_server_says_that_it_sends(value: str | None, found: Delivered | None) -> None:
    assert Delivered.read(value) == found


def test_a_span_is_asked_for_by_its_last_byte() -> None:
    assert Span(100, 200).asked() == "bytes=100-199"


def test_a_map_is_read_back() -> None:
    parts = Parts(1000, 300)
    text = parts.written(IMAGE, frozenset({0, 3}))
    assert Parts.read(text, IMAGE) == Parts(1000, 300, frozenset({0, 3}))


@pytest.mark.parametrize(
    "image",
    [
        RemoteImage(1001, '"v1"', b"", ranges=True),
        RemoteImage(1000, '"v2"', b"", ranges=True),
        RemoteImage(1000, "", b"", ranges=True),
        RemoteImage(1000, "", b"", ranges=True, modified="Wed, 21 Oct 2026 07:28:01 GMT"),
    ],
)
def test_a_map_of_another_version_is_none(image: RemoteImage) -> None:
    assert Parts.read(Parts(1000, 300).written(IMAGE, frozenset({0})), image) is None


def test_the_date_decides_where_there_is_no_tag_and_only_there() -> None:
    dated = RemoteImage(1000, "", b"", ranges=True, modified=IMAGE.modified)
    moved = RemoteImage(1000, IMAGE.etag, b"", ranges=True, modified="another")
    assert Parts.read(Parts(1000, 300).written(dated, frozenset({1})), dated) is not None
    assert Parts.read(Parts(1000, 300).written(IMAGE, frozenset({1})), moved) is not None


def test_what_nothing_tells_from_another_version_has_no_map() -> None:
    nameless = RemoteImage(1000, "", b"", ranges=True)
    assert Parts.read(Parts(1000, 300).written(nameless, frozenset({1})), nameless) is None


@pytest.mark.parametrize(
    "change",
    [
        {"done": [4]},
        {"done": [-1]},
        {"done": None},
        {"done": ["0"]},
        {"part_size": 0},
        {"part_size": "300"},
        {"size": None},
    ],
)
def test_a_map_that_makes_no_sense_is_none(change: dict[str, object]) -> None:
    whole = json.loads(Parts(1000, 300).written(IMAGE, frozenset({0})))
    assert Parts.read(json.dumps(whole), IMAGE) is not None
    assert Parts.read(json.dumps(whole | change), IMAGE) is None
    for text in ("", "[]", "null", json.dumps(whole)[:-5]):
        assert Parts.read(text, IMAGE) is None


@settings(deadline=None)
@given(st.data())
def test_the_front_is_where_the_first_byte_is_missing(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 30))
    parts = Parts(size, data.draw(st.integers(1, 12)))
    parts = Parts(size, parts.part_size, data.draw(st.frozensets(st.integers(0, parts.count - 1))))
    arrivals = Arrivals(parts)
    there = {byte for index in parts.done for byte in range(*parts.span(index))}
    while arrivals.received < size:
        missing = [index for index in range(parts.count) if arrivals.rest(index).length]
        index = data.draw(st.sampled_from(missing))
        rest = arrivals.rest(index)
        count = data.draw(st.integers(1, rest.length))
        arrivals.note(index, count)
        there |= set(range(rest.start, rest.start + count))
        assert arrivals.received == len(there)
        assert arrivals.front() == next(byte for byte in range(size + 1) if byte not in there)
        assert arrivals.done() == {
            index for index in range(parts.count) if set(range(*parts.span(index))) <= there
        }
    assert arrivals.front() == size
