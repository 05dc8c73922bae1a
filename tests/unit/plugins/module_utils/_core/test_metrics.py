# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics are what Prometheus reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import metrics
from ansible_collections.debvisor.hci.plugins.module_utils._core.metrics import (
    Family,
    sample,
    single,
)


def test_families_become_text() -> None:
    families = [
        single("a_total", "counter", 'Back\\slash and\nline, "as is".', 3),
        Family(
            "b_seconds",
            "summary",
            "Two.",
            [sample(0.1, "_sum", stage="x"), sample(2, "_count", stage="x")],
        ),
        Family("c", "gauge", "None yet.", []),
        Family("d", "gauge", "Escaped.", [sample(True, one='q"', two="b\\\n")]),
        single("e", "gauge", "Large.", 1795636800.123),
    ]
    assert metrics.text(families) == (
        '# HELP a_total Back\\\\slash and\\nline, "as is".\n# TYPE a_total counter\na_total 3\n'
        "# HELP b_seconds Two.\n# TYPE b_seconds summary\n"
        'b_seconds_sum{stage="x"} 0.1\nb_seconds_count{stage="x"} 2\n'
        "# HELP c None yet.\n# TYPE c gauge\n"
        '# HELP d Escaped.\n# TYPE d gauge\nd{one="q\\"",two="b\\\\\\n"} 1\n'
        "# HELP e Large.\n# TYPE e gauge\ne 1795636800.123\n"
    )


def test_a_file_is_written_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    metrics.write(path, [single("a", "gauge", "A.", 1)])
    assert path.read_text().endswith("a 1\n")
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        Family("a", "gage", "A.", [])
