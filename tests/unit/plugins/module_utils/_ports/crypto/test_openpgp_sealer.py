# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for OpenPGP certificates, by a real gpg: the owner reads them, and nothing is left on the way."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    Refused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto import openpgp_sealer
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto.openpgp_sealer import (
    OpenPgpSealer,
)

CONTENT = b"\x89PNG\0 or a key: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"


class Owner:
    """Somebody with a key ring."""

    def __init__(self, home: Path) -> None:
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--yes", "--quiet"]

    def gpg(self, *words: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            [*self._gpg, *words], input=given, capture_output=True, check=True, timeout=60
        ).stdout

    def make(self, name: str, algorithm: str, use: str, *more: str) -> None:
        key = ("--quick-generate-key", name, algorithm, use, "never")
        self.gpg("--passphrase", "", *more, *key)

    def certificate(self, name: str = "") -> str:
        return self.gpg("--armor", "--export", *([name] if name else [])).decode()

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self._gpg[2], "--kill", "all"], check=True)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    owner = Owner(home)
    owner.make("anna@example.org", "default", "default")
    owner.make("signer@example.org", "ed25519", "sign")
    yield owner
    owner.close()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_owner_reads_it_and_nothing_is_left(owner: Owner, temporary: Path) -> None:
    certificate = owner.certificate("anna@example.org")
    message = OpenPgpSealer().seal(CONTENT, certificate)
    assert message.startswith("-----BEGIN PGP MESSAGE-----\n")
    assert "GEZDGNBV" not in message
    assert owner.gpg("--decrypt", given=message.encode()) == CONTENT
    fingerprint = OpenPgpSealer().recipient(certificate)
    assert fingerprint in owner.gpg("--with-colons", "--list-keys", "anna@example.org").decode()
    assert list(temporary.iterdir()) == []


def test_arguments_and_environment_tell_nothing(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, spy = tmp_path / "seen", tmp_path / "gpg"
    spy.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} > {seen}\nexec {openpgp_sealer.GPG} "$@"\n')
    spy.chmod(0o700)
    monkeypatch.setattr(openpgp_sealer, "GPG", str(spy))
    message = OpenPgpSealer().seal(CONTENT, owner.certificate("anna@example.org"))
    assert owner.gpg("--decrypt", given=message.encode()) == CONTENT
    assert "--encrypt" in seen.read_text()
    assert "GEZDGNBV" not in seen.read_text()


def test_what_is_no_recipient_is_refused(owner: Owner, temporary: Path) -> None:
    private = owner.gpg("--armor", "--export-secret-keys", "anna@example.org").decode()
    for certificate, why in (
        ("rubbish", "does not take"),
        ("", "does not take"),
        (owner.certificate(), "not one public certificate"),
        (private, "not one public certificate"),
        (owner.certificate("signer@example.org"), "no key for that"),
    ):
        with pytest.raises(Refused, match=why):
            OpenPgpSealer().recipient(certificate)
    with pytest.raises(Refused):
        OpenPgpSealer().seal(CONTENT, owner.certificate("signer@example.org"))
    assert list(temporary.iterdir()) == []


def test_a_certificate_that_was_revoked_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    owner = Owner(home)
    try:
        owner.make("ben@example.org", "default", "default")
        [revocation] = (home / "openpgp-revocs.d").iterdir()
        text = revocation.read_text().replace("\n:-----BEGIN", "\n-----BEGIN")
        owner.gpg("--import", given=text.encode())
        certificate = owner.certificate("ben@example.org")
    finally:
        owner.close()
    with pytest.raises(Refused, match="revoked"):
        OpenPgpSealer().recipient(certificate)


def test_without_gpg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpgp_sealer, "GPG", "/nowhere/gpg")
    with pytest.raises(DebvisorError, match="Install the package gpg"):
        OpenPgpSealer().recipient("x")
