# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers: a TCP connection is opened and closed, and nothing is sent."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Collection

from ..._firewall.reachability import OPEN, REFUSED, SILENT

TIMEOUT = 2.0
"""Seconds for all of them together. On a local network an answer takes a few milliseconds."""
_ANSWERS = {
    0: OPEN,
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: REFUSED,
    errno.EHOSTUNREACH: SILENT,
    errno.ETIMEDOUT: SILENT,
}


class TcpProbe:
    """Tries many addresses at once."""

    def answering(
        self, addresses: Collection[str], port: int, timeout: float = TIMEOUT
    ) -> frozenset[str]:
        """Return the addresses that answer, be it by a refusal."""
        found = self.answers(addresses, port, timeout)
        return frozenset(each for each, answer in found.items() if answer in (OPEN, REFUSED))

    def answers(
        self, addresses: Collection[str], port: int, timeout: float = TIMEOUT
    ) -> dict[str, str]:
        """Return what each address answers: one of the above, or why it could not be tried from here."""
        found = dict.fromkeys(addresses, SILENT)
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
            for address in found:
                try:
                    link = stack.enter_context(_link(address))
                    code = link.connect_ex((address, port))
                except OSError as cause:  # a kernel without that family
                    found[address] = cause.strerror or str(cause)
                    continue
                if code in (errno.EINPROGRESS, errno.EAGAIN):
                    waiting.register(link, selectors.EVENT_WRITE, (link, address))
                else:
                    found[address] = _answer(code)
            deadline = time.monotonic() + timeout
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _events in waiting.select(left):
                    waiting.unregister(key.fileobj)
                    link, address = key.data
                    code = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    found[address] = _answer(code)
        return found


def _link(address: str) -> socket.socket:
    link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    link.setblocking(False)
    return link


def _answer(code: int) -> str:
    return _ANSWERS.get(code) or os.strerror(code)
