# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name an image and the way to it, for every module that brings one (fragment ``image_source``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.secret import Secret
from .._storage import s3
from .._storage.retries import Limits
from .http_session import Access
from .image_source import ImageAddress, WebImage

SPEC: dict[str, dict[str, Any]] = {
    "image_url": {"type": "str"},
    "image_type": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
    "checksum": {"type": "str", "no_log": False},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "connections": {"type": "int", "choices": [1, 2, 4, 8, 16], "default": 4},
    "s3": {"type": "dict", "options": s3.SPEC},
    "signed_urls": {
        "type": "dict",
        "no_log": True,
        "options": {
            "image": {"type": "str", "required": True, "no_log": True},
            "checksum": {"type": "str", "no_log": True},
        },
    },
}


def image_at(params: Mapping[str, Any]) -> WebImage | None:
    """Return the image that the options name, or None where they name none. Nothing is asked yet."""
    if not params["image_url"]:
        return None
    signed = params["signed_urls"] or {}
    checksum = params["checksum"] or ""
    published = signed.get("checksum") or (checksum if "/" in checksum else "")
    access = Access(
        ca=params["ca_path"] or "",
        cert=params["client_cert"] or "",
        key=params["client_key"] or "",
        validate_certs=params["validate_certs"],
    )
    return WebImage(
        ImageAddress(
            url=Secret((signed.get("image") or params["image_url"]).encode()),
            checksum_url=Secret(published.encode()) if published else None,
            access=access,
            limits=Limits(connections=params["connections"]),
        )
    )
