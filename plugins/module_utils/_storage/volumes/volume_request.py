# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for: a volume and what is to be on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.checks import refuse_any
from ..._core.errors import Problem
from ..._core.spec import Spec
from ..images.image_options import IMAGE
from ..jobs import sizes
from ..jobs.job import id_fault

SPEC = Spec(
    {
        **IMAGE,
        "volume_name": {"type": "str", "required": True},
        "backend": {
            "type": "str",
            "choices": ["lvm", "lvm_thin", "zfs", "rbd", "directory"],
            "default": "lvm",
        },
        "pool": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "volume_size_gb": {"type": "int"},
        "size": {"type": "str"},
        "overwrite": {
            "type": "str",
            "choices": ["never", "different", "always"],
            "default": "never",
        },
        "adopt": {"type": "bool", "default": False},
        "replace": {"type": "str", "choices": ["beside", "in_place"], "default": "beside"},
        "golden": {"type": "bool", "default": False},
        "verify": {"type": "str", "choices": ["sampled", "full"], "default": "sampled"},
        "timeout": {"type": "int", "default": 3600},
        "queue_timeout": {"type": "int", "default": 3600},
        "job_id": {"type": "str"},
        "correlation_id": {"type": "str"},
        "cache_path": {"type": "path"},
    },
    required_if=[
        ("state", "present", ["image_url"]),
        ("state", "present", ["volume_size_gb", "size"], True),
    ],
    mutually_exclusive=[("volume_size_gb", "size")],
)
POOL = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*(?:[/@][A-Za-z0-9_.+][A-Za-z0-9_.+-]*)*")
FORMS = {
    "lvm": (re.compile(r"[^/@]+"), "vg0"),
    "lvm_thin": (re.compile(r"[^/@]+/[^/@]+"), "vg0/thin"),
    "zfs": (re.compile(r"[^@]+"), "tank/guests"),
    "rbd": (re.compile(r"[^/@]+(@[^/@]+)?"), "volumes, or client@volumes"),
}
"""What the name of a pool consists of, by backend, and an example."""
LONGEST_NAME = 96
"""Characters of a volume's name: what stands beside it for a while has an ending, and LVM allows 127."""
OURS = re.compile(r"debvisor-image-.*|.*\.(?:new|old)-[0-9a-f]{8}")
"""Names that runs use for what they clone from, fill, and put aside."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of ``volume_image``, checked. A volume that shall be absent needs no more than its place."""

    backend: str
    pool: str
    name: str
    present: bool
    size: int = 0
    """Bytes."""
    image_type: str = "qcow2"
    checksum: str = ""
    """``sha256:<hex>``, an address, ``none``, or "" for the object ``<url>.sha256``."""
    overwrite: str = "never"
    """``never``, ``different`` (another image than wanted is on it) or ``always``."""
    adopt: bool = False
    """Whether a volume that is not ours may be overwritten, or removed."""
    in_place: bool = False
    golden: bool = False
    compare: bool = False
    """Whether every byte is compared, and not only samples."""
    job_id: str = ""
    correlation_id: str = ""

    @property
    def volume(self) -> str:
        """Name the volume, for people and locks."""
        return f"{self.backend}:{self.pool}/{self.name}"


def read(params: Mapping[str, Any]) -> Request:
    """Check the options against each other.

    :raises InvalidInput: with every problem.
    """
    problems: list[Problem] = []
    size = _size(params, problems)
    name, pool = params["volume_name"], params["pool"]
    if not name or len(name) > LONGEST_NAME:
        problems.append(
            Problem(
                "volume_name", f"it has {len(name)} characters; 1 to {LONGEST_NAME} are allowed"
            )
        )
    if params["state"] == "present" and OURS.fullmatch(name):
        problems.append(
            Problem(
                "volume_name", f"{name!r} is a name that runs of this module use for themselves"
            )
        )
    if fault := _pool_fault(params["backend"], pool):
        problems.append(Problem("pool", fault))
    for option in ("timeout", "queue_timeout"):
        if params[option] < 1:
            problems.append(Problem(option, f"{params[option]} must be at least 1 second"))
    if params["state"] == "present" and not params["image_url"]:
        problems.append(Problem("image_url", "it is empty"))
    if params["cache_path"] and not params["cache_path"].startswith("/"):
        problems.append(Problem("cache_path", f"{params['cache_path']!r} is not an absolute path"))
    if fault := id_fault(params["job_id"]):
        problems.append(Problem("job_id", fault))
    if params["state"] == "present" and params["golden"] and params["replace"] == "in_place":
        problems.append(
            Problem(
                "replace", "a clone of a golden volume is a new volume; it cannot be made in place"
            )
        )
    refuse_any(problems, hint="Nothing was changed")
    return Request(
        backend=params["backend"],
        pool=pool,
        name=name,
        present=params["state"] == "present",
        size=size,
        image_type=params["image_type"],
        checksum=(params["checksum"] or "").strip(),
        overwrite=params["overwrite"],
        adopt=params["adopt"],
        in_place=params["replace"] == "in_place",
        golden=params["golden"],
        compare=params["verify"] == "full",
        job_id=params["job_id"],
        correlation_id=params["correlation_id"] or "",
    )


def _size(params: Mapping[str, Any], problems: list[Problem]) -> int:
    """Return the wanted size in bytes; 0 where the volume shall be absent."""
    gigabytes, text = params["volume_size_gb"], params["size"]
    if params["state"] == "absent":
        return 0
    if gigabytes is not None:
        if gigabytes < 1:
            problems.append(Problem("volume_size_gb", f"{gigabytes} must be at least 1"))
        return int(gigabytes) * sizes.GIB
    try:
        return sizes.parse(text or "")
    except ValueError as cause:
        problems.append(Problem("size", str(cause)))
        return 0


def _pool_fault(backend: str, pool: str) -> str:
    """Return why this cannot be the name of a pool, or "". It becomes a word of a command line."""
    if backend == "directory":
        return (
            "" if pool.startswith("/") and "\0" not in pool else f"{pool!r} is not an absolute path"
        )
    if not pool:
        return "it is missing: say in which volume group, dataset, pool or folder"
    form, example = FORMS[backend]
    if POOL.fullmatch(pool) and form.fullmatch(pool):
        return ""
    if POOL.fullmatch(pool):
        return f"{pool!r} is not the name of a pool of {backend}, such as {example}"
    return (
        f"{pool!r} is not the name of a pool: letters, digits and _ . + - are, and / between parts"
    )
