# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of rings, and the record of when each was last green."""

from __future__ import annotations

import fcntl
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from tests.checkout import ROOT
from tests.rings.reach import reached

MAP = Path(__file__).with_name("rings.toml")
RECORD = Path(__file__).with_name("record.json")
FAULT = 600
"""Letters that are told of one fault."""
COVERED = ("plugins", "roles", "playbooks", "tests")
"""Every path below these belongs to a ring by more than ``*``."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A set of tests that one command runs."""

    name: str
    about: str
    command: tuple[str, ...]
    paths: tuple[str, ...]
    budget: float
    """Minutes that it may take, alone on two cores."""
    before: tuple[str, ...] = ()
    count: str = ""
    """What in its output holds a count; without it the counts come from pytest."""
    fault: str = ""
    """What in its output tells a fault; without it they come from pytest."""
    nodes: bool = False
    """It needs the converged lab."""
    in_test: bool = False
    """`make test` runs it."""
    starts: tuple[str, ...] = ()
    """Those of its paths whose imports are followed."""
    reached: frozenset[str] = frozenset()
    """What the starts rest on."""

    @property
    def all_paths(self) -> list[str]:
        """What it covers: paths, folders and patterns."""
        return [*self.paths, *sorted(self.reached)]

    def holds(self, path: str) -> bool:
        """Return whether a change of this path may change what the ring shows."""
        return any(
            path == own or path.startswith(f"{own}/") or fnmatchcase(path, own) or fnmatchcase(path, f"{own}/*")
            for own in self.all_paths
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rings:
    """All rings, in the order in which they run, and how the lab of those on nodes begins and ends."""

    each: Mapping[str, Ring]
    lab: str
    begin: tuple[str, ...]
    end: tuple[str, ...]

    def followed(self) -> Rings:
        """Return the same rings with what their starts rest on."""
        each = {
            name: replace(ring, reached=reached(ring.starts)) for name, ring in self.each.items()
        }
        return replace(self, each=each)

    def named(self, names: Iterable[str]) -> list[Ring]:
        """Return these rings in the map's order."""
        wanted = set(names)
        if unknown := sorted(wanted - set(self.each)):
            raise ValueError(
                f"no such ring: {', '.join(unknown)}; there are {', '.join(self.each)}"
            )
        return [ring for ring in self.each.values() if ring.name in wanted]

    def in_test(self) -> list[Ring]:
        """Return the rings of `make test`."""
        return [ring for ring in self.each.values() if ring.in_test]

    def touched(self, paths: Sequence[str]) -> list[Ring]:
        """Return the rings that a change of these paths calls for."""
        return [ring for ring in self.each.values() if any(map(ring.holds, paths))]


def parse(text: str) -> Rings:
    """Return the rings of a map."""
    content = tomllib.loads(text)
    followed: Mapping[str, list[str]] = content["paths"]
    lists = {**followed, **content["base"]}

    def spread(paths: Iterable[str], lists: Mapping[str, list[str]]) -> Iterator[str]:
        for path in paths:
            if path.startswith("@"):
                yield from spread(lists.get(path[1:], ()), lists)
            else:
                yield path

    rings = {
        name: Ring(
            name,
            given["about"],
            tuple(given["command"]),
            tuple(dict.fromkeys(spread(given["paths"], lists))),
            given["budget"],
            tuple(given.get("before", ())),
            given.get("count", ""),
            given.get("fault", ""),
            given.get("nodes", False),
            given.get("in_test", False),
            tuple(dict.fromkeys(each for each in spread(given["paths"], followed) if each != "*")),
        )
        for name, given in content["ring"].items()
    }
    lab = content["lab"]
    return Rings(rings, lab["name"], tuple(lab["begin"]), tuple(lab["end"]))


def uncovered(rings: Rings, paths: Iterable[str]) -> list[str]:
    """Name the paths that belong to no ring, or by ``*`` alone."""
    said = dict.fromkeys(path for ring in rings.each.values() for path in ring.paths if path != "*")
    own = Ring("", "", (), tuple(said), 0)
    return [
        f"{path}: belongs to no ring of {MAP.name}"
        for path in paths
        if path.startswith(tuple(f"{folder}/" for folder in COVERED)) and not own.holds(path)
    ]


def idle(rings: Rings, paths: Sequence[str]) -> list[str]:
    """Name what rings name and nothing in the repository matches."""
    named = dict.fromkeys(path for ring in rings.each.values() for path in ring.paths)
    return [
        f"{MAP.name}: nothing is at {own}"
        for own in named
        if not any(Ring("", "", (), (own,), 0).holds(path) for path in paths)
    ]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did."""

    passed: int
    failed: int
    skipped: int


def counted(ring: Ring, output: str, junit: Path) -> Counts:
    """Return what a run did, from its output or from pytest's report."""
    if ring.count:
        return Counts(sum(map(int, re.findall(ring.count, _plain(output), re.MULTILINE))), 0, 0)
    if not junit.is_file():
        return Counts(0, 0, 0)
    suites = list(ElementTree.parse(junit).iter("testsuite"))

    def total(name: str) -> int:
        return sum(int(suite.get(name, 0)) for suite in suites)

    failed, skipped = total("failures") + total("errors"), total("skipped")
    return Counts(total("tests") - failed - skipped, failed, skipped)


def _plain(output: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", output)


def broken(ring: Ring, output: str, junit: Path) -> list[str]:
    """Say what failed, from the output or from pytest's report, in few lines: who reads it may see no others.

    One fault often lets many tests fail in the same words: they are told once, and counted.
    """
    if ring.fault:
        return [found.group()[:FAULT] for found in re.finditer(ring.fault, _plain(output), re.M)]
    if not junit.is_file():
        return []
    alike: dict[str, list[str]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        for fault in [*case.findall("failure"), *case.findall("error")]:
            said = " ".join(fault.get("message", "").split())[:FAULT]
            alike.setdefault(said, []).append(f"{case.get('classname')}::{case.get('name')}")
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {said}"
        for said, names in alike.items()
    ]


@dataclass(frozen=True, slots=True)
class Green:
    """A run in which everything passed."""

    commit: str
    date: str
    seconds: int
    passed: int
    skipped: int


def refusal(*, status: int, counts: Counts, dirty: bool, moved: bool) -> str:
    """Say why a run cannot be recorded; empty where it can."""
    if status != 0 or counts.failed:
        return "it failed"
    if not counts.passed:
        return "it ran nothing"
    if dirty:
        return "the tree has changes that are in no commit"
    return "another commit was checked out meanwhile" if moved else ""


def recorded(path: Path = RECORD) -> dict[str, Green]:
    """Return the last green run of each ring that has one."""
    if not path.is_file():
        return {}
    return {name: Green(**entry) for name, entry in json.loads(path.read_text()).items()}


def record(name: str, green: Green, path: Path = RECORD) -> None:
    """Write a green run down; runs of other rings may be doing so at the same time."""
    lock = ROOT / "build" / "rings.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        all_of_them = {**recorded(path), name: green}
        entries = {each: asdict(all_of_them[each]) for each in sorted(all_of_them)}
        path.write_text(json.dumps(entries, indent=2) + "\n")
