# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that never pauses: it asks and updates the VIP at a steady pace and remembers every answer.

Nothing waits for anything: a message goes out in each slot, and a receiver notes which were answered. So an outage
shows in its full length, and a lost message costs only itself.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key

QUERY_PACE = 0.02
UPDATE_PACE = 0.05


@dataclass
class Track:
    """When each message was sent, and when it was answered well."""

    sent: dict[int, float] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def longest_gap(self, since: float) -> float:
        """Return the longest time between two good answers after ``since``, in seconds.

        Measured from the sending of the last good one to the answer of the next: what a client would have felt.
        """
        good = sorted(number for number in self.done if self.sent[number] >= since - 0.5)
        pairs = itertools.pairwise(good)
        return max(
            (self.done[after] - self.sent[before] for before, after in pairs), default=float("inf")
        )


def keyring(key: Key) -> Any:
    """Return a key as dnspython takes it."""
    return dns.tsigkeyring.from_text({key.name: (key.algorithm, tsig.encode_secret(key.secret))})


class Client:
    """Asks for the SOA and adds ``<prefix><n>.<zone>`` A records until it is stopped."""

    def __init__(
        self, address: str, zone: str, key: Key, prefix: str, update_pace: float = UPDATE_PACE
    ) -> None:
        self.address = address
        self.zone = zone
        self.key = key
        self.prefix = prefix
        self.update_pace = update_pace
        self.queries = Track()
        self.updates = Track()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._links: list[socket.socket] = []

    def __enter__(self) -> Client:
        for send in (self._ask, self._update):
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            link.bind(("", 0))
            link.settimeout(0.2)
            self._links.append(link)
            pending: dict[int, tuple[int, bytes]] = {}
            pace, track = (
                (QUERY_PACE, self.queries)
                if send == self._ask
                else (self.update_pace, self.updates)
            )
            for work in (
                lambda link=link, pending=pending, send=send, pace=pace, track=track: self._sender(
                    link, pending, send, pace, track
                ),
                lambda link=link, pending=pending, track=track: self._receiver(
                    link, pending, track
                ),
            ):
                thread = threading.Thread(target=work, daemon=True)
                thread.start()
                self._threads.append(thread)
        time.sleep(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        for link in self._links:
            link.close()

    def record(self, number: int) -> tuple[str, str]:
        """Return the name and address of one record."""
        return f"{self.prefix}{number}.{self.zone}.", f"10.200.{number // 250 % 250}.{number % 250}"

    def acknowledged(self) -> dict[str, str]:
        """Return every record whose addition was acknowledged."""
        return dict(self.record(number) for number in self.updates.done)

    def _ask(self, number: int) -> tuple[int, bytes, bytes]:
        message = dns.message.make_query(self.zone, "SOA", flags=0)
        return message.id, message.to_wire(), b""

    def _update(self, number: int) -> tuple[int, bytes, bytes]:
        name, address = self.record(number)
        message = dns.update.UpdateMessage(
            self.zone, keyring=keyring(self.key), keyalgorithm=self.key.algorithm
        )
        message.add(dns.name.from_text(name), 60, "A", address)
        wire = message.to_wire()
        return message.id, wire, message.mac or b""

    def _sender(
        self,
        link: socket.socket,
        pending: dict[int, tuple[int, bytes]],
        send: Any,
        pace: float,
        track: Track,
    ) -> None:
        began = time.monotonic()
        number = 0
        while not self._stop.is_set():
            identity, wire, mac = send(number)
            pending[identity] = (number, mac)
            track.sent[number] = time.monotonic()
            with contextlib.suppress(OSError):
                link.sendto(wire, (self.address, 53))
            number += 1
            self._stop.wait(max(0.0, began + number * pace - time.monotonic()))

    def _receiver(
        self, link: socket.socket, pending: dict[int, tuple[int, bytes]], track: Track
    ) -> None:
        known = keyring(self.key)
        while not self._stop.is_set():
            try:
                wire = link.recv(4096)
            except OSError:
                continue
            at = time.monotonic()
            number, mac = pending.pop(int.from_bytes(wire[:2], "big"), (-1, b""))
            if number < 0:
                continue
            try:
                answer = dns.message.from_wire(wire, keyring=known, request_mac=mac)
            except dns.exception.DNSException as cause:
                track.refused[number] = type(cause).__name__
                continue
            good = answer.rcode() == dns.rcode.NOERROR and (mac or answer.flags & dns.flags.AA)
            if good:
                track.done[number] = at
            else:
                track.refused[number] = dns.rcode.to_text(answer.rcode())
