# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.random_faults``: run it on a converged lab, and write down what it showed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time

from tests.checkout import expose
from tests.lab.layout import BUILD

expose()  # what follows imports the collection

from tests.lab.cluster import Cluster  # noqa: E402
from tests.random_faults.run import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.random_faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    outcome = run(
        Cluster.of_lab(), options.seed, options.minutes * 60, lambda line: print(line, flush=True)
    )
    told = dataclasses.asdict(outcome)
    with (BUILD / "random_faults.jsonl").open("a") as stream:
        stream.write(json.dumps(told) + "\n")
    print(json.dumps(told, indent=1))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
