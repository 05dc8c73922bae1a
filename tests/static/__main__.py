# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the static checks: ``python3 -m tests.static [check ...]``."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.static.checks import CHECKS, Check
from tests.static.project import CannotCheck, Finding, Project

LONGEST = frozenset({"ansible-test", "ansible-lint", "galaxy-importer"})
"""They begin first, and the others run beside them."""


def main(arguments: Sequence[str], checks: Mapping[str, Check] | None = None) -> int:
    """Run the checks that were named, or all; return 0 where every one passed."""
    checks = CHECKS if checks is None else checks
    parser = argparse.ArgumentParser(prog="python3 -m tests.static", description=__doc__)
    parser.add_argument("check", nargs="*", help="checks to run; all of them when none is named")
    parser.add_argument("--list", action="store_true", help="list the checks and run none")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.check if name not in checks]:
        parser.error(f"no such check: {', '.join(unknown)}; there are {', '.join(checks)}")
    if options.list:
        for name, check in checks.items():
            print(f"{name:16} {(check.__doc__ or '').strip()}")
        return 0
    project = Project()
    chosen = [name for name in checks if name in options.check or not options.check]
    first = sorted(chosen, key=lambda name: name not in LONGEST)
    with alone(project), ThreadPoolExecutor(os.cpu_count()) as pool:
        started = [pool.submit(report, name, checks[name], project) for name in first]
        passed = sum(each.result() for each in started)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if chosen and passed == len(chosen) else 1


@contextlib.contextmanager
def alone(project: Project) -> Iterator[None]:
    """Let one run at a time use the copies below ``build/``; another one waits."""
    path = project.build("static.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is at work; waiting for it to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def report(name: str, check: Check, project: Project) -> bool:
    """Run one check and print its line, and below it what is wrong; return whether it passed."""
    started = time.monotonic()
    finding = attempt(check, project)
    seconds = time.monotonic() - started
    verdict = "ok" if finding.passed else "FAILED"
    note = f"  ({finding.note})" if finding.note else ""
    lines = [f"{name:16} {verdict:6} {seconds:6.1f} s  {finding.checked} {finding.what}{note}"]
    lines += [textwrap.indent(problem, "    ") for problem in finding.problems]
    if not finding.passed and not finding.problems:
        lines.append("    checked nothing")
    print("\n".join(lines), flush=True)
    return finding.passed


def attempt(check: Check, project: Project) -> Finding:
    """Run one check. A check that breaks has failed, and the others still run."""
    try:
        return check(project)
    except CannotCheck as lack:
        return Finding(0, "things", [str(lack)])
    except Exception:  # a defect of the check itself must not hide the others' results
        return Finding(0, "things", [traceback.format_exc()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
