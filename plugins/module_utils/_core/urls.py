# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of the web: what of them may be shown, and which other addresses they lead to.

The query of a presigned address is a credential, and so is what stands before the host. Neither is ever shown.
"""

from __future__ import annotations

import string
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urljoin, urlsplit

SCHEMES = ("http", "https")
_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
"""Parameters by which S3 (version 4 and 2) and the like sign an address."""


def fault(url: str) -> str:
    """Return why this is no address to get anything from, without repeating it, or ""."""
    try:
        parts = urlsplit(url)
        port, name = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        return "it is malformed"
    if parts.scheme not in SCHEMES:
        return "it must begin with https:// or http://"
    if not name or port == 0:
        return "it names no host"
    if any(character in string.whitespace for character in url):
        return "it has blanks in it"
    return ""


def split(url: str) -> SplitResult:
    """Return the parts of an address in the form in which they are sent, without the fragment."""
    return urlsplit(quote(url, safe=string.punctuation))._replace(fragment="")


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Return who answers there: scheme, host, port. Credentials and certificates are for one origin alone."""
    return (
        parts.scheme,
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def host(parts: SplitResult) -> str:
    """Return host and port as they are written, without what stands before them."""
    return parts.netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """Return the address for people and records, without credentials and query."""
    parts = split(url)
    return f"{parts.scheme}://{host(parts)}{parts.path}"


def target(parts: SplitResult) -> str:
    """Return what is asked of the host itself."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def credentials(parts: SplitResult) -> str:
    """Return ``user:password`` as it stands before the host, or ""."""
    return unquote(parts.netloc.rpartition("@")[0])


def presigned(url: str) -> bool:
    """Say whether the address is a credential for one object, and for some time."""
    return any(name.lower() in _SIGNATURES for name, value in parse_qsl(urlsplit(url).query))


def beside(url: str, suffix: str) -> str:
    """Return the address of the object whose name is this one's with something behind it."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path + suffix).geturl()


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads, or "" where that makes no sense."""
    try:
        return split(urljoin(url, location)).geturl()
    except ValueError:
        return ""
