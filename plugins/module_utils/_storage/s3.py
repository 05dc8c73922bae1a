# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses ``s3://BUCKET/KEY``. Who has the keys signs them; the host gets only what is signed, and no key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._core.errors import InvalidInput, Problem
from .._core.secret import Secret
from . import addresses
from .sigv4 import LONGEST, Credentials, Signer, object_url

SPEC: dict[str, dict[str, Any]] = {
    "endpoint": {"type": "str", "required": True},
    "access_key": {"type": "str", "required": True, "no_log": False},
    "secret_key": {"type": "str", "required": True, "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "region": {"type": "str", "default": "us-east-1"},
    "addressing": {"type": "str", "choices": ["path", "host"], "default": "path"},
    "valid_for": {"type": "int", "default": 21600},
}
"""The option ``s3``."""
SCHEME = "s3://"
ADDRESS = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)
CHECKSUM_SUFFIX = ".sha256"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where ``s3:`` addresses lead, and the right to read there."""

    endpoint: str
    host_style: bool
    signer: Signer
    valid_for: timedelta

    def signed(self, address: str, moment: datetime) -> str:
        """Return where an object is, with a permission to read it."""
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise InvalidInput([Problem(address, "an address is s3://BUCKET/KEY")])
        url = object_url(self.endpoint, found["bucket"], found["key"], host_style=self.host_style)
        return self.signer.presigned(url, moment=moment, lifetime=self.valid_for)


def signed(options: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """Return a module's options (fragment ``image_source``) without keys, and with addresses that need none.

    :raises InvalidInput: where an address cannot be signed.
    """
    kept = {name: value for name, value in options.items() if name != "s3"}
    image, checksum = options.get("image_url") or "", (options.get("checksum") or "").strip()
    published = checksum or f"{image}{CHECKSUM_SUFFIX}"
    if not any(address.startswith(SCHEME) for address in (image, published)):
        return _hidden(kept, image, checksum)
    storage = _storage(options.get("s3"))

    def reachable(address: str) -> str:
        return storage.signed(address, moment) if address.startswith(SCHEME) else address

    urls = {"image": reachable(image)}
    if "/" in published:
        urls["checksum"] = reachable(published)
    return {**kept, "signed_urls": urls}


def _hidden(options: dict[str, Any], image: str, checksum: str) -> dict[str, Any]:
    """Move addresses that may be credentials to where Ansible shows and logs nothing."""
    given = [address for address in (image, checksum) if "/" in address]
    if any(addresses.fault(address) for address in given):
        return options  # the module says what is wrong
    if all(addresses.shown(address) == address for address in given):
        return options
    urls, told = {"image": image}, {"image_url": addresses.shown(image)}
    if "/" in checksum:
        urls["checksum"], told["checksum"] = checksum, addresses.shown(checksum)
    return {**options, **told, "signed_urls": urls}


def _storage(given: Mapping[str, Any] | None) -> Storage:
    if given is None:
        raise InvalidInput(
            [Problem("s3", "addresses that begin with s3:// need endpoint, access_key, secret_key")]
        )
    problems = []
    if fault := addresses.fault(given["endpoint"]):
        problems.append(Problem("s3.endpoint", fault))
    longest = int(LONGEST.total_seconds())
    if not 1 <= given["valid_for"] <= longest:
        problems.append(Problem("s3.valid_for", f"must be 1 to {longest} seconds"))
    if problems:
        raise InvalidInput(problems)
    token = given["session_token"]
    credentials = Credentials(
        given["access_key"], Secret(given["secret_key"]), Secret(token) if token else None
    )
    return Storage(
        endpoint=given["endpoint"],
        host_style=given["addressing"] == "host",
        signer=Signer(credentials, given["region"]),
        valid_for=timedelta(seconds=given["valid_for"]),
    )
