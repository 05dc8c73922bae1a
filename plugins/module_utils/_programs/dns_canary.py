# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns-canary: update a record and transfer a zone at a steady pace, and count what fails.

It signs as every client of this host does: with the key file as it is at that moment. It ends at SIGTERM, or when its
time is up, removes its record, and leaves its counts in the report.
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._core.waiting import SystemClock
from .._dns.keys import canary
from .._dns.keys.canary import Tally
from .._dns.protocol import names
from .console import complain
from .dns_client import signing_client

PATIENCE = 5.0
TIMEOUT = 1.0


class Canary:
    """Two threads that work and one that writes the report."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._stop = threading.Event()
        self._began = time.time()
        self.updates = Tally()
        self.transfers = Tally()
        self.fallbacks: list[str] = []

    def stop(self, *_signal: object) -> None:
        self._stop.set()

    def run(self) -> int:
        options = self._options
        update = functools.partial(self._update, _zone(options.zone), _label(options.name))
        threads = [threading.Thread(target=update)]
        if options.transfer_from:
            transfer = functools.partial(self._transfer, _zone(options.transfer_zone))
            threads.append(threading.Thread(target=transfer))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + options.limit
        try:
            while not self._stop.wait(min(0.5, options.limit)) and time.monotonic() < deadline:
                self._report(ended=False)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(4 * PATIENCE)
        self._report(ended=True)
        return 1 if self.updates.failed or self.transfers.failed else 0

    def _update(self, zone: bytes, name: bytes) -> None:
        options, clock = self._options, SystemClock()
        client, keys = signing_client(options.server, options.port, TIMEOUT, options.key_file)
        self.fallbacks = keys.fallbacks
        number = 0

        def work() -> None:
            canary.write(client, zone, name, f"{number}")

        def leave() -> None:
            canary.write(client, zone, name, "")

        self._paced(options.interval, lambda: canary.attempt(work, self.updates, PATIENCE, clock))
        canary.attempt(leave, Tally(), PATIENCE, clock)
        client.close()

    def _transfer(self, zone: bytes) -> None:
        options, clock = self._options, SystemClock()
        clients = [
            signing_client(address, options.port, TIMEOUT, key_file)[0]
            for address, key_file in options.transfer_from
        ]

        def work() -> None:
            for client in clients:
                canary.attempt(
                    functools.partial(client.transfer, zone), self.transfers, PATIENCE, clock
                )

        self._paced(options.transfer_interval, work)
        for client in clients:
            client.close()

    def _paced(self, interval: float, work: Callable[[], object]) -> None:
        """Work at a steady pace; what took longer than its turn is followed at once."""
        due = time.monotonic()
        while not self._stop.is_set():
            work()
            due = max(due + interval, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _report(self, *, ended: bool) -> None:
        found: dict[str, Any] = {
            "ended": ended,
            "seconds": round(time.time() - self._began, 1),
            "updates": self.updates.public(),
            "transfers": self.transfers.public(),
            "fallbacks": self.fallbacks[-canary.KEPT_ERRORS :],
        }
        write_whole(
            self._options.report, (json.dumps(found) + "\n").encode(), mode=0o644, durable=False
        )


def _zone(text: str) -> bytes:
    return names.parse(text.removesuffix(".") + ".")


def _label(text: str) -> bytes:
    found = names.parse(text + ".")
    if len(found) != found[0] + 2:
        raise names.NameProblem("is not one label")
    return found[:-1]


def _source(text: str) -> tuple[str, str]:
    address, separator, key_file = text.partition("=")
    if not (address and separator and key_file):
        raise argparse.ArgumentTypeError(f"{text} is not ADDRESS=KEY-FILE")
    return address, key_file


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: nothing failed; 1: something did; 2: it could not begin."""
    parser = argparse.ArgumentParser(prog="dns-canary", description=(__doc__ or "").strip())
    parser.add_argument("--zone", required=True)
    parser.add_argument("--name", required=True, help="first label of the record")
    parser.add_argument("--server", required=True, help="address that takes updates")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--key-file", required=True)
    parser.add_argument("--interval", type=float, required=True, help="seconds between updates")
    parser.add_argument(
        "--limit", type=float, required=True, help="seconds until it ends by itself"
    )
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--transfer-zone", default="")
    parser.add_argument(
        "--transfer-from", action="append", default=[], metavar="ADDRESS=KEY-FILE", type=_source
    )
    parser.add_argument("--transfer-interval", type=float, help="seconds between transfers")
    options = parser.parse_args(arguments)
    if options.transfer_from and options.transfer_interval is None:
        parser.error("--transfer-from needs --transfer-interval")
    found = Canary(options)
    signal.signal(signal.SIGTERM, found.stop)
    signal.signal(signal.SIGINT, found.stop)
    try:
        return found.run()
    except names.NameProblem as failure:
        complain(f"dns-canary: a zone or the record's name {failure}")
    except (DebvisorError, OSError) as failure:
        complain(f"dns-canary: {failure}")
    return 2
