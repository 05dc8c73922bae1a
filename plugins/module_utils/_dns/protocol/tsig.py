# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys and BIND's key file format, as ``tsig-keygen`` writes it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TypeAlias

from ..._core.errors import DebvisorError
from ..._core.secret import Secret
from . import names

ALGORITHMS = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
"""The algorithms that we make and accept, and the bytes of their digests, which is how long a key is."""


class KeyFileInvalid(DebvisorError):
    """A key file is not one whole TSIG key in BIND's format."""


class OtherLength(ValueError):
    """A secret is whole, and not as long as its algorithm's digest."""


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


def generation_key(of_class: str, number: int) -> str:
    """Return the name of a generation's key."""
    return f"g{number}.{of_class}"


def class_of(name: str) -> tuple[str, int] | None:
    """Read class and generation off a key's name; None where it is none of ours."""
    found = re.fullmatch(r"g([1-9][0-9]*)\.([^.]+)", name)
    return (found.group(2), int(found.group(1))) if found else None


def decode_secret(text: str, algorithm: str) -> Secret:
    """Turn the base64 text of a key into its bytes.

    :raises ValueError: saying what is wrong without showing the text.
    """
    try:
        raw = base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("is not base64") from None
    if len(raw) != ALGORITHMS[algorithm]:
        raise OtherLength(
            f"holds {len(raw)} bytes; a key for {algorithm} has {ALGORITHMS[algorithm]}"
        )
    return Secret(raw)


def encode_secret(secret: Secret) -> str:
    """Return the base64 text of a key, for where a key is used as text. Never show it."""
    return base64.b64encode(secret.reveal()).decode()


def render(key: Key) -> bytes:
    """Return the text of a key file."""
    secret = encode_secret(key.secret)
    return (
        f'key "{key.name}" {{\n\talgorithm {key.algorithm};\n\tsecret "{secret}";\n}};\n'.encode()
    )


_BLANK = re.compile(r"(?:\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_TOKEN = re.compile(r'"([^"\n]*)"|([^\s"{};#]+)|([{};])')
_STATEMENTS = ("algorithm", "secret")
_STATEMENT = re.compile("[a-z][a-z-]{0,19}")
"""What may be shown as the word of a statement: no secret looks like it."""
_KNOWN_TO_BIND = re.compile(
    r"hmac-(?:md5|sha1|sha224|sha256|sha384|sha512)(?:-[0-9]+|[.]sig-alg[.]reg[.]int)?[.]?"
)
Token: TypeAlias = "tuple[str, int]"
"""A token and its line."""


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

    def take(expected: str = "") -> Token:
        if not tokens:
            raise _invalid(where, f"ends before {expected or 'its value'!r}")
        token, line = tokens.pop(0)
        if expected and token.lower() != expected:
            raise _invalid(where, f"line {line}: {expected!r} was expected here")
        return token, line

    take("key")
    name = take()
    take("{")
    said: dict[str, Token] = {}
    while (statement := take())[0] != "}":
        word, line = statement[0].lower(), statement[1]
        if word in said:
            raise _invalid(where, f"line {line}: a second {word}")
        if word not in _STATEMENTS:
            raise _unknown(where, word, line)
        said[word] = take()
        take(";")
    take(";")
    if tokens:
        raise _invalid(where, f"line {tokens[0][1]}: more follows after the one key")
    if missing := [word for word in _STATEMENTS if word not in said]:
        raise _invalid(where, f"line {statement[1]}: the key ends without {' and '.join(missing)}")
    return _key(name, said["algorithm"], said["secret"], where)


def _unknown(where: str, word: str, line: int) -> KeyFileInvalid:
    if not _STATEMENT.fullmatch(word):
        return _invalid(where, f"line {line}: 'algorithm' or 'secret' was expected here")
    return _unusable(
        where, f"line {line}: {word!r} is unknown; a key has {' and '.join(_STATEMENTS)}"
    )


def _key(name: Token, algorithm: Token, secret: Token, where: str) -> Key:
    used, line = algorithm[0].lower(), algorithm[1]
    if used not in ALGORITHMS:
        known, choice = _KNOWN_TO_BIND.fullmatch(used), ", ".join(ALGORITHMS)
        if not known:
            raise _unusable(where, f"line {line}: the algorithm is none of {choice}")
        if used.removesuffix(".") in ALGORITHMS:
            why = f"the algorithm ends in a dot, which BIND does not read: write {used[:-1]}"
            raise _unusable(where, f"line {line}: {why}")
        raise _unusable(where, f"line {line}: {used} is not used here; there are {choice}")
    try:
        canonical = key_name(name[0])
    except names.NameProblem as cause:
        raise _invalid(where, f"line {name[1]}: the key's name {cause}") from None
    try:
        return Key(canonical, used, decode_secret(secret[0], used))
    except ValueError as cause:
        refusal = _unusable if isinstance(cause, OtherLength) else _invalid
        raise refusal(where, f"line {secret[1]}: the secret {cause}") from None


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


def _unusable(where: str, why: str) -> KeyFileInvalid:
    """Return the error for a file that is whole, and says something that is not for us."""
    return KeyFileInvalid(
        f"{where} is a TSIG key file that cannot be used",
        why=why,
        hint="Nothing in it is broken. Change that line, or make a new key with the tsig_key module",
    )
