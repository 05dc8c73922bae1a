# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second factor on a real node: who enters and who does not, what is refused, and that nobody is locked out for long.

The controller is killed before each of its calls of ssh: whatever it does to a host goes through one of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.access.people import ANNA, BEN, DROP_IN, GLASS, PASSWORD, ROBOT, STORE, People
from tests.access.troubles import clock_off, full_disk, read_only_root
from tests.lab.cluster import Cluster, eventually
from tests.lab.control_node import ControlNode, kill_with_descendants
from tests.lab.layout import CHECKOUT
from tests.lab.watch import watched

pytestmark = pytest.mark.long

VICTIM = "node3"
JOURNAL = "/var/lib/debvisor/journal"
PROOFS = [
    "canary with key alone",
    "canary without its key",
    "canary with key and wrong code",
    "canary with key and code",
    "break-glass with its key",
]
SSH = """\
#!/bin/sh
# ssh, which counts its calls, keeps what is asked for, and hangs at the call whose number is given.
cd {folder}
count=$(($(cat count 2>/dev/null) + 1))
echo $count > count
if [ -n "$SSH_ASKPASS" ]; then
  "$SSH_ASKPASS" >> answers
  ssh -F {config} {node} cat {store}/debvisor-canary < /dev/null > secret
fi
if [ $count = "$(cat hang 2>/dev/null)" ]; then
  touch hanging
  exec sleep 600
fi
cd {checkout}
exec ssh "$@"
"""


class CountedSsh:
    """A program in the place of ssh, for the controller."""

    def __init__(self, people: People, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.program = folder / "ssh"
        config = people.control.lab.state / "ssh_config"
        text = SSH.format(
            folder=folder, config=config, node=people.node.name, store=STORE, checkout=CHECKOUT
        )
        self.program.write_text(text)
        self.program.chmod(0o700)

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text())

    def read(self, name: str) -> list[str]:
        return (self.folder / name).read_text().split()

    def reset(self, hang: int | None = None) -> None:
        for name in ("count", "answers", "secret", "hang", "hanging"):
            (self.folder / name).unlink(missing_ok=True)
        if hang:
            (self.folder / "hang").write_text(str(hang))

    @property
    def options(self) -> str:
        return f"--extra-vars={json.dumps({'ansible_ssh_executable': str(self.program)})}"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    control = ControlNode()
    found = People(control, control.lab.node(VICTIM), tmp_path_factory.mktemp("people"))
    run = control.ansible(
        "debvisor.hci.enforce_mfa",
        f"--limit={VICTIM}",
        "--extra-vars={mfa_stages: [install]}",
        log=found.folder / "install.log",
    )
    assert run.status == 0, run.output[-3000:]
    apt = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    found.on(f"{apt} login >/dev/null", timeout=300)
    found.arrive()
    yield found
    assert not found.result(state="absent").get("failed")
    found.leave()


@pytest.fixture(scope="module")
def before(people: People) -> str:
    """Return the files as Debian has them."""
    content = people.files()
    assert "debvisor" not in content
    return content


@pytest.fixture(scope="module")
def ssh(people: People) -> CountedSsh:
    return CountedSsh(people, people.folder / "counted")


def everybody_enters_as_before(people: People) -> None:
    assert [name for name in (ANNA, BEN, GLASS, ROBOT) if not people.enters(name)] == []


def settled(people: People) -> bool:
    return people.on(f"ls {JOURNAL} 2>/dev/null || true") == ""


def test_all_reasons_are_told_at_once_and_nothing_is_changed(people: People, before: str) -> None:
    people.on(f"echo 'AuthenticationMethods publickey' > {Path(DROP_IN).with_name('05-x.conf')}")
    people.on(f"mount --bind {STORE} {STORE}; mount -o remount,bind,ro {STORE}")
    people.on(f"mv /home/{BEN}/.ssh /home/{BEN}/keys")
    glass = {**people.options()["break_glass"], "private_key": "/nonexistent"}
    try:
        with clock_off(people, 20):
            told = people.result(**people.options(users=[ANNA, BEN], break_glass=glass))
    finally:
        people.on(f"umount {STORE}; rm {Path(DROP_IN).with_name('05-x.conf')}")
        people.on(f"mv /home/{BEN}/keys /home/{BEN}/.ssh")
    assert (told["failed"], told["changed"]) == (True, False)
    why = {check["check"]: check["why"] for check in told["preflight"] if not check["holds"]}
    assert set(why) == {"store", "clock", "enrolled", "keys", "break_glass", "effective"}
    assert "read-only" in why["store"]
    assert why["clock"] == "the clock differs from chrony by 20.0 s"
    assert why["enrolled"] == f"{BEN} is not"
    assert why["keys"].startswith(
        f"{BEN} has none that sshd takes in /home/{BEN}/.ssh/authorized_keys"
    )
    assert "authenticationmethods is publickey" in why["effective"]
    assert people.files() == before
    everybody_enters_as_before(people)


def not_holding(told: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["why"] for check in told["preflight"] if not check["holds"]}


@pytest.mark.parametrize(("seconds", "refused"), [(-20, True), (14, False), (16, True)])
def test_half_a_step_is_the_most_that_the_clock_may_be_off(
    people: People, before: str, seconds: int, refused: bool
) -> None:
    with clock_off(people, seconds):
        told = people.result("ssh_access_info", **people.asked())
    off = {"clock": f"the clock differs from chrony by {abs(seconds)}.0 s"}
    assert not_holding(told) == (off if refused else {})
    assert people.files() == before


def test_the_control_nodes_clock_counts_too(people: People, before: str) -> None:
    late = "/usr/local/bin/date"
    people.on(
        f"""printf '#!/bin/sh\nexec /bin/date -d "20 seconds ago" "$@"' > {late}; chmod +x {late}"""
    )
    try:
        told = people.result(**people.options())
    finally:
        people.on(f"rm {late}")
    assert told["failed"] is True
    why = not_holding(told)["clock"]
    assert re.fullmatch(r"the clock differs from the control node by 2\d\.\d s", why)
    assert people.files() == before


def test_a_full_disk_is_refused(people: People, before: str) -> None:
    with full_disk(people):
        told = people.result(**people.options())
    assert (told["failed"], told["changed"]) == (True, False)
    assert "has no room" in not_holding(told)["store"]
    assert people.files() == before
    everybody_enters_as_before(people)


def test_a_read_only_root_is_refused(
    people: People, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_ARGS", "-o ControlMaster=no -o ControlPath=none")
    monkeypatch.setenv("ANSIBLE_REMOTE_TEMP", "/tmp/dv-ansible")
    with read_only_root(people):
        told = people.result("ssh_access_info", **people.asked())
        refused = people.result(**people.options())
    assert "read-only" in not_holding(told)["store"]
    assert (refused["failed"], refused["changed"]) == (True, False)
    assert "read-only" in refused["msg"].lower()
    assert people.files() == before
    everybody_enters_as_before(people)


def test_check_mode_predicts_and_changes_nothing(people: People, before: str) -> None:
    untouched = people.snapshot()
    run = people.module("--check", "--diff", **people.options())
    assert run.status == 0, run.output[-3000:]
    assert people.snapshot() == untouched
    assert "+AuthenticationMethods publickey,keyboard-interactive:pam" in run.output
    assert "-@include common-auth" in run.output
    assert people.files() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "Match Address 198.51.100.9\n    AuthenticationMethods any",
            "Match Address 198.51.100.9: AuthenticationMethods any",
        ),
        ("Match LocalPort 2222\n    PasswordAuthentication yes", "Match LocalPort 2222: Password"),
        (f"AllowUsers root {ANNA} {BEN} {GLASS} {ROBOT}", "AllowUsers does not let"),
        (
            "Match Address *,!10.0.0.0/8\n    KbdInteractiveAuthentication no",
            "Match Address *,!10.0.0.0/8: KbdInteractiveAuthentication no",
        ),
        ("PermitRootLogin forced-commands-only", "so root does not enter with publickey"),
    ],
)
def test_what_others_told_sshd_is_found_wherever_it_holds(
    people: People, before: str, text: str, why: str
) -> None:
    theirs = str(Path(DROP_IN).with_name("50-theirs.conf"))
    people.on(f"printf '{text}\n' > {theirs}")
    try:
        wrong = missing(people)
    finally:
        people.on(f"rm {theirs}")
    assert set(wrong) == {"effective"}
    assert why in wrong["effective"]


def missing(people: People, **options: Any) -> dict[str, str]:
    """Return which conditions do not hold, and why."""
    told = people.result("ssh_access_info", **people.asked(**options))
    return {check["check"]: check["why"] for check in told["preflight"] if not check["holds"]}


def test_another_sshd_with_a_configuration_of_its_own_is_found(people: People, before: str) -> None:
    config, unit = "/run/dv-other.conf", "dv-other-sshd"
    people.on(f"echo Port 2222 > {config}")
    people.on(f"systemd-run --quiet --collect --unit={unit} /usr/sbin/sshd -D -f {config}")
    try:
        listens = "ss --listening --numeric --tcp --no-header sport = :2222"
        eventually("it listens", lambda: people.on(listens), 30)
        wrong = missing(people)
    finally:
        people.on(f"systemctl stop {unit}; rm {config}")
    assert set(wrong) == {"effective"}
    assert f"-D -f {config}" in wrong["effective"]


def test_root_with_a_code_needs_sshds_permission(people: People, before: str) -> None:
    """As Debian has it, root enters by key alone: a code after it would not help."""
    people.on(f"cp -a {STORE}/{ANNA} {STORE}/root")
    robots = [{"user": ROBOT, "reason": "no phone", "expires": "2099-12-31"}]
    try:
        wrong = missing(people, users=[ANNA, "root"], exempt=robots)
    finally:
        people.on(f"rm {STORE}/root")
    assert set(wrong) == {"automation", "effective"}
    assert "so root does not enter with publickey,keyboard-interactive:pam" in wrong["effective"]


def test_a_break_glass_without_a_password_needs_none_for_sudo(people: People, before: str) -> None:
    rule = "/etc/sudoers.d/dv-glass"
    people.on(f"passwd --quiet --lock {GLASS}")
    try:
        wrong = missing(people)
        people.on(f"umask 337; echo '{GLASS} ALL=(ALL:ALL) NOPASSWD: ALL' > {rule}")
        assert missing(people) == {}
    finally:
        people.on(f"rm -f {rule}; passwd --quiet --unlock {GLASS}")
    assert wrong["break_glass"] == (
        f"{GLASS} cannot become root: sudo asks for a password, and it has none"
    )


def test_a_code_that_was_asked_for_so_far_is_no_obstacle(people: People, before: str) -> None:
    service = "/etc/pam.d/sshd"
    people.on(f"cp -a {service} {service}.kept")
    people.on(f"echo 'auth required pam_google_authenticator.so nullok' >> {service}")
    try:
        assert missing(people) == {}
    finally:
        people.on(f"mv {service}.kept {service}")


def test_who_logs_in_for_files_alone_is_told_of(people: People, before: str) -> None:
    people.on("useradd --system --create-home --shell /usr/sbin/nologin dv-backup")
    people.on(
        "install -d -m 0700 -o dv-backup ~dv-backup/.ssh; touch ~dv-backup/.ssh/authorized_keys"
    )
    try:
        told = people.result("ssh_access_info", **people.asked())
    finally:
        people.on("userdel --remove dv-backup 2>/dev/null")
    assert told["left_out"] == ["dv-backup", BEN]


def test_what_rolls_back_at_boot_suits_a_socket_for_sshd(people: People, before: str) -> None:
    people.on("systemctl --quiet enable ssh.socket")
    try:
        told = people.on(
            "systemd-analyze verify default.target ssh.socket 2>&1 || true", timeout=120
        )
    finally:
        people.on("systemctl --quiet disable ssh.socket")
    assert "cycle" not in told


@pytest.mark.parametrize(
    "damage",
    [
        "chmod 666 {keys}",
        "echo garbage > {keys}",
        "chmod 777 {folder}",
        "chown root {keys}; chmod 600 {keys}",
    ],
)
def test_a_key_that_sshd_does_not_take_is_none(people: People, before: str, damage: str) -> None:
    folder = f"/home/{ANNA}/.ssh"
    people.on(f"cp -a {folder} {folder}.kept")
    try:
        people.on(damage.format(keys=f"{folder}/authorized_keys", folder=folder))
        told = people.result("ssh_access_info", **people.asked())
    finally:
        people.on(f"rm -rf {folder}; mv {folder}.kept {folder}")
    wrong = {check["check"]: check["why"] for check in told["preflight"] if not check["holds"]}
    assert set(wrong) == {"keys"}
    assert wrong["keys"].startswith(f"{ANNA} has none that sshd takes")
    assert people.enters(ANNA)


def test_a_break_glass_that_does_not_open_has_it_rolled_back_at_once(
    people: People, before: str
) -> None:
    glass = {**people.options()["break_glass"], "private_key": str(people.key(BEN))}
    told = people.result(**people.options(break_glass=glass, confirm_within=3000))
    assert (told["failed"], told["confirmed"], told["changed"]) == (True, False, False)
    assert (told["rolled_back"], "was rolled back: break-glass with its key" in told["msg"]) == (
        True,
        True,
    )
    assert settled(people)
    told = people.on("/usr/libexec/debvisor/debvisor-metrics --print mfa")
    rolled_back = re.search(r"debvisor_mfa_rolled_back_timestamp_seconds (\d+)\n", told)
    assert rolled_back
    assert abs(int(rolled_back[1]) - int(people.on("date +%s"))) < 120
    assert "debvisor-revert-" not in people.on(
        "systemctl list-units --all 'debvisor-revert-[0-9]*'"
    )
    assert people.files() == before
    everybody_enters_as_before(people)


def test_a_host_that_refuses_ends_the_playbook(people: People, before: str) -> None:
    extra = {"mfa_stages": ["enforce"], "mfa_users": [{"name": BEN}]}
    run = people.control.ansible(
        "debvisor.hci.enforce_mfa",
        f"--limit=node1,{VICTIM}",
        f"--extra-vars={json.dumps(extra)}",
        log=people.folder / "batches.log",
    )
    assert run.status != 0
    assert "Second factor not enforced" in run.output
    assert "[node1]" in run.output
    assert f"[{VICTIM}]" not in run.output
    assert people.files() == before


@pytest.fixture(scope="module")
def observed(people: People, before: str, ssh: CountedSsh) -> dict[str, Any]:
    ssh.reset()
    with people.session(BEN) as says:
        assert says("before") == "before"
        with watched(people.control, people.node) as texts:
            run = people.module("-vvv", "--diff", ssh.options, **people.options())
        assert run.status == 0, run.output[-4000:]
        heard = says("after")
    people.be_patient()
    return {"output": run.output, "texts": texts, "heard": heard}


@pytest.mark.usefixtures("observed")
class TestEnforced:
    """One enforcement, watched, and many logins."""

    def test_what_was_proven(self, observed: dict[str, Any]) -> None:
        places = [observed["output"].index(f"proof: {proof}\n") for proof in PROOFS]
        assert places == sorted(places)
        assert "confirmed: true\n" in observed["output"]

    def test_no_secret_and_no_code_is_told_to_anybody(
        self, people: People, ssh: CountedSsh, observed: dict[str, Any]
    ) -> None:
        secret, codes = ssh.read("secret")[0], set(ssh.read("answers"))
        assert re.fullmatch("[A-Z2-7]{32}", secret)
        assert len(codes) >= 2
        records = [
            people.on("cat /var/log/debvisor/audit.jsonl"),
            people.on("journalctl --no-pager", timeout=120),
            observed["output"],
            *observed["texts"],
        ]
        assert [text for text in records if secret in text] == []
        shown = re.compile(rf"(?<![\d.])(?:{'|'.join(sorted(codes))})(?!\d)")
        assert [found[0] for text in records if (found := shown.search(text))] == []

    def test_who_was_there_before_stays(self, observed: dict[str, Any]) -> None:
        """They were told of, too, and could not come in any more."""
        assert observed["heard"] == "after"
        assert re.search(rf"user: {BEN}\n", observed["output"])

    def test_nothing_of_the_canary_is_left(self, people: People) -> None:
        assert people.on(f"ls -A {STORE}").split() == [ANNA]
        assert "canary" not in people.on("ls -A /etc/debvisor")
        assert settled(people)

    def test_a_second_run_changes_nothing(self, people: People) -> None:
        told = people.result(**people.options())
        assert (told["changed"], told["actions"]) == (False, [])

    def test_key_and_right_code_enter_once(self, people: People) -> None:
        code = people.code()
        assert not people.enters(ANNA, code, key=False), "a code alone"
        assert not people.enters(ANNA), "a key alone"
        assert people.enters(ANNA, code)
        assert not people.enters(ANNA, code), "replayed"
        assert people.enters(ANNA, people.anna.scratch_codes[0].reveal().decode())

    def test_wrong_codes_and_passwords_do_not_enter(self, people: People) -> None:
        people.enrol()
        wrong = f"{(int(people.code()) + 7) % 1_000_000:06d}"
        assert not people.enters(ANNA, wrong)
        assert not people.enters(ANNA, PASSWORD)
        assert not people.enters(ANNA, PASSWORD, methods="password")

    def test_who_is_not_enrolled_does_not_enter(self, people: People) -> None:
        assert not people.enters(BEN)
        assert not people.enters(BEN, people.code())
        assert not people.enters(BEN, PASSWORD)

    def test_exempt_automation_enters_by_key_alone(self, people: People) -> None:
        assert people.enters(ROBOT)
        assert not people.enters(ROBOT, PASSWORD, key=False)

    def test_break_glass_enters_and_is_alarmed(self, people: People) -> None:
        count = 'grep -c \'"operation": "break_glass"\' /var/log/debvisor/audit.jsonl'
        noted = int(people.on(count))
        assert people.enters(GLASS)
        assert int(people.on(count)) == noted + 1
        log = people.on("journalctl --no-pager --priority=alert --identifier=debvisor")
        assert f"The break-glass account {GLASS} entered from {people.control.lab.gateway4}" in log
        people.on("/usr/libexec/debvisor/audit-verify")

    def test_an_alarm_that_fails_or_hangs_keeps_nobody_out(self, people: People) -> None:
        alarm = "/usr/libexec/debvisor/break-glass-alarm"
        people.on(f"cp -p {alarm} /root/alarm")
        try:
            for broken in ("exit 1", "sleep 1000"):
                people.on(f"printf '#!/bin/sh\\n{broken}\\n' > {alarm}")
                assert people.enters(GLASS)
        finally:
            people.on(f"mv /root/alarm {alarm}")

    def test_sudo_asks_for_a_code_after_the_password(self, people: People) -> None:
        people.enrol()
        code = people.anna.scratch_codes[1].reveal().decode()
        assert not people.administers(ANNA, PASSWORD)
        assert not people.administers(ANNA, PASSWORD, "12345678")
        assert not people.administers(ANNA, "wrong", code)
        people.enrol()
        assert people.administers(ANNA, PASSWORD, code)
        assert people.administers(ROBOT, PASSWORD)

    def test_sudo_for_a_login_shell_does_so_too(self, people: People) -> None:
        people.enrol()
        code = people.anna.scratch_codes[1].reveal().decode()
        assert not people.administers(ANNA, PASSWORD, options="-i")
        assert people.administers(ANNA, PASSWORD, code, options="-i")
        assert people.administers(ROBOT, PASSWORD, options="-i")

    def test_the_console_asks_for_a_code_after_the_password(self, people: People) -> None:
        people.enrol()
        code = people.anna.scratch_codes[2].reveal().decode()
        assert not people.logs_in_at_the_console(ANNA, PASSWORD, "")
        assert not people.logs_in_at_the_console(ANNA, PASSWORD, "12345678")
        assert not people.logs_in_at_the_console(ANNA, "wrong", code)
        people.enrol()
        assert people.logs_in_at_the_console(ANNA, PASSWORD, code)
        assert not people.logs_in_at_the_console(BEN, PASSWORD, "12345678")
        assert people.logs_in_at_the_console(GLASS, PASSWORD)

    def test_on_a_read_only_root_keys_alone_enter(self, people: People) -> None:
        people.enrol()
        code = people.anna.scratch_codes[3].reveal().decode()
        with read_only_root(people):
            assert not people.enters(ANNA, code)
            assert people.enters(ROBOT)
            assert people.enters(GLASS)
        assert people.enters(ANNA, code)

    def test_on_a_full_disk_keys_alone_enter(self, people: People) -> None:
        people.enrol()
        code = people.anna.scratch_codes[4].reveal().decode()
        with full_disk(people):
            assert not people.enters(ANNA, code)
            assert people.enters(ROBOT)
            assert people.enters(GLASS)
            told = people.on("/usr/libexec/debvisor/debvisor-metrics --print mfa")
        assert "debvisor_mfa_store_usable 0\n" in told
        assert people.enters(ANNA, code)

    def test_metrics_tell_it(self, people: People) -> None:
        told = people.on("/usr/libexec/debvisor/debvisor-metrics --print mfa")
        assert "debvisor_node_mfa_enabled 1\n" in told
        used = re.search(r"break_glass_last_use_timestamp_seconds (\d+)\n", told)
        assert used
        assert abs(int(used[1]) - int(people.on("date +%s"))) < 3600

    def test_metrics_tell_that_pam_takes_passwords_again(self, people: People) -> None:
        people.on("cp -a /etc/pam.d/sshd /root/pam-sshd")
        people.on("sed -i 's/^@include debvisor-mfa$/@include common-auth/' /etc/pam.d/sshd")
        told = people.on("/usr/libexec/debvisor/debvisor-metrics --print mfa")
        people.on("mv /root/pam-sshd /etc/pam.d/sshd")
        assert "debvisor_node_mfa_enabled 0\n" in told

    def test_without_the_drop_in_a_code_alone_opens_nothing(self, people: People) -> None:
        """As docs/mfa.md has it for a lost control node: keys open again, and a code is no password."""
        people.enrol()
        code = people.anna.scratch_codes[4].reveal().decode()
        people.on(f"mv {DROP_IN} {DROP_IN}.kept; systemctl reload ssh")
        try:
            assert people.enters(ANNA)
            assert not people.enters(ANNA, code, key=False)
        finally:
            people.on(f"mv {DROP_IN}.kept {DROP_IN}; systemctl reload ssh")
        assert people.enters(ANNA, code)

    def test_a_restart_keeps_it(self, people: People) -> None:
        cluster, content = Cluster.of_lab(), people.files()
        cluster.kill(VICTIM)
        cluster.start(VICTIM)
        assert people.files() == content
        assert not people.enters(BEN)
        assert people.enters(GLASS)

    def test_release_restores_the_exact_files(self, people: People, before: str) -> None:
        run = people.control.ansible(
            "debvisor.hci.release_mfa", f"--limit={VICTIM}", log=people.folder / "release.log"
        )
        assert run.status == 0, run.output[-3000:]
        assert people.files() == before
        everybody_enters_as_before(people)


class TestKilled:
    """The controller dies; the host helps itself."""

    @pytest.fixture(autouse=True)
    def released(self, people: People) -> None:
        people.be_patient()
        assert not people.result(state="absent").get("failed")

    def test_before_each_of_its_calls(self, people: People, before: str, ssh: CountedSsh) -> None:
        calls, changed = calls_of_a_run(people, ssh), 0
        assert calls > len(PROOFS)
        for call in range(1, calls + 1):
            killed_at(people, ssh, call, confirm_within=15)
            changed += not settled(people)
            assert people.enters(ROBOT)
            assert people.enters(GLASS)
            eventually(f"all is taken back, killed at call {call}", lambda: settled(people), 60)
            assert people.files() == before, call
            everybody_enters_as_before(people)
        assert changed >= len(PROOFS), "it was mostly killed before it changed anything"

    def test_before_it_rolls_back_what_failed_its_proof(
        self, people: People, before: str, ssh: CountedSsh
    ) -> None:
        glass = {**people.options()["break_glass"], "private_key": str(people.key(BEN))}
        ssh.reset()
        assert people.module(ssh.options, **people.options(break_glass=glass)).status != 0
        calls = ssh.calls
        changed = 0
        for call in range(calls - 2, calls + 1):
            killed_at(people, ssh, call, confirm_within=15, break_glass=glass)
            changed += not settled(people)
            eventually(f"all is taken back, killed at call {call}", lambda: settled(people), 60)
            assert people.files() == before, call
            everybody_enters_as_before(people)
        assert changed, "all was taken back before the controller was killed"

    def test_and_others_break_sshds_files_meanwhile(
        self, people: People, before: str, ssh: CountedSsh
    ) -> None:
        """An sshd that cannot be told anything new goes on asking for codes. Then PAM takes them."""
        last = calls_of_a_run(people, ssh)
        theirs = str(Path(DROP_IN).with_name("50-theirs.conf"))
        since = people.on("date +%s").strip()
        killed_at(people, ssh, last - 3, confirm_within=15)
        people.on(f"echo Nonsense yes > {theirs}")
        try:
            told = f"journalctl --no-pager --since=@{since} --grep='revert-change: .*sshd|reload' || true"
            eventually(
                "it was tried to take it back", lambda: "revert-change" in people.on(told), 60
            )
            assert not settled(people)
            assert people.enters(ANNA, people.code(1))
            assert not people.enters(ANNA)
        finally:
            people.on(f"rm {theirs}")
        eventually("it is taken back", lambda: settled(people), 90)
        assert people.files() == before
        everybody_enters_as_before(people)

    def test_and_the_host_goes_down_meanwhile(
        self, people: People, before: str, ssh: CountedSsh
    ) -> None:
        last = calls_of_a_run(people, ssh)
        killed_at(people, ssh, last - 3, confirm_within=3000)
        assert people.files() != before
        cluster = Cluster.of_lab()
        cluster.kill(VICTIM)
        cluster.start(VICTIM)
        assert people.files() == before
        assert settled(people)
        everybody_enters_as_before(people)
        order = "systemctl show --property=After --value ssh.service"
        assert "debvisor-revert.service" in people.on(order)


def calls_of_a_run(people: People, ssh: CountedSsh) -> int:
    """Return how often a controller calls ssh that is left alone; then all is as before."""
    ssh.reset()
    run = people.module(ssh.options, **people.options())
    assert run.status == 0, run.output[-3000:]
    calls = ssh.calls
    assert not people.result(state="absent").get("failed")
    return calls


def killed_at(people: People, ssh: CountedSsh, call: int, **more: Any) -> None:
    """Run a controller until it is about to call ssh for that time, then kill it as an accident does."""
    ssh.reset(hang=call)
    words = people.call(ssh.options, **people.options(**more))
    command = [
        str(Path(sys.executable).with_name("ansible")),
        *people.control.inventory,
        *words,
    ]
    with subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            eventually(f"call {call} of ssh", (ssh.folder / "hanging").exists, 90)
        finally:
            kill_with_descendants(process.pid)
