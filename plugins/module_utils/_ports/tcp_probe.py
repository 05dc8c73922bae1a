# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers: a TCP connection is opened and closed, and nothing is said."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Collection

TIMEOUT = 2.0
"""Seconds for all of them together. On a local network an answer takes a few milliseconds."""


class TcpProbe:
    """Asks many at once."""

    def answering(
        self, addresses: Collection[str], port: int, timeout: float = TIMEOUT
    ) -> frozenset[str]:
        """Return who of them answered, be it by a refusal: that, too, came all the way."""
        answered: set[str] = set()
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
            for address in addresses:
                try:
                    link = stack.enter_context(_link(address))
                except OSError:  # a kernel without that family reaches nobody by it
                    continue
                code = link.connect_ex((address, port))
                if code in (errno.EINPROGRESS, errno.EAGAIN):
                    waiting.register(link, selectors.EVENT_WRITE, (link, address))
                elif _came_through(code):
                    answered.add(address)
            deadline = time.monotonic() + timeout
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _events in waiting.select(left):
                    waiting.unregister(key.fileobj)
                    link, address = key.data
                    if _came_through(link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                        answered.add(address)
        return frozenset(answered)


def _link(address: str) -> socket.socket:
    link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    link.setblocking(False)
    return link


def _came_through(code: int) -> bool:
    return code in (0, errno.ECONNREFUSED, errno.ECONNRESET)
