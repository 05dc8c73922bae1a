# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""debvisor-metrics: write the metrics of this host for node_exporter, each collector's into a file of its own.

A collector runs where a role has put a file with its name into the folder of collectors. One that fails leaves its
metrics as they were, and the others go on. Where several run, each is a process of its own with a bound on its time:
one that hangs, on a file system that is gone, must not keep the others from theirs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._core.metrics import Family, sample, text, write
from .._ports.host import command
from .access_collectors import of_mfa
from .collected import Collected
from .console import complain, tell
from .dns_collectors import of_dns, of_tsig
from .firewall_collectors import of_blocklist
from .storage_collectors import of_image_cache, of_volumes, settle_volumes

WELL, CONCERNS, FAILED = 0, 1, 2
COLLECTORS: Mapping[str, Callable[[Mapping[str, Any]], Collected]] = {
    "blocklist": of_blocklist,
    "dns": of_dns,
    "image_cache": of_image_cache,
    "mfa": of_mfa,
    "tsig": of_tsig,
    "volumes": of_volumes,
}
FIRST: Mapping[str, Callable[[], None]] = {"volumes": settle_volumes}
"""What a collector does before it measures, unless its metrics are only printed."""
PROGRAM = str(settings.LIBEXEC_DIR / "debvisor-metrics")
LONGEST = 45.0
"""Seconds for one collector. All of them hanging must not reach the bound of debvisor-metrics.service."""


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: well; 1: what was measured needs attention, such as an overdue key; 2: a collector failed."""
    parser = argparse.ArgumentParser(prog="debvisor-metrics", description=(__doc__ or "").strip())
    parser.add_argument(
        "collectors", nargs="*", help="run these now; without any, all that are due"
    )
    parser.add_argument("--folder", type=Path, default=settings.collectors_dir())
    parser.add_argument("--output", type=Path, help="file for which collectors work")
    parser.add_argument("--print", action="store_true", help="print the metrics, and write nothing")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.collectors} - {*COLLECTORS}):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(COLLECTORS)}")
    files = {path.stem: path for path in sorted(options.folder.glob("*.json"))}
    if options.collectors:
        for name in sorted({*options.collectors} - {*files}):
            complain(f"debvisor-metrics: {name}: this host has no such collector")
        files = {name: path for name, path in files.items() if name in options.collectors}
    if len(options.collectors) == 1:
        results = {name: _collect(name, path, options.print) for name, path in files.items()}
    else:
        at_once = bool(options.collectors) or options.print
        words = ["--folder", str(options.folder), *(["--print"] if options.print else [])]
        results = {
            name: _collect_apart(name, words) if at_once or _is_due(path) else WELL
            for name, path in files.items()
        }
    if options.output and not options.print:
        try:
            write(options.output, [_working(results)])
        except OSError as failure:
            complain(f"debvisor-metrics: {failure}")
            return FAILED
    return max(results.values(), default=WELL)


def _working(results: Mapping[str, int]) -> Family:
    return Family(
        "debvisor_metrics_collector_ok",
        "gauge",
        "Whether a collector of metrics worked.",
        [sample(int(result != FAILED), collector=name) for name, result in results.items()],
    )


def _collect_apart(name: str, words: Sequence[str]) -> int:
    """Run one collector as a process, and pass on what it says."""
    if name not in COLLECTORS:
        complain(f"debvisor-metrics: {name}: there is no such collector; remove its file")
        return FAILED
    try:
        ended = command.attempt([PROGRAM, *words, name], timeout=LONGEST)
    except DebvisorError as failure:
        complain(f"debvisor-metrics: {name}: {failure}")
        return FAILED
    for said, pass_on in ((ended.printed, tell), (ended.complained, complain)):
        if said:
            pass_on(said.decode(errors="replace").removesuffix("\n"))
    if ended.status not in (WELL, CONCERNS, FAILED):
        complain(f"debvisor-metrics: {name}: ended with status {ended.status}")
        return FAILED
    return ended.status


def _collect(name: str, path: Path, shown: bool) -> int:
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        output = Path(about["output"])
        if not shown and name in FIRST:
            FIRST[name]()
        collected = COLLECTORS[name](about)
        if shown:
            tell(text(collected.families))
        else:
            write(output, collected.families)
    except Exception as failure:  # whatever it is, it is a failure of this collector
        said = (
            failure
            if isinstance(failure, DebvisorError)
            else f"{type(failure).__name__}: {failure}"
        )
        complain(f"debvisor-metrics: {name}: {said}")
        return FAILED
    for concern in collected.concerns:
        complain(f"debvisor-metrics: {name}: {concern}")
    return CONCERNS if collected.concerns else WELL


def _is_due(path: Path) -> bool:
    """Whether the metrics are old enough to be written again. Timers are not exact, and a clock may be set back."""
    try:
        about = json.loads(path.read_bytes())
        age = time.time() - Path(about["output"]).stat().st_mtime
        return not 0 <= age < about.get("every", 0) - 15
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True  # no metrics yet; or the collector's file is wrong, which the collector says
