# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys and BIND's key file format, as ``tsig-keygen`` writes it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from .._core.errors import DebvisorError
from .._core.secret import Secret
from . import names

ALGORITHMS = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
"""The algorithms that we make and accept, and the bytes of their digests, which is how long a key is."""


class KeyFileInvalid(DebvisorError):
    """A key file is not one whole TSIG key in BIND's format."""


@dataclass(frozen=True, slots=True)
class Key:
    """A shared key. ``name`` is the text of an absolute name without the final dot, in lower case."""

    name: str
    algorithm: str
    secret: Secret

    @property
    def wire_name(self) -> bytes:
        """The key's name as it stands in messages."""
        return names.parse(self.name + ".")


def key_name(text: str) -> str:
    """Return the canonical name of a key.

    :raises names.NameProblem: where it is not a domain name, or would not survive in a key file.
    """
    canonical = names.render(names.parse(text.removesuffix(".") + "."))[:-1]
    if "\\" in canonical or not canonical:
        raise names.NameProblem("has characters that do not belong in the name of a key")
    return canonical


def decode_secret(text: str, algorithm: str) -> Secret:
    """Turn the base64 text of a key into its bytes.

    :raises ValueError: saying what is wrong without showing the text.
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("is not base64") from None
    if len(raw) != ALGORITHMS[algorithm]:
        raise ValueError(
            f"holds {len(raw)} bytes; a key for {algorithm} has {ALGORITHMS[algorithm]}"
        )
    return Secret(raw)


def encode_secret(secret: Secret) -> str:
    """Return the base64 text of a key, for where a key is used as text. Show it to nobody."""
    return base64.b64encode(secret.reveal()).decode()


def render(key: Key) -> bytes:
    """Return the text of a key file."""
    secret = encode_secret(key.secret)
    return (
        f'key "{key.name}" {{\n\talgorithm {key.algorithm};\n\tsecret "{secret}";\n}};\n'.encode()
    )


_BLANK = re.compile(r"(?:\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_TOKEN = re.compile(r'"([^"\n]*)"|([^\s"{};#]+)|([{};])')
_WORD_AT = {0: "key", 3: "algorithm", 6: "secret"}
_SIGN_AT = {2: "{", 5: ";", 8: ";", 9: "}", 10: ";"}


def parse(content: bytes, where: str) -> Key:
    """Read a key file: exactly one ``key`` statement, comments allowed, its algorithm before its secret or after.

    :param where: the file's name, for messages.
    :raises KeyFileInvalid: saying where and what, and never showing the secret.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as cause:
        raise _invalid(where, f"has a byte that is not ASCII at {cause.start}") from None
    tokens = _tokens(text, where)
    if not tokens:
        raise _invalid(where, "is empty")
    if [token for token, _line in tokens[3:4]] == ["secret"]:  # the other order of the two
        tokens[3:6], tokens[6:9] = tokens[6:9], tokens[3:6]
    for position in range(11):
        expected = _WORD_AT.get(position) or _SIGN_AT.get(position)
        if position >= len(tokens):
            raise _invalid(where, f"ends before {expected or 'its value'!r}")
        token, line = tokens[position]
        if expected and token != expected:
            raise _invalid(where, f"line {line}: {expected!r} was expected here")
    if len(tokens) > 11:
        raise _invalid(where, f"line {tokens[11][1]}: more follows after the one key")
    return _key(tokens, where)


def _key(tokens: list[tuple[str, int]], where: str) -> Key:
    (name, name_line), (algorithm, algorithm_line), (secret, secret_line) = (
        tokens[1],
        tokens[4],
        tokens[7],
    )
    algorithm = algorithm.lower()
    if algorithm not in ALGORITHMS:
        raise _invalid(
            where, f"line {algorithm_line}: the algorithm is none of {', '.join(ALGORITHMS)}"
        )
    try:
        canonical = key_name(name)
    except names.NameProblem as cause:
        raise _invalid(where, f"line {name_line}: the key's name {cause}") from None
    try:
        return Key(canonical, algorithm, decode_secret(secret, algorithm))
    except ValueError as cause:
        raise _invalid(where, f"line {secret_line}: the secret {cause}") from None


def _tokens(text: str, where: str) -> list[tuple[str, int]]:
    tokens = []
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        match = _TOKEN.match(text, position)
        if not match:
            raise _invalid(where, f"line {line}: a quote or comment does not end")
        tokens.append((match.group(1) if match.group(1) is not None else match.group(), line))
        position = match.end()
    return tokens


def _invalid(where: str, why: str) -> KeyFileInvalid:
    return KeyFileInvalid(
        f"{where} is not a TSIG key file",
        why=why,
        hint="The tsig_key module, or tsig-keygen, writes one",
    )
