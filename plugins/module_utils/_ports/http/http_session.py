# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lasting conversation with a web server: redirects, proxies, TLS, and what an answer means for the next attempt.

Unlike urllib's, its connections are kept for the next request, which for an image in parts is most of them, and can be
cut from another thread.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import random
import re
import ssl
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from ..._core import urls
from ..._core.errors import Refused, Unreachable
from ..._core.secret import Secret
from .connections import Connection, SafeConnection, Sockets
from .retries import Limits, Retry, retry_after, worth_another_try

REQUEST_HEADERS = {"User-Agent": "debvisor.hci", "Accept": "*/*", "Accept-Encoding": "identity"}
REDIRECTS = 5
REDIRECTING = frozenset({301, 302, 303, 307, 308})
ERROR_BODY = 4096
_S3_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_S3_EXPIRED = b"<Message>Request has expired"
_EXPIRED = (
    "A presigned address ends after some time: make a new one and run again; what has come is kept"
)
_NOT_LET_IN = "It is not there, or its key may not read it, or its presigned address has ended: make a new one then"
"""S3 says no more where the key may not list the bucket."""
LATER = "Check whether the server is well, and run again; what has come is kept"


class Broken(Exception):
    """It went wrong on the way, or for now, so another attempt may go better; not sooner than in ``after`` seconds."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Postponed(Broken):
    """The server answered that it cannot do it now."""


def patience(retry: Retry, failures: int, broken: Broken, what: str) -> float:
    """Return the seconds until the next attempt.

    :raises Unreachable: where it is not worth another one.
    """
    pause = retry.pause(failures, broken.after, random.random)
    if pause is None:
        why = f"{broken}; attempt {failures} of {retry.attempts}"
        raise Unreachable(f"{what} was not delivered", why=why, hint=LATER) from broken
    return pause


@dataclass(frozen=True, slots=True)
class Access:
    """How to be let in, and whom to believe. Headers and certificate are for the origin of the address alone."""

    headers: Mapping[str, Secret] = field(default_factory=dict)
    ca: str = ""
    """File of the authorities that are believed instead of the system's."""
    cert: str = ""
    """File of the client certificate, and with it of its key where ``key`` is empty."""
    key: str = ""
    validate_certs: bool = True

    def context(self, *, identified: bool) -> ssl.SSLContext:
        """Return what TLS goes by.

        :raises Refused: where a file cannot be used.
        """
        with _using("certificate authorities", self.ca):
            context = ssl.create_default_context(cafile=self.ca or None)
        if not self.validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identified and self.cert:
            with _using("client certificate", self.cert):
                context.load_cert_chain(self.cert, self.key or None, password="")
        return context


@contextlib.contextmanager
def _using(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else None
        raise Refused(f"the {what} in {path} cannot be used", why=why or str(cause)) from cause


class OriginClient:
    """Makes connections to one origin, and to where it redirects."""

    def __init__(self, url: Secret, access: Access, limits: Limits) -> None:
        self._own = urls.split(url.reveal().decode())
        self._access = access
        self.limits = limits

    def headers(self, parts: SplitResult) -> dict[str, str]:
        """Return what to send there; secrets to the own origin alone."""
        if urls.origin(parts) != urls.origin(self._own):
            return dict(REQUEST_HEADERS)
        basic = _basic(urls.credentials(self._own))
        own = {
            name: value.reveal().decode("latin-1") for name, value in self._access.headers.items()
        }
        return {**REQUEST_HEADERS, **({"Authorization": basic} if basic else {}), **own}

    def connection(self, parts: SplitResult, sockets: Sockets) -> Connection:
        """Return a connection that is not made yet, through the proxy of the environment where there is one."""
        scheme, host, port = urls.origin(parts)
        proxy = _proxy(parts)
        via, at = (proxy.hostname or "", proxy.port or port) if proxy else (host, port)
        timeout = self.limits.connect_timeout
        if scheme == "https":
            made: Connection = SafeConnection(
                via, at, timeout=timeout, context=self._context(parts)
            )
            if proxy:
                made.set_tunnel(host, port, _proxy_headers(proxy))
        else:
            made = Connection(via, at, timeout=timeout)
        made.sockets = sockets
        return made

    def _context(self, parts: SplitResult) -> ssl.SSLContext:
        own = urls.origin(parts) == urls.origin(self._own)
        return self._identified if own else self._anonymous

    @functools.cached_property
    def _identified(self) -> ssl.SSLContext:
        return self._access.context(identified=True)

    @functools.cached_property
    def _anonymous(self) -> ssl.SSLContext:
        return self._access.context(identified=False)


def _basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""


def _proxy(parts: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for this address, as urllib finds it."""
    named = urllib.request.getproxies().get(parts.scheme)
    if not named or urllib.request.proxy_bypass(urls.host(parts)):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    basic = _basic(urls.credentials(proxy))
    return {"Proxy-Authorization": basic} if basic else {}


class Session:
    """A conversation about one address, for one thread. Its sockets may be cut by any."""

    def __init__(self, client: OriginClient, url: str, sockets: Sockets) -> None:
        self._client = client
        self._url = urls.split(url).geturl()
        self._sockets = sockets
        self._led = self._url
        self._connection: Connection | None = None
        self._origin: tuple[str, str, int] | None = None

    def get(
        self, headers: Mapping[str, str], expected: Collection[int]
    ) -> http.client.HTTPResponse:
        """Ask, and return an answer with one of the expected codes. Its body must be read whole, or the session closed.

        :raises Broken: where another attempt may go better; the session is closed.
        :raises Refused: where it will not.
        """
        if self._led != self._url:
            try:
                return self._follow(self._led, headers, expected)
            except Refused:  # what it led to may have been for some time only
                self.close()
        return self._follow(self._url, headers, expected)

    def close(self) -> None:
        """Hang up, and forget where the address led."""
        self._led = self._url
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._sockets.release()

    def _follow(
        self, address: str, headers: Mapping[str, str], expected: Collection[int]
    ) -> http.client.HTTPResponse:
        for _hop in range(REDIRECTS + 1):
            with reaching(address):
                response = self._ask(address, headers)
                if response.status in expected:
                    self._led = address
                    return response
                location = response.headers.get("Location")
                if response.status not in REDIRECTING or not location:
                    raise _refusal(address, response)
            self._hang_up()
            address = _redirected(address, location)
        raise Refused(f"{urls.shown(self._url)} redirects more than {REDIRECTS} times")

    def _ask(self, address: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        parts = urls.split(address)
        if self._origin != urls.origin(parts):
            self._hang_up()
        kept = self._connection is not None and self._connection.sock is not None
        try:
            return self._send(parts, headers)
        except (ConnectionError, http.client.BadStatusLine):
            if not kept:
                raise
        self._hang_up()  # the server had closed it while nothing was asked
        return self._send(parts, headers)

    def _send(self, parts: SplitResult, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection = self._connected(parts)
        proxy = _proxy(parts) if parts.scheme == "http" else None
        wanted = urls.target(parts)
        try:
            connection.request(
                "GET",
                f"http://{urls.host(parts)}{wanted}" if proxy else wanted,
                headers={
                    **self._client.headers(parts),
                    **(_proxy_headers(proxy) if proxy else {}),
                    **headers,
                },
            )
        except ValueError:  # its text holds the value
            raise Refused(
                f"a header for {urls.host(parts)} cannot be sent",
                why="there is a line's end or another forbidden character in it",
            ) from None
        return connection.getresponse()

    def _connected(self, parts: SplitResult) -> Connection:
        if self._connection is None:
            self._connection = self._client.connection(parts, self._sockets)
            self._origin = urls.origin(parts)
        connection = self._connection
        if connection.sock is None:
            self._sockets.release()  # of the one before, which the server closed
            connection.connect()
            connection.be_patient(self._client.limits.stall_seconds)
        return connection


def _redirected(address: str, location: str) -> str:
    further = urls.redirected(address, location)
    if urls.fault(further):
        raise Refused(f"{urls.shown(address)} redirects to an invalid URL")
    if address.startswith("https:") and not further.startswith("https:"):
        raise Refused(f"{urls.shown(address)} redirects from https to an insecure URL")
    return further


def _refusal(address: str, response: http.client.HTTPResponse) -> Exception:
    """Return what to make of an answer that is not wanted."""
    code = response.status
    meaning = http.client.responses.get(code, "unknown status")
    what = f"{urls.shown(address)} answered {code} {meaning}"
    if worth_another_try(code):
        return Postponed(what, retry_after(response.headers.get("Retry-After"), time.time()))
    body = response.read(ERROR_BODY)
    said = _S3_CODE.search(body)
    s3_code = said[1].decode() if said else ""
    return Refused(
        what,
        why=f"the storage says {s3_code}" if s3_code else "",
        hint=_EXPIRED if _S3_EXPIRED in body else _hint(code, address, s3_code),
        details={"status": code},
    )


_HINTS = {
    "SignatureDoesNotMatch": "Check whether s3.secret_key and s3.region are right",
    "InvalidAccessKeyId": "Check whether s3.access_key is right",
    "NoSuchBucket": "Check whether the bucket's name is right",
}
"""By S3's error code."""


def _hint(code: int, address: str, said: str) -> str:
    """Say what to do about a refusal."""
    if said in _HINTS:
        return _HINTS[said]
    if code in (401, 403):
        return _NOT_LET_IN if urls.presigned(address) else "Give credentials that may read it"
    return "Check whether the address is right" if code in (404, 410) else ""


@contextlib.contextmanager
def reaching(address: str) -> Iterator[None]:
    """Tell failures inside this block apart: Broken, which may pass, and Refused, which will be the same next time."""
    name = urls.host(urls.split(address))
    try:
        yield
    except ssl.SSLCertVerificationError as failure:
        raise Refused(
            f"the certificate of {name} is not valid",
            why=failure.verify_message,
            hint="Name the file of its authority, or fix the certificate",
        ) from failure
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError) as failure:
        raise Broken(f"{name} broke off inside TLS") from failure
    except ssl.SSLError as failure:
        raise Refused(f"there is no TLS with {name}", why=failure.reason or "") from failure
    except (OSError, http.client.HTTPException) as failure:
        said = str(failure)[:200] or type(failure).__name__
        if said.startswith("Tunnel connection failed: 4"):
            raise Refused(f"the proxy does not connect to {name}", why=said) from failure
        raise Broken(f"{name}: {said}") from failure
