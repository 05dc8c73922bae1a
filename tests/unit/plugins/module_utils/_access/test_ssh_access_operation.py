# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh_access against a host whose sshd follows its drop-ins: who is asked for what, refusals, undo, killed runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access.policy import OPTIONS
from ansible_collections.debvisor.hci.plugins.module_utils._access.ssh_access_operation import (
    SshAccess,
)
from ansible_collections.debvisor.hci.plugins.module_utils._access.sshd_settings import (
    KEY,
    KEY_AND_CODE,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirming import (
    confirm,
    roll_back_unconfirmed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    InvalidInput,
    Refused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.access_host import DEBIAN, PUBLIC_KEY, AccessHost, account
from tests.fakes.operation_contract import Build, Case, OperationContract, named
from tests.fakes.revert_timer import FakeRevertTimer
from tests.fakes.switchboard import calls

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
CONTROLLER = {
    "account": "root",
    "clock_offset": 0.5,
    "break_glass_key": True,
    "canary_key": "ssh-ed25519 AAAA debvisor",
    "canary_secret": SECRET,
}
GLASS = {"user": "firefighter", "networks": ["192.0.2.0/28"], "reason": "the safe"}
ROOT = {"user": "root", "reason": "Ansible\nhas no phone", "expires": "2027-06-30"}
PARAMS: dict[str, Any] = {
    "state": "enforced",
    "users": ["anna"],
    "exempt": [ROOT],
    "automation": [],
    "break_glass": GLASS,
    "canary": "debvisor-canary",
    "admin_groups": ["sudo"],
    "also": [],
    "controller": CONTROLLER,
    "confirm_within": 60,
}


SSHD_READS = ("check", "effective", "rehearsed", "others", "own_options", "sessions")


class World(AccessHost):
    def __init__(self, base: Path) -> None:
        (base / "host").mkdir()
        super().__init__(base / "host")
        self.revert_timer = FakeRevertTimer(base / "armed")
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def run(self, *, check: bool = False, **options: Any) -> Outcome:
        params = {**PARAMS, **options}
        operation = self.operation()
        return execute(operation, params, self.records, revert_timer=self.revert_timer, check=check)

    def confirm(self, outcome: Outcome) -> Outcome:
        return confirm(self.operation(), outcome.transaction, self.records, self.revert_timer)

    def revert(self, outcome: Outcome) -> Outcome:
        return roll_back_unconfirmed(self.operation(), outcome.transaction, self.records)

    def failing(self, **options: Any) -> dict[str, str]:
        """Return the checks that do not hold, of a run that has to be refused."""
        before = self.content()
        outcome = self.run(**options)
        assert isinstance(outcome.failure, Refused)
        assert (outcome.changed, self.content(), self.sshd.reloads) == (False, before, 0)
        return {
            check["check"]: check["why"]
            for check in outcome.failure.details["preflight"]
            if not check["holds"]
        }


def case(title: str, enforced: bool, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if enforced:
            world.confirm(world.run())

        def state() -> dict[str, Any]:
            files = {n: c for n, c in world.content().items() if not n.endswith(".before")}
            return {**files, "running": world.sshd.running}

        return Case(
            world.operation,
            {**PARAMS, **options},
            state,
            calls("files", ReadsFiles).union(f"sshd.{name}" for name in SSHD_READS),
            secrets=[SECRET.encode()],
            aside=lambda: [name for name in world.content() if name.endswith(".before")],
            timer=world.revert_timer,
        )

    return named(title, build)


class TestContract(OperationContract):
    operation = SshAccess
    cases = (
        case("enforced", False),
        case("other", True, also=["sudo"]),
        case("released", True, state="absent"),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_everybody_is_asked_for_what_is_theirs(world: World) -> None:
    outcome = world.run()
    assert (outcome.failure, outcome.changed) == (None, True)
    assert [action.verb for action in outcome.plan.actions] == ["admit", "write", "write", "write"]
    assert len(outcome.plan.differences) == 3
    assert world.sshd.asks("anna") == world.sshd.asks("debvisor-canary") == KEY_AND_CODE
    assert world.sshd.asks("stranger") == KEY_AND_CODE
    assert world.sshd.asks("root", "203.0.113.1") == KEY
    assert world.sshd.asks("firefighter", "192.0.2.14") == KEY
    assert world.sshd.asks("firefighter", "192.0.2.16") == KEY_AND_CODE
    assert "@include debvisor-mfa" in world.service.read_text()
    assert "# Until 2027-06-30: Ansible has no phone\n" in Path(world.places.drop_in).read_text()


def test_sudo_asks_as_well_where_that_is_wanted(world: World) -> None:
    before = world.content()
    assert world.confirm(world.run(also=["sudo"])).failure is None
    asks = "common-auth\n# debvisor.hci.ssh_access put the next line here.\n@include debvisor-mfa-also\n"
    assert asks in Path(world.places.sudo).read_text()
    assert asks in Path(world.places.sudo_login).read_text()
    also = Path(world.places.also_include).read_text().splitlines()
    assert also[1:3] == [
        "auth [success=2 default=ignore] pam_succeed_if.so quiet user = firefighter",
        "auth [success=1 default=ignore] pam_succeed_if.so quiet user = root",
    ]
    outcome = world.run()
    targets = [action.target for action in outcome.plan.actions]
    sudo = [world.places.sudo, world.places.sudo_login]
    assert targets == ["debvisor-canary", *sudo, world.places.also_include]
    world.confirm(outcome)
    assert world.confirm(world.run(state="absent")).failure is None
    assert world.content() == before


def test_a_console_without_a_service_is_a_reason_against_it(world: World) -> None:
    assert "0 times" in world.failing(also=["console"])["pam"]


def test_groups_are_exempt_after_users(world: World) -> None:
    world.groups["robots"] = ("ben",)
    world.sshd.groups["robots"] = {"ben"}
    exempt = [{"group": "robots", "reason": "x", "expires": "2027-06-30"}, ROOT]
    assert world.run(exempt=exempt).failure is None
    assert world.sshd.asks("ben") == KEY


def test_the_canary_is_there_until_the_change_is_decided(world: World) -> None:
    outcome = world.run()
    assert SECRET in Path(world.places.store, "debvisor-canary").read_text()
    assert Path(world.places.canary_keys).read_text() == "restrict ssh-ed25519 AAAA debvisor\n"
    assert world.confirm(outcome).failure is None
    assert not [name for name in world.content() if "canary" in name or "before" in name]
    assert world.sshd.asks("anna") == KEY_AND_CODE


def test_unconfirmed_all_is_as_before(world: World) -> None:
    before = world.content()
    outcome = world.run()
    assert world.revert(outcome).failure is None
    assert world.content() == before
    assert (world.sshd.asks("anna"), world.sshd.reloads) == ("any", 2)


def test_release_restores_the_exact_files(world: World) -> None:
    before = world.content()
    world.confirm(world.run())
    outcome = world.run(state="absent")
    assert outcome.plan.actions[0].target == world.places.drop_in
    assert world.confirm(outcome).failure is None
    assert world.content() == before
    assert world.sshd.asks("anna") == "any"
    assert world.run(state="absent").changed is False


def test_an_unconfirmed_release_asks_again(world: World) -> None:
    world.confirm(world.run())
    enforced = world.content()
    assert world.revert(world.run(state="absent")).failure is None
    assert (world.content(), world.sshd.asks("anna")) == (enforced, KEY_AND_CODE)


@pytest.mark.parametrize("broken", ["check", "reload"])
def test_an_sshd_that_says_no_leaves_all_as_it_was(world: World, broken: str) -> None:
    before = world.content()
    world.sshd.broken = broken
    outcome = world.run()
    assert outcome.failure is not None
    assert world.sshd.asks("anna") == "any"
    if broken == "reload":  # it does not follow back, either: that is said, and tried again
        assert outcome.rollback_errors
        world.sshd.broken = ""
        assert world.revert(outcome).failure is None
    assert world.content() == before


def test_where_sshd_cannot_be_rolled_back_pam_goes_on_as_well(world: World) -> None:
    before = world.content()
    outcome = world.run()
    enforced = world.content()
    world.sshd.broken = "reload"  # as by a file of others
    assert world.revert(outcome).failure is not None
    assert world.sshd.asks("anna") == KEY_AND_CODE
    assert world.content() == enforced
    world.sshd.broken = ""
    assert world.revert(outcome).failure is None
    assert world.content() == before
    assert world.sshd.asks("anna") == "any"


def expired(world: World) -> dict[str, Any]:
    return {"exempt": [ROOT, {"user": "ben", "reason": "x", "expires": "2027-01-14"}]}


def other_drop_in(world: World) -> dict[str, Any]:
    Path(world.places.drop_in).with_name("05-mine.conf").write_text("AuthenticationMethods any\n")
    return {}


def no_password_line(world: World) -> dict[str, Any]:
    world.service.write_text(DEBIAN.replace("common-auth", "my-auth"))
    return {}


def second_include(world: World) -> dict[str, Any]:
    world.service.write_text(f"@include site-radius\n{DEBIAN}")
    return {}


def started_with(options: str) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        world.sshd.started_with = options
        return {}

    return change


def root_with_a_code(world: World) -> dict[str, Any]:
    world.enrol("root")
    robot = {"user": "ben", "reason": "no phone", "expires": "2027-06-30"}
    return {
        "users": ["anna", "root"],
        "exempt": [robot],
        "controller": {**CONTROLLER, "account": "ben"},
    }


def unreadable_enrolment(world: World) -> dict[str, Any]:
    Path(world.places.store, "anna").chmod(0o644)
    return {}


def given(**attributes: Any) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        for name, value in attributes.items():
            setattr(world, name, value)
        return {}

    return change


def clock(
    offset: float | None, controllers: float | None = 0.5
) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        world.clock.offset, world.clock.why = offset, "nothing disciplines the clock"
        return {"controller": {**CONTROLLER, "clock_offset": controllers}}

    return change


def options(**more: Any) -> Callable[[World], dict[str, Any]]:
    return lambda world: more


def without(name: str, **accounts: Any) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        del world.accounts[name]
        world.accounts.update(accounts)
        return {}

    return change


def keys_of(name: str, text: str | None) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        if text is None:
            world.keys(name).unlink()
        else:
            world.keys(name).write_text(text)
        return {}

    return change


def keys_with_mode(name: str, mode: int) -> Callable[[World], dict[str, Any]]:
    """They are root's own here, so what others may not read, their owner may not."""

    def change(world: World) -> dict[str, Any]:
        world.keys(name).chmod(mode)
        return {}

    return change


def keys_in_folder_with_mode(name: str, mode: int) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        world.keys(name).parent.chmod(mode)
        return {}

    return change


def drop_in(text: str) -> Callable[[World], dict[str, Any]]:
    def change(world: World) -> dict[str, Any]:
        Path(world.places.drop_in).with_name("50-theirs.conf").write_text(text)
        return {}

    return change


def enrolled_canary(world: World) -> dict[str, Any]:
    world.enrol("debvisor-canary")
    return {}


def exempt_break_glass(world: World) -> dict[str, Any]:
    world.groups["oncall"] = ("firefighter",)
    group = {"group": "oncall", "reason": "nights", "expires": "2027-06-30"}
    return {"exempt": [ROOT, group]}


REASONS = [
    (given(pam_module=False), "package", "not there"),
    (no_password_line, "pam", "0 times"),
    (given(store_problem="no room"), "store", "no room"),
    (clock(15.0), "clock", "the clock differs from chrony by 15.0 s"),
    (clock(None, 15.0), "clock", "the clock differs from the control node by 15.0 s"),
    (clock(0.1, 40.0), "clock", "from the control node"),
    (clock(None, None), "clock", "offset is unknown"),
    (without("debvisor-canary"), "accounts", "no account debvisor-canary"),
    (options(users=["anna", "ben"]), "enrolled", "ben is not"),
    (unreadable_enrolment, "enrolled", "anna is not (belongs to"),
    (keys_of("anna", None), "keys", "anna has none that sshd takes in /"),
    (keys_of("anna", "garbage\n"), "keys", "anna has none"),
    (keys_of("anna", f'expiry-time="20270114" {PUBLIC_KEY}\n'), "keys", "anna has none"),
    (keys_with_mode("anna", 0o666), "keys", "anna has none"),
    (keys_with_mode("anna", 0o600), "keys", "anna has none"),
    (keys_in_folder_with_mode("anna", 0o777), "keys", "anna has none"),
    (keys_of("anna", "# none yet\n\n"), "keys", ".ssh/authorized_keys or /"),
    (keys_of("firefighter", ""), "keys", "firefighter has none"),
    (keys_of("root", None), "keys", "root has none"),
    (expired, "exemptions", "expired on 2027-01-14"),
    (options(controller={**CONTROLLER, "account": "ben"}), "automation", "comes as ben"),
    (options(controller={**CONTROLLER, "account": None}), "automation", "is unknown"),
    (options(automation=["root", "ben"]), "automation", "ben is automation"),
    (options(break_glass=None), "break_glass", "there is no"),
    (options(controller={**CONTROLLER, "break_glass_key": False}), "break_glass", "no key"),
    (given(client=("198.51.100.7", 22)), "break_glass", "in none of its networks"),
    (given(client=None), "break_glass", "an unknown address"),
    (without("firefighter", firefighter=account(9)), "break_glass", "may not administer"),
    (
        without("firefighter", firefighter=account(9, "sudo", usable=False)),
        "break_glass",
        "allows no work",
    ),
    (other_drop_in, "effective", "authenticationmethods is any, not"),
    (
        drop_in("Match Address 10.0.0.9\n    AuthenticationMethods any\n"),
        "effective",
        "50-theirs.conf: Match Address 10.0.0.9: AuthenticationMethods any",
    ),
    (
        drop_in("Match Address 10.0.0.9\n\tpasswordauthentication=yes"),
        "effective",
        "Match Address 10.0.0.9: passwordauthentication",
    ),
    (
        drop_in("Match Address 203.0.113.0/24\n    KbdInteractiveAuthentication no\n"),
        "effective",
        "Match Address 203.0.113.0/24: KbdInteractiveAuthentication no",
    ),
    (
        drop_in("Match User sftp\n    Include /etc/ssh/theirs\n"),
        "effective",
        "Match User sftp: Include /etc/ssh/theirs",
    ),
    (
        drop_in('Match User tom\n    "AuthenticationMethods" publickey\n'),
        "effective",
        "Match User tom: AuthenticationMethods publickey",
    ),
    (drop_in("PermitRootLogin no"), "effective", "PermitRootLogin is no, so root does not"),
    (started_with("-f /etc/ssh/other -p 2222"), "effective", "-f /etc/ssh/other -p 2222"),
    (root_with_a_code, "effective", "without-password, so root does not enter with publickey,key"),
    (given(passwordless={"firefighter"}), "break_glass", "sudo asks for a password"),
    (second_include, "pam", "@include site-radius"),
    (drop_in("AllowUsers root anna firefighter"), "effective", "AllowUsers does not let debvisor"),
    (drop_in("AllowGroups sudo"), "effective", "AllowGroups does not let"),
    (drop_in("DenyUsers anna"), "effective", "DenyUsers or DenyGroups keeps anna out"),
    (enrolled_canary, "accounts", "a person uses it"),
    (exempt_break_glass, "break_glass", "would enter from everywhere"),
]


@pytest.mark.parametrize(("change", "check", "why"), REASONS)
def test_a_reason_against_it_is_found_alone(
    world: World, change: Callable[[World], dict[str, Any]], check: str, why: str
) -> None:
    told = world.failing(**change(world))
    assert list(told) == [check]
    assert why in told[check]


def test_keys_may_be_where_sshd_looks_for_them_elsewhere(world: World) -> None:
    world.keys("anna").rename(world.base / "anna")
    drop_in = Path(world.places.drop_in).with_name("05-keys.conf")
    drop_in.write_text(f"AuthorizedKeysFile {world.base}/%u .ssh/authorized_keys\n")
    assert world.run(check=True).failure is None
    world.keys("root").unlink()
    assert "root has none" in world.failing()["keys"]


@pytest.mark.parametrize("setting", ["AuthorizedKeysCommand /bin/ldap", "TrustedUserCAKeys /ca"])
def test_keys_that_come_from_elsewhere_are_not_judged(world: World, setting: str) -> None:
    world.keys("anna").unlink()
    Path(world.places.drop_in).with_name("05-keys.conf").write_text(f"{setting}\n")
    assert world.run(check=True).failure is None


def test_all_reasons_against_break_glass_are_told(world: World) -> None:
    world.accounts["firefighter"] = account(9)
    world.client = None
    told = world.failing(controller={**CONTROLLER, "break_glass_key": False})["break_glass"]
    assert told.count(";") == 2


def test_one_way_in_is_not_enough(world: World) -> None:
    world.accounts.update(root=account(1, usable=False), anna=account(1000))
    told = world.failing()
    assert told == {"second_path": "only firefighter could log in and administer this host"}


def test_a_group_of_administrators_is_nothing_without_a_way_to_become_root(world: World) -> None:
    world.accounts["root"] = account(0, usable=False)
    world.passwordless = {"anna"}
    assert "only firefighter" in world.failing()["second_path"]


def test_who_logs_in_for_files_alone_needs_a_key_as_well(world: World) -> None:
    world.accounts["backup"] = account(34, usable=False)
    exempt = [ROOT, {"user": "backup", "reason": "nightly", "expires": "2027-06-30"}]
    assert "backup has none" in world.failing(exempt=exempt)["keys"]
    world.passwordless = {"backup"}
    assert world.run(check=True, exempt=exempt).failure is None


@pytest.mark.parametrize("name", ["sudo", "common-auth"])
def test_sudo_that_lets_in_without_asking_on_is_a_reason_against_it(
    world: World, name: str
) -> None:
    path = world.base / "pam" / name
    path.write_text(f"auth\tsufficient pam_ssh_agent_auth.so\n{path.read_text()}")
    assert "pam_ssh_agent_auth" in world.failing(also=["sudo"])["pam"]
    assert world.run(check=True).failure is None


def test_clocks_that_agree_or_are_known_once_are_good(world: World) -> None:
    for change in (clock(14.9, 14.9), clock(None, 0.5), clock(0.1, None)):
        assert world.run(check=True, **change(world)).failure is None


def test_all_reasons_are_told_at_once(world: World) -> None:
    world.pam_module, world.store_problem = False, "no room"
    told = world.failing(users=["ben"], break_glass=None)
    assert {"package", "store", "enrolled", "break_glass"} <= set(told)


def test_the_report_is_the_same_and_changes_nothing(world: World) -> None:
    before = world.content()
    found = world.operation().look({**PARAMS, "users": ["anna", "ben"]})
    assert (found["ready"], found["enforced"], world.content()) == (False, False, before)
    [missing] = [check for check in found["preflight"] if not check["holds"]]
    assert missing["check"] == "enrolled"
    assert found["exemptions"] == [
        {"user": "root", "reason": ROOT["reason"], "expires": "2027-06-30", "expired": False}
    ]
    assert found["sessions"] == [{"user": "anna", "terminal": "pts/0"}]
    assert world.operation().look(PARAMS)["left_out"] == ["ben"]
    world.confirm(world.run())
    assert world.operation().look(PARAMS)["enforced"] is True


def test_without_a_canary_nothing_stays(world: World) -> None:
    before = world.content()
    controller = {**CONTROLLER, "canary_secret": None}
    assert "no login could be proved" in str(world.run(controller=controller).failure)
    assert world.content() == before


@pytest.mark.parametrize("name", ["10-debvisor-mfa.conf", "debvisor-mfa"])
def test_files_of_others_are_left_alone(world: World, name: str) -> None:
    folder = "sshd" if name.endswith("conf") else "pam"
    (world.base / folder / name).write_text("# mine\n")
    for state in ("enforced", "absent"):
        assert "not written by debvisor.hci" in str(world.run(state=state).failure)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"users": ["a,b"]}, "users"),
        ({"users": ["anna", "root"]}, "root"),
        ({"canary": "firefighter"}, "firefighter"),
        ({"exempt": [{"reason": "x", "expires": "2027-06-30"}]}, "exempt[0]"),
        ({"exempt": [{**ROOT, "group": "root"}]}, "exempt[0]"),
        ({"exempt": [{**ROOT, "reason": " "}]}, "exempt[0].reason"),
        ({"exempt": [{**ROOT, "expires": "soon"}]}, "exempt[0].expires"),
        ({"exempt": [{**ROOT, "user": "*"}]}, "exempt"),
        ({"break_glass": {**GLASS, "networks": []}}, "break_glass.networks"),
        ({"break_glass": {**GLASS, "networks": ["bogus"]}}, "break_glass.networks"),
        ({"break_glass": {**GLASS, "reason": " "}}, "break_glass.reason"),
        ({"break_glass": {**GLASS, "networks": ["192.0.2.1/28"]}}, "break_glass.networks"),
        ({"confirm_within": 1}, "confirm_within"),
    ],
)
def test_options_that_make_no_sense(world: World, wrong: dict[str, Any], where: str) -> None:
    outcome = world.run(**wrong)
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == [where]


def test_no_secret_is_logged() -> None:
    assert OPTIONS["controller"]["options"]["canary_secret"]["no_log"] is True


def test_a_settings_file_that_changes_meanwhile_fails(world: World) -> None:
    class Meddling(Files):
        def write(self, path: str, content: bytes, **access: Any) -> None:
            super().write(path, content, **access)
            if path == world.places.drop_in:
                world.service.write_text(DEBIAN)

    world.files = Meddling()
    outcome = world.run()
    assert isinstance(outcome.failure, DebvisorError)
    assert "not what was written" in str(outcome.failure)
    assert world.sshd.asks("anna") == "any"
