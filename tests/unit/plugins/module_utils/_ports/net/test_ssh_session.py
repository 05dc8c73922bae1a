# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose SSH session it is: told by the environment, or by that of a process above where sudo dropped it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.net import ssh_session

from tests.checkout import ROOT


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("192.0.2.1 50000 192.0.2.11 22", ("192.0.2.1", 22)),
        ("2001:db8::1 50000 2001:db8::11 2222", ("2001:db8::1", 2222)),
        ("fe80::1%eth0 50000 fe80::2%eth0 22", ("fe80::1", 22)),
        ("nonsense", None),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
    ],
)
def test_the_client_is_told_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, said: str, client: tuple[str, int] | None
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", said)
    assert ssh_session.client() == client


LOOK = (
    "from tests.checkout import expose; expose();"
    f"from {ssh_session.__name__} import client; print(client())"
)


def looked(variables: dict[str, str]) -> str:
    """Ask in a process whose parent has the variables, and which itself has not."""
    inner = f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}], env={{}}, check=True)"
    environment = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
    done = subprocess.run(
        [sys.executable, "-c", inner],
        env={**environment, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_a_process_above_is_asked_where_sudo_dropped_it() -> None:
    assert looked({"SSH_CONNECTION": "192.0.2.9 5 192.0.2.1 22"}) == "('192.0.2.9', 22)"


def test_without_a_session_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert ssh_session.client() is None
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)
    assert ssh_session.client() is None, "a process that is gone has no environment"
