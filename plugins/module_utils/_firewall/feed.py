# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a feed: its record beside the copy, checksums as publishers write them, packed content."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from .._core import urls
from .._core.errors import DebvisorError
from .._core.secret import Secret

FORMAT = 1
GZIP = b"\x1f\x8b"
_GZIP_MEMBER = 16 + zlib.MAX_WBITS
_UNPACKED_AT_ONCE = 1 << 18
_SUM = re.compile(r"([0-9A-Fa-f]{64})(?:\s+[* ]?(\S.*))?")
_BSD_SUM = re.compile(r"SHA256 \((.+)\) = ([0-9A-Fa-f]{64})")
_HEADER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)"
)


class BadFeed(DebvisorError):
    """What a feed delivered is not fit to replace the last good copy."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a feed could not be refreshed, and when that began, in seconds since 1970."""

    since: int
    why: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of the copy: ``origin`` is a digest of where it came from and of what proved it.

    ``sha256`` is the copy's, ``entries`` how many it has; ``fetched`` and ``confirmed`` tell when it came, and when
    its publisher last said that it is still the present one. A number of seconds since 1970, each.
    """

    origin: str
    sha256: str
    entries: int
    fetched: int
    confirmed: int
    etag: str = ""
    last_modified: str = ""
    trouble: Trouble | None = None

    def dump(self) -> bytes:
        """Return it as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode() + b"\n"


def load_record(content: bytes) -> Record | None:
    """Return what :meth:`Record.dump` wrote; None for anything else, because a new fetch makes it anew."""
    try:
        parsed: dict[str, Any] = dict(json.loads(content))
        if parsed.pop("format") != FORMAT:
            return None
        trouble = parsed.pop("trouble")
        record = Record(**parsed, trouble=Trouble(**trouble) if trouble else None)
        numbers = (record.entries, record.fetched, record.confirmed)
        return record if all(isinstance(number, int) for number in numbers) else None
    except (ValueError, TypeError, KeyError):
        return None


def record_path(copy: str) -> str:
    """Return where the record of a copy lies."""
    return f"{copy}.json"


def shown(place: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    return urls.shown(place) if urlsplit(place).scheme else place


def file_name(place: str) -> str:
    """Return the last part of an address or path, as a publisher's list of checksums names it."""
    path = urlsplit(place).path if "://" in place else place
    return unquote(path.rpartition("/")[2])


def checksum_in(content: bytes, name: str) -> str:
    """Return the SHA-256 that a list of checksums has for a file, as sha256sum(1) writes it; one alone needs no name.

    :raises BadFeed: where it has none, or two that differ.
    """
    sums: list[tuple[str, str]] = []
    for line in content.decode("latin-1").splitlines():
        if found := _SUM.fullmatch(line.strip()):
            sums.append(((found[2] or "").rpartition("/")[2], found[1].lower()))
        elif found := _BSD_SUM.fullmatch(line.strip()):
            sums.append((found[1].rpartition("/")[2], found[2].lower()))
    mine = {digest for called, digest in sums if called == name}
    if not mine and len(sums) == 1 and not sums[0][0]:
        mine = {sums[0][1]}
    if len(mine) != 1:
        raise BadFeed(
            f"the checksums have {'two values' if mine else 'no SHA-256'} for {name!r}",
            hint="Check whether checksum names the right file",
        )
    return mine.pop()


def headers_in(content: bytes, path: str) -> dict[str, Secret]:
    """Return the headers of a file, one ``Name: value`` a line.

    :raises DebvisorError: where a line is none; it is not shown, because it may be secret.
    """
    headers: dict[str, Secret] = {}
    for number, line in enumerate(content.decode("latin-1").splitlines(), 1):
        if not line.strip():
            continue
        found = _HEADER.fullmatch(line.strip())
        if not found:
            raise DebvisorError(
                f"{path}:{number} is no header",
                hint="Write one a line, such as Authorization: Bearer ...",
            )
        headers[found[1]] = Secret(found[2])
    return headers


def unpacked(blocks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Unpack gzip, one member or several, and never more than ``most`` bytes of content.

    :raises BadFeed: where it is torn, damaged or too much.
    """
    member = zlib.decompressobj(_GZIP_MEMBER)
    size = 0
    for block in blocks:
        rest, more = block, False
        while rest or more:
            if member.eof:
                member = zlib.decompressobj(_GZIP_MEMBER)
            try:
                content = member.decompress(rest, _UNPACKED_AT_ONCE)
            except zlib.error as cause:
                raise BadFeed("the packed content is damaged", why=str(cause)) from cause
            size += len(content)
            if size > most:
                raise BadFeed(f"it unpacks to more than {most} bytes")
            yield content
            rest = member.unused_data if member.eof else member.unconsumed_tail
            more = len(content) == _UNPACKED_AT_ONCE and not member.eof  # zlib may hold some back
    if not member.eof:
        raise BadFeed("the packed content ends before its end")
