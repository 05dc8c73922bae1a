# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the machine, run with a bound on their time, in the C locale, without a shell, and never left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ..._core.errors import DebvisorError, TimedOut
from ..._core.waiting import wait_until

TIMEOUT = 60.0
"""Seconds for a call that should be quick."""
POLL = 0.25
"""Seconds between two looks at whether long work may go on."""
GRACE = 5.0
"""Seconds that a program has to end by itself after SIGTERM."""
MOURNER = ("setpriv", "--pdeathsig", "KILL", "--")
"""Kills the program when we die, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG): it must not write on unsupervised."""
MISSING = 127
"""What a program that is not there ends with, as shells have it."""
NOT_THERE = os.strerror(errno.ENOENT)
KILL_TIMEOUT = 1.0
"""Seconds for a killed program to end."""
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


class DidNotEnd(TimedOut):
    """A program took too long. ``printed`` is what it had printed by then, where that was asked for with a limit."""

    printed = b""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said."""

    status: int
    printed: bytes
    complained: bytes = b""


def run(
    words: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    input: bytes | str | IO[bytes] = b"",
    outlives: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a quick program to its end; return what it printed.

    :param input: what it reads; a file must have a descriptor.
    :param outlives: it goes on to its end whatever becomes of us, for half of its work would be worse than all of it.
        What it reads is then a file, which nobody needs to feed.
    :raises ProgramFailed: where it ends with another status than 0, or is not there.
    :raises DidNotEnd: where it takes too long; it is killed, unless it outlives us.
    """
    ended = (_let_run if outlives else attempt)(words, timeout=timeout, input=input)
    printed, complained = (
        each.decode(errors="replace") for each in (ended.printed, ended.complained)
    )
    if ended.status != 0:
        raise ProgramFailed(words[0], ended.status, complained or printed)
    return subprocess.CompletedProcess(words, 0, printed, complained)


def attempt(
    words: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    input: bytes | str | IO[bytes] = b"",
    output_limit: int | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    handles: Sequence[int] = (),
) -> Ended:
    """Run a quick program to its end, whatever its status.

    :param output_limit: keep this many bytes of what it prints, its complaints included; the rest goes to a file.
    :param environment: in place of ours, which has the C locale.
    :param folder: where it works.
    :param handles: what it inherits beside its input and output.
    :raises ProgramFailed: where it is not there.
    :raises DidNotEnd: where it takes too long; it is killed.
    """
    given = input.encode() if isinstance(input, str) else input
    with contextlib.ExitStack() as stack:
        # A pipe would bound neither time nor memory.
        limited = None if output_limit is None else stack.enter_context(tempfile.TemporaryFile())
        process = _start(
            [*MOURNER, *words],
            words[0],
            stdin=(subprocess.PIPE if given else subprocess.DEVNULL)
            if isinstance(given, bytes)
            else given,
            stdout=limited or subprocess.PIPE,
            stderr=subprocess.STDOUT if limited else subprocess.PIPE,
            env=environment if environment is not None else _environment(),
            cwd=folder,
            pass_fds=handles,
        )

        def kept() -> bytes:
            if limited is None:
                return b""
            limited.seek(0)
            return limited.read(output_limit)

        try:
            printed, complained = process.communicate(
                given if isinstance(given, bytes) and given else None, timeout
            )
        except BaseException as cause:
            process.kill()
            # One that waits for a disk or the network may not even end by that.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(KILL_TIMEOUT)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            if not isinstance(cause, subprocess.TimeoutExpired):
                raise
            late = DidNotEnd(f"{words[0]} did not end", why=f"waited {timeout:g} s")
            late.printed = kept()
            raise late from cause
        said = kept() if limited else printed
        if _is_missing(process.returncode, complained or said):
            raise ProgramFailed(words[0], MISSING, NOT_THERE)
        return Ended(process.returncode, said, complained or b"")


def _let_run(words: Sequence[str], *, timeout: float, input: bytes | str | IO[bytes]) -> Ended:
    """Run a program that is not killed where it takes longer than we wait. It writes to a file: nobody may listen."""
    if isinstance(input, (bytes, str)) and input:
        raise ValueError("a program that outlives us reads from a file")
    with tempfile.TemporaryFile() as said:
        process = _start(
            words,
            words[0],
            stdin=subprocess.DEVNULL if isinstance(input, (bytes, str)) else input,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as cause:
            raise DidNotEnd(
                f"{words[0]} did not end", why=f"waited {timeout:g} s; it goes on"
            ) from cause
        said.seek(0)
        return Ended(status, said.read())


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
        process = _start(
            [*MOURNER, *words],
            words[0],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            process_group=0,
        )
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
            said, status = errors.read(), process.returncode
            text = NOT_THERE if _is_missing(status, said) else said.decode(errors="replace")
            raise ProgramFailed(words[0], status, text)


def _start(words: Sequence[str], program: str, **options: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(words, **{"env": _environment(), **options})
    except OSError as cause:
        raise ProgramFailed(program, MISSING, cause.strerror or str(cause)) from cause


def _is_missing(status: int, said: bytes) -> bool:
    """Tell a program that is not there, for which setpriv(1) speaks, from one that said no."""
    return status == MISSING and said.startswith(f"{MOURNER[0]}: ".encode())


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
    asked = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(TimedOut):
        wait_until(
            lambda: (os.waitid(os.P_PID, pid, asked) is not None, pid),
            what="its end",
            timeout=GRACE,
            longest=0.05,
        )
