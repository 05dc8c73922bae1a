# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the lab says to people: progress lines and errors that name a way out."""

from __future__ import annotations

import sys
import time


class LabError(Exception):
    """Something the lab cannot do: what failed, why, and what to do about it."""

    def __init__(self, what: str, why: str, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.advice = advice

    def __str__(self) -> str:
        why = "\n         ".join(self.why.strip().splitlines()) or "no further detail"
        return f"error:   {self.what}\nwhy:     {why}\nto do:   {self.advice}"


def say(subject: str, text: str) -> None:
    """One line of progress: ``node1    is ready``."""
    print(f"{subject:<8} {text}", flush=True)


def complain(error: LabError) -> None:
    print(error, file=sys.stderr, flush=True)


class Stopwatch:
    """Seconds since it was made, for progress lines."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"
