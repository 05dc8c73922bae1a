# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal with its reason and what to do, and every kind of plan."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Plan, Undo
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    CachedImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes import volume_plan
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_plan import Seen
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    Request,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Marks,
    Space,
    User,
    Volume,
)

GIB = 1 << 30
DIGEST, OTHER = "ab" * 32, "cd" * 32
SOURCE = "https://images.example.org/debian.qcow2"
OURS = Marks(f"sha256:{DIGEST}", "0123abcd", "2026-01-31T12:00:00Z", 2 * GIB)
OLD = Marks(f"sha256:{OTHER}", "0123abcd", "2026-01-31T12:00:00Z", 2 * GIB)
VOLUME = Volume("web", "id-1", 10 * GIB, "/dev/vg/web", OURS)
STALE = replace(VOLUME, marks=OLD)
UNPROVED = replace(VOLUME, marks=Marks(token="0123abcd"))
STRANGER = replace(VOLUME, marks=None)
GOLDEN = Volume("golden", "id-2", 2 * GIB, "/dev/vg/golden", replace(OURS, golden=True))
CACHED = CachedImage(DIGEST, "/cache/image", GIB, "qcow2")
SEEN = Seen(digest=DIGEST, virtual_size=2 * GIB, space=Space(100 * GIB, 4 << 20), source=SOURCE)
WANTED = Request("lvm_thin", "vg/thin", "web", True, 10 * GIB)
WEB = User("guest", "web")
ABSENT = replace(WANTED, present=False, size=0)


def decide(request: Request = WANTED, **seen: Any) -> Plan:
    return volume_plan.decide(replace(SEEN, **seen), request)


def asked(**options: Any) -> Request:
    return replace(WANTED, **options)


DIFFERENT, ALWAYS = asked(overwrite="different"), asked(overwrite="always")
IN_PLACE = asked(overwrite="different", in_place=True)
REFUSALS: dict[str, tuple[Request, dict[str, Any], str]] = {
    "bad name": (
        WANTED,
        {"name_fault": "it begins with a dash"},
        "'web' cannot be the name of a volume: it begins with a dash. Nothing was changed",
    ),
    "thin pool": (
        ALWAYS,
        {"volume": replace(VOLUME, special="thin pool")},
        "lvm_thin:vg/thin/web is not a plain volume: it is a thin pool. Choose another name",
    ),
    "origin": (
        ALWAYS,
        {"volume": replace(VOLUME, special="origin of snapshots")},
        "lvm_thin:vg/thin/web is not a plain volume: it is an origin of snapshots. Choose another name",
    ),
    "smaller": (
        ALWAYS,
        {"volume": replace(VOLUME, size=9 * GIB)},
        "has another size than wanted: it has 9 GiB (9663676416 bytes), wanted are 10 GiB; 5 % are tolerated",
    ),
    "larger, though it holds the image": (
        WANTED,
        {"volume": replace(VOLUME, size=11 * GIB)},
        "has another size than wanted: it has 11 GiB (11811160064 bytes), wanted are 10 GiB",
    ),
    "stranger": (
        ALWAYS,
        {"volume": STRANGER},
        "lvm_thin:vg/thin/web is not ours: it carries no mark of this collection",
    ),
    "something else": (
        WANTED,
        {"volume": STALE},
        f"holds something else: it was filled from sha256:{OTHER}, wanted is sha256:{DIGEST}."
        " Say overwrite: different (or always)",
    ),
    "unproved": (
        WANTED,
        {"volume": UNPROVED},
        "holds something else: it was filled from nothing that was proved",
    ),
    "unpublished": (
        WANTED,
        {"volume": VOLUME, "digest": ""},
        "wanted is an image of unpublished digest",
    ),
    "ours, though strangers may be adopted": (
        asked(adopt=True),
        {"volume": STALE},
        "holds something else",
    ),
    "in use": (
        DIFFERENT,
        {"volume": STALE, "users": (WEB, User("process", "7", "kvm"))},
        "lvm_thin:vg/thin/web is in use: guest web; process 7 (kvm). Shut the guest down",
    ),
    "in use, in place": (
        IN_PLACE,
        {"volume": STALE, "users": (WEB,)},
        "is in use: guest web",
    ),
    "in use, adopted": (
        asked(adopt=True, overwrite="different"),
        {"volume": STRANGER, "users": (WEB,)},
        "is in use: guest web",
    ),
    "in use, afresh": (ALWAYS, {"volume": VOLUME, "users": (WEB,)}, "is in use"),
    "in use, and without room: what a guest that is shut down would not help comes first": (
        DIFFERENT,
        {"volume": STALE, "users": (WEB,), "space": Space(0)},
        "has no room",
    ),
    "pool in trouble": (
        WANTED,
        {"space": Space(100 * GIB, 1, ("its metadata is nearly full", "a disk is gone"))},
        "the pool vg/thin cannot be written to: its metadata is nearly full; a disk is gone.",
    ),
    "image too large": (
        WANTED,
        {"virtual_size": 10 * GIB + 1},
        "the image does not fit into lvm_thin:vg/thin/web: its disk has 10 GiB (10737418241 bytes), the volume 10 GiB."
        " Ask for 10737418241 bytes or more",
    ),
    "image too large for what is there": (
        IN_PLACE,
        {"volume": replace(STALE, size=10 * GIB - 1), "virtual_size": 10 * GIB},
        "the image does not fit",
    ),
    "no room": (
        WANTED,
        {"space": Space(GIB, 1)},
        "the pool vg/thin has no room for web: 10 GiB are needed, beside what is there; 1 GiB are free. Make room",
    ),
    "no room beside": (
        DIFFERENT,
        {"volume": STALE, "space": Space(GIB, 1)},
        "Make room, or say replace: in_place, which needs none but cannot be rolled back",
    ),
    "no room for the last extent": (
        asked(size=10 * GIB - 1),
        {"space": Space(10 * GIB - 1, 4 << 20)},
        "has no room",
    ),
    "removing a thin pool": (
        ABSENT,
        {"volume": replace(VOLUME, special="thin pool")},
        "is not a plain volume: it is a thin pool. Nothing was changed",
    ),
    "removing a stranger": (
        ABSENT,
        {"volume": STRANGER},
        "lvm_thin:vg/thin/web is not ours. Say adopt: true to have it removed all the same",
    ),
    "removing what is in use": (
        ABSENT,
        {"volume": VOLUME, "users": (WEB,)},
        "is in use: guest web. Nothing was changed",
    ),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_what_must_not_be_is_refused(case: tuple[Request, dict[str, Any], str]) -> None:
    request, seen, told = case
    with pytest.raises(Refused, match=re.escape(told)):
        decide(request, **seen)


PLANS: dict[str, tuple[Request, dict[str, Any], list[str]]] = {
    "new": (WANTED, {}, ["fetch", "create", "populate", "publish"]),
    "cached": (WANTED, {"cached": CACHED}, ["create", "populate", "publish"]),
    "right": (WANTED, {"volume": VOLUME}, []),
    "right and used": (WANTED, {"volume": VOLUME, "users": (WEB,)}, []),
    "right in a pool without room": (WANTED, {"volume": VOLUME, "space": Space(0)}, []),
    "right, a bit smaller": (WANTED, {"volume": replace(VOLUME, size=10 * GIB - 5)}, []),
    "right, different": (DIFFERENT, {"volume": VOLUME}, []),
    "right, in place": (asked(in_place=True), {"volume": VOLUME}, []),
    "afresh": (ALWAYS, {"volume": VOLUME, "cached": CACHED}, ["create", "populate", "publish"]),
    "stale": (DIFFERENT, {"volume": STALE}, ["fetch", "create", "populate", "publish"]),
    "unproved": (DIFFERENT, {"volume": UNPROVED}, ["fetch", "create", "populate", "publish"]),
    "adopted": (
        asked(adopt=True, overwrite="different"),
        {"volume": STRANGER},
        ["fetch", "create", "populate", "publish"],
    ),
    "in place": (IN_PLACE, {"volume": STALE}, ["fetch", "overwrite"]),
    "in place without room": (
        IN_PLACE,
        {"volume": STALE, "space": Space(0), "cached": CACHED},
        ["overwrite"],
    ),
    "in place of nothing": (IN_PLACE, {}, ["fetch", "create", "populate", "publish"]),
    "golden": (
        asked(golden=True),
        {"can_clone": True},
        ["fetch", "make golden", "clone", "publish"],
    ),
    "golden, cached": (
        asked(golden=True),
        {"can_clone": True, "cached": CACHED},
        ["make golden", "clone", "publish"],
    ),
    "golden is there": (
        asked(golden=True),
        {"can_clone": True, "golden": GOLDEN},
        ["clone", "publish"],
    ),
    "golden, where nothing can be cloned": (
        asked(golden=True),
        {},
        ["fetch", "create", "populate", "publish"],
    ),
    "absent": (ABSENT, {"volume": VOLUME}, ["remove"]),
    "absent, unproved": (ABSENT, {"volume": UNPROVED}, ["remove"]),
    "absent, adopted": (replace(ABSENT, adopt=True), {"volume": STRANGER}, ["remove"]),
    "absent already": (ABSENT, {}, []),
    "absent golden": (ABSENT, {"volume": GOLDEN}, ["remove golden"]),
}


@pytest.mark.parametrize("case", PLANS.values(), ids=PLANS)
def test_what_is_to_be_done_follows_from_what_is_there(
    case: tuple[Request, dict[str, Any], list[str]],
) -> None:
    request, seen, verbs = case
    plan = decide(request, **seen)
    assert [action.verb for action in plan.actions] == verbs
    assert len(plan.differences) == bool(verbs)
    assert verbs or plan.before == plan.after


def test_a_plan_tells_what_is_what_will_be_and_what_is_known() -> None:
    plan = decide(DIFFERENT, volume=STALE, cached=CACHED)
    assert plan.before == {"size": 10 * GIB, "image": f"sha256:{OTHER}"}
    assert plan.after == {"size": 10 * GIB, "image": f"sha256:{DIGEST}"}
    assert plan.facts == {"cache_hit": True, "image_sha256": DIGEST, "virtual_size": 2 * GIB}
    assert [action.target for action in plan.actions] == ["lvm_thin:vg/thin/web"] * 3
    [difference] = plan.differences
    assert difference.before == f"size: {10 * GIB}\nimage: sha256:{OTHER}\n"
    assert difference.after == f"size: {10 * GIB}\nimage: sha256:{DIGEST}\n"


def test_a_plan_tells_the_size_that_the_volume_will_have() -> None:
    assert decide(asked(size=10 * GIB - 1)).after["size"] == 10 * GIB
    kept = replace(STALE, size=10 * GIB - 512)
    assert decide(IN_PLACE, volume=kept).after["size"] == 10 * GIB - 512


def test_only_what_is_overwritten_cannot_be_rolled_back() -> None:
    plan = decide(IN_PLACE, volume=STALE)
    assert [action.undo for action in plan.actions] == [Undo.COMPENSABLE, Undo.IRREVERSIBLE]
    for request, seen in (
        (WANTED, {}),
        (DIFFERENT, {"volume": STALE}),
        (ABSENT, {"volume": VOLUME}),
    ):
        assert all(
            action.undo is not Undo.IRREVERSIBLE for action in decide(request, **seen).actions
        )


def test_what_was_fetched_is_known_by_where_it_came_from() -> None:
    assert decide().actions[0].target == SOURCE
    assert decide().facts["cache_hit"] is False
    assert decide(volume=VOLUME).facts["cache_hit"] is True
    assert decide(asked(golden=True), can_clone=True, golden=GOLDEN).facts["cache_hit"] is True


def test_an_image_whose_digest_nobody_published_is_warned_of() -> None:
    assert decide().warnings == ()
    [warning] = decide(digest="").warnings
    assert SOURCE in warning


def test_the_name_of_a_golden_volume_is_one_for_each_image() -> None:
    names = {volume_plan.golden_name(digest) for digest in (DIGEST, OTHER)}
    assert len(names) == 2
    assert all(len(name) <= 96 for name in names)


def test_a_snapshot_of_a_volume_that_is_right_is_no_matter() -> None:
    plan = decide(volume=replace(VOLUME, special="origin of snapshots"))
    assert plan.actions == ()
    with pytest.raises(Refused, match="another size"):
        decide(volume=replace(VOLUME, special="origin of snapshots", size=11 * GIB))
