# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND's key file format, read strictly and written plainly."""

from __future__ import annotations

import base64
import contextlib

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, tsig
from hypothesis import given
from hypothesis import strategies as st

SECRET = base64.b64encode(bytes(32)).decode()
GOOD = f'key "a.g1" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'


@pytest.mark.parametrize("algorithm", sorted(tsig.ALGORITHMS))
def test_what_is_written_reads_back(algorithm: str) -> None:
    key = tsig.Key("a-b.g1", algorithm, Secret(bytes(tsig.ALGORITHMS[algorithm])))
    assert tsig.parse(tsig.render(key), "f") == key


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"key a.g1. {{ algorithm hmac-sha256; secret {SECRET}; }};",
        f'KEY "a.g1" {{ Algorithm "hmac-sha256"; SECRET "{SECRET[:9]} {SECRET[9:]}"; }};',
        f'// c\n# c\n/* c\n */ key "A.G1" {{ secret "{SECRET}"; algorithm HMAC-SHA256; }}; # end',
    ],
)
def test_the_forms_that_bind_reads(text: str) -> None:
    key = tsig.parse(text.encode(), "f")
    assert (key.name, key.algorithm, key.secret) == ("a.g1", "hmac-sha256", Secret(bytes(32)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("# nothing", "is empty"),
        (GOOD + GOOD, "line 5: more follows"),
        (GOOD.replace("key", "zone"), "line 1: 'key' was expected"),
        (
            GOOD.replace("hmac-sha256", "hmac-sha512"),
            "line 3: the secret holds 32 bytes; a key for hmac-sha512 has 64",
        ),
        (GOOD.replace(SECRET, "%%%"), "line 3: the secret is not base64"),
        (GOOD.replace("a.g1", "a..g1"), "line 1: the key's name has an empty label"),
        (GOOD.removesuffix(";\n"), "ends before ';'"),
        (GOOD.replace('";', ";"), "line 3: a quote or comment does not end"),
        (GOOD.replace("key", "kéy"), "not ASCII"),
        (GOOD.replace("secret", "algorithm"), "line 3: a second algorithm"),
        (GOOD.replace(f'\tsecret "{SECRET}";\n', ""), "line 3: the key ends without secret"),
        (GOOD.replace("secret", SECRET), "line 3: 'algorithm' or 'secret' was expected here"),
    ],
)
def test_anything_else_has_one_clear_error_that_keeps_the_secret(text: str, why: str) -> None:
    with pytest.raises(tsig.KeyFileInvalid) as caught:
        tsig.parse(text.encode(), "/k")
    assert why in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            GOOD.replace("hmac-sha256", "HMAC-SHA256."),
            "line 2: the algorithm ends in a dot, which BIND does not read: write hmac-sha256",
        ),
        (GOOD.replace("hmac-sha256", "hmac-md5"), "line 2: hmac-md5 is not used here; there are"),
        (GOOD.replace("hmac-sha256", "HMAC-SHA1"), "line 2: hmac-sha1 is not used here; there are"),
        (GOOD.replace("hmac-sha256", "hmac-sha256-128"), "line 2: hmac-sha256-128 is not used"),
        (GOOD.replace("hmac-sha256", "gss-tsig"), "line 2: the algorithm is none of hmac-sha256,"),
        (GOOD.replace("\tsecret", "\tflags 3;\n\tsecret"), "line 3: 'flags' is unknown; a key has"),
        (GOOD.replace(SECRET, "AAAA"), "line 3: the secret holds 3 bytes"),
    ],
)
def test_a_whole_file_that_cannot_be_used_is_not_called_broken(text: str, why: str) -> None:
    with pytest.raises(tsig.KeyFileInvalid) as caught:
        tsig.parse(text.encode(), "/k")
    assert caught.value.what == "/k is a TSIG key file that cannot be used"
    assert why in caught.value.why
    with pytest.raises(tsig.KeyFileInvalid, match="is not a TSIG key file"):
        tsig.parse(GOOD.replace("{", "").encode(), "/k")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_an_error(content: bytes) -> None:
    with contextlib.suppress(tsig.KeyFileInvalid):
        tsig.parse(content, "f")


def test_names_of_keys_are_canonical() -> None:
    assert tsig.key_name("Debvisor-Node.G1.") == "debvisor-node.g1"
    for bad in ("", ".", "a b", 'a"b', "a\\;b"):
        with pytest.raises(names.NameProblem):
            tsig.key_name(bad)
