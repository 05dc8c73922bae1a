# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics in Prometheus' text format, for the textfile collector of node_exporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .durable import write_whole

KINDS = frozenset({"counter", "gauge", "summary"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. ``suffix`` goes behind the family's name: ``_sum`` and ``_count`` of a summary."""

    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name} is of the unknown kind {self.kind}")


def sample(value: float, suffix: str = "", **labels: str) -> Sample:
    """Return a sample with these labels."""
    return Sample(value, labels, suffix)


def single(name: str, kind: str, explanation: str, value: float) -> Family:
    """Return a family of one sample without labels."""
    return Family(name, kind, explanation, (sample(value),))


def text(families: Iterable[Family]) -> str:
    """Return all of it as text."""
    return "".join(line for family in families for line in _lines(family))


def write(path: Path, families: Iterable[Family]) -> None:
    """Replace the file, readable for everyone; its readers see the old metrics or the new ones."""
    write_whole(path, text(families).encode(), mode=0o644)


def _lines(family: Family) -> Iterable[str]:
    explanation = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {explanation}\n# TYPE {family.name} {family.kind}\n"
    for each in family.samples:
        pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in each.labels.items())
        yield f"{family.name}{each.suffix}{f'{{{pairs}}}' if pairs else ''} {_number(each.value)}\n"


def _number(value: float) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(int(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
