# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP connections that another thread can cut, at any moment of their life."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time


class Sockets:
    """The sockets of a piece of work. Who reads from one that is cut finds its end, and does not hang any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._closed = False

    def hold(self, connection: socket.socket) -> None:
        """Take care of a connection, through a descriptor that stays ours when TLS takes over the other one.

        :raises ConnectionAbortedError: where all is cut for good already.
        """
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("connected too late")
            self._held.append(socket.socket(fileno=os.dup(connection.fileno())))

    def cut(self, *, for_good: bool = False) -> None:
        """End what is held now; ``for_good`` also what is still to be connected."""
        with self._lock:
            self._closed = self._closed or for_good
            for connection in self._held:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of what is held."""
        with self._lock:
            for connection in self._held:
                connection.close()
            self._held.clear()


class Deadline(Sockets):
    """Cuts its connections when time is up: a server that sends a byte now and then is stopped, too."""

    def __init__(self, at: float) -> None:
        """:param at: by the monotonic clock."""
        super().__init__()
        self._at = at
        self._timer = threading.Timer(max(self.left, 0), self.cut, kwargs={"for_good": True})
        self._timer.daemon = True

    @property
    def left(self) -> float:
        """Seconds until then."""
        return self._at - time.monotonic()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self.release()


class Connection(http.client.HTTPConnection):
    """A connection that is held from its first byte."""

    sockets: Sockets

    def connect(self) -> None:
        super().connect()
        self.sockets.hold(self.sock)

    def be_patient(self, seconds: float) -> None:
        """Wait so long for bytes from now on, however long it was for the connection."""
        self.sock.settimeout(seconds)


class SafeConnection(http.client.HTTPSConnection, Connection):
    """The same inside TLS; in the order of classes it is held before the handshake."""
