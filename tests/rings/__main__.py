# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run rings of tests, and show when each was last green: ``python3 -m tests.rings show|run|test|all|changed``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.checkout import ROOT
from tests.rings import rings as maps
from tests.rings.rings import Counts, Green, Ring, Rings

REPORTS = ROOT / "build" / "rings"


def git(*words: str) -> str:
    """Return what git prints; empty where it fails."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def dirty() -> bool:
    """Return whether the tree differs from its commit. The record does not count: runs write it."""
    own = maps.RECORD.relative_to(ROOT).as_posix()
    return bool(git("status", "--porcelain", "--", ".", f":(exclude){own}"))


def stream(command: Sequence[str], environment: dict[str, str], prefix: str) -> tuple[int, str]:
    """Run a command and print what it prints as it comes; return its status and its output."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{prefix}{line}", end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    ring: Ring
    status: int
    counts: Counts
    seconds: float
    broken: Sequence[str] = ()
    """What failed, and what it says first."""

    @property
    def passed(self) -> bool:
        return self.status == 0 and self.counts.passed > 0 and not self.counts.failed

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        late = (
            "" if self.seconds <= self.ring.budget * 60 else f", over its {self.ring.budget:g} min"
        )
        skipped = f", {self.counts.skipped} skipped" if self.counts.skipped else ""
        return (
            f"{self.ring.name:14} {verdict:6} {self.seconds:7.0f} s  {self.counts.passed} passed,"
            f" {self.counts.failed} failed{skipped}{late}"
        )


class Runner:
    """Runs rings, those on nodes on one lab."""

    def __init__(self, rings: Rings, *, keep_record: bool) -> None:
        self._rings = rings
        self._keep_record = keep_record
        self.outcomes: list[Outcome] = []

    def run(self, chosen: Sequence[Ring], *, beside: bool = False) -> bool:
        """Run these; with ``beside`` those that need no nodes run beside the others, which mostly wait.

        The rings of `make test` come first, so that their time is the same in a longer run.
        """
        fresh = any(ring.name == "converge" for ring in chosen)
        nodes_stand = not any(map(self._is_on_nodes, chosen)) or fresh or self._begin()
        for part in (
            [ring for ring in chosen if ring.in_test is wanted] for wanted in (True, False)
        ):
            on_nodes = [ring for ring in part if self._is_on_nodes(ring)]
            others = [ring for ring in part if not self._is_on_nodes(ring)]
            prefixed = beside and bool(on_nodes and others)
            if nodes_stand and on_nodes and self._is_left_over(on_nodes):
                nodes_stand = self._begin()
            with ThreadPoolExecutor(2 if prefixed else 1) as pool:
                nodes = pool.submit(self._on_nodes, on_nodes if nodes_stand else [], prefixed)
                pool.submit(self._in_turn, others, prefixed).result()
                nodes_stand = nodes.result() and nodes_stand
        if not nodes_stand:
            print("the nodes could not be converged: what runs on them was left out")
        if fresh:  # a lab that was there before stays
            stream(self._rings.end, self._environment(), "")
        print()
        for outcome in self.outcomes:
            for fault in outcome.broken if not outcome.passed else ():
                print(f"{outcome.ring.name}: {fault}")
        for outcome in self.outcomes:
            print(outcome)
        return len(self.outcomes) == len(chosen) and all(each.passed for each in self.outcomes)

    @staticmethod
    def _is_on_nodes(ring: Ring) -> bool:
        return ring.nodes or ring.name == "converge"

    def _is_left_over(self, chosen: Sequence[Ring]) -> bool:
        """Whether others ran on the nodes before these, and what they left is to be converged."""
        return chosen[0].name != "converge" and any(
            self._is_on_nodes(outcome.ring) for outcome in self.outcomes
        )

    def _begin(self) -> bool:
        return stream(self._rings.begin, self._environment(), "")[0] == 0

    def _on_nodes(self, chosen: Sequence[Ring], prefixed: bool) -> bool:
        """Run these, where nodes are converged; return whether they are."""
        if chosen and chosen[0].name == "converge":
            if not self._one(chosen[0], prefixed):
                return False
            chosen = chosen[1:]
        self._in_turn(chosen, prefixed)
        return True

    def _in_turn(self, chosen: Sequence[Ring], prefixed: bool) -> None:
        for ring in chosen:
            self._one(ring, prefixed)

    def _environment(self) -> dict[str, str]:
        return {"DEBVISOR_LAB_NAME": self._rings.lab}

    def _one(self, ring: Ring, prefixed: bool) -> bool:
        REPORTS.mkdir(parents=True, exist_ok=True)
        junit = REPORTS / f"{ring.name}.xml"
        junit.unlink(missing_ok=True)
        environment = {"PYTEST_ADDOPTS": f"--junit-xml={junit} --durations=10"}
        if self._is_on_nodes(ring):
            environment |= self._environment()
        commit, changed = git("rev-parse", "HEAD"), dirty()
        prefix = f"{ring.name:9}| " if prefixed else ""
        started = time.monotonic()
        status, output = stream(ring.before, environment, prefix) if ring.before else (0, "")
        if status == 0:
            status, output = stream(ring.command, environment, prefix)
        seconds = time.monotonic() - started
        counts = maps.counted(ring, output, junit)
        outcome = Outcome(ring, status, counts, seconds, maps.broken(ring, output, junit))
        self.outcomes.append(outcome)
        if self._keep_record:
            self._record(outcome, commit, changed, prefix)
        return outcome.passed

    def _record(self, outcome: Outcome, commit: str, changed: bool, prefix: str) -> None:
        name, counts = outcome.ring.name, outcome.counts
        moved = git("rev-parse", "HEAD") != commit
        why = maps.refusal(
            status=outcome.status, counts=counts, dirty=changed or dirty(), moved=moved
        )
        if why:
            print(f"{prefix}{name} is not recorded: {why}")
            return
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        green = Green(commit, date, round(outcome.seconds), counts.passed, counts.skipped)
        maps.record(name, green)


def show(rings: Rings, names: Sequence[str]) -> None:
    """Print when each ring was last green, and what below it has changed since; of a named one every file."""
    print(
        f"{'RING':14} {'IN TEST':7} {'LAST GREEN':20} {'COMMIT':8} {'TOOK':>7} {'TESTS':>5}  CHANGED BELOW SINCE"
    )
    greens = maps.recorded()
    for ring in rings.named(names) if names else rings.each.values():
        within = "yes" if ring.in_test else "-"
        green = greens.get(ring.name)
        if green is None:
            print(f"{ring.name:14} {within:7} never recorded")
            continue
        known = bool(git("cat-file", "-t", green.commit))
        pathspecs = [path if path != "*" else "." for path in ring.all_paths]
        how = "--stat" if names else "--shortstat"
        since = (
            git("diff", how, green.commit, "--", *pathspecs) if known else "its commit is not here"
        )
        took = f"{green.seconds // 60}:{green.seconds % 60:02} m"
        print(
            f"{ring.name:14} {within:7} {green.date:20} {green.commit[:8]:8} {took:>7} {green.passed:5}"
            f"  {since or 'nothing'}"
        )


def changed(base: str) -> list[str]:
    """Return the paths that are new or differ from the base: where main was left by default, else the commit before."""
    head = git("rev-parse", "HEAD")
    base = base or git("merge-base", "main", "HEAD")
    if not base or base == head:
        base = "HEAD~1"
    new = git("ls-files", "--others", "--exclude-standard")
    return [*git("diff", "--name-only", base).splitlines(), *new.splitlines()]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.rings", description=__doc__)
    parser.add_argument("verb", choices=["show", "run", "test", "all", "changed"])
    parser.add_argument("ring", nargs="*", help="for show and run")
    parser.add_argument("--base", default="", help="for changed: since which commit")
    options = parser.parse_args(arguments)
    rings = maps.parse(maps.MAP.read_text(encoding="utf-8")).followed()
    runner = Runner(rings, keep_record=options.verb != "test")
    match options.verb:
        case "show":
            show(rings, options.ring)
            return 0
        case "run":
            try:
                chosen = rings.named(options.ring)
            except ValueError as unknown:
                parser.error(str(unknown))
        case "test":
            chosen = rings.in_test()
        case "all":
            chosen = list(rings.each.values())
        case _:
            chosen = rings.touched(changed(options.base))
    if not chosen:
        print("there is nothing to run")
        return 1
    print(f"rings: {', '.join(ring.name for ring in chosen)}", flush=True)
    return 0 if runner.run(chosen, beside=options.verb in ("test", "all")) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
