# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway keeps what it is given, and its log tells who asked for it."""

from __future__ import annotations

import pytest

from tests.volumes.gateway import POOL, Gateway, Request

pytestmark = pytest.mark.long


def test_an_object_comes_back_and_its_requests_are_in_the_log(gateway: Gateway) -> None:
    gateway.make_bucket("own")
    url = gateway.put("own", "folder/object", b"content")
    before = len(gateway.settled_requests("/own/folder/object"))
    assert gateway.get(url) == b"content"
    asked = gateway.settled_requests("/own/folder/object")[before:]
    assert asked == [Request("GET", "/own/folder/object", 200, len(b"content"))]


def test_the_key_of_the_pool_opens_the_pool_and_no_other(gateway: Gateway) -> None:
    rbd = f"rbd --id {POOL}"
    gateway.cluster.run(gateway.node, f"{rbd} create {POOL}/own --size 1M && {rbd} rm {POOL}/own")
    other = gateway.cluster.run(gateway.node, f"{rbd} ls .rgw.root 2>&1 || true")
    assert "Operation not permitted" in other
