# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that end well, badly, never, or together with us: real ones."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed

PATIENCE = 60.0
STUBBORN = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
"""A shell that does not end when it is asked to."""


class Stop(Exception):
    """What a check raises."""


def sh(script: str) -> tuple[str, str, str]:
    return ("sh", "-c", script)


def until(holds: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends, what
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Tell whether a process is gone, be it that nobody has asked for its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def running(word: str) -> bool:
    """Tell whether a program runs that was given this word."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ends just now
            if word.encode() in path.read_bytes():
                return True
    return False


@contextlib.contextmanager
def leaving_nobody(pids: list[int]) -> Iterator[None]:
    """End what a test that fails would leave."""
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# -- Quick programs


def test_what_a_program_prints_is_returned() -> None:
    assert command.run(sh("cat; echo $LC_ALL $LANGUAGE"), input=b"in\n").stdout == "in\nC C\n"


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(ProgramFailed, match=r"sh failed \(status 3\): no such thing") as failed:
        command.run(sh("echo output; echo no such thing >&2; exit 3"))
    assert failed.value.status == 3
    with pytest.raises(ProgramFailed, match="only output"):
        command.run(sh("echo only output; exit 1"))


def test_of_what_a_program_said_the_end_is_told() -> None:
    with pytest.raises(ProgramFailed) as failed:
        command.run(sh("seq 100000 >&2; exit 1"))
    assert len(failed.value.said) == len(failed.value.why) == command.TOLD
    assert failed.value.said.endswith("\n100000")
    assert failed.value.why.endswith("; 99999; 100000")


def test_output_that_is_no_text_does_no_harm() -> None:
    assert command.run(("printf", r"a\377b")).stdout == "a\ufffdb"


@pytest.mark.parametrize("outlives", [False, True])
def test_a_program_that_is_not_there_is_named(outlives: bool) -> None:
    with pytest.raises(ProgramFailed, match=r"(?s)no-such-program.*No such file"):
        command.run(("no-such-program",), outlives=outlives)


def test_a_long_one_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramFailed, match=r"no-such-program.*: No such file"):
        command.watch(("no-such-program",), check=lambda: None, said=print)


def test_a_program_that_does_not_end_is_ended() -> None:
    seconds = f"600.{secrets.randbelow(10**12)}"
    with pytest.raises(TimedOut, match=r"sleep did not end: waited 0\.5 s"):
        command.run(("sleep", seconds), timeout=0.5)
    assert not running(seconds)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_outlives_us_is_not_ended_where_it_takes_longer(tmp_path: Path) -> None:
    done = tmp_path / "done"
    words = ("sh", "-c", 'sleep 1; echo done > "$1"', "sh", str(done))
    with pytest.raises(TimedOut, match="it goes on"):
        command.run(words, timeout=0.1, outlives=True)
    ends = time.monotonic() + 30
    while not done.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert done.exists()


@pytest.mark.parametrize("given", [b"text", "text"])
def test_one_that_outlives_us_takes_no_input_that_we_would_have_to_feed(given: bytes | str) -> None:
    with pytest.raises(ValueError, match="from a file"):
        command.run(("cat",), input=given, outlives=True)


# -- Programs that take long


def test_what_a_long_program_prints_comes_as_it_comes() -> None:
    said: list[bytes] = []
    answer, ask = os.pipe()

    def hear(block: bytes) -> None:
        said.append(block)
        if block == b"first":
            os.write(ask, b"\n")  # the program waits for this: its output did not wait for its end

    with open(answer, "rb"), open(ask, "wb"):
        script = f"printf first; read line < /proc/{os.getpid()}/fd/{answer}; printf second"
        command.watch(sh(script), check=list, said=hear)
    assert said == [b"first", b"second"]


def test_a_silent_program_is_checked_on_all_the_time(tmp_path: Path) -> None:
    go = tmp_path / "go"
    checks: list[float] = []

    def check() -> None:
        checks.append(time.monotonic())
        if len(checks) == 5:
            go.touch()

    command.watch(sh(f"while [ ! -e {go} ]; do sleep 0.01; done"), check=check, said=list)
    assert len(checks) >= 5


def test_a_program_that_closed_its_output_is_waited_for(tmp_path: Path) -> None:
    done, checks = tmp_path / "done", []

    def check() -> None:
        checks.append(1)
        if len(checks) == 20:
            (tmp_path / "go").touch()

    script = f"exec >&-; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; touch {done}"
    command.watch(sh(script), check=check, said=list)
    assert done.exists()


def test_something_is_done_while_a_program_runs(tmp_path: Path) -> None:
    go, heard = tmp_path / "go", [b""]
    script = f"echo begun; while [ ! -e {go} ]; do sleep 0.01; done; echo ended"
    command.watch(sh(script), check=list, said=heard.append, meanwhile=go.touch)
    assert b"".join(heard) == b"begun\nended\n"


def test_where_that_fails_the_program_ends(tmp_path: Path) -> None:
    told = tmp_path / "pid"

    def fail() -> None:
        until(lambda: told.exists() and told.read_text().endswith("\n"), "the program runs")
        raise Stop

    with pytest.raises(Stop):
        command.watch(
            sh(f"echo $$ > {told}; exec sleep 600"), check=list, said=list, meanwhile=fail
        )
    assert ended(int(told.read_text()))


def test_a_long_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(ProgramFailed, match=r"sh failed \(status 7\): disk on fire") as failed:
        command.watch(sh("echo fine; echo disk on fire >&2; exit 7"), check=list, said=list)
    assert failed.value.status == 7


def test_a_long_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramFailed, match="no-such-program"):
        command.watch(("no-such-program",), check=list, said=list)


def stopping(pids: list[int], count: int) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """Return what hears so many process numbers, and what then ends the work."""

    def hear(block: bytes) -> None:
        pids.extend(int(word) for word in block.split())

    def check() -> None:
        if len(pids) >= count:
            raise Stop

    return hear, check


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("echo $$; exec sleep 600", 1),
        ("sleep 600 & echo $! $$; wait", 2),
        ("sleep 600 >&- & echo $! $$; exec >&-; wait", 2),
    ],
)
def test_who_is_stopped_ends_the_program_and_what_it_started(script: str, count: int) -> None:
    pids: list[int] = []
    hear, check = stopping(pids, count)
    with leaving_nobody(pids):
        with pytest.raises(Stop):
            command.watch(sh(script), check=check, said=hear)
        for pid in pids:
            until(lambda pid=pid: ended(pid), "a process went on")  # type: ignore[misc]


@pytest.mark.parametrize(
    "script", [STUBBORN, f'sh -c "{STUBBORN.replace("$$", chr(92) + "$$")}" & wait']
)
def test_who_does_not_listen_is_ended_all_the_same(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE", 0.3)
    pids: list[int] = []
    hear, check = stopping(pids, 1)
    with leaving_nobody(pids):
        with pytest.raises(Stop):
            command.watch(sh(script), check=check, said=hear)
        until(lambda: ended(pids[0]), "it went on")


def test_a_program_has_a_moment_to_end_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE", PATIENCE)
    tidied, pids = tmp_path / "tidied", []
    hear, check = stopping(pids, 1)
    script = f"trap 'touch {tidied}; exit' TERM; echo $$; while :; do sleep 0.05; done"
    with leaving_nobody(pids), pytest.raises(Stop):
        command.watch(sh(script), check=check, said=hear)
    assert tidied.exists()


def test_what_the_listener_raises_ends_the_program_too() -> None:
    pids: list[int] = []

    def hear(block: bytes) -> None:
        pids.append(int(block))
        raise Stop

    with leaving_nobody(pids):
        with pytest.raises(Stop):
            command.watch(sh("echo $$; exec sleep 600"), check=list, said=hear)
        assert ended(pids[0])


# -- Programs and our own end


def killed_while(work: Callable[[int], None]) -> int:
    """Do it in a process of its own, which is killed as soon as a number was written; return that number."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work(writing)
        os._exit(1)
    os.close(writing)
    with open(reading, "rb") as stream:
        number = int(stream.readline())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return number


def test_a_long_program_dies_with_us() -> None:
    def work(writing: int) -> None:
        def hear(block: bytes) -> None:
            os.write(writing, block)

        command.watch(sh("echo $$; exec sleep 600"), check=list, said=hear)

    pid = killed_while(work)
    with leaving_nobody([pid]):
        until(lambda: ended(pid), "it went on after our death")


def test_a_quick_program_dies_with_us(tmp_path: Path) -> None:
    def work(writing: int) -> None:
        path = f"/proc/{os.getpid()}/fd/{writing}"
        command.run(sh(f"echo $$ > {path}; exec sleep 600"))

    pid = killed_while(work)
    with leaving_nobody([pid]):
        until(lambda: ended(pid), "it went on after our death")


def test_a_program_that_must_not_stop_half_way_outlives_us(tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"

    def work(writing: int) -> None:
        path = f"/proc/{os.getpid()}/fd/{writing}"
        wait = f"while [ ! -e {go} ]; do sleep 0.01; done"
        script = f"echo $$ > {path}; {wait}; echo to nobody; touch {done}"
        command.run(sh(script), outlives=True)

    pid = killed_while(work)
    with leaving_nobody([pid]):
        assert not ended(pid)
        go.touch()
        until(done.exists, "it did not go on after our death")


def test_an_attempt_returns_how_a_program_ended() -> None:
    ended = command.attempt(
        sh("cat; pwd; echo $A; echo bad >&2; exit 3"),
        input="in ",
        folder="/usr",
        environment={"A": "b", "PATH": "/bin:/usr/bin"},
    )
    assert ended == command.Ended(3, b"in /usr\nb\n", b"bad\n")


def test_an_attempt_keeps_no_more_than_its_limit() -> None:
    ended = command.attempt(sh("echo one >&2; echo two; seq 100000"), output_limit=8)
    assert ended == command.Ended(0, b"one\ntwo\n")
    with pytest.raises(command.DidNotEnd, match="did not end") as late:
        command.attempt(sh("echo one; sleep 60"), timeout=0.5, output_limit=8)
    assert late.value.printed == b"one\n"


def test_an_attempt_reads_a_file_and_inherits_handles(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as given, (tmp_path / "file").open("rb") as handle:
        number = handle.fileno()
        ended = command.attempt(sh(f"cat; cat /dev/fd/{number}"), input=given, handles=[number])
    assert ended.printed == b"xx"


def test_an_attempt_says_that_a_program_is_not_there() -> None:
    with pytest.raises(command.ProgramFailed, match="No such file") as caught:
        command.attempt(["/nowhere/program"])
    assert caught.value.status == command.MISSING
