# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``image_cache`` and ``image_cache_info`` on real files, with libvirt's pool in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import metrics
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    InvalidInput,
    Refused,
    TimedOut,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_folder import (
    ImageFolder,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import (
    cache,
    cache_metrics,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_looking import (
    CacheLooking,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_operation import (
    CacheOperation,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_plan import SPEC
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.libvirt_pool import (
    PoolFacts,
)

from tests.fakes.images import (
    CONTENT,
    DIGEST,
    NAME,
    QCOW2_HEAD,
    CachingHost,
    FakePool,
    MemoryImage,
    sha256,
)
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named

OTHER = b"other" * 5000
OTHER_NAME = f"{sha256(OTHER)}.qcow2"
OTHER_URL = "https://images.example.org/other.qcow2"


class Tended(CachingHost):
    """A machine whose cache is tended by the operation. Its folder is given, unless it has libvirt."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.records = Records(Journal(root / "journal"), Audit(root / "audit"), root / "scopes")
        self.open: Callable[[str], ImageFolder] = lambda path: ImageFolder(path, self.locks)

    def run(
        self, source: MemoryImage | None = None, *, check: bool = False, **params: Any
    ) -> Outcome:
        """Run the operation; in check mode prove that nothing is written."""
        given = {"path": None if self.pool.is_possible else str(self.root), **params}
        caching = CacheOperation(self.open, self.pool, self.clock, source)
        before = self.all()
        self.pool.read_only = check
        outcome = execute(caching, filled(SPEC, given), self.records, check=check)
        self.pool.read_only = False
        assert not check or self.all() == before
        assert self.pool.closed
        return outcome

    def all(self) -> dict[str, tuple[int, int]]:
        """Every file and folder of the cache, with what changes when somebody writes to it."""
        found = {
            str(path): (status.st_ino, status.st_mtime_ns)
            for path in [self.root, *self.root.rglob("*")]
            if path.exists() and (status := path.lstat())
        }
        return {**found, **{str(path): (0, 0) for path in self.locks.glob("*")}}

    def changes(self, source: MemoryImage | None = None, **params: Any) -> Outcome:
        """Run it: foretold, done as foretold, and then there is nothing left to do."""
        foretold = self.run(source, check=True, **params)
        done = self.run(source, **params)
        assert (foretold.failure, done.failure) == (None, None)
        assert [each.public() for each in foretold.plan.actions] == done.done
        assert done.changed
        assert done.plan.differences
        again = self.run(source, **params)
        assert (again.failure, again.changed, again.plan.actions) == (None, False, ())
        return done


@pytest.fixture
def host(tmp_path: Path) -> Tended:
    return Tended(tmp_path)


READS = (
    "path", "there", "identity", "room", "changed", "names", "read", "link_target", "digest", "free",
    "try_lock", "is_locked", "is_open",
)  # fmt: skip


def case(title: str, /, setting: Callable[[Tended], object] = str, **params: Any) -> Build:
    def build(base: Path) -> Case:
        host = Tended(base)
        both(host)
        host.clock.ahead += 100
        setting(host)

        def operation(wire: Wire) -> CacheOperation:
            def opened(path: str) -> Any:
                return wire("folder", ImageFolder(path, host.locks))

            source = MemoryImage(NEW, url="https://x.example.org/new")
            ports = (opened, wire("pool", host.pool), host.clock)
            return CacheOperation(*ports, wire("source", source) if title == "fetched" else None)

        return Case(
            operation,
            filled(SPEC, {"path": str(host.root), **params}),
            lambda: {name: (host.root / name).read_bytes() for name in host.images()},
            {f"folder.{name}" for name in READS}
            | {f"pool.{name}" for name in ("possible", "facts", "is_possible")}
            | {"source.look", "source.text", "source.shown"},
            restores=title != "fetched",
        )

    return named(title, build)


NEW = b"new" * 9000


def damage(host: Tended) -> None:
    (host.root / NAME).write_bytes(b"!")


class TestContract(OperationContract):
    operation = CacheOperation
    cases = (
        case("pruned", state="pruned", max_age=0.0),
        case("absent", state="absent", checksum=DIGEST),
        case("verified", damage, state="verified"),
        case("fetched", checksum=sha256(NEW)),
    )


def verbs(outcome: Outcome) -> list[str]:
    return [action.verb for action in outcome.plan.actions]


def failure(outcome: Outcome, kind: type[Exception], text: str) -> None:
    assert isinstance(outcome.failure, kind), outcome.failure
    assert text in str(outcome.failure)


# --- present


def test_an_image_is_fetched_ahead(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    outcome = host.changes(source)
    assert verbs(outcome) == ["fetch"]
    assert outcome.facts["image"] == {
        "path": str(host.root / NAME),
        "name": NAME,
        "sha256": DIGEST,
        "image_type": "qcow2",
        "size": len(CONTENT),
        "url": source.url,
        "pinned": False,
        "verified": True,
    }
    assert outcome.plan.facts["cache_hit"] is False
    assert host.run(source).plan.facts["cache_hit"] is True
    assert source.downloads == 1
    assert (outcome.plan.before["images"], outcome.plan.after["images"][0]["name"]) == ([], NAME)
    assert NAME in host.records.audit.path.read_text()


def test_an_image_that_nobody_promised_is_fetched_ahead_and_pinned(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    outcome = host.changes(source, checksum="none", pinned=True)
    assert verbs(outcome) == ["fetch", "pin"]
    assert outcome.facts["image"]["pinned"] is True
    assert source.downloads == 1


def test_without_a_checksum_there_is_no_image(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    source.checksum_text = lambda _check: None  # type: ignore[method-assign]
    failure(host.run(source), Refused, "no checksum")
    failure(host.run(source, check=True), Refused, "no checksum")


def test_what_no_volume_could_be_filled_from_is_not_fetched(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    at_the_backing_file = slice(8, 16)
    head = bytearray(QCOW2_HEAD)
    head[at_the_backing_file] = (64).to_bytes(8)
    seen = replace(source.look(), head=bytes(head))
    source.look = lambda _check=None: seen  # type: ignore[method-assign]
    for check in (True, False):
        failure(host.run(source, check=check), Refused, "it has a backing file")
    assert source.downloads == 0


def test_a_pin_is_set_taken_off_and_left_alone(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    host.run(source)
    assert verbs(host.changes(source, pinned=True)) == ["pin"]
    assert not host.run(source).changed, "it is left alone where nobody says"
    assert verbs(host.changes(pinned=False, checksum=DIGEST)) == ["unpin"]
    assert verbs(host.changes(pinned=True, checksum=f"sha256:{DIGEST}")) == ["pin"]
    failure(host.run(pinned=True, checksum=sha256(b"")), Conflict, "image_url")


def test_a_doubtful_image_is_no_hit(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    host.run(source, pinned=True)
    os.utime(host.root / NAME, ns=(1, 1))
    outcome = host.changes(source, pinned=True)
    assert verbs(outcome) == ["fetch"]
    assert source.downloads == 1, "it proved good"
    (host.root / NAME).write_bytes(b"bad")
    outcome = host.changes(source, pinned=True)
    assert any("changed on disk" in warning for warning in outcome.warnings)


def test_an_image_that_is_wrong_leaves_the_cache_as_it_was(host: Tended) -> None:
    outcome = host.run(MemoryImage(CONTENT), checksum=sha256(b"x"), pinned=True)
    failure(outcome, VerificationFailed, DIGEST)
    assert (outcome.changed, outcome.done) == (False, [])
    assert host.images() == []


def test_only_as_much_time_as_is_given_is_taken(host: Tended) -> None:
    source = MemoryImage(CONTENT)
    started = host.clock.monotonic()
    times = iter([started, started, started, started + 61, *[started + 62] * 1000])
    host.clock.monotonic = lambda: next(times)  # type: ignore[method-assign]
    failure(host.run(source, timeout=60.0), TimedOut, "longer than 60 s")
    assert 0 < source.fetched < len(CONTENT)
    del host.clock.monotonic
    host.run(source)
    assert source.fetched == len(CONTENT), "the next run went on"


# --- the pool


@pytest.fixture
def hypervisor(host: Tended) -> Tended:
    """A machine with libvirt and the pool ``images``."""
    host.pool = FakePool(PoolFacts("dir", str(host.root), active=True, autostart=True))
    return host


def test_a_pool_that_is_there_is_where_the_cache_is(hypervisor: Tended) -> None:
    assert not hypervisor.run().changed
    hypervisor.run(MemoryImage(CONTENT))
    assert hypervisor.images() == [NAME]
    assert hypervisor.pool.refreshed == 1


def test_a_pool_is_started_now_and_at_boot(hypervisor: Tended) -> None:
    hypervisor.pool.held = PoolFacts("dir", str(hypervisor.root), active=False, autostart=False)
    assert verbs(hypervisor.changes()) == ["start", "autostart"]


def test_a_pool_of_something_else_is_refused(hypervisor: Tended) -> None:
    for kind, path in (("logical", "/dev/hv"), ("netfs", "/srv/images")):
        hypervisor.pool.held = PoolFacts(kind, path, active=True, autostart=True)
        failure(hypervisor.run(), DebvisorError, f"of type {kind}")
    outcome = hypervisor.run(path=str(hypervisor.root / "own"))
    assert verbs(outcome) == ["make"], "a folder that is given leaves the pool alone"


def missing(host: Tended, monkeypatch: pytest.MonkeyPatch) -> None:
    host.pool = FakePool(possible=True)
    host.root.rmdir()
    where = (
        "ansible_collections.debvisor.hci.plugins.module_utils._storage.images.libvirt_pool.FOLDER"
    )
    monkeypatch.setattr(where, str(host.root))


def test_a_pool_that_is_missing_is_made(host: Tended, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(host, monkeypatch)
    source = MemoryImage(CONTENT)
    outcome = host.changes(source)
    assert verbs(outcome) == ["make", "define", "start", "autostart", "fetch"]
    assert host.pool.held == PoolFacts("dir", str(host.root), active=True, autostart=True)
    assert (host.root.stat().st_mode & 0o777) & ~0o711 == 0


@pytest.mark.parametrize("step", ["define", "start", "set_autostart"])
def test_a_pool_that_cannot_be_made_leaves_nothing(
    host: Tended, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    missing(host, monkeypatch)
    host.pool.trouble[step] = Refused("libvirt refused")
    outcome = host.run(MemoryImage(CONTENT))
    failure(outcome, Refused, "libvirt refused")
    if step != "set_autostart":  # there its undo fails alike, which is told
        assert (outcome.rolled_back, outcome.rollback_errors) == (True, [])
        assert (host.pool.held, host.root.exists()) == (None, False)
    else:
        assert outcome.rollback_errors


def test_an_image_that_cannot_be_fetched_leaves_no_pool(
    host: Tended, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing(host, monkeypatch)

    def fail(done: int) -> None:
        raise Refused("403")

    outcome = host.run(MemoryImage(CONTENT, hook=fail))
    failure(outcome, Refused, "403")
    assert outcome.rolled_back
    assert host.pool.held is None


# --- absent


def both(host: Tended) -> None:
    host.run(MemoryImage(CONTENT))
    host.clock.ahead += 100
    host.run(MemoryImage(OTHER, url=OTHER_URL))


def test_an_image_is_removed_by_digest_or_by_where_it_came_from(host: Tended) -> None:
    both(host)
    outcome = host.changes(state="absent", checksum=DIGEST)
    assert (verbs(outcome), outcome.facts["removed"]) == (["remove"], [NAME])
    assert outcome.facts["freed"] >= len(CONTENT)
    assert host.images() == [OTHER_NAME]
    assert [name for name in host.hidden() if NAME in name] == []
    host.changes(MemoryImage(b"", url=OTHER_URL), state="absent")
    assert host.images() == []


def test_an_image_in_use_or_pinned_is_not_removed(host: Tended) -> None:
    both(host)
    image = host.cache.find(DIGEST, "qcow2")
    assert image is not None
    with host.cache.hold(image):
        failure(host.run(state="absent", checksum=DIGEST), Conflict, "is in use")
    host.run(checksum=DIGEST, pinned=True)
    failure(host.run(state="absent", checksum=DIGEST), Conflict, "is pinned")
    assert host.images() == sorted([NAME, OTHER_NAME])
    host.changes(state="absent", checksum=DIGEST, pinned=False)
    assert host.images() == [OTHER_NAME]


def test_what_was_fetched_anew_meanwhile_is_not_overwritten_by_an_undo(host: Tended) -> None:
    both(host)
    entry = host.index.entry(NAME)
    assert entry is not None
    assert host.index.withdraw(entry)
    image = host.store(MemoryImage(CONTENT))
    told = host.index.restore(NAME)
    assert told is not None
    assert "fetched anew" in told
    assert host.cache.find(DIGEST, "qcow2") == image
    host.index.forget(NAME)
    assert host.cache.find(DIGEST, "qcow2") == image, "its record is a new one"
    assert not (host.root / cache.removed(NAME)).exists()
    assert host.index.restore(NAME) is None


# --- pruned


def test_the_longest_unused_go_and_what_is_of_no_use(host: Tended) -> None:
    both(host)
    (host.root / cache.part_of(f"{sha256(b'p')}.raw")).write_bytes(b"p")
    (host.root / cache.record_of(f"{sha256(b'r')}.raw")).write_bytes(b"{}")
    (host.root / f"{sha256(b'foreign')}.raw").write_bytes(b"a disk of somebody")
    host.run(MemoryImage(b"bad"), checksum=sha256(b"q"))
    foreign = f"{sha256(b'foreign')}.raw"
    outcome = host.run(state="pruned", max_bytes="30K", check=True)
    assert verbs(outcome) == ["remove"], "leftovers are young"
    host.clock.ahead += 605_000
    outcome = host.changes(state="pruned", max_bytes="30K", max_age=1e9)
    assert verbs(outcome) == ["remove", *["discard"] * 3]
    assert outcome.facts["removed"] == [NAME]
    assert outcome.facts["freed"] == outcome.plan.facts["freed"]
    assert host.images() == sorted([OTHER_NAME, foreign])
    assert {name.rpartition(".")[2] for name in host.hidden()} == {"json", "qcow2"}
    assert [name for name in host.hidden() if name.startswith("quarantine")] == []


def test_what_the_limits_cannot_have_is_told(host: Tended) -> None:
    both(host)
    host.run(checksum=DIGEST, pinned=True)
    outcome = host.run(state="pruned", max_bytes="1K", min_free="1024T")
    assert outcome.facts["removed"] == [OTHER_NAME]
    assert [warning.partition(":")[0].split(" ", 2)[2] for warning in outcome.warnings] == [
        "more than max_bytes stay in the cache",
        "less than min_free will be free",
    ]


def test_an_image_that_comes_into_use_stays(host: Tended) -> None:
    both(host)
    plan = CacheOperation.plan

    def use_meanwhile(self: CacheOperation, *arguments: Any) -> Any:
        image = host.cache.find(DIGEST, "qcow2")
        assert image is not None
        with host.cache.hold(image):
            return plan(self, *arguments)

    host.clock.ahead += 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CacheOperation, "plan", use_meanwhile)
        outcome = host.run(state="pruned", max_age=0.0)
        assert outcome.facts["removed"] == [OTHER_NAME]
        assert "came into use" in outcome.warnings[0]
        host.clock.ahead += 100
        failure(host.run(state="absent", checksum=DIGEST), Conflict, "came into use")
    assert host.images() == [NAME]


def test_a_cache_that_is_not_there_has_nothing_to_prune(host: Tended) -> None:
    host.root.rmdir()
    for state in ("pruned", "verified"):
        outcome = host.run(state=state, min_free="1T" if state == "pruned" else None)
        assert (outcome.failure, outcome.changed) == (None, False)
    assert not host.root.exists()


# --- verified


def test_good_images_are_noted_and_that_is_no_change(host: Tended) -> None:
    both(host)
    before = host.index.record(NAME)
    host.clock.ahead += 1000
    assert not host.run(state="verified", check=True).changed
    outcome = host.run(state="verified")
    assert not outcome.changed
    assert outcome.plan.facts["verified"] == sorted([NAME, OTHER_NAME])
    after = host.index.record(NAME)
    assert before is not None
    assert after is not None
    assert after.verified_at >= before.verified_at + 999
    assert after.last_used == before.last_used, "to verify is not to use"


def test_damaged_images_are_put_away_and_doubtful_ones_proved(host: Tended) -> None:
    both(host)
    (host.root / NAME).write_bytes(CONTENT + b"!")
    os.utime(host.root / OTHER_NAME, ns=(1, 1))
    outcome = host.changes(state="verified")
    assert verbs(outcome) == ["prove", "quarantine"]
    assert outcome.plan.facts["damaged"] == [NAME]
    assert any("damaged" in warning for warning in outcome.warnings)
    assert host.images() == [OTHER_NAME]
    assert host.cache.find(sha256(OTHER), "qcow2") is not None
    assert sha256(CONTENT + b"!") in host.index.why_quarantined(NAME)


def test_one_image_is_verified_alone(host: Tended) -> None:
    both(host)
    (host.root / NAME).write_bytes(b"!")
    outcome = host.run(state="verified", checksum=sha256(OTHER))
    assert (outcome.changed, outcome.plan.facts["verified"]) == (False, [OTHER_NAME])


def test_a_file_of_somebody_else_is_let_alone(host: Tended) -> None:
    (host.root / NAME).write_bytes(b"a disk of somebody")
    assert not host.run(state="verified").changed
    assert not host.run(state="pruned", max_bytes="1K", min_free="1024T").changed
    failure(host.run(MemoryImage(CONTENT)), Conflict, "no image of the cache")
    assert (host.root / NAME).read_bytes() == b"a disk of somebody"
    (host.root / NAME).write_bytes(CONTENT)
    assert verbs(host.changes(state="verified")) == ["prove"]


# --- options


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({"state": "absent"}, ["checksum"]),
        ({"pinned": True}, ["pinned"]),
        ({"state": "verified", "checksum": "https://x.example.org/sum"}, ["checksum"]),
        (
            {"state": "pruned", "max_bytes": "10GB", "min_free": "much", "max_age": -1.0},
            ["max_bytes", "min_free", "max_age"],
        ),
        ({"leftover_age": -1.0, "timeout": -1.0}, ["leftover_age", "timeout"]),
    ],
)
def test_every_problem_is_told(host: Tended, params: dict[str, Any], options: list[str]) -> None:
    outcome = host.run(**params)
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == options


def test_a_checksum_that_is_none_is_refused(host: Tended) -> None:
    failure(host.run(checksum="md5:" + "0" * 32, state="absent"), DebvisorError, "MD5")


# --- to look


def test_everything_is_told(host: Tended) -> None:
    both(host)
    host.run(checksum=DIGEST, pinned=True)
    (host.root / cache.part_of(f"{sha256(b'p')}.raw")).write_bytes(b"p")
    host.run(MemoryImage(b"bad"), checksum=sha256(b"q"))
    image = host.cache.find(sha256(OTHER), "qcow2")
    assert image is not None
    looking = CacheLooking(host.open, host.pool, host.clock)
    before = host.all()
    with host.cache.hold(image):
        before = host.all()
        told = looking.look({"path": str(host.root)})
    assert host.all() == before
    json.dumps(told)
    assert (told["folder"], told["exists"]) == (str(host.root), True)
    by_name = {each["name"]: each for each in told["images"]}
    assert set(by_name) == {NAME, OTHER_NAME}
    first, second = by_name[NAME], by_name[OTHER_NAME]
    assert (first["pinned"], first["in_use"]) == (True, False)
    assert (second["pinned"], second["in_use"]) == (False, True)
    assert (first["path"], first["etag"]) == (str(host.root / NAME), '"v1"')
    assert first["last_used"] < second["last_used"]
    (bad,) = told["quarantine"]
    assert (bad["name"], sha256(b"bad") in bad["reason"]) == (f"{sha256(b'q')}.qcow2", True)
    assert [each["name"] for each in told["parts"]] == [f"{sha256(b'p')}.raw"]
    totals = told["totals"]
    assert totals["images"] == 2
    assert totals["room"] == first["room"] + second["room"]
    assert totals["evictable"] == 0, "one is pinned, the other in use"
    assert totals["leftovers"] == bad["room"] + told["parts"][0]["room"]
    assert totals["free"] > 0


def test_what_is_not_there_is_told_as_nothing(host: Tended) -> None:
    looking = CacheLooking(host.open, host.pool, host.clock)
    told = looking.look({"path": str(host.root / "nowhere")})
    assert (told["exists"], told["images"], told["totals"]["free"]) == (False, [], 0)
    assert not (host.root / "nowhere").exists()


def test_metrics_tell_the_same(host: Tended) -> None:
    both(host)
    (host.root / NAME).write_bytes(CONTENT)
    host.run(MemoryImage(b"bad"), checksum=sha256(b"q"))
    looking = CacheLooking(host.open, host.pool, host.clock)
    text = metrics.text(cache_metrics.families(looking.stock(str(host.root))))
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    told = {
        name.removeprefix("libvirt_volume_provisioner_cache_"): int(value)
        for name, value in lines.items()
    }
    assert (told["images"], told["doubtful_images"], told["quarantined_images"]) == (2, 1, 1)
    assert told["bytes"] == told["evictable_bytes"] > 0
    assert told["leftover_bytes"] > 0
    assert text.count("# TYPE") == text.count("# HELP") == len(lines)
