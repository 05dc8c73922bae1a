# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS servers over the network: datagrams with a second try, and one lasting stream. Bytes in, bytes out.

What the bytes mean is :mod:`_dns.client`'s business. Failures come out in two kinds, because they mean different
things for an UPDATE: ``TimedOut`` (no answer in time) and ``Unreachable`` (no way there, or the way broke).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..._core.errors import TimedOut, Unreachable

TRIES = 2
"""Datagrams sent before the answer counts as missing: one may get lost."""


class DnsServer:
    """One server by address or name. Resolves the name anew for every connection, so that a moved name is followed.

    :param source: the address to speak from, where the kernel is not to choose it.
    """

    def __init__(self, address: str, port: int, timeout: float, source: str = "") -> None:
        self._source = source
        self.address = address
        self.port = port
        self.timeout = timeout

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return shown if self.port == 53 else f"{shown}:{self.port}"

    def datagram(self, message: bytes, timeout: float | None = None) -> bytes:
        """Send one message and return the answer with its identity.

        :raises TimedOut: where none came.
        :raises Unreachable: where the server's machine said that nothing listens, or there is no way there.
        """
        budget = self.timeout if timeout is None else timeout
        last: TimedOut | None = None
        for _attempt in range(TRIES):
            try:
                return self._datagram(message, budget / TRIES)
            except TimedOut as late:
                last = late
        raise self._late(budget) from last

    def resolve(self) -> None:
        """Look the address up, and send nothing to it.

        :raises Unreachable: where the name leads nowhere.
        """
        self._resolve(socket.SOCK_STREAM)

    def _datagram(self, message: bytes, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        with self._reaching(timeout):
            family, place = self._resolve(socket.SOCK_DGRAM)
            with socket.socket(family, socket.SOCK_DGRAM) as channel:
                self._bind(channel)
                channel.connect(place)  # answers from elsewhere do not arrive, and refusals do
                channel.send(message)
                while True:
                    channel.settimeout(max(deadline - time.monotonic(), 0.001))
                    answer = channel.recv(65535)
                    if answer[:2] == message[:2]:
                        return answer

    def stream(self) -> Stream:
        """Open a TCP connection.

        :raises TimedOut: :raises Unreachable: as for :meth:`datagram`.
        """
        with self._reaching(self.timeout):
            family, place = self._resolve(socket.SOCK_STREAM)
            channel = socket.socket(family, socket.SOCK_STREAM)
            try:
                channel.settimeout(self.timeout)
                self._bind(channel)
                channel.connect(place)
                channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException:
                channel.close()
                raise
        return Stream(self, channel)

    def _bind(self, channel: socket.socket) -> None:
        if self._source:
            channel.bind((self._source, 0))

    def _resolve(self, kind: int) -> tuple[int, tuple[str, int]]:
        try:
            family, _kind, _proto, _name, place = socket.getaddrinfo(
                self.address, self.port, type=kind
            )[0]
        except (socket.gaierror, UnicodeError) as cause:
            raise Unreachable(
                f"{self.address!r} is neither an address nor a name that this machine can resolve",
                why=str(cause),
                hint="Check the name, and this machine's resolver; an address needs neither",
            ) from cause
        return family, place  # type: ignore[return-value]

    @contextmanager
    def _reaching(self, timeout: float) -> Iterator[None]:
        try:
            yield
        except TimeoutError as cause:
            raise self._late(timeout) from cause
        except ConnectionRefusedError as cause:
            raise Unreachable(
                f"nothing listens at {self}",
                why="connection refused",
                hint="Check address and port, and that the name server runs",
            ) from cause
        except OSError as cause:
            raise Unreachable(f"the connection to {self} failed", why=str(cause)) from cause

    def _late(self, timeout: float) -> TimedOut:
        return TimedOut(
            f"{self} did not answer within {max(round(timeout, 2), 0.01):g} s",
            hint="Check the address, and that no packet filter drops DNS over UDP and TCP on the way",
        )


class Stream:
    """A TCP connection that carries framed messages either way."""

    def __init__(self, server: DnsServer, channel: socket.socket) -> None:
        self._server = server
        self._channel = channel
        self._buffer = bytearray()

    def send(self, *messages: bytes) -> None:
        """Send messages in one go.

        :raises TimedOut: :raises Unreachable: and whether the server got them is then unknown.
        """
        framed = b"".join(
            [part for message in messages for part in (len(message).to_bytes(2, "big"), message)]
        )
        with self._server._reaching(self._server.timeout):
            self._channel.settimeout(self._server.timeout)
            self._channel.sendall(framed)

    def receive(self, timeout: float | None = None) -> bytes:
        """Return the next message.

        :raises TimedOut: :raises Unreachable: where it does not come whole.
        """
        budget = self._server.timeout if timeout is None else timeout
        deadline = time.monotonic() + budget
        length = int.from_bytes(self._take(2, deadline, budget), "big")
        return self._take(length, deadline, budget)

    def _take(self, count: int, deadline: float, budget: float) -> bytes:
        buffer = self._buffer
        while len(buffer) < count:
            with self._server._reaching(budget):
                self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
                received = self._channel.recv(1 << 18)
            if not received:
                raise Unreachable(
                    f"{self._server} closed the connection before it answered",
                    hint="It may be restarting. It makes an update whole or not at all, so that none is half done:"
                    " run again",
                )
            buffer += received
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    def close(self) -> None:
        """Close the connection; twice is fine."""
        self._channel.close()
