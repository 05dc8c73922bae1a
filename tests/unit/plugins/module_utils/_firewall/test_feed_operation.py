# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A feed and its last good copy: with a real server, real files and real signatures."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput, Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.feed_operation import (
    BlocklistFeed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.feed_options import SPEC
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.feed_plan import TooOld
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto import openpgp
from ansible_collections.debvisor.hci.plugins.module_utils._ports.crypto.openpgp import OpenPgp
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import (
    Files,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.spool import Spool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http import web
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.web import Web

from tests.checkout import ROOT
from tests.fakes import object_server as fake
from tests.fakes.dns_server import FakeClock
from tests.fakes.files import ReadOnlyFiles, files_case
from tests.fakes.object_server import ObjectServer, serving
from tests.fakes.operation_contract import Case, OperationContract, Wire, unwired

FIRST = b"# drop\n192.0.2.0/24\n198.51.100.7 ; x\n2001:db8::/32\n203.0.113.1-203.0.113.2\n"
SECOND = FIRST.replace(b"198.51.100.7", b"198.51.100.8")
FIRST_ENTRIES = 5


class Clock(FakeClock):
    """A wall clock that a test sets."""

    time = 1_000_000.0

    def wall(self) -> float:
        return self.time


class World:
    def __init__(self, base: Path, publisher: ObjectServer) -> None:
        self.publisher = publisher
        self.folder = base / "feeds"
        self.folder.mkdir(exist_ok=True)
        self.dest = self.folder / "drop.txt"
        self.clock = Clock()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")
        given = {"dest": str(self.dest), "max_bytes": 1 << 20, "timeout": 10.0, "max_age": 3600.0}
        self.params = filled(SPEC, {"url": publisher.url("/drop.txt"), **given})

    def publish(self, content: bytes | fake.Misbehaviour, path: str = "/drop.txt") -> None:
        self.publisher.objects[path] = content

    def operation(self, wire: Wire = unwired, files: Files | None = None) -> BlocklistFeed:
        ports = (wire("files", files or Files()), wire("web", Web()), OpenPgp(), Spool)
        return BlocklistFeed(*ports, self.clock)

    def run(self, files: Files | None = None, check: bool = False, **options: Any) -> Outcome:
        operation = self.operation(files=files)
        params = filled(SPEC.options, {**self.params, **options})
        return execute(operation, params, self.records, check=check)

    def good(self, **options: Any) -> Outcome:
        outcome = self.run(**options)
        if outcome.failure:
            raise outcome.failure
        return outcome

    def failed(self, **options: Any) -> Exception:
        failure = self.run(**options).failure
        assert failure is not None
        return failure

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(Path(f"{self.dest}.json").read_text())
        return record

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(web, "PAUSE", 0.01)
    with serving() as publisher:
        made = World(tmp_path, publisher)
        made.publish(FIRST)
        yield made


def test_it_comes_once_and_again_only_when_it_changed(world: World) -> None:
    first = world.good()
    assert (first.changed, first.plan.facts["outcome"]) == (True, "fetched")
    assert (first.plan.facts["entries"], first.plan.facts["age"]) == (FIRST_ENTRIES, 0)
    assert world.dest.read_bytes() == FIRST
    assert world.names() == ["drop.txt", "drop.txt.json"]
    world.clock.time += 100
    again = world.good()
    assert (again.changed, again.plan.facts["outcome"]) == (False, "not_modified")
    assert "If-None-Match" in world.publisher.log[1].headers
    assert (world.record["fetched"], world.record["confirmed"]) == (1_000_000, 1_000_100)
    world.publish(SECOND)
    changed = world.good()
    assert (changed.changed, changed.plan.facts["outcome"]) == (True, "fetched")
    assert (changed.plan.facts["added"], changed.plan.facts["removed"]) == (1, 1)
    [difference] = changed.plan.differences
    assert (difference.before, difference.after) == ("198.51.100.7\n", "198.51.100.8\n")
    assert world.dest.read_bytes() == SECOND


def test_a_server_without_marks_sends_the_same_again_for_nothing(world: World) -> None:
    world.publish(fake.answers(200, FIRST))
    world.good()
    again = world.good()
    assert (again.changed, again.plan.facts["outcome"]) == (False, "not_modified")


def test_a_diff_shows_a_sample(world: World) -> None:
    world.publish("".join(f"192.0.2.{number}\n" for number in range(100)).encode())
    [difference] = world.good().plan.differences
    lines = difference.after.splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("192.0.2.0", 21, "... and 80 more")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (fake.answers(500), "answered 500"),
        (fake.answers(404), "answered 404"),
        (fake.resets, "did not deliver it"),
        (fake.ends_early(SECOND, 30), "the connection ended after 30 of"),
        (b"", "no entries"),
        (b"# only a comment\n", "no entries"),
        (b"192.0.2.1\n198.51.100.1\n", "shrank from 5 to 2"),
        (b"<!DOCTYPE html>\n<p>moved\n", "2 of 2 lines are wrong: line 1: "),
        (SECOND + b"nonsense\n" + SECOND, "1 of 11 lines are wrong: line 6: 'nonsense'"),
        (SECOND + b"192.0.2.1\0\n", "NUL"),
        (SECOND + "192.0.2.1\n".encode("utf-16"), "line 6"),
        (gzip.compress(SECOND, mtime=0)[:-5], "packed content ends"),
        (gzip.compress(b"192.0.2.1\n" * 500_000, mtime=0), "unpacks to more"),
        (b"#" * (2 << 20), "bytes to send"),
    ],
)
def test_whatever_is_wrong_with_it_the_last_good_copy_stays(
    world: World, content: bytes | fake.Misbehaviour, reason: str
) -> None:
    world.good()
    world.publish(content)
    world.clock.time += 60
    kept = world.good()
    assert (kept.changed, kept.plan.facts["outcome"]) == (False, "kept")
    assert reason in kept.plan.facts["reason"]
    [warning] = kept.warnings
    assert reason in warning
    assert "the copy of 60 seconds ago is kept" in warning
    assert world.dest.read_bytes() == FIRST
    assert world.names() == ["drop.txt", "drop.txt.json"]
    assert kept.plan.facts["age"] == 60
    assert world.record["trouble"]["since"] == 1_000_060
    world.clock.time += 60
    world.good()
    assert world.record["trouble"]["since"] == 1_000_060, "when it began"
    world.publish(FIRST)
    assert world.good().plan.facts["outcome"] == "not_modified"
    assert world.record["trouble"] is None


def test_all_wrong_lines_are_told_up_to_a_bound(world: World) -> None:
    world.publish(FIRST + b"bad\n" * 30)
    told = str(world.failed())
    assert "30 of 35 lines" in told
    assert "line 25:" in told
    assert "line 26:" not in told
    assert "and 10 more" in told


@pytest.mark.parametrize(
    "content",
    [
        "# Käse\n192.0.2.1\n".encode("latin-1"),
        b"\xef\xbb\xbf192.0.2.1\r\n",
        b"192.0.2.1",
        gzip.compress(b"192.0.2.1\n", mtime=0),
    ],
)
def test_what_is_merely_unusual_is_taken(world: World, content: bytes) -> None:
    world.publish(content)
    assert world.good().plan.facts["entries"] == 1
    assert b"192.0.2.1" in world.dest.read_bytes()
    assert world.good().changed is False


def test_an_empty_one_can_be_allowed(world: World) -> None:
    world.good()
    world.publish(b"# nothing today\n")
    assert world.good(allow_empty=True).plan.facts["entries"] == 0


def test_an_old_copy_is_an_error_and_stays(world: World) -> None:
    world.good()
    world.publish(fake.answers(503))
    world.clock.time += 3600
    assert world.good().plan.facts["outcome"] == "kept"
    world.clock.time += 1
    failed = world.failed()
    assert isinstance(failed, TooOld)
    assert "60 minutes" in str(failed)
    assert "answered 503" in str(failed)
    assert world.dest.read_bytes() == FIRST


def test_without_a_copy_a_failure_is_an_error(world: World) -> None:
    world.publish(fake.answers(404))
    failed = world.failed()
    assert isinstance(failed, Refused)
    assert "no earlier copy exists" in str(failed)
    assert world.names() == []


@pytest.mark.parametrize("damage", [b"192.0.2.66\n", b""])
def test_a_copy_that_somebody_changed_is_no_good_one(world: World, damage: bytes) -> None:
    world.good()
    world.dest.write_bytes(damage)
    world.publish(fake.answers(500))
    assert isinstance(world.failed(), Refused)
    world.publish(FIRST)
    mended = world.good()
    assert (mended.changed, world.dest.read_bytes()) == (True, FIRST)
    assert "If-None-Match" not in world.publisher.log[-1].headers


def test_a_torn_record_costs_a_fetch(world: World) -> None:
    world.good()
    Path(f"{world.dest}.json").write_text("{torn")
    assert world.good().plan.facts["outcome"] == "fetched"
    assert not world.good().changed


def test_a_copy_from_elsewhere_is_none_of_this_feed(world: World) -> None:
    world.good()
    world.publish(b"192.0.2.1\n", "/small.txt")
    small = world.publisher.url("/small.txt")
    assert world.good(url=small).plan.facts["entries"] == 1, "nobody says that it shrank"
    world.publish(fake.answers(500))
    assert isinstance(world.failed(), Refused), "the small one is not kept for it"


def test_a_list_of_this_machine(world: World, tmp_path: Path) -> None:
    source = tmp_path / "local.txt"
    source.write_bytes(FIRST)
    local = {"url": None, "src": str(source)}
    assert world.good(**local).changed
    assert not world.good(**local).changed
    source.write_bytes(SECOND)
    assert world.good(**local).changed
    source.unlink()
    assert world.good(**local).plan.facts["outcome"] == "kept"
    assert world.dest.read_bytes() == SECOND


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_pinned_list_is_fetched_once(world: World) -> None:
    assert world.good(checksum=f"sha256:{sha256(FIRST)}").changed
    assert world.good(checksum=f"sha256:{sha256(FIRST)}").plan.facts["outcome"] == "not_modified"
    assert len(world.publisher.log) == 1
    wrong = world.failed(checksum=f"sha256:{sha256(SECOND)}")
    assert f"SHA-256 is {sha256(FIRST)}, expected {sha256(SECOND)}" in str(wrong)
    assert world.dest.read_bytes() == FIRST


def test_a_list_of_checksums_proves_each_new_one(world: World) -> None:
    packed = {"url": world.publisher.url("/drop.gz"), "checksum": world.publisher.url("/SUMS")}
    world.publish(f"{sha256(gzip.compress(FIRST, mtime=0))}  drop.gz\n".encode(), "/SUMS")
    world.publish(gzip.compress(FIRST, mtime=0), "/drop.gz")
    assert world.good(**packed).changed
    assert world.dest.read_bytes() == FIRST, "unpacked, and proved as published"
    world.publish(gzip.compress(SECOND, mtime=0), "/drop.gz")
    kept = world.good(**packed)
    assert "its checksum is another one" in kept.plan.facts["reason"]
    world.publish(fake.answers(404), "/SUMS")
    assert "answered 404" in world.good(**packed).plan.facts["reason"]
    assert world.dest.read_bytes() == FIRST


class Signer:
    """A key of its own in a home of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--yes", "--quiet"]
        self._run("--passphrase", "", "--quick-generate-key", "lists@example.org", "ed25519")
        self.keyring = home / "public.asc"
        self.keyring.write_bytes(self._run("--armor", "--export"))

    def sign(self, content: bytes) -> bytes:
        return self._run("--armor", "--detach-sign", given=content)

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--homedir", self._gpg[2], "--kill", "all"], check=True, timeout=60
        )

    def _run(self, *words: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            [*self._gpg, *words], input=given, capture_output=True, check=True, timeout=60
        ).stdout


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Signer, Signer]]:
    base = tmp_path_factory.mktemp("gpg")
    both = Signer(base / "a"), Signer(base / "b")
    yield both
    for signer in both:
        signer.close()


def test_only_what_the_publisher_signed_is_taken(
    world: World, signers: tuple[Signer, Signer]
) -> None:
    publisher, stranger = signers
    signed = {
        "signature": world.publisher.url("/drop.txt.asc"),
        "keyring": str(publisher.keyring),
    }
    world.publish(publisher.sign(FIRST), "/drop.txt.asc")
    assert world.good(**signed).changed
    assert not world.good(**signed).changed
    world.publish(SECOND)
    for wrong in (publisher.sign(FIRST), stranger.sign(SECOND), b"no signature", b""):
        world.publish(wrong, "/drop.txt.asc")
        kept = world.good(**signed)
        assert "not a valid one of the keyring" in kept.plan.facts["reason"]
        assert world.dest.read_bytes() == FIRST
    world.publish(publisher.sign(SECOND), "/drop.txt.asc")
    assert world.good(**signed).changed


def test_a_proof_that_is_asked_for_later_is_asked_of_the_copy_too(
    world: World, signers: tuple[Signer, Signer]
) -> None:
    publisher, stranger = signers
    world.good()
    world.publish(stranger.sign(FIRST), "/drop.txt.asc")
    signed = {
        "signature": world.publisher.url("/drop.txt.asc"),
        "keyring": str(publisher.keyring),
    }
    assert "no earlier copy exists" in str(world.failed(**signed))


def test_what_cannot_be_judged_here_is_no_fault_of_the_feed(
    world: World, signers: tuple[Signer, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(signers[0].sign(FIRST), "/drop.txt.asc")
    signed = {"signature": world.publisher.url("/drop.txt.asc"), "keyring": "/nowhere/keyring"}
    world.good()
    assert "/nowhere/keyring cannot be read" in str(world.failed(**signed))
    monkeypatch.setattr(openpgp, "SQV", "/nowhere/sqv")
    signed["keyring"] = str(signers[0].keyring)
    assert "Install the package sqv" in str(world.failed(**signed))


def test_a_header_from_a_file_goes_to_the_feeds_host_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("Authorization: Bearer hidden\n")
    sums = world.publisher.url("/SUMS", "localhost")
    world.publish(f"{sha256(FIRST)}\n".encode(), "/SUMS")
    outcome = world.good(header_file=str(tmp_path / "headers"), checksum=sums)
    given = [asked.headers.get("Authorization") for asked in world.publisher.log]
    assert given == ["Bearer hidden", None]
    assert "hidden" not in repr(outcome)
    assert "hidden" not in Path(world.records.audit.path).read_text()


class TestContract(OperationContract):
    operation = BlocklistFeed
    publisher: ClassVar[ObjectServer]

    @pytest.fixture(autouse=True)
    def publish(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(web, "PAUSE", 0.01)
        with serving() as type(self).publisher:
            yield

    @staticmethod
    def first(base: Path) -> Case:
        world = World(base, TestContract.publisher)
        world.publish(FIRST)
        reads = ("web.fetch",)
        return files_case(world.operation, world.params, world.folder, reads=reads)

    @staticmethod
    def another(base: Path) -> Case:
        case = TestContract.first(base)
        World(base, TestContract.publisher).good()
        TestContract.publisher.objects["/drop.txt"] = SECOND
        return case

    cases = (first, another)


@pytest.mark.parametrize("content", [FIRST, fake.answers(500)], ids=["same", "failing"])
def test_check_mode_writes_nothing_where_nothing_comes(
    world: World, content: bytes | fake.Misbehaviour
) -> None:
    world.good()
    world.publish(content)
    before = {path: path.read_bytes() for path in world.folder.iterdir()}
    foretold = world.run(check=True, files=ReadOnlyFiles())
    assert (foretold.failure, foretold.changed) == (None, False)
    assert {path: path.read_bytes() for path in world.folder.iterdir()} == before
    done = world.run()
    assert (done.changed, done.plan.facts) == (False, foretold.plan.facts)


def test_without_its_folder_it_says_so(world: World) -> None:
    dest = str(world.folder / "deeper" / "drop.txt")
    assert "does not exist" in str(world.failed(dest=dest))
    assert world.run(dest=dest, check=True).failure is None, "a play may make it before"


PROGRAM = """
import json, os, sys
from pathlib import Path
from plugins.module_utils._core import durable
from plugins.module_utils._core.audit import Audit
from plugins.module_utils._core.journal import Journal
from plugins.module_utils._core.executor import Records, execute
from plugins.module_utils._core.waiting import SystemClock
from plugins.module_utils._firewall.feed_operation import BlocklistFeed
from plugins.module_utils._ports.host.files import Files
from plugins.module_utils._ports.crypto.openpgp import OpenPgp
from plugins.module_utils._ports.host.spool import Spool
from plugins.module_utils._ports.http.web import Web
params, base, killed = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
class Killed(Files):
    def write_blocks(self, path, blocks, **access):
        def torn():
            for block in blocks:
                yield block[:20]
                os._exit(9)
        super().write_blocks(path, torn() if killed == "killed" else blocks, **access)
records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")
operation = BlocklistFeed(Killed(), Web(), OpenPgp(), Spool, SystemClock())
outcome = execute(operation, params, records)
print(type(outcome.failure).__name__, outcome.failure)
"""


def test_killed_while_it_writes_it_harms_nothing_and_is_cleaned_up(
    world: World, tmp_path: Path
) -> None:
    world.good()
    world.publish(SECOND)
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(world.params), str(tmp_path), "killed"],
        cwd=ROOT,
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == 9, killed.stderr.decode()
    assert world.dest.read_bytes() == FIRST
    assert len(list(world.folder.glob(".drop.txt.*.debvisor"))) == 1
    (world.folder / ".drop.txt.other.abcdefgh").write_text("somebody else's")
    after = world.good()
    assert after.changed
    assert len(after.rolled_back_runs) == 1
    assert world.dest.read_bytes() == SECOND
    assert world.names() == [".drop.txt.other.abcdefgh", "drop.txt", "drop.txt.json"]


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


def test_a_full_disk_is_an_error_of_this_machine(world: World, tmp_path: Path) -> None:
    world.good()
    world.publish(b"".join(b"10.%d.%d.1\n" % (n >> 8, n & 255) for n in range(20_000)))
    ran = subprocess.run(
        [sys.executable, "-c", FULL + PROGRAM, json.dumps(world.params), str(tmp_path), ""],
        cwd=ROOT,
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "SpoolFailed there is no room for a temporary file" in ran.stdout
    assert world.dest.read_bytes() == FIRST
    assert world.names() == ["drop.txt", "drop.txt.json"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"url": "https://user:hidden@host/x"}, "url"),
        ({"url": "ftp://host/x"}, "url"),
        ({"url": "/just/a/path"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://host:99999/"}, "url"),
        ({"url": "https://host/ä"}, "url"),
        ({"url": "https://host/a b"}, "url"),
        ({"url": "https://host/a\n"}, "url"),
        ({"url": "file://elsewhere/x"}, "url"),
        ({"url": None, "src": "relative"}, "src"),
        ({"dest": "relative"}, "dest"),
        ({"checksum": "sha256:123"}, "checksum"),
        ({"checksum": "md5:123"}, "checksum"),
        ({"signature": "/s"}, "keyring"),
        ({"min_share": 100.1}, "min_share"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"timeout": 0.0}, "timeout"),
        ({"max_age": -1.0}, "max_age"),
    ],
)
def test_wrong_options_are_told(world: World, options: dict[str, Any], where: str) -> None:
    failed = world.failed(**options)
    assert isinstance(failed, InvalidInput)
    assert [problem.where for problem in failed.problems] == [where]
    assert "hidden" not in str(failed)
    assert world.publisher.log == []
