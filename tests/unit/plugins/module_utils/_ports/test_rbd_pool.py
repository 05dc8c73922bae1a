# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of an RBD pool without Ceph. The rest is ``tests/volumes``, on a real cluster."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports import rbd_pool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.rbd_pool import RbdPool


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
