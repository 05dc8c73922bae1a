# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe, against dnspython's reading and a server that misbehaves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import dns.message
import dns.rrset
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_probe import (
    Answer,
    Question,
    ask,
    decode,
    encode,
    serials,
)
from hypothesis import given
from hypothesis import strategies as st


def answer(wire: bytes, *, flags: str = "QR AA", serial: int = 7, rcode: int = 0) -> bytes:
    query = dns.message.from_wire(wire)
    response = dns.message.make_response(query)
    response.flags = dns.flags.from_text(flags)
    response.set_rcode(rcode)
    if rcode == 0:
        name = query.question[0].name.to_text()
        response.answer.append(
            dns.rrset.from_text(name, 60, "IN", "SOA", f"ns.{name} h.{name} {serial} 1 2 3 4")
        )
    return response.to_wire()


@given(st.integers(0, 2**32 - 1))
def test_the_serial_is_read(serial: int) -> None:
    query = encode("Some.Zone.test", 5)
    assert dns.message.from_wire(query).question[0].name.to_text() == "Some.Zone.test."
    assert decode(query, answer(query, serial=serial)) == Answer(0, True, serial)


@pytest.mark.parametrize(
    ("options", "served"),
    [({}, True), ({"flags": "QR"}, False), ({"rcode": 2}, False), ({"rcode": 5}, False)],
)
def test_served_means_a_serial_with_authority(options: dict[str, object], served: bool) -> None:
    query = encode("z.test", 5)
    found = decode(query, answer(query, **options))  # type: ignore[arg-type]
    assert found is not None
    assert found.served is served


@given(st.binary(max_size=80))
def test_noise_is_no_answer(noise: bytes) -> None:
    query = encode("z.test", 5)
    assert decode(query, noise) is None


@given(st.integers(12, 60))
def test_a_torn_answer_is_no_answer(length: int) -> None:
    query = encode("z.test", 5)
    torn = answer(query)[:length]
    assert decode(query, torn) is None


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[bytes], list[bytes]]], int]]:
    sockets = []

    def start(respond: Callable[[bytes], list[bytes]]) -> int:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.bind(("127.0.0.1", 0))
        sockets.append(link)

        def serve() -> None:
            while True:
                try:
                    wire, peer = link.recvfrom(4096)
                except OSError:
                    return
                if not wire:
                    return
                for reply in respond(wire):
                    link.sendto(reply, peer)

        threading.Thread(target=serve, daemon=True).start()
        return int(link.getsockname()[1])

    yield start
    for link in sockets:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", link.getsockname())
        time.sleep(0.01)
        link.close()


def test_many_are_asked_at_once(server: Callable[..., int]) -> None:
    port = server(lambda wire: [answer(wire)])
    questions = [Question("127.0.0.1", f"z{number}.test", port) for number in range(20)]
    found = ask(questions, 2.0)
    assert serials(found) == {"127.0.0.1": {f"z{number}.test": 7 for number in range(20)}}


def test_silence_costs_the_budget_and_no_more(server: Callable[..., int]) -> None:
    port = server(lambda wire: [])
    began = time.monotonic()
    assert ask([Question("127.0.0.1", "z.test", port)], 0.1) == {
        Question("127.0.0.1", "z.test", port): None
    }
    assert 0.09 < time.monotonic() - began < 1.0


def test_a_closed_port_is_noticed_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        port = link.getsockname()[1]
    began = time.monotonic()
    assert list(ask([Question("127.0.0.1", "z.test", port)], 5.0).values()) == [None]
    assert time.monotonic() - began < 1.0


def test_noise_before_the_answer_is_passed_over(server: Callable[..., int]) -> None:
    port = server(lambda wire: [b"noise", answer(wire)])
    assert serials(ask([Question("127.0.0.1", "z.test", port)], 2.0)) == {
        "127.0.0.1": {"z.test": 7}
    }
