# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name an image and the way to it, for every module that brings one (fragment ``image_source``)."""

from __future__ import annotations

from typing import Any

from . import s3

IMAGE: dict[str, dict[str, Any]] = {
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
