# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache on real files."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_folder import (
    ImageFolder,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import (
    cache,
    cache_directory,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_directory import (
    CacheDirectory,
    NoRoom,
)

from tests.fakes.images import (
    CHUNK,
    CONTENT,
    DIGEST,
    NAME,
    CachingHost,
    FakePool,
    MemoryImage,
    QuietWork,
    sha256,
)
from tests.fakes.processes import FORK, PATIENCE, ends_of, on_small_disk


@pytest.fixture
def host(tmp_path: Path) -> CachingHost:
    return CachingHost(tmp_path)


def test_what_is_stored_is_found(host: CachingHost) -> None:
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


def test_an_image_is_for_root_alone(host: CachingHost) -> None:
    host.store(MemoryImage(CONTENT))
    assert stat.S_IMODE((host.root / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((host.root / ".debvisor").stat().st_mode) == 0o700


def test_two_addresses_of_one_digest_share_a_file(host: CachingHost) -> None:
    one, other = MemoryImage(CONTENT), MemoryImage(CONTENT, url="https://b.example.org/x")
    assert host.store(one) == host.store(other)
    assert other.downloads == 0


def test_an_address_with_a_new_digest_does_not_serve_the_old_file(host: CachingHost) -> None:
    host.store(MemoryImage(CONTENT))
    new = MemoryImage(b"new", etag='"v2"')
    assert host.store(new, sha256(b"new")).path != str(host.root / NAME)
    look = new.look()
    found = host.cache.find_by_origin(new.url, look.etag, look.size, "qcow2")
    assert found is not None
    assert found.digest == sha256(b"new")


def test_an_image_without_a_published_digest_is_found_by_where_it_came_from(
    host: CachingHost,
) -> None:
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


def test_without_an_entity_tag_an_image_is_fetched_again_and_kept_once(host: CachingHost) -> None:
    source = MemoryImage(CONTENT, etag="")
    assert host.store(source, None) == host.store(source, None)
    assert source.downloads == 2
    assert host.images() == [NAME]
    assert host.hidden() == [f"{NAME}.json"]
    assert host.cache.find_by_origin(source.url, "", len(CONTENT), "qcow2") is None


def test_a_wrong_digest_is_put_into_quarantine_and_fetched_again(host: CachingHost) -> None:
    bad = MemoryImage(b"something else")
    with pytest.raises(VerificationFailed) as caught:
        host.store(bad)
    assert DIGEST in str(caught.value)
    assert sha256(b"something else") in str(caught.value)
    assert host.images() == []
    assert host.hidden() == [f"quarantine/{NAME}", f"quarantine/{NAME}.json"]
    assert sha256(b"something else") in host.index.why_quarantined(NAME)
    good = MemoryImage(CONTENT)
    host.store(good)
    assert (good.downloads, good.fetched) == (1, len(CONTENT))
    assert host.images() == [NAME]


def test_what_a_dead_run_left_is_resumed(host: CachingHost) -> None:
    host.folder.make(".debvisor")
    (host.root / cache.part_of(NAME)).write_bytes(CONTENT[:20_000])
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.fetched == len(CONTENT) - 20_000


def test_a_damaged_part_is_no_fault_of_the_server(host: CachingHost) -> None:
    host.folder.make(".debvisor")
    (host.root / cache.part_of(NAME)).write_bytes(b"\0" * 20_000)
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.downloads == 2
    assert host.images() == [NAME]
    assert not any("quarantine" in name for name in host.hidden())


def test_a_file_that_was_touched_is_verified_anew(host: CachingHost) -> None:
    stored = host.store(MemoryImage(CONTENT))
    os.utime(host.root / NAME, ns=(1, 1))
    assert host.cache.find(DIGEST, "qcow2") is None
    source = MemoryImage(CONTENT)
    assert host.store(source) == stored
    assert source.downloads == 0
    assert ("verifying", len(CONTENT)) in host.work.stages
    assert host.work.done[-1] == len(CONTENT)
    assert host.cache.find(DIGEST, "qcow2") == stored


def test_a_file_that_was_changed_is_put_away_and_fetched_again(host: CachingHost) -> None:
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
def test_a_damaged_record_only_costs_a_verification(host: CachingHost, content: bytes) -> None:
    host.store(MemoryImage(CONTENT))
    (host.root / cache.record_of(NAME)).write_bytes(content)
    assert host.cache.find(DIGEST, "qcow2") is None
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.downloads == 0
    assert host.cache.find(DIGEST, "qcow2") is not None


def test_a_pin_survives_whatever_happens_to_the_image(host: CachingHost) -> None:
    host.store(MemoryImage(CONTENT))
    host.index.amend(NAME, lambda record: record and replace(record, pinned=True))
    for change in (
        lambda: os.utime(host.root / NAME, ns=(1, 1)),
        lambda: (host.root / NAME).write_bytes(b"x"),
        (host.root / NAME).unlink,
    ):
        change()
        host.store(MemoryImage(CONTENT))
        record = host.index.record(NAME)
        assert record is not None
        assert record.pinned


def test_a_link_in_the_place_of_an_image_is_not_followed(host: CachingHost) -> None:
    host.store(MemoryImage(CONTENT))
    (host.root / NAME).rename(host.root / "other")
    (host.root / NAME).symlink_to("other")
    assert host.cache.find(DIGEST, "qcow2") is None
    host.store(MemoryImage(CONTENT))
    assert not (host.root / NAME).is_symlink()


def test_holding_notes_the_use_and_keeps_the_image(host: CachingHost) -> None:
    image = host.store(MemoryImage(CONTENT))
    host.clock.ahead = 5000
    entry = host.index.entry(NAME)
    assert entry is not None
    assert not entry.in_use
    with host.cache.hold(image), host.cache.hold(image):
        held = host.index.entry(NAME)
        assert held is not None
        assert held.in_use
        assert held.last_used >= entry.last_used + 4999
        assert not host.index.withdraw(held)
    assert not host.index.withdraw(entry), "it was used since it was looked at"
    now = host.index.entry(NAME)
    assert now is not None
    assert not now.in_use
    assert host.index.withdraw(now)
    with pytest.raises(Conflict, match="left the cache"), host.cache.hold(image):
        raise AssertionError("held what is not there")


def test_an_image_that_is_changed_while_it_is_used_is_told_of(host: CachingHost) -> None:
    """As by another host, whose locks are not ours."""
    image = host.store(MemoryImage(CONTENT))
    with pytest.raises(Conflict, match="was changed while it was used"), host.cache.hold(image):
        os.truncate(image.path, 1)


def test_the_folder_is_made_by_the_first_image_and_by_no_look(tmp_path: Path) -> None:
    cache = CacheDirectory(
        ImageFolder(str(tmp_path / "images"), tmp_path / "locks"), FakePool(), SystemClock()
    )
    assert cache.find(DIGEST, "qcow2") is None
    assert list(tmp_path.iterdir()) == []
    source = MemoryImage(CONTENT)
    cache.store(DIGEST, "qcow2", source, source.look(), QuietWork())
    assert cache.find(DIGEST, "qcow2") is not None


def test_a_pool_that_cannot_be_refreshed_fails_nothing(host: CachingHost) -> None:
    host.pool.trouble["refresh"] = DebvisorError("libvirt is tired")
    host.store(MemoryImage(CONTENT))
    assert host.cache.find(DIGEST, "qcow2") is not None
    assert "libvirt is tired" in host.cache.notes[0]


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], f"{DIGEST}\n"]
)
def test_only_a_digest_makes_a_name(digest: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        cache.file_name(digest, "qcow2")


# --- several at once


def test_runs_that_want_one_image_at_once_download_it_once(host: CachingHost) -> None:
    for digest in (DIGEST, None):
        log = host.root.parent / f"log-{digest}"
        others = FORK.Semaphore(0)
        url = f"https://images.example.org/{digest}"

        def wait_for_others(done: int, others: Semaphore = others) -> None:
            if done == CHUNK:
                assert all(others.acquire(timeout=PATIENCE) for other in range(3))

        class Announcing(QuietWork):
            others: Semaphore

            def waiting(self, reason: str) -> AbstractContextManager[None]:
                self.others.release()
                return super().waiting(reason)

        def run(
            digest: str | None = digest, others: Semaphore = others, log: Path = log, url: str = url
        ) -> None:
            host.work = Announcing()
            host.work.others = others
            content = CONTENT if digest else CONTENT + b"more"
            image = host.store(MemoryImage(content, url=url, log=log, hook=wait_for_others), digest)
            assert Path(image.path).read_bytes() == content

        assert ends_of(*[run] * 4) == [0, 0, 0, 0]
        assert log.read_text() == "download\n"
    assert len(host.images()) == 2


def test_who_waits_can_be_stopped_and_takes_an_image_that_is_held(host: CachingHost) -> None:
    lock = host.folder.try_lock(NAME)
    assert lock is not None
    with lock:
        host.work.trouble = DebvisorError("stop")
        with pytest.raises(DebvisorError, match="stop"):
            host.store(MemoryImage(CONTENT))
    host.work.trouble = None
    image = host.store(MemoryImage(CONTENT))
    with host.cache.hold(image):
        assert host.store(MemoryImage(CONTENT)) == image, "a hit waits for nobody"


# --- killed


STEPS = ("make", "seal", "write", "link", "rename")
"""Of an image that is published, in this order."""


class Doomed(ImageFolder):
    """Kills its process around its N-th change of the folder."""

    def __init__(self, folder: str, locks: Path, step: int) -> None:
        super().__init__(folder, locks)
        self.left = step

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in {*STEPS, "remove"}:
            return found

        def around(*arguments: Any) -> Any:
            self._step()
            result = found(*arguments)
            self._step()
            return result

        return around

    def _step(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_everywhere(
    host: CachingHost, act: Callable[[CacheDirectory], object], check: Callable[[], object]
) -> int:
    """Kill a process before and after each change that it makes, check after each kill, and start anew.

    Return how many kills there were before one got through.
    """
    for step in range(1, 60):

        def run(step: int = step) -> None:
            act(CacheDirectory(Doomed(str(host.root), host.locks, step), host.pool, host.clock))

        (end,) = ends_of(run)
        if not end:
            return step - 1
        assert end == -signal.SIGKILL
        check()
        for path in (*host.root.glob("*.qcow2"), *host.root.glob(".debvisor/*.*")):
            path.unlink()
    raise AssertionError("it never got through")


def all_that_has_a_name_is_right(host: CachingHost) -> None:
    for name in host.images():
        assert name == f"{sha256((host.root / name).read_bytes())}.qcow2"


@pytest.mark.parametrize("digest", [DIGEST, None], ids=["known", "unknown"])
def test_a_run_that_is_killed_anywhere_leaves_nothing_wrong(
    host: CachingHost, digest: str | None
) -> None:
    source = MemoryImage(CONTENT)

    def store(cache_: CacheDirectory) -> None:
        cache_.store(digest, "qcow2", source, source.look(), QuietWork())

    def check() -> None:
        all_that_has_a_name_is_right(host)
        published, began = host.images() == [NAME], bool(host.hidden())
        again = MemoryImage(CONTENT)
        assert host.store(again, digest).digest == DIGEST
        if began:
            assert again.fetched == 0, "what was there is not fetched again"
        if published and digest:
            assert again.downloads == 0, "a name is the end of it"
        all_that_has_a_name_is_right(host)
        assert [name for name in host.hidden() if "origin-" not in name] == [f"{NAME}.json"]

    assert killed_everywhere(host, store, check) >= 2 * len(STEPS)


def test_a_run_that_is_killed_with_a_bad_image_in_its_hands_publishes_none(
    host: CachingHost,
) -> None:
    bad = MemoryImage(b"bad" * 9999)

    def store(cache_: CacheDirectory) -> None:
        with contextlib.suppress(VerificationFailed):
            cache_.store(DIGEST, "qcow2", bad, bad.look(), QuietWork())

    def check() -> None:
        assert host.images() == []
        host.store(MemoryImage(CONTENT))
        all_that_has_a_name_is_right(host)

    assert killed_everywhere(host, store, check) == 2 * len(("make", "write", "rename"))


def test_a_run_that_is_killed_while_it_downloads_is_resumed(host: CachingHost) -> None:
    def die(done: int) -> None:
        if done >= 3 * CHUNK:
            os.kill(os.getpid(), signal.SIGKILL)

    assert ends_of(lambda: host.store(MemoryImage(CONTENT, hook=die))) == [-signal.SIGKILL]
    assert (host.images(), host.hidden()) == ([], [f"{NAME}.part"])
    source = MemoryImage(CONTENT)
    host.store(source)
    assert source.fetched == len(CONTENT) - 3 * CHUNK
    assert host.images() == [NAME]


def test_a_lock_dies_with_its_holder(host: CachingHost) -> None:
    image = host.store(MemoryImage(CONTENT))

    def die_holding() -> None:
        with host.cache.hold(image):
            assert host.folder.is_locked(NAME)
            os.kill(os.getpid(), signal.SIGKILL)

    assert ends_of(die_holding) == [-signal.SIGKILL]
    assert not host.folder.is_locked(NAME)


# --- no room


def filled(letter: str) -> tuple[bytes, str]:
    content = letter.encode() * (1 << 20)
    return content, sha256(content)


def store_all(host: CachingHost, letters: str) -> None:
    for number, letter in enumerate(letters):
        host.clock.ahead = number * 100.0
        content, digest = filled(letter)
        host.store(MemoryImage(content, url=f"https://images.example.org/{letter}"), digest)


def has(host: CachingHost, letters: str) -> str:
    return "".join(
        letter for letter in letters if host.cache.find(filled(letter)[1], "qcow2") is not None
    )


@pytest.fixture
def disk(host: CachingHost, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run something on a disk that has room for four images and a little."""
    monkeypatch.setattr(cache_directory, "MARGIN", 1 << 18)
    return lambda act: on_small_disk(host.root, (9 << 19) + (1 << 16), act)


def test_the_longest_unused_images_make_room(host: CachingHost, disk: Callable[..., None]) -> None:
    def act() -> None:
        store_all(host, "abcd")
        assert has(host, "abcd") == "abcd"
        with host.cache.hold(host.store(MemoryImage(filled("a")[0]), filled("a")[1])):
            pass
        store_all(host, "abcde")
        assert has(host, "abcde") == "acde"
        assert sum("evicted" in note for note in host.cache.notes) == 1

    disk(act)


def test_what_is_pinned_or_held_or_resumed_stays(
    host: CachingHost, disk: Callable[..., None]
) -> None:
    def act() -> None:
        store_all(host, "abcd")
        pinned = f"{filled('a')[1]}.qcow2"
        host.index.amend(pinned, lambda record: record and replace(record, pinned=True))
        held = host.cache.find(filled("b")[1], "qcow2")
        assert held is not None
        with host.cache.hold(held):
            store_all(host, "abcde")
            assert has(host, "abcde") == "abde"
            big = b"x" * (5 << 20)
            with pytest.raises(NoRoom, match="no room"):
                host.store(MemoryImage(big), sha256(big))
        assert has(host, "abcde") == "abde", "nothing goes where that would not help"

    disk(act)


def test_what_is_of_no_use_goes_first(host: CachingHost, disk: Callable[..., None]) -> None:
    def act() -> None:
        store_all(host, "ab")
        with pytest.raises(VerificationFailed):
            host.store(MemoryImage(filled("x")[0]), DIGEST)
        (host.root / cache.part_of(f"{filled('y')[1]}.qcow2")).write_bytes(filled("y")[0])
        store_all(host, "abcd")
        assert has(host, "abcd") == "abcd"
        assert not any("part" in name for name in host.hidden())
        assert not any("evicted" in note for note in host.cache.notes)

    disk(act)


def test_a_disk_that_fills_up_half_way_keeps_what_came(
    host: CachingHost, disk: Callable[..., None]
) -> None:
    def act() -> None:
        def fill(done: int) -> None:
            if done == 1 << 19:
                (host.root / "somebody-else").write_bytes(b"x" * (4 << 20))

        content, digest = filled("a")
        with pytest.raises(OSError, match="No space"):
            host.store(MemoryImage(content, hook=fill), digest)
        assert host.cache.find(digest, "qcow2") is None
        (host.root / "somebody-else").unlink()
        source = MemoryImage(content)
        host.store(source, digest)
        assert 0 < source.fetched < len(content)

    disk(act)


# --- how dear it is


class Watched(ImageFolder):
    """Notes how often it is asked for what."""

    def __init__(self, folder: str, locks: Path) -> None:
        super().__init__(folder, locks)
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "asked":
            self.asked.append(name)
        return super().__getattribute__(name)


def test_a_look_up_costs_the_same_however_many_images_there_are(host: CachingHost) -> None:
    source = MemoryImage(CONTENT)
    image = host.store(source)

    def looks() -> list[str]:
        watched = Watched(str(host.root), host.locks)
        looking = CacheDirectory(watched, host.pool, host.clock)
        assert looking.find(DIGEST, "qcow2") == image
        assert looking.find_by_origin(source.url, source.etag, len(CONTENT), "qcow2") == image
        assert looking.store(DIGEST, "qcow2", source, source.look(), QuietWork()) == image
        with looking.hold(image):
            pass
        return watched.asked

    alone = looks()
    assert len(alone) < 30
    assert "names" not in alone
    for number in range(50):
        content = str(number).encode()
        host.store(MemoryImage(content, url=f"https://x.example.org/{number}"), sha256(content))
    assert looks() == alone
