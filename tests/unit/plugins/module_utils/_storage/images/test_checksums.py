# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published beside an image, in all the forms that people publish, and in those that tell nothing."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.checksums import (
    BadChecksum,
    given,
    published,
)
from hypothesis import given as drawn
from hypothesis import strategies as st

DIGEST = hashlib.sha256(b"image").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
LONG = hashlib.sha512(b"image").hexdigest()
MD5 = hashlib.md5(b"image").hexdigest()
URL = "https://storage.example:9000/images/base.qcow2"


@pytest.mark.parametrize(
    "text",
    [
        DIGEST,
        f"{DIGEST}\n",
        f"{DIGEST.upper()}\r\n",
        f"\ufeff{DIGEST}\n",
        f"sha256:{DIGEST}",
        f"{DIGEST}  base.qcow2\n",
        f"{DIGEST} *base.qcow2\n",
        f"{DIGEST}  ./base.qcow2\n",
        f"{DIGEST}  /home/me/out/base.qcow2\r\n",
        f"{DIGEST}  -\n",
        f"SHA256 (base.qcow2) = {DIGEST}\n",
        f"SHA256(out/base.qcow2)= {DIGEST}\n",
        f"SHA2-256(base.qcow2)= {DIGEST.upper()}\n",
        f"{OTHER}  other.qcow2\n{DIGEST}  base.qcow2\n{OTHER}  more.qcow2\n",
        f"{OTHER}  base.qcow2.sig\n{OTHER}  x-base.qcow2\n{DIGEST}  base.qcow2\n",
        f"{OTHER}  daily/base.qcow2\n{DIGEST}  images/base.qcow2\n",
        f"{LONG}  base.qcow2\n{DIGEST}  base.qcow2\n",
        f"SHA512 (base.qcow2) = {LONG}\nSHA256 (base.qcow2) = {DIGEST}\n",
        f"{DIGEST}  base.qcow2\n{DIGEST}  base.qcow2\n",
        f"# made today\n\n{DIGEST}  base.qcow2\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{DIGEST}  base.qcow2\n-----BEGIN PGP SIGNATURE-----\n",
    ],
)
def test_what_people_publish(text: str) -> None:
    assert published(text, URL) == DIGEST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \r\n\ufeff\n", "is empty"),
        ("<html><body>Not Found</body></html>", "no line"),
        (DIGEST[:-1], "63 hexadecimal digits"),
        (f"{DIGEST}0  base.qcow2", "65 hexadecimal digits"),
        (LONG, "SHA-512"),
        (f"{MD5}  base.qcow2", "MD5"),
        (f"MD5 (base.qcow2) = {MD5}", "MD5"),
        (f"SHA512 (base.qcow2) = {LONG}", "SHA-512"),
        (f"BLAKE2b (base.qcow2) = {LONG}", "BLAKE2B"),
        (f"SHA3-256(base.qcow2)= {DIGEST}", "SHA3-256"),
        (f"SHA256 (base.qcow2) = {MD5}", "32 hexadecimal digits"),
        (f"{DIGEST}  other.qcow2", "another file: other.qcow2"),
        (f"{DIGEST}  base.qcow2.xz\n{OTHER}  b\n{OTHER}  c\n{OTHER}  d\n", "another file.*1 more"),
        (f"SHA256 (base.raw) = {DIGEST}", "another file: base.raw"),
        (f"{DIGEST}\n{OTHER}\n", "several different"),
        (f"{DIGEST}  a/base.qcow2\n{OTHER}  b/base.qcow2\n", "several different"),
        ("\x7fELF\x00\x01", "not text"),
        (f"{DIGEST}".encode("utf-16").decode("latin-1"), "not text"),
    ],
)
def test_what_tells_nothing_is_named(text: str, said: str) -> None:
    with pytest.raises(BadChecksum, match=said) as bad:
        published(text, URL)
    assert bad.value.hint


def test_the_name_is_the_one_in_the_address() -> None:
    text = f"{OTHER}  base\n{DIGEST}  base image+1.qcow2\n"
    assert published(text, "https://storage.example/b/base%20image+1.qcow2") == DIGEST


@pytest.mark.parametrize("name", ["base.qcow2", "two words.qcow2", "back\\slash", "new\nline"])
@pytest.mark.parametrize("options", [[], ["--binary"], ["--tag"]])
def test_what_the_tool_itself_writes(tmp_path: Path, name: str, options: list[str]) -> None:
    (tmp_path / name).write_bytes(b"image")
    command = ["sha256sum", *options, name]
    text = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    quoted = name.replace(" ", "%20").replace("\n", "%0A")
    assert published(text, f"https://storage.example/{quoted}") == DIGEST


@drawn(st.text(max_size=200))
def test_whatever_comes_is_a_digest_or_an_error(text: str) -> None:
    try:
        found = published(text, URL)
    except BadChecksum:
        return
    assert len(found) == 64


@pytest.mark.parametrize(
    "value", [DIGEST, f" {DIGEST.upper()}\n", f"sha256:{DIGEST}", f"SHA256:{DIGEST}"]
)
def test_what_an_operator_writes(value: str) -> None:
    assert given(value) == DIGEST


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "malformed"),
        ("x" * 64, "malformed"),
        (f"{DIGEST}  base.qcow2", "malformed"),
        (DIGEST[1:], "63"),
        (f"sha512:{LONG}", "SHA-512"),
        (f"md5:{MD5}", "MD5"),
        (f"sha256:{MD5}", "32"),
        (LONG, "SHA-512"),
    ],
)
def test_what_an_operator_writes_wrongly(value: str, said: str) -> None:
    with pytest.raises(BadChecksum, match=said) as bad:
        given(value)
    assert bad.value.hint
