# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins by a stand-in for ssh: what it is given and where, and what counts as refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.plugin_utils.ssh_client import SshClient


@pytest.fixture
def client(tmp_path: Path) -> SshClient:
    return SshClient("192.0.2.1", tmp_path, ("-o", "Port=2222"), str(tmp_path / "ssh"))


def program(client: SshClient, script: str) -> None:
    path = Path(client.program)
    path.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {client.folder}/words\nenv > {client.folder}/env\n{script}\n'
    )
    path.chmod(0o700)


def test_a_code_is_in_no_argument_and_no_variable(client: SshClient) -> None:
    program(client, f'[ "$SSH_ASKPASS_REQUIRE" = force ] && "$SSH_ASKPASS" > {client.folder}/told')
    came = client.attempt("anna", "publickey", key=client.folder / "key", answer="123456")
    assert (came.accepted, came.refused) == (True, False)
    assert (client.folder / "told").read_text() == "123456\n"
    assert (
        "123456" not in (client.folder / "words").read_text() + (client.folder / "env").read_text()
    )
    assert (client.folder / "answer").stat().st_mode & 0o777 == 0o600


def test_no_session_of_others_and_no_key_of_others_is_used(client: SshClient) -> None:
    program(client, "true")
    client.attempt("anna", "publickey")
    words = (client.folder / "words").read_text().splitlines()
    for setting in (
        "ControlPath=none",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "IdentityFile=none",
    ):
        assert setting in words
    assert "BatchMode=yes" in words
    assert words.index("ControlPath=none") < words.index("Port=2222")
    assert words[-5:] == ["-l", "anna", "--", "192.0.2.1", "true"]
    client.attempt("anna", "publickey", agent=True)
    assert "IdentityAgent=none" not in (client.folder / "words").read_text()


@pytest.mark.parametrize(
    ("script", "accepted", "refused"),
    [
        ("exit 0", True, False),
        ("echo 'a@b: Permission denied (publickey).' >&2; exit 255", False, True),
        ("echo 'Connection refused' >&2; exit 255", False, False),
        ("sleep 30", False, False),
    ],
)
def test_refused_is_not_the_same_as_unreachable(
    client: SshClient, script: str, accepted: bool, refused: bool
) -> None:
    program(client, script)
    came = client.attempt("anna", "publickey", timeout=2)
    assert (came.accepted, came.refused) == (accepted, refused)
