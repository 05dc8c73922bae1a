# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.bench [capability ...]``: measure, print a table, write build/bench/<capability>.json."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence

from tests.bench import report
from tests.checkout import expose

CAPABILITIES = ("dns", "firewall", "tsig", "golden", "volume")
PARTS = ("wire", "outages", "lease")
"""What can be run alone; ``dns`` has the first two."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("capability", nargs="*", choices=(*CAPABILITIES, *PARTS, []), default=[])
    chosen = parser.parse_args(arguments).capability or CAPABILITIES
    expose()
    for capability in chosen:
        measure: Callable[[], Iterator[list[report.Row]]] = importlib.import_module(
            f"tests.bench.{capability}"
        ).measure
        print(f"bench {capability}:", flush=True)
        rows: list[report.Row] = []
        for part in measure():
            rows += part
            path = report.write(
                capability, rows
            )  # a later part that breaks does not cost the earlier ones
        print(report.table(rows))
        print(f"written to {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
