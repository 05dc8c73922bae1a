# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests as people publish them: alone, as ``sha256sum`` writes them, in BSD's form, or many in one file.

What is published beside an image is believed only where it is plain: it names this image or no file at all, and there
is one SHA-256. Everything else is an error that says what was found instead.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..._core.errors import DebvisorError

LENGTHS = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 64: "SHA-256", 96: "SHA-384", 128: "SHA-512"}
"""By number of hexadecimal digits, which algorithm made a digest that does not say so."""
WANTED = "SHA-256"
PUBLISH = "Publish one as sha256sum writes it, or give the checksum itself"
_SPELLINGS = {"sha1": "SHA-1", "sha224": "SHA-224", "sha256": WANTED, "sha384": "SHA-384"} | {
    "sha512": "SHA-512",
    "sha2-224": "SHA-224",
    "sha2-256": WANTED,
    "sha2-384": "SHA-384",
    "sha2-512": "SHA-512",
}

_GIVEN = re.compile(r"(?:(?P<algorithm>[A-Za-z][A-Za-z0-9/-]*):)?(?P<digits>[0-9A-Fa-f]+)")
_GNU = re.compile(r"(?P<escaped>\\?)(?P<digits>[0-9A-Fa-f]{16,})[ \t]+\*?(?P<name>.+)")
_BSD = re.compile(
    r"(?P<escaped>\\?)(?P<algorithm>[A-Za-z][A-Za-z0-9/-]*) ?\((?P<name>.+)\) ?= ?(?P<digits>[0-9A-Fa-f]+)"
)
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_STDIN = "-"
"""What sha256sum calls a file that it was given without a name."""


class BadChecksum(DebvisorError):
    """There is a text where the digest should be, and it does not say which digest the image has."""


class _Entry(NamedTuple):
    algorithm: str
    digest: str
    name: str
    """"" where the line names no file."""


def given(value: str) -> str:
    """Return the digest that an operator wrote, ``<hex>`` or ``sha256:<hex>``, in lower case.

    :raises BadChecksum: where it is not a SHA-256.
    """
    match = _GIVEN.fullmatch(value.strip())
    if not match:
        raise BadChecksum("the checksum is malformed", hint="Write 64 hexadecimal digits")
    return _checked(_programs(match), "the checksum").digest


def published(text: str, address: str) -> str:
    """Return the digest of the image at ``address`` by the text that is published for it, in lower case.

    :param address: of the image, not of the text; its last part decides where the text names files.
    :raises BadChecksum: where the text does not say, or not plainly.
    """
    if _NOT_TEXT.search(text):
        raise BadChecksum(
            "what should hold the checksum is not text, or not in UTF-8", hint=PUBLISH
        )
    entries = tuple(_entries(text))
    if not entries:
        raise BadChecksum(
            f"there is no checksum in what is published for {address}",
            why="it is empty" if not text.strip("\ufeff \t\r\n") else "no line of it has one",
            hint=PUBLISH,
        )
    path = unquote(urlsplit(address).path)
    mine = _of(path, entries)
    return _one(mine, f"what is published for {posixpath.basename(path)}").digest


def _entries(text: str) -> Iterator[_Entry]:
    """Yield what is an entry, and pass over what is none: comments, signatures."""
    for line in text.removeprefix("\ufeff").splitlines():
        written = line.strip()
        match = _GIVEN.fullmatch(written) or _BSD.fullmatch(written) or _GNU.fullmatch(written)
        if match and len(match["digits"]) >= min(LENGTHS):
            yield _programs(match)


def _programs(match: re.Match[str]) -> _Entry:
    found = match.groupdict()
    digits, said = found["digits"].lower(), found.get("algorithm") or ""
    algorithm = _SPELLINGS.get(said.lower(), said.upper()) or LENGTHS.get(len(digits), "")
    name = found.get("name") or ""
    if found.get("escaped"):
        name = name.replace(r"\\", "\0").replace(r"\n", "\n").replace("\0", "\\")
    return _Entry(algorithm, digits, "" if name == _STDIN else name)


def _of(path: str, entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
    """Return the entries of this file, or those that name no file where it is the only one."""
    wanted = posixpath.basename(path)
    named = [entry for entry in entries if posixpath.basename(entry.name) == wanted]
    if named:
        nearer = [entry for entry in named if _ends_in(path, entry.name)]
        return tuple(nearer or named)
    nameless = tuple(entry for entry in entries if not entry.name)
    if nameless:
        return nameless
    others = sorted({entry.name for entry in entries})
    raise BadChecksum(
        f"what is published for {wanted} has the checksum of another file",
        why=", ".join(others[:3]) + (f" and {len(others) - 3} more" if others[3:] else ""),
        hint="Give the checksum itself, or the address of the right one",
    )


def _ends_in(path: str, name: str) -> bool:
    """Say whether a file's name is the end of the image's path, folders included."""
    return f"/{path}".endswith("/" + posixpath.normpath(name).lstrip("/"))


def _one(entries: tuple[_Entry, ...], what: str) -> _Entry:
    wanted = [entry for entry in entries if entry.algorithm == WANTED]
    if len({entry.digest for entry in wanted}) > 1:
        raise BadChecksum(f"{what} has several different {WANTED} checksums", hint=PUBLISH)
    return _checked((wanted or list(entries))[0], what)


def _checked(entry: _Entry, what: str) -> _Entry:
    if entry.algorithm and entry.algorithm != WANTED:
        raise BadChecksum(
            f"{what} is a checksum of {entry.algorithm}; it must be {WANTED}", hint=PUBLISH
        )
    if LENGTHS.get(len(entry.digest)) != WANTED:
        raise BadChecksum(
            f"{what} has {len(entry.digest)} hexadecimal digits; {WANTED} has 64", hint=PUBLISH
        )
    return entry
