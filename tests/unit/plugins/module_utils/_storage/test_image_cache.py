# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache on real files."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.image_folder import ImageFolder
from ansible_collections.debvisor.hci.plugins.module_utils._storage import cache
from ansible_collections.debvisor.hci.plugins.module_utils._storage.image_cache import (
    Cache,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.inventory import Inventory

from tests.fakes.images import MemoryImage, NoPool, QuietWork, sha256

CONTENT = bytes(range(256)) * 100
DIGEST = sha256(CONTENT)
NAME = f"{DIGEST}.qcow2"


class Time(SystemClock):
    """The machine's clock, ahead by so much."""

    ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead


class Host:
    """A machine with a cache."""

    def __init__(self, root: Path) -> None:
        self.root = root / "images"
        self.root.mkdir()
        self.locks = root / "locks"
        self.pool = NoPool()
        self.clock = Time()
        self.folder = ImageFolder(str(self.root), self.locks)
        self.cache = Cache(self.folder, self.pool, self.clock)
        self.inventory = Inventory(self.folder, self.clock)
        self.work = QuietWork()

    def store(self, source: MemoryImage, digest: str | None = DIGEST) -> object:
        return self.cache.store(digest, "qcow2", source, source.look(), self.work)

    def images(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if path.name != ".debvisor")

    def hidden(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root / ".debvisor"))
            for path in (self.root / ".debvisor").rglob("*")
            if not path.is_dir()
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_stored_is_found(host: Host) -> None:
    source = MemoryImage(CONTENT)
    assert host.cache.find(DIGEST, "qcow2") is None
    stored = host.store(source)
    found = host.cache.find(DIGEST, "qcow2")
    assert found == stored
    assert found is not None
    assert Path(found.path).read_bytes() == CONTENT
    assert (found.path, found.size) == (str(host.root / NAME), len(CONTENT))
    assert (found.url, found.etag) == (source.url, source.etag)
    assert host.store(source) == stored
    assert source.downloads == 1
    assert host.pool.refreshed == 1
    assert host.images() == [NAME]
    assert host.cache.find(DIGEST, "raw") is None
    assert ("downloading", len(CONTENT)) in host.work.stages


def test_an_image_is_for_root_alone(host: Host) -> None:
    host.store(MemoryImage(CONTENT))
    assert stat.S_IMODE((host.root / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((host.root / ".debvisor").stat().st_mode) == 0o700


def test_two_addresses_of_one_digest_share_a_file(host: Host) -> None:
    one, other = MemoryImage(CONTENT), MemoryImage(CONTENT, url="https://b.example.org/x")
    assert host.store(one) == host.store(other)
    assert other.downloads == 0


def test_an_address_with_a_new_digest_does_not_serve_the_old_file(host: Host) -> None:
    host.store(MemoryImage(CONTENT))
    new = MemoryImage(b"new", etag='"v2"')
    assert host.store(new, sha256(b"new")).path != str(host.root / NAME)  # type: ignore[attr-defined]
    look = new.look()
    found = host.cache.find_by_origin(new.url, look.etag, look.size, "qcow2")
    assert found is not None
    assert found.digest == sha256(b"new")


def test_an_image_without_a_published_digest_is_found_by_where_it_came_from(host: Host) -> None:
    source = MemoryImage(CONTENT)
    stored = host.store(source, None)
    assert host.images() == [NAME]
    assert host.store(source, None) == stored
    assert source.downloads == 1
    assert host.cache.find_by_origin(source.url, source.etag, len(CONTENT), "qcow2") == stored
    for other in (
        ("https://b.example.org/x", source.etag, len(CONTENT), "qcow2"),
        (source.url, '"v2"', len(CONTENT), "qcow2"),
        (source.url, source.etag, 1, "qcow2"),
        (source.url, source.etag, len(CONTENT), "raw"),
    ):
        assert host.cache.find_by_origin(*other) is None


def test_without_an_entity_tag_an_image_is_fetched_again_and_kept_once(host: Host) -> None:
    source = MemoryImage(CONTENT, etag="")
    assert host.store(source, None) == host.store(source, None)
    assert source.downloads == 2
    assert host.images() == [NAME]
    assert host.hidden() == [f"{NAME}.json"]
    assert host.cache.find_by_origin(source.url, "", len(CONTENT), "qcow2") is None


def test_a_wrong_digest_is_put_into_quarantine_and_fetched_again(host: Host) -> None:
    bad = MemoryImage(b"something else")
    with pytest.raises(VerificationFailed) as caught:
        host.store(bad)
    assert DIGEST in str(caught.value)
    assert sha256(b"something else") in str(caught.value)
    assert host.images() == []
    assert host.hidden() == [f"quarantine/{NAME}", f"quarantine/{NAME}.json"]
    assert sha256(b"something else") in host.inventory.why_quarantined(NAME)
    good = MemoryImage(CONTENT)
    host.store(good)
    assert (good.downloads, good.fetched) == (1, len(CONTENT))
    assert host.images() == [NAME]


def test_what_a_dead_run_left_is_resumed(host: Host) -> None:
    host.folder.make(".debvisor")
    (host.root / cache.part_of(NAME)).write_bytes(CONTENT[:20_000])
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.fetched == len(CONTENT) - 20_000


def test_a_damaged_part_is_no_fault_of_the_server(host: Host) -> None:
    host.folder.make(".debvisor")
    (host.root / cache.part_of(NAME)).write_bytes(b"\0" * 20_000)
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.downloads == 2
    assert host.images() == [NAME]
    assert not any("quarantine" in name for name in host.hidden())


def test_a_file_that_was_touched_is_verified_anew(host: Host) -> None:
    stored = host.store(MemoryImage(CONTENT))
    os.utime(host.root / NAME, ns=(1, 1))
    assert host.cache.find(DIGEST, "qcow2") is None
    source = MemoryImage(CONTENT)
    assert host.store(source) == stored
    assert source.downloads == 0
    assert ("verifying", len(CONTENT)) in host.work.stages
    assert host.work.done[-1] == len(CONTENT)
    assert host.cache.find(DIGEST, "qcow2") == stored


def test_a_file_that_was_changed_is_put_away_and_fetched_again(host: Host) -> None:
    host.store(MemoryImage(CONTENT))
    (host.root / NAME).write_bytes(CONTENT[:-1] + b"!")
    assert host.cache.find(DIGEST, "qcow2") is None
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.downloads == 1
    assert f"quarantine/{NAME}" in host.hidden()
    assert (host.root / NAME).read_bytes() == CONTENT
    assert any("changed on disk" in note for note in host.cache.notes)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"{}", b'{"inode": 1}', b"\xff\xfe"], ids=repr
)
def test_a_damaged_record_only_costs_a_verification(host: Host, content: bytes) -> None:
    host.store(MemoryImage(CONTENT))
    (host.root / cache.record_of(NAME)).write_bytes(content)
    assert host.cache.find(DIGEST, "qcow2") is None
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.downloads == 0
    assert host.cache.find(DIGEST, "qcow2") is not None


def test_a_pin_survives_whatever_happens_to_the_image(host: Host) -> None:
    host.store(MemoryImage(CONTENT))
    host.inventory.amend(NAME, lambda record: record and replace(record, pinned=True))
    for change in (
        lambda: os.utime(host.root / NAME, ns=(1, 1)),
        lambda: (host.root / NAME).write_bytes(b"x"),
        lambda: (host.root / NAME).unlink(),
    ):
        change()
        host.store(MemoryImage(CONTENT))
        record = host.inventory.record(NAME)
        assert record is not None
        assert record.pinned


def test_a_link_in_the_place_of_an_image_is_not_followed(host: Host) -> None:
    host.store(MemoryImage(CONTENT))
    (host.root / NAME).rename(host.root / "other")
    (host.root / NAME).symlink_to("other")
    assert host.cache.find(DIGEST, "qcow2") is None
    host.store(MemoryImage(CONTENT))
    assert not (host.root / NAME).is_symlink()


def test_holding_notes_the_use_and_keeps_the_image(host: Host) -> None:
    image = host.store(MemoryImage(CONTENT))
    host.clock.ahead = 5000
    entry = host.inventory.entry(NAME)
    assert entry is not None
    assert not entry.in_use
    with host.cache.hold(image), host.cache.hold(image):  # type: ignore[arg-type]
        held = host.inventory.entry(NAME)
        assert held is not None
        assert held.in_use
        assert held.last_used >= entry.last_used + 4999
        assert not host.inventory.withdraw(held)
    assert not host.inventory.withdraw(entry), "it was used since it was looked at"
    now = host.inventory.entry(NAME)
    assert now is not None
    assert not now.in_use
    assert host.inventory.withdraw(now)
    with pytest.raises(Conflict, match="left the cache"), host.cache.hold(image):  # type: ignore[arg-type]
        raise AssertionError("held what is not there")


def test_the_folder_is_not_made_in_passing(tmp_path: Path) -> None:
    missing = ImageFolder(str(tmp_path / "nowhere"), tmp_path)
    source = MemoryImage(CONTENT)
    with pytest.raises(DebvisorError, match="no folder"):
        Cache(missing, NoPool(), SystemClock()).store(
            DIGEST, "qcow2", source, source.look(), QuietWork()
        )
    assert Cache(missing, NoPool(), SystemClock()).find(DIGEST, "qcow2") is None
    assert list(tmp_path.iterdir()) == []


def test_a_pool_that_cannot_be_refreshed_fails_nothing(host: Host) -> None:
    host.pool.trouble = DebvisorError("libvirt is tired")
    host.store(MemoryImage(CONTENT))
    assert host.cache.find(DIGEST, "qcow2") is not None
    assert "libvirt is tired" in host.cache.notes[0]


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], f"{DIGEST}\n"]
)
def test_only_a_digest_makes_a_name(digest: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        cache.file_name(digest, "qcow2")
