# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers: whoever accepts a connection, or refuses it; not who is silent."""

from __future__ import annotations

import contextlib
import errno
import socket
import time

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net import tcp_probe
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net.tcp_probe import TcpProbe


def test_accepting_and_refusing_are_answers_and_silence_is_none() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        # Linux is silent where a queue is full: this one holds a single connection that nobody accepts.
        silent = stack.enter_context(socket.create_server(("127.0.0.3", port), backlog=0))
        for _number in range(3):
            link = stack.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(silent.getsockname())
        began = time.monotonic()
        addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        answers = TcpProbe().answers(addresses, port, timeout=0.5)
        answered = TcpProbe().answering(addresses, port, timeout=0.5)
    assert answered == {"127.0.0.1", "127.0.0.2"}
    assert list(answers.values()) == ["open", "refused", "silent"]
    assert time.monotonic() - began < 10


def test_a_kernel_without_a_family_gets_no_answer_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def without(family: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(family)

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(tcp_probe.socket, "socket", without)
        answers = TcpProbe().answers(["2001:db8::1", "127.0.0.1"], server.getsockname()[1])
        monkeypatch.undo()
    assert answers == {
        "2001:db8::1": "Address family not supported by protocol",
        "127.0.0.1": "open",
    }


def test_nobody_is_asked_for_nothing() -> None:
    assert TcpProbe().answering([], 22) == frozenset()
