# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``blocklist_feed``, checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._core.checks import refuse_any
from .._core.errors import Problem
from .._core.limits import check_option, limited
from .._core.spec import Spec
from . import feed

SPEC = Spec(
    {
        "url": {"type": "str"},
        "src": {"type": "path"},
        "dest": {"type": "path", "required": True},
        "checksum": {"type": "str"},
        "signature": {"type": "str"},
        "keyring": {"type": "path", "no_log": False},
        "header_file": {"type": "path"},
        "min_share": {"type": "float", "default": 50},
        **limited(10),
        "strict": {"type": "bool", "default": False},
        "allow_empty": {"type": "bool", "default": False},
        "max_bytes": {"type": "int", "default": 100_000_000},
        "timeout": {"type": "float", "default": 120},
        "max_age": {"type": "float", "default": 604800},
    },
    mutually_exclusive=[("url", "src")],
    required_one_of=[("url", "src")],
    required_by={"signature": "keyring"},
)
DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. ``place`` is an address or a path, and so are ``checksum`` and ``signature``."""

    place: str
    dest: str
    checksum: str
    signature: str
    keyring: str
    header_file: str
    min_share: float
    max_share: float
    strict: bool
    allow_empty: bool
    max_bytes: int
    timeout: float
    max_age: float

    @property
    def origin(self) -> str:
        """A digest of where the copy comes from and what proves it."""
        parts = (self.place, self.checksum, self.signature, self.keyring)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def pinned(self) -> str:
        """The one content that is wanted, as its SHA-256, or "" where it may change."""
        return self.checksum.removeprefix(DIGEST) if self.checksum.startswith(DIGEST) else ""


def parse(params: Mapping[str, Any]) -> Wanted:
    """Check the options.

    :raises InvalidInput: with everything that is wrong.
    """
    problems = list(_problems(params))
    max_share = check_option(params, problems)
    refuse_any(problems)
    return Wanted(
        place=params["url"] or params["src"],
        dest=params["dest"],
        checksum=(params["checksum"] or ""),
        signature=params["signature"] or "",
        keyring=params["keyring"] or "",
        header_file=params["header_file"] or "",
        min_share=params["min_share"],
        max_share=max_share,
        strict=params["strict"],
        allow_empty=params["allow_empty"],
        max_bytes=params["max_bytes"],
        timeout=params["timeout"],
        max_age=params["max_age"],
    )


def _problems(params: Mapping[str, Any]) -> Iterator[Problem]:
    if bool(params["url"]) == bool(params["src"]):
        yield Problem("url", "is to be given, or src, and not both")
    for option in ("url", "src", "checksum", "signature"):
        place = params[option]
        if place and not (option == "checksum" and place.startswith(DIGEST)):
            yield from _place_problems(option, place)
    for option in ("dest", "keyring", "header_file"):
        if params[option] and not params[option].startswith("/"):
            yield Problem(option, f"{params[option]} is not an absolute path")
    checksum = params["checksum"] or ""
    if checksum.startswith(DIGEST) and not re.fullmatch(r"sha256:[0-9a-f]{64}", checksum):
        yield Problem("checksum", f"{checksum} is not sha256: and 64 lower-case hexadecimal digits")
    if params["signature"] and not params["keyring"]:
        yield Problem("keyring", "is missing, and signature needs it")
    if not 0 <= params["min_share"] <= 100:
        yield Problem("min_share", f"{params['min_share']:g} is not from 0 to 100 percent")
    for option in ("max_bytes", "timeout", "max_age"):
        if params[option] <= 0:
            yield Problem(option, f"{params[option]:g} is not more than 0")


def _place_problems(option: str, place: str) -> Iterator[Problem]:
    """Check an address or, where it is no url, a path. An address with a password in it is not repeated."""
    try:
        parts = urlsplit(place)
        port = parts.port
    except ValueError as wrong:
        yield Problem(option, f"is not an address: {wrong}")
        return
    if not place.isascii() or not place.isprintable() or " " in place:
        yield Problem(option, "holds characters that an address must have percent-encoded")
    elif "@" in parts.netloc:
        yield Problem(option, "holds a user or password; send a header from header_file instead")
    elif parts.scheme in ("http", "https"):
        if not parts.hostname or port == 0:
            yield Problem(option, f"{feed.shown(place)} names no host")
    elif parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            yield Problem(option, f"{place} names no file of this machine")
    elif option == "url" or not place.startswith("/"):
        wanted = "an https:, http: or file: address"
        path = "" if option == "url" else " or an absolute path"
        yield Problem(option, f"{feed.shown(place)} is not {wanted}{path}")
