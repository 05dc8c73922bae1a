# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of an RBD pool without Ceph. The rest is ``tests/volumes``, on a real cluster."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import rbd_pool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.rbd_pool import RbdPool


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("web1-root", True),
        ("web1-root.new-01234567", True),
        ("a" * 200, True),
        ("a" * 201, False),
        ("pool/web1", False),
        ("web1@snapshot", False),
        ("web1:conf=/tmp/x", False),
        ("web1.unmarked-01234567", False),
        ("web1.unmarked-", False),
    ],
)
def test_names(name: str, good: bool) -> None:
    assert (RbdPool("volumes").name_fault(name) == "") is good


def test_a_host_without_bindings_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbd_pool, "rbd", None)
    pool = RbdPool("guests@volumes")
    for look in (pool.space, pool.owned, lambda: pool.find("web1")):
        with pytest.raises(Unreachable, match="python3-rbd"):
            look()


class Cluster:
    """Ceph's bindings as far as a connection goes; notes what is done to it."""

    done: list[str]

    def __init__(self, **_options: object) -> None:
        self.done = []

    def connect(self) -> None:
        self.done.append("connect")

    def open_ioctx(self, name: str) -> Cluster:
        self.done.append(f"open {name}")
        return self

    def close(self) -> None:
        self.done.append("close")

    def shutdown(self) -> None:
        self.done.append("shutdown")


def test_the_connection_is_shut_down_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters: list[Cluster] = []

    class Bindings:
        Error = ObjectNotFound = OSError

        @staticmethod
        def Rados(**options: object) -> Cluster:
            clusters.append(Cluster(**options))
            return clusters[-1]

    class Images:
        def list(self, _pool: object) -> list[str]:
            return []

    class Library:
        Error = OSError
        RBD = Images

    monkeypatch.setattr(rbd_pool, "rados", Bindings)
    monkeypatch.setattr(rbd_pool, "rbd", Library)
    pool = RbdPool("volumes")
    pool.close()  # nothing was opened
    for _round in range(2):
        assert pool.owned() == ()
        pool.close()
        pool.close()
    assert [each.done for each in clusters] == [
        ["connect", "open volumes", "close", "shutdown"]
    ] * 2
