# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport over real sockets on loopback, with servers that behave badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    MalformedAnswer,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer

Answer = Callable[[bytes], list[bytes]]
ZONE = names.parse("example.org.")


class Server:
    """Answers each datagram and each framed message by a function; an empty list closes or keeps silent."""

    def __init__(self, datagram: Answer, stream: Answer) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.datagrams = 0
        self.datagram, self.stream = datagram, stream
        self.threads = [
            threading.Thread(target=work) for work in (self._serve_udp, self._serve_tcp)
        ]
        for thread in self.threads:
            thread.start()

    def _serve_udp(self) -> None:
        while True:
            message, place = self.udp.recvfrom(65535)
            if message == b"stop":
                return
            self.datagrams += 1
            for answer in self.datagram(message):
                self.udp.sendto(answer, place)

    def _serve_tcp(self) -> None:
        while True:
            channel, _place = self.tcp.accept()
            with channel, channel.makefile("rb") as reader:
                while head := reader.read(2):
                    message = reader.read(int.from_bytes(head, "big"))
                    if message == b"stop":
                        return
                    answers = self.stream(message)
                    if not answers:
                        break
                    for answer in answers:
                        channel.sendall(len(answer).to_bytes(2, "big") + answer)

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"stop", ("127.0.0.1", self.port))
        with socket.create_connection(("127.0.0.1", self.port)) as channel:
            channel.sendall(b"\0\4stop")
        for thread in self.threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer, Answer], Server]]:
    servers: list[Server] = []

    def start(datagram: Answer, stream: Answer = lambda message: []) -> Server:
        servers.append(Server(datagram, stream))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_what_it_says_of_a_late_or_a_lost_answer_helps(serve: Callable[..., Server]) -> None:
    server = serve(lambda message: [])
    transport = DnsServer("127.0.0.1", server.port, 0.5)
    with pytest.raises(TimedOut, match=r"within 0\.12 s"):
        transport.datagram(b"ab", 0.123456)
    stream = transport.stream()
    stream.send(b"ab")
    with pytest.raises(Unreachable, match=r"closed the connection.*none is half done: run again"):
        stream.receive()
    stream.close()


def good(message: bytes) -> list[bytes]:
    reply = dns.message.make_response(dns.message.from_wire(message))
    reply.flags |= dns.flags.AA
    return [reply.to_wire()]


def truncated(message: bytes) -> list[bytes]:
    reply = dns.message.make_response(dns.message.from_wire(message))
    reply.flags |= dns.flags.TC
    return [reply.to_wire()]


def client(server: Server, timeout: float = 0.4) -> Client:
    return Client(DnsServer("127.0.0.1", server.port, timeout))


def test_a_lost_datagram_is_sent_again(serve: Callable[..., Server]) -> None:
    answers = iter([False, True])
    server = serve(lambda message: good(message) if next(answers) else [])
    assert client(server, 2).ask(ZONE, rdata.SOA).authoritative
    assert server.datagrams == 2


def test_silence_ends_in_time(serve: Callable[..., Server]) -> None:
    with pytest.raises(TimedOut, match=r"did not answer within 0\.4 s"):
        client(serve(lambda message: [])).ask(ZONE, rdata.SOA)


def test_an_answer_to_another_question_does_not_count(serve: Callable[..., Server]) -> None:
    def forged_first(message: bytes) -> list[bytes]:
        [answer] = good(message)
        return [bytes([answer[0] ^ 1]) + answer[1:], answer]

    assert client(serve(forged_first)).ask(ZONE, rdata.SOA).authoritative


def test_what_does_not_fit_comes_by_stream(serve: Callable[..., Server]) -> None:
    talker = client(serve(truncated, good))
    assert talker.ask(ZONE, rdata.SOA).authoritative
    talker.close()


def test_a_closed_connection_and_rubbish_are_said(serve: Callable[..., Server]) -> None:
    talker = client(serve(truncated))
    with pytest.raises(Unreachable, match="closed the connection"):
        talker.ask(ZONE, rdata.SOA)
    with pytest.raises(MalformedAnswer, match="malformed answer"):
        client(serve(lambda message: [message[:2] + b"rubbish"])).ask(ZONE, rdata.SOA)


def test_many_questions_on_one_connection(serve: Callable[..., Server]) -> None:
    server = serve(good, good)
    talker = client(server, 2)
    questions = [(names.parse(f"n{number}", ZONE), rdata.A) for number in range(450)]
    answers = talker.ask_many(questions)
    assert [answer.questions[0][0] for answer in answers] == [name for name, _kind in questions]
    talker.close()


def test_nothing_listens_and_no_such_name() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unreachable, match="nothing listens"):
        DnsServer("127.0.0.1", port, 1).stream()
    with pytest.raises(Unreachable, match="neither an address nor a name"):
        DnsServer("no-such-host.invalid", 53, 1).stream()
