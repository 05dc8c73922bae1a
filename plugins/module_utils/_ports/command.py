# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the machine, run with a bound on their time, in the C locale, without a shell, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from typing import IO

from .._core.errors import DebvisorError, TimedOut

TIMEOUT = 60.0
"""Seconds for a call that should be quick."""
POLL = 0.25
"""Seconds between two looks at whether long work may go on."""
GRACE = 5.0
"""Seconds that a program has to end by itself after SIGTERM."""
MOURNER = ("setpriv", "--pdeathsig", "KILL", "--")
"""Kills the program when we die, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG): it must not write on unsupervised."""
TOLD = 2000
"""So many characters of what a program said go into an error."""


class ProgramFailed(DebvisorError):
    """A program said no; ``said`` is what it printed, and ``why`` the same in one line."""

    def __init__(self, program: str, status: int, said: str) -> None:
        self.said = said.strip()[-TOLD:]
        self.status = status
        lines = (line.strip() for line in self.said.splitlines())
        why = "; ".join(filter(None, lines))[-TOLD:]
        super().__init__(f"{program} failed (status {status})", why=why)


def run(
    words: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    content: bytes = b"",
    outlives: bool = False,
    stdin: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a quick program to its end; return what it printed.

    :raises ProgramFailed: where it ends with another status than 0, or is not there.
    :param outlives: it goes on to its end whatever becomes of us, for half of its work would be worse than all of it.
    :param stdin: what such a one gets as its standard input.
    :raises TimedOut: where it does not end; it is killed, unless it outlives us.
    """
    if outlives:
        return _let_run(words, timeout, stdin)
    try:
        done = subprocess.run(
            [*MOURNER, *words],
            input=content.decode(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise TimedOut(f"{words[0]} did not end", why=f"waited {timeout:g} s") from cause
    except OSError as cause:
        raise ProgramFailed(words[0], 127, cause.strerror or str(cause)) from cause
    if done.returncode != 0:
        raise ProgramFailed(words[0], done.returncode, done.stderr or done.stdout)
    return done


def _let_run(
    words: Sequence[str], timeout: float, stdin: IO[bytes] | None
) -> subprocess.CompletedProcess[str]:
    """Run a program that is not killed where it takes longer than we wait. It writes to a file: nobody may listen."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=said,
                stderr=said,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as cause:
            raise ProgramFailed(words[0], 127, cause.strerror or str(cause)) from cause
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as cause:
            raise TimedOut(
                f"{words[0]} did not end", why=f"waited {timeout:g} s; it goes on"
            ) from cause
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status != 0:
        raise ProgramFailed(words[0], status, text)
    return subprocess.CompletedProcess(words, status, text, "")


def watch(
    words: Sequence[str],
    *,
    check: Callable[[], None],
    said: Callable[[bytes], object],
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Run a program that takes long: ``said`` gets what it prints, ``check`` is called several times a second.

    What any of them raises ends the program and goes on its way; so does our own end.

    :param meanwhile: is called once the program runs. What that prints waits, so it has to check itself.
    :raises ProgramFailed: where it ends with another status than 0.
    """
    with contextlib.closing(printed(words, check=check, meanwhile=meanwhile)) as blocks:
        for block in blocks:
            said(block)


def printed(
    words: Sequence[str],
    *,
    check: Callable[[], None],
    meanwhile: Callable[[], None] | None = None,
) -> Generator[bytes]:
    """Yield what a program prints, a block at a time, as :func:`watch` hands it on. Closed early, it ends the program.

    A program that prints faster than its blocks are taken waits: nothing piles up.
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [*MOURNER, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                process_group=0,
            )
        except OSError as cause:
            raise ProgramFailed(words[0], 127, cause.strerror or str(cause)) from cause
        try:
            if meanwhile is not None:
                meanwhile()
            yield from _blocks(process, check)
        except BaseException:
            _end(process)
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        if process.returncode != 0:
            errors.seek(0)
            raise ProgramFailed(
                words[0], process.returncode, errors.read().decode(errors="replace")
            )


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}


def _blocks(process: subprocess.Popen[bytes], check: Callable[[], None]) -> Generator[bytes]:
    """Yield what the program prints until it closes its output, then wait for its end."""
    if process.stdout is None:
        raise ValueError("the program's output is not a pipe")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            check()
            if not selector.select(POLL):
                continue
            block = os.read(process.stdout.fileno(), 65536)
            if not block:
                break
            yield block
    while process.poll() is None:
        check()
        time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started: first kindly."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _await_end(process.pid)
    # As long as its end was not asked for, its number is nobody else's: this reaches none but its own group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(
        subprocess.TimeoutExpired
    ):  # in the kernel, where no signal reaches it
        process.wait(GRACE)


def _await_end(pid: int) -> None:
    """Wait a while until the program ends, and leave it to be asked for."""
    until = time.monotonic() + GRACE
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return
        time.sleep(0.01)
