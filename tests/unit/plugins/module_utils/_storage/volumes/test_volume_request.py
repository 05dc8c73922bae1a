# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of volume_image are held against each other, and every problem is told at once."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes import volume_request
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    Request,
)

from tests.fakes.volume_world import PARAMS


def read(**options: Any) -> Request:
    return volume_request.read({**PARAMS, **options})


def problems(**options: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        read(**options)
    return [problem.where for problem in refused.value.problems]


def test_options_become_a_request() -> None:
    wanted = read(
        size=None,
        volume_size_gb=20,
        checksum=" sha256:ab ",
        overwrite="always",
        adopt=True,
        golden=True,
        verify="full",
        correlation_id="ticket-7",
    )
    assert wanted == Request(
        backend="lvm_thin",
        pool="vg/thin",
        name="web-root",
        present=True,
        size=20 << 30,
        image_type="qcow2",
        checksum="sha256:ab",
        overwrite="always",
        adopt=True,
        golden=True,
        compare=True,
        job_id="job-1",
        correlation_id="ticket-7",
    )
    assert wanted.volume == "lvm_thin:vg/thin/web-root"
    assert read(replace="in_place").in_place
    assert read(size="512M").size == 512 << 20


def test_a_volume_that_shall_be_absent_needs_no_size() -> None:
    wanted = read(state="absent", size=None)
    assert (wanted.present, wanted.size) == (False, 0)
    assert not read(
        state="absent", size=None, image_url=None, golden=True, replace="in_place"
    ).present
    for name in ("debvisor-image-0123", "web.old-0123abcd"):
        assert read(state="absent", volume_name=name).name == name


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"volume_name": ""}, "volume_name"),
        ({"volume_name": "x" * 97}, "volume_name"),
        ({"volume_name": "debvisor-image-0123"}, "volume_name"),
        ({"volume_name": "web.new-0123abcd"}, "volume_name"),
        ({"volume_name": "web.old-0123abcd"}, "volume_name"),
        ({"pool": ""}, "pool"),
        ({"pool": "a\0b"}, "pool"),
        ({"backend": "directory", "pool": "images"}, "pool"),
        ({"backend": "lvm", "pool": "vg/thin"}, "pool"),
        ({"backend": "lvm_thin", "pool": "vg"}, "pool"),
        ({"backend": "lvm_thin", "pool": "vg/a/b"}, "pool"),
        ({"backend": "zfs", "pool": "user@tank"}, "pool"),
        ({"backend": "rbd", "pool": "vms/one"}, "pool"),
        ({"image_url": ""}, "image_url"),
        ({"timeout": 0}, "timeout"),
        ({"queue_timeout": -5}, "queue_timeout"),
        ({"cache_path": "cache"}, "cache_path"),
        ({"size": "10GB"}, "size"),
        ({"size": "\uff11\uff10G"}, "size"),
        ({"size": None}, "size"),
        ({"size": None, "volume_size_gb": 0}, "volume_size_gb"),
        ({"size": None, "volume_size_gb": -1}, "volume_size_gb"),
        ({"job_id": "../x"}, "job_id"),
        ({"golden": True, "replace": "in_place"}, "replace"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, Any], where: str) -> None:
    assert problems(**options) == [where]


def test_every_problem_is_told_at_once() -> None:
    wrong = {"volume_name": "", "pool": "", "size": "much", "job_id": "/"}
    assert problems(**wrong) == ["size", "volume_name", "pool", "job_id"]


@pytest.mark.parametrize(
    ("backend", "pool"),
    [
        ("lvm", "vg"),
        ("lvm_thin", "vg/thin"),
        ("zfs", "tank"),
        ("zfs", "tank/guests/fast"),
        ("rbd", "vms"),
        ("rbd", "client@vms"),
        ("directory", "/srv/a b"),
    ],
)
def test_pools_are_named_as_their_backend_does(backend: str, pool: str) -> None:
    assert read(backend=backend, pool=pool).pool == pool


@pytest.mark.parametrize("name", ["x" * 96, "web.new", "web.new-2", "my.old-disk", "image-1"])
def test_names_that_only_resemble_ours_are_good(name: str) -> None:
    assert read(volume_name=name).name == name
