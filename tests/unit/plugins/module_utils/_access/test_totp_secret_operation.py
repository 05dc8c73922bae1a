# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors in a store on a real file system: enrol, keep, take over, hand over, undo, killed runs, no secret."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access import enrolment as enrolments
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import Enrolment
from ansible_collections.debvisor.hci.plugins.module_utils._access.totp_secret_info import (
    TotpSecretInfo,
)
from ansible_collections.debvisor.hci.plugins.module_utils._access.totp_secret_operation import (
    TotpSecret,
)
from ansible_collections.debvisor.hci.plugins.module_utils._access.totp_secret_options import SPEC
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput, Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.one_time_codes import (
    OneTimeCodes,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.qr_codes import QrCodes
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.totp_store import TotpStore
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import FakeClock
from tests.fakes.files import HookedFiles
from tests.fakes.operation_contract import Build, Case, OperationContract, named
from tests.fakes.switchboard import calls

USER = pwd.getpwuid(os.geteuid()).pw_name
NOW = 1_764_112_000
KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
OTHER = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"
THEIRS = f'{KEY}\n" WINDOW_SIZE 17\n" DISALLOW_REUSE 58803733\n" TOTP_AUTH\n11111111\n22222222\n'


class Clock(FakeClock):
    def wall(self) -> float:
        return NOW


class FakeSealer:
    """Turns text around, which no test finds by accident."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def recipient(self, certificate: str) -> str:
        if certificate != "CERTIFICATE":
            raise Refused("the recipient is not one public certificate")
        return "FINGERPRINT"

    def seal(self, content: bytes, certificate: str) -> str:
        if self.failure:
            raise self.failure
        return content[::-1].hex()


def opened(message: str) -> bytes:
    return bytes.fromhex(message)[::-1]


class World:
    def __init__(self, base: Path) -> None:
        self.store = base / "totp"
        self.path = self.store / USER
        self.letter = base / "letter"
        self.theirs = base / ".google_authenticator"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, **options: Any) -> dict[str, Any]:
        return filled(SPEC.options, {"user": USER, **options})

    def operation(self, files: Files, sealer: FakeSealer) -> TotpSecret:
        ports = (Clock(), OneTimeCodes(), QrCodes(), sealer)
        return TotpSecret(files, str(self.store), *ports, host="node1", uid=os.geteuid())

    def run(
        self,
        files: Files | None = None,
        check: bool = False,
        sealer: FakeSealer | None = None,
        **options: Any,
    ) -> Outcome:
        operation = self.operation(files or Files(), sealer or FakeSealer())
        return execute(operation, self.params(**options), self.records, check=check)

    def done(self, files: Files | None = None, **options: Any) -> Outcome:
        outcome = self.run(files, **options)
        assert outcome.failure is None, outcome.failure
        return outcome

    def enrol(self, **options: Any) -> Outcome:
        return self.done(deliver="file", deliver_to=str(self.letter), **options)

    def google(self, content: str = THEIRS, mode: int = 0o600) -> str:
        self.theirs.write_text(content)
        self.theirs.chmod(mode)
        return str(self.theirs)

    @property
    def enrolment(self) -> Enrolment:
        return enrolments.parse(self.path.read_bytes(), "the store")

    @property
    def state(self) -> dict[str, tuple[bytes, int]]:
        found = [
            *self.store.glob("*"),
            *self.store.glob(".*"),
            *self.letter.parent.glob("*letter*"),
        ]
        return {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in found}


def words(enrolment: Enrolment) -> set[str]:
    """Return every form in which a secret could show."""
    key = enrolment.secret.reveal().decode()
    groups = " ".join(key[start : start + 4] for start in range(0, len(key), 4))
    return {key, key.lower(), groups, *(code.reveal().decode() for code in enrolment.scratch_codes)}


def case(title: str, there: bool, /, repeats: bool = True, mode: int = 0, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if there:
            world.enrol()
        if mode:
            world.path.chmod(mode)

        def state(aside: bool = False) -> dict[str, Any]:
            return {n: c for n, c in world.state.items() if n.endswith(".before") is aside}

        more = {"deliver": "file", "deliver_to": str(world.letter)} if not mode else {}
        return Case(
            lambda wire: world.operation(wire("files", Files()), wire("sealer", FakeSealer())),
            world.params(**more | options),
            state,
            calls("files", ReadsFiles) | {"sealer.recipient"},
            drawn=lambda: [
                word.encode() for word in (words(world.enrolment) if world.path.exists() else ())
            ],
            aside=lambda: state(aside=True),
            repeats=repeats,
        )

    return named(title, build)


class TestContract(OperationContract):
    operation = TotpSecret
    memory = None  # no letters are written there
    cases = (
        case("enrolled", False),
        case("given", False, secret=KEY),
        case(
            "sealed", True, False, regenerate="always", deliver="encrypted", recipient="CERTIFICATE"
        ),
        case("regenerated", True, False, regenerate="always", qr="png"),
        case("codes", True, False, regenerate="scratch_codes"),
        case("protected", True, mode=0o640),
        case("absent", True, state="absent"),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_enrolled_once_and_handed_over_once(world: World) -> None:
    made = world.enrol()
    assert made.changed
    assert stat.S_IMODE(world.store.stat().st_mode) == 0o700
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o400
    assert stat.S_IMODE(world.letter.stat().st_mode) == 0o600
    assert (made.facts["enrolled"], made.facts["scratch_codes"]) == (True, 5)
    letter = world.letter.read_text()
    assert all(
        word in letter for word in words(world.enrolment) if word.isupper() or word.isdigit()
    )
    assert f"{USER}@node1 at debvisor" in letter
    world.letter.unlink()
    assert world.enrol().changed is False
    assert not world.letter.exists()


def test_regenerated_for_a_lost_phone(world: World) -> None:
    world.enrol()
    old = world.enrolment
    assert world.enrol(regenerate="always").changed
    assert world.enrolment.secret != old.secret
    assert not set(world.enrolment.scratch_codes) & set(old.scratch_codes)
    assert not any(word in world.letter.read_text() for word in words(old))
    assert set(world.state) == {USER, "letter"}, "no copy of the former secret is left"


def test_new_scratch_codes_and_the_secret_stays(world: World) -> None:
    world.enrol()
    used = world.path.read_text().replace('" DISALLOW_REUSE', '" DISALLOW_REUSE 58803733')
    world.path.chmod(0o600)
    world.path.write_text(used)
    old = world.enrolment
    options = {"regenerate": "scratch_codes", "scratch_codes": 3, "qr": "png"}
    outcome = world.enrol(**options)
    now = world.enrolment
    assert (now.secret, now.options) == (old.secret, old.options)
    assert (len(now.scratch_codes), set(now.scratch_codes) & set(old.scratch_codes)) == (3, set())
    letter = world.letter.read_text()
    assert all(code.reveal().decode() in letter for code in now.scratch_codes)
    assert not words(old) & set(letter.split())
    assert "otpauth" not in letter
    assert set(world.state) == {USER, "letter"}, "there is no picture to hand over"
    assert outcome.plan.after == {**outcome.plan.before, "scratch_codes": 3, "mode": "0400"}
    assert world.enrol(**options).changed


def test_new_scratch_codes_that_nobody_would_see_are_not_made(world: World) -> None:
    world.enrol()
    before = world.state
    outcome = world.run(regenerate="scratch_codes")
    assert "no one would ever see" in str(outcome.failure)
    assert world.state == before


@pytest.mark.parametrize(("secret", "stays"), [(KEY, True), (OTHER, False)])
def test_new_scratch_codes_for_a_given_secret(world: World, secret: str, stays: bool) -> None:
    world.done(secret=KEY)
    world.enrol(secret=secret, regenerate="scratch_codes")
    assert world.enrolment.secret == Secret(secret)
    assert len(world.enrolment.scratch_codes) == 5
    assert ("otpauth" in world.letter.read_text()) is not stays


def test_a_login_while_new_scratch_codes_are_sealed_is_not_forgotten(world: World) -> None:
    world.enrol()

    class Login(FakeSealer):
        def seal(self, content: bytes, certificate: str) -> str:
            used = world.path.read_text().replace('" DISALLOW_REUSE', '" DISALLOW_REUSE 58803733')
            world.path.chmod(0o600)
            world.path.write_text(used)
            return super().seal(content, certificate)

    options = {"deliver": "encrypted", "recipient": "CERTIFICATE", "regenerate": "scratch_codes"}
    outcome = world.run(sealer=Login(), **options)
    assert outcome.failure is None
    assert world.enrolment.used == {58803733}
    [sealed] = outcome.facts["sealed"]
    assert sealed["name"] == f"{USER}.txt"
    message = opened(sealed["message"]).decode()
    assert all(code.reveal().decode() in message for code in world.enrolment.scratch_codes)


def test_who_is_not_enrolled_gets_a_secret_as_well(world: World) -> None:
    world.enrol(regenerate="scratch_codes")
    assert "otpauth" in world.letter.read_text()


def test_a_secret_that_nobody_would_see_is_not_made(world: World) -> None:
    outcome = world.run()
    assert "locked out" in str(outcome.failure)
    assert world.state == {}
    world.enrol()
    assert world.done().changed is False
    assert "locked out" in str(world.run(regenerate="always").failure)


def test_absent(world: World) -> None:
    world.enrol()
    gone = world.done(state="absent")
    assert (gone.changed, gone.facts) == (True, {"user": USER, "enrolled": False})
    assert set(world.state) == {"letter"}
    assert world.done(state="absent").changed is False


def test_one_secret_for_several_hosts(world: World) -> None:
    outcome = world.done(secret=KEY)
    assert world.enrolment.secret == Secret(KEY)
    assert world.enrolment.scratch_codes == (), "nobody would see them"
    assert outcome.plan.after["fingerprint"] == outcome.facts["fingerprint"]
    assert world.done(secret=KEY.lower()).changed is False
    assert world.done(secret=OTHER).changed
    assert world.enrolment.secret == Secret(OTHER)


def test_taken_over_with_options_and_scratch_codes(world: World) -> None:
    outcome = world.done(import_from=world.google())
    kept = world.enrolment
    assert (kept.secret, kept.window, len(kept.scratch_codes)) == (Secret(KEY), 17, 2)
    assert (kept.used, kept.since, kept.option("RATE_LIMIT")) == ({58803733}, NOW, "3 30")
    assert (outcome.plan.after["scratch_codes"], outcome.facts["scratch_codes"]) == (2, 2)
    assert world.theirs.read_text() == THEIRS, "PAM may still read it"
    world.theirs.unlink()
    assert world.done(import_from=str(world.theirs)).changed is False


def test_an_enrolment_that_is_here_is_not_overwritten_by_another(world: World) -> None:
    world.enrol()
    before = world.state
    assert world.done(import_from=world.google()).changed is False
    assert world.state == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_what_others_may_have_read_is_not_taken_over(world: World, mode: int) -> None:
    failure = world.run(import_from=world.google(mode=mode)).failure
    assert f"mode {mode:04o}" in str(failure)
    assert world.state == {}


def test_what_is_no_enrolment_is_not_taken_over(world: World) -> None:
    assert "does not exist" in str(world.run(import_from=str(world.theirs)).failure)
    assert "do not go by time" in str(world.run(import_from=world.google(f"{KEY}\n")).failure)
    world.theirs.unlink()
    world.theirs.symlink_to("/etc/passwd")
    assert "not a regular file" in str(world.run(import_from=str(world.theirs)).failure)


def test_an_attempt_to_log_in_meanwhile_is_no_reason_to_fail(world: World) -> None:
    def attempt() -> None:
        noted = world.path.read_bytes().replace(b"RATE_LIMIT 3 30", b"RATE_LIMIT 3 30 1764112000")
        world.path.unlink()
        world.path.write_bytes(noted)
        world.path.chmod(0o400)

    files = HookedFiles(attempt, "write", f"/{USER}", after=True)
    world.done(files, deliver="file", deliver_to=str(world.letter))
    assert world.enrolment.option("RATE_LIMIT") == "3 30 1764112000"


def test_another_secret_meanwhile_is(world: World) -> None:
    def meddle() -> None:
        world.path.chmod(0o600)
        world.path.write_text(THEIRS)

    files = HookedFiles(meddle, "write", f"/{USER}", after=True)
    outcome = world.run(files, deliver="file", deliver_to=str(world.letter))
    assert "another secret" in str(outcome.failure)
    assert world.state == {}


def test_rubbish_is_replaced_only_where_allowed(world: World) -> None:
    world.enrol()
    world.path.chmod(0o600)
    world.path.write_text("rubbish")
    assert "regenerate is never" in str(world.run(secret=KEY).failure)
    assert world.enrol(regenerate="if_invalid").changed
    assert world.enrol(regenerate="if_invalid").changed is False
    assert world.enrolment


def test_a_mode_that_pam_refuses_is_mended_and_the_secret_stays(world: World) -> None:
    world.enrol()
    secret = world.enrolment.secret
    world.path.chmod(0o640)
    outcome = world.done()
    assert [action.verb for action in outcome.plan.actions] == ["protect"]
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o400
    assert world.enrolment.secret == secret
    world.path.chmod(0o600)
    assert world.done().changed is False


@pytest.mark.parametrize(
    ("picture", "names"), [("none", ["txt"]), ("terminal", ["txt"]), ("png", ["txt", "png"])]
)
def test_sealed_for_a_recipient(world: World, picture: str, names: list[str]) -> None:
    outcome = world.done(deliver="encrypted", recipient="CERTIFICATE", qr=picture)
    sealed = outcome.facts["sealed"]
    assert [part["name"] for part in sealed] == [f"{USER}.{name}" for name in names]
    letter = opened(sealed[0]["message"]).decode()
    assert world.enrolment.secret.reveal().decode() in letter
    assert ("█" in letter) == (picture == "terminal")
    if picture == "png":
        assert opened(sealed[1]["message"]).startswith(b"\x89PNG")
    assert not any(word in str(sealed) for word in words(world.enrolment))
    assert "FINGERPRINT" in outcome.plan.actions[0].effect
    assert "sealed" not in world.done(deliver="encrypted", recipient="CERTIFICATE").facts


def test_a_picture_as_a_second_file(world: World) -> None:
    world.enrol(qr="png")
    assert {name: mode for name, (content, mode) in world.state.items() if name != USER} == {
        "letter": 0o600,
        "letter.png": 0o600,
    }
    assert world.state["letter.png"][0].startswith(b"\x89PNG")


def test_a_recipient_that_is_none_is_refused_before_anything_is_made(world: World) -> None:
    outcome = world.run(deliver="encrypted", recipient="rubbish", check=True)
    assert isinstance(outcome.failure, Refused)
    assert world.state == {}


def test_verified(world: World) -> None:
    world.done(secret=KEY)
    before = world.state
    right = OneTimeCodes().at(KEY.encode(), NOW // 30)
    assert world.done(state="verified", code=right).changed is False
    assert world.done(state="verified", code=right).facts == {"user": USER}, "it is not used up"
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    failure = world.run(state="verified", code=wrong).failure
    assert isinstance(failure, Refused)
    assert wrong not in str(failure)
    used = world.path.read_text().replace("DISALLOW_REUSE", f"DISALLOW_REUSE {NOW // 30}")
    assert world.state == before
    world.path.chmod(0o600)
    world.path.write_text(used)
    assert "used before" in str(world.run(state="verified", code=right).failure)
    world.done(state="absent")
    assert "not enrolled" in str(world.run(state="verified", code=right).failure)


def test_where_sealing_fails_nobody_is_enrolled(world: World) -> None:
    sealer = FakeSealer(Refused("gpg does not take it"))
    outcome = world.run(sealer=sealer, deliver="encrypted", recipient="CERTIFICATE")
    assert (outcome.nothing_left, world.state) == (True, {})


@pytest.mark.parametrize("folder", ["store", "/etc/pam.d", "/etc", "/usr/bin", "/srv/../etc/ssh"])
def test_a_letter_is_not_laid_where_it_could_do_harm(world: World, folder: str) -> None:
    """Neither over somebody else's secret, nor over what the system reads."""
    place = f"{world.store if folder == 'store' else folder}/ulf"
    outcome = world.run(deliver="file", deliver_to=place)
    assert "is reserved for files of the system" in str(outcome.failure)
    assert not world.path.exists()


def test_copies_for_undo_are_in_places_of_root_alone(world: World) -> None:
    world.enrol()
    found: dict[str, int] = {}

    def look() -> None:
        modes = {name: mode for name, (content, mode) in world.state.items()}
        found.update({name: mode for name, mode in modes.items() if name.endswith(".before")})

    files = HookedFiles(look, "write", "letter")
    world.done(files, regenerate="always", deliver="file", deliver_to=str(world.letter))
    assert found == {f".{USER}.before": 0o600, ".letter.before": 0o600}


def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    outcome = world.run(
        user="../anna",
        secret="###",
        regenerate="always",
        issuer="a:b",
        label="x\n",
        deliver_to="letter",
        scratch_codes=11,
    )
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == [
        "user",
        "secret",
        "regenerate",
        "issuer",
        "label",
        "deliver_to",
        "scratch_codes",
    ]
    assert "###" not in str(outcome.failure)
    empty = world.run(deliver="encrypted", recipient=" ").failure
    assert isinstance(empty, InvalidInput)
    for wrong in ({"scratch_codes": 0}, {"import_from": "/root/x"}):
        failure = world.run(regenerate="scratch_codes", **wrong).failure
        assert isinstance(failure, InvalidInput)


@pytest.mark.parametrize(
    "user", ["", ".", "..", ".anna", "a/b", "0", "4711", "-x", "an na", "x" * 33]
)
def test_names_that_are_none(world: World, user: str) -> None:
    assert isinstance(world.run(user=user).failure, InvalidInput)


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "12345678"])
def test_codes_that_are_none(world: World, code: str) -> None:
    failure = world.run(state="verified", code=code).failure
    assert isinstance(failure, InvalidInput)
    assert not code or code not in str(failure)


def test_only_accounts_are_enrolled(world: World) -> None:
    assert "no user" in str(world.run(user="nobody-has-this", secret=KEY).failure)
    assert world.done(user="nobody-has-this", state="absent").changed is False


def test_info_tells_what_may_be_known(world: World) -> None:
    folder = str(world.store)
    info = TotpSecretInfo(Files(), TotpStore(world.store, os.geteuid()), folder, os.geteuid())
    assert info.look({"users": None})["users"] == []
    assert "No such file" in info.look({"users": None})["store"]["problem"]
    world.done(import_from=world.google())
    (world.store / "ben").write_text("rubbish")
    (world.store / "eve").write_text(THEIRS)
    (world.store / "eve").chmod(0o644)
    (world.store / ".ben.before").write_text(THEIRS)
    found = info.look({"users": None})
    about = {user["user"]: user for user in found["users"]}
    assert set(about) == {USER, "ben", "eve"}
    assert about[USER] == {
        "user": USER,
        "enrolled": True,
        "problem": "",
        "since": "2025-11-25T23:06:40+00:00",
        "last_used": "2025-11-25T23:06:30+00:00",
        "scratch_codes": 2,
    }
    assert "line 1" in about["ben"]["problem"]
    assert "mode 0644" in about["eve"]["problem"]
    assert not about["ben"]["enrolled"]
    assert not about["eve"]["enrolled"]
    assert not any(word in str(found) for word in words(world.enrolment))
    asked = info.look({"users": ["zoe", "../x"]})["users"]
    assert [user["enrolled"] for user in asked] == [False, False]
    assert [user["problem"] for user in asked] == ["", "is not the name of an account"]
