# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that ask the process to stop, caught and remembered: who works decides where it is safe to."""

from __future__ import annotations

import signal
from types import FrameType

WATCHED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StopSignals:
    """SIGTERM, SIGHUP (the connection went) and SIGINT.

    Once caught they end nothing by themselves any more, so a second one does not cut short what cleans up after the
    first.
    """

    def __init__(self) -> None:
        self._received = ""

    def catch(self) -> None:
        """Begin to catch them; one that was ignored (nohup(1)) stays ignored."""
        for number in WATCHED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._remember)

    def received(self) -> str:
        return self._received

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = self._received or signal.Signals(number).name
