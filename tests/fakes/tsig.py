# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keyring hands to a host, unsealed, at each stage of a rotation."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files


def secret(name: str) -> str:
    return base64.b64encode(name.encode().ljust(32, b".")).decode()


def bundle(**classes: Any) -> str:
    """Describe classes as (current, numbers, serves)."""
    return json.dumps(
        {
            "format": 1,
            "classes": {
                name.replace("_", "-"): {
                    "current": current,
                    "serves": serves,
                    "reads": name == "admin",
                    "keys": {
                        str(number): {
                            "algorithm": "hmac-sha256",
                            "secret": secret(f"{name}{number}"),
                        }
                        for number in numbers
                    },
                }
                for name, (current, numbers, serves) in classes.items()
            },
        }
    )


ONE = bundle(node=(1, [1], "update"), xfer=(1, [1], "transfer"))
BOTH = bundle(node=(1, [1, 2], "update"), xfer=(1, [1, 2], "transfer"))
SWITCHED = bundle(node=(2, [1, 2], "update"), xfer=(2, [1, 2], "transfer"))
TWO = bundle(node=(2, [2], "update"), xfer=(2, [2], "transfer"))
CLIENT = bundle(node=(1, [1], ""))


class Plain:
    """Opens what was never sealed."""

    def open(self, sealed: str, private_key: str) -> bytes:
        return sealed.encode()


class OwnFiles(Files):
    """The real files, whoever runs the tests."""

    def account(self, owner: str | None, group: str | None) -> tuple[int, int]:
        return os.geteuid(), os.getegid()


def counts(made: int, failed: int = 0, errors: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a canary counted."""
    return {"made": made, "failed": failed, "retried": 0, "slowest_ms": 3.5, "errors": list(errors)}


def outcome(**more: Any) -> dict[str, Any]:
    """Return what came of a rotation."""
    quiet = {"updates": counts(10), "transfers": counts(2)}
    return {
        "mode": "rotate",
        "dropped": ["g1.y", "g1.x"],
        "waiting": {},
        "missing": [],
        "canaries": {"b": quiet, "a": quiet},
        **more,
    }
