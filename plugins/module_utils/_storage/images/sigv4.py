# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs of S3 that carry their own, short-lived permission (AWS Signature Version 4 in the query; "presigned").

Who has the URL may read the one object until it expires, and learns nothing of the key that signed it. A signed URL
holds for any range of the object, and for a request with any condition: only the host is part of what is signed.

This is not left to boto3: before May 2025 its s3transfer sent no If-Match with the ranges of one object, and so could
mix two versions of it. Our own ranged reads send it, and all that they need for S3 is a signed URL, which is an HMAC.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from ..._core.secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST = timedelta(days=7)
"""What S3 takes at most."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key of S3; temporary ones come with a session token."""

    access_key: str
    secret_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one key and region. Servers other than Amazon's take any region, as long as it is stated."""

    credentials: Credentials
    region: str = "us-east-1"
    service: str = "s3"
    payload: str = "UNSIGNED-PAYLOAD"

    def presigned(
        self, url: str, *, moment: datetime, lifetime: timedelta, method: str = "GET"
    ) -> str:
        """Return the URL with a permission from this moment on, for so long.

        The path may be written with or without percent signs; what is signed is also what is sent.
        """
        parts = urlsplit(url)
        date = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{date[:8]}/{self.region}/{self.service}/aws4_request"
        path = quote(unquote(parts.path) or "/", safe="/~")
        query = _canonical_query(
            [
                *parse_qsl(parts.query, keep_blank_values=True),
                ("X-Amz-Algorithm", ALGORITHM),
                ("X-Amz-Credential", f"{self.credentials.access_key}/{scope}"),
                ("X-Amz-Date", date),
                ("X-Amz-Expires", str(int(min(lifetime, LONGEST).total_seconds()))),
                ("X-Amz-SignedHeaders", "host"),
                *self._session(),
            ]
        )
        request = [method, path, query, f"host:{_host(parts)}", "", "host", self.payload]
        digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
        signature = self._signature("\n".join([ALGORITHM, date, scope, digest]), scope)
        signed = f"{query}&X-Amz-Signature={signature}"
        return urlunsplit((parts.scheme, parts.netloc, path, signed, ""))

    def _session(self) -> list[tuple[str, str]]:
        token = self.credentials.session_token
        return [] if token is None else [("X-Amz-Security-Token", token.reveal().decode())]

    def _signature(self, text: str, scope: str) -> str:
        key = b"AWS4" + self.credentials.secret_key.reveal()
        for part in scope.split("/"):
            key = _keyed(key, part)
        return _keyed(key, text).hex()


def object_url(endpoint: str, bucket: str, key: str, *, host_style: bool = False) -> str:
    """Return the URL of an object at a server: the bucket as the path's beginning, or as the host's."""
    scheme, mark, place = endpoint.rstrip("/").partition("://")
    name = quote(key, safe="/~")
    if host_style:
        return f"{scheme}{mark}{bucket}.{place}/{name}"
    return f"{scheme}{mark}{place}/{bucket}/{name}"


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Sorted as they are written, by name and then by value."""
    written = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in written)


def _host(parts: SplitResult) -> str:
    """Return the header ``Host`` as clients send it: without the port that goes without saying."""
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(f":{DEFAULT_PORTS.get(parts.scheme, '')}")
