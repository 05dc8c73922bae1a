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

from ..._core import urls
from ..._core.checks import refuse_any
from ..._core.errors import InvalidInput, Problem
from ..._core.secret import Secret
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

    An address that may be a credential goes to ``signed_urls``, of which Ansible shows and logs nothing; what stands in
    the option itself can be shown.

    :raises InvalidInput: where one is no address, or cannot be signed. It is not repeated.
    """
    kept = {name: value for name, value in options.items() if name != "s3"}
    image, checksum = (str(options.get(name) or "").strip() for name in ("image_url", "checksum"))
    _check(options, image, checksum)
    published = checksum or (f"{image}{CHECKSUM_SUFFIX}" if image.startswith(SCHEME) else "")
    urls = {"image": image, **({"checksum": published} if "/" in published else {})}
    told = {"image_url": _shown(image), "checksum": _shown(checksum)}
    kept |= {option: text for option, text in told.items() if text}
    if any(address.startswith(SCHEME) for address in urls.values()):
        storage = _storage(options.get("s3"))
        for name, address in urls.items():
            if address.startswith(SCHEME):
                urls[name] = storage.signed(address, moment)
    elif all(_shown(address) == address for address in urls.values()):
        return kept
    return {**kept, "signed_urls": urls}


def _check(options: Mapping[str, Any], image: str, checksum: str) -> None:
    """Refuse what is no address here, where nothing is logged yet."""
    problems = []
    if options.get("image_url") is not None and not image:
        problems.append(Problem("image_url", "it is empty; leave it out where no image is meant"))
    given = {"image_url": image, "checksum": checksum if "/" in checksum else ""}
    for option, address in given.items():
        if address and not address.startswith(SCHEME) and (fault := urls.fault(address)):
            problems.append(Problem(option, f"this is not a valid HTTP(S) or S3 URL: {fault}"))
    refuse_any(problems, hint="Nothing was changed")


def _shown(text: str) -> str:
    """Return an address without what may be a credential. A digest has no slash, and an address of S3 no secret."""
    return text if "/" not in text or text.startswith(SCHEME) else urls.shown(text)


def _storage(given: Mapping[str, Any] | None) -> Storage:
    if given is None:
        raise InvalidInput(
            [Problem("s3", "addresses that begin with s3:// need endpoint, access_key, secret_key")]
        )
    problems = []
    if fault := urls.fault(given["endpoint"]):
        problems.append(Problem("s3.endpoint", fault))
    longest = int(LONGEST.total_seconds())
    if not 1 <= given["valid_for"] <= longest:
        problems.append(Problem("s3.valid_for", f"must be 1 to {longest} seconds"))
    refuse_any(problems)
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
