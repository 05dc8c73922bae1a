# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's queue of jobs: whoever started them, so many work at once, in the order in which they came.

A ticket is a numbered file that its holder has locked (flock(2)); the first so many tickets have their turn. A ticket
whose holder died is unlocked, and counts no more. Later tickets have higher numbers, so a turn that came never goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path

from ..._core.durable import private_umask, recording
from ..._core.errors import InvalidInput, Problem

WIDTH = 2
"""Jobs at once where the host's configuration does not say. Two keep disk and network busy; more mostly take turns."""
REMEDY = "Make room on its file system, or fix its permissions, and run again"


class JobQueue:
    """The tickets in one folder, and the place of one job among them."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder = folder
        self._config = config
        self._ticket: tuple[int, int] | None = None

    def width(self) -> int:
        """Return how many jobs may work at once on this host.

        :raises InvalidInput: where the configuration says something else than a number.
        """
        try:
            config = json.loads(self._config.read_bytes())
            width = config.get("jobs_at_once", WIDTH)
        except FileNotFoundError:
            return WIDTH
        except (ValueError, AttributeError) as cause:
            raise InvalidInput([Problem(str(self._config), f"is not JSON: {cause}")]) from cause
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise InvalidInput(
                [Problem(f"{self._config}: jobs_at_once", "is not a number above 0")]
            )
        return width

    def join(self) -> bool:
        """Take a ticket; False where another job is just taking one. A job that has one keeps it."""
        if self._ticket is not None:
            return True
        with recording("queue", self._folder, REMEDY), private_umask():
            self._folder.mkdir(parents=True, exist_ok=True)
            gate = os.open(self._folder / "gate", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                number = max(self._numbers(), default=0) + 1
                handle = os.open(self._path(number), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._ticket = (number, handle)
            except BlockingIOError:
                return False
            finally:
                os.close(gate)
        return True

    def ahead(self) -> int:
        """Return how many living jobs came before this one; forget the dead ones."""
        if self._ticket is None:
            raise ValueError("a job without a ticket has no place in the queue")
        own = self._ticket[0]
        with recording("queue", self._folder, REMEDY):
            return sum(self._is_held(number) for number in self._numbers() if number < own)

    def leave(self) -> None:
        """Give the ticket back."""
        if self._ticket is None:
            return
        number, handle = self._ticket
        self._ticket = None
        with contextlib.suppress(
            OSError
        ):  # the lock goes with the descriptor, and then the file counts no more
            self._path(number).unlink()
        os.close(handle)

    def _numbers(self) -> list[int]:
        return sorted(int(name) for name in os.listdir(self._folder) if name.isdecimal())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}"

    def _is_held(self, number: int) -> bool:
        """Return whether a ticket's holder lives. Those before our own were locked before ours was made, so one that is
        not locked now is a dead job's."""
        try:
            handle = os.open(self._path(number), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            self._path(number).unlink(missing_ok=True)
            return False
        finally:
            os.close(handle)
