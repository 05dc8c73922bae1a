# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody at a terminal of a node, who answers what is asked. Runs there, and needs nothing but Python.

terminal.py COMMAND [ANSWER ...]: prints ``in`` where a shell came in the end, and ``out`` where not.
"""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import sys
import time

PATIENCE = 30.0


ASKED, REFUSED, SHELL = ": ", "ncorrect", "$ "


def seen(terminal: int, ends: float, *marks: str) -> str:
    """Return what is shown until one of the marks is."""
    text = ""
    while time.monotonic() < ends and not any(mark in text for mark in marks):
        ready = select.select([terminal], [], [], max(0.0, ends - time.monotonic()))[0]
        if not ready:
            break
        try:
            text += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # login hangs up, and opens its terminal anew
            time.sleep(0.05)
    return text


def main(command: str, *answers: str) -> None:
    """Start it, answer, and tell."""
    words = shlex.split(command)
    process, terminal = pty.fork()
    if process == 0:
        os.environ["PS1"] = "$ "
        os.execvp(words[0], words)
    ends = time.monotonic() + PATIENCE
    shown = ""
    for answer in answers:
        shown = seen(terminal, ends, ASKED, REFUSED)
        if REFUSED in shown:
            break
        os.write(terminal, answer.encode() + b"\n")
    if REFUSED not in shown:
        shown = seen(terminal, ends, SHELL, REFUSED)
    os.write(terminal, b"echo I am $((1 + 1))\n")
    last = seen(terminal, time.monotonic() + 5, "I am 2", REFUSED)
    print("in" if "I am 2" in last else "out", repr(shown + last))
    os.kill(process, signal.SIGKILL)


main(*sys.argv[1:])
