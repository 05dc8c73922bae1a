# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""blocklist-check: say what is wrong or odd in lists of addresses, and what they come to.

It reads lists with the same code that loads them. It needs Python 3.11 and nothing else, so it runs on a node, on a
control node, and in CI.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from .._core.errors import DebvisorError
from .._firewall import lists
from .._firewall.list_check import Report, Source, check
from .._ports.host.files import Files
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: fine; 1: problems; 2: a file cannot be read, or the command line is wrong."""
    parser = argparse.ArgumentParser(
        prog="blocklist-check", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="list of what is to be blocked")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FILE", help="list of what is never blocked"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="duplicates, host bits and overlaps are problems, too, and not mere notices",
    )
    options = parser.parse_args(arguments)
    try:
        block, allow = _read(options.files), _read(options.allow)
    except DebvisorError as failure:
        complain(f"blocklist-check: {failure}")
        return 2
    report = check(block, allow)
    failed = report.fails(strict=options.strict)
    if options.json:
        entries = {source.name: source.reading.count for source in (*block, *allow)}
        tell(json.dumps({"ok": not failed, "entries": entries, **report.public()}))
    else:
        _print(report)
    return int(failed)


def _read(paths: Sequence[str]) -> list[Source]:
    return [Source(path, lists.read(Files().blocks(path))) for path in paths]


def _print(report: Report) -> None:
    for finding in report.findings:
        tell(f"{finding} [{finding.kind}]")
    for name, total in report.totals.items():
        lengths = ", ".join(f"{count} of /{length}" for length, count in total.lengths.items())
        tell(
            f"{name}: {total.networks} networks, {total.addresses} addresses, {total.percent:.3g} % of all"
            + (f": {lengths}" if lengths else "")
        )


if __name__ == "__main__":
    raise SystemExit(main())
