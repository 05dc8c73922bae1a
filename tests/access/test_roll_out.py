# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's roll-out over all nodes, as docs/mfa.md plans it: one host first, then others, and not past a failure."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access import enrolment as enrolments
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import Enrolment

from tests.access.people import ANNA, BEN, DROP_IN, GLASS, ROBOT, SINCE, STORE, People
from tests.lab.control_node import ControlNode, PlaybookRun

THEIRS = ".google_authenticator"
JOURNAL = "/var/lib/debvisor/journal"


@dataclass
class Team:
    """The same people on every node, and the control node that has only public keys in its files."""

    control: ControlNode
    folder: Path
    agent: dict[str, str]
    ben: Enrolment = field(default_factory=lambda: enrolments.fresh(SINCE, 2))

    def __post_init__(self) -> None:
        self.on_nodes = [People(self.control, node, self.folder) for node in self.control.nodes]
        self.certificate = self._certificate()

    def arrive(self) -> None:
        for people in self.on_nodes:
            people.arrive()
            people.be_patient()
            theirs = shlex.quote(enrolments.render(self.ben).decode())
            people.on(f"rm {STORE}/{ANNA}; cd /home/{BEN}; printf %s {theirs} > {THEIRS}")
            people.on(f"cd /home/{BEN}; chown {BEN} {THEIRS}; chmod 0600 {THEIRS}")
        key = self.on_nodes[0].key(GLASS)
        environment = {**os.environ, **self.agent}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, timeout=60)
        shutil.copy(f"{key}.pub", self.public_key)

    def leave(self) -> None:
        for people in self.on_nodes:
            people.leave()
        home = str(self.folder / "gnupg")
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)

    @property
    def public_key(self) -> Path:
        return self.folder / "firefighter.pub"

    @property
    def letters(self) -> Path:
        return self.folder / "enrolments"

    def _gpg(self, *words: str, given: str = "") -> str:
        home = self.folder / "gnupg"
        home.mkdir(mode=0o700, exist_ok=True)
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", "--homedir", str(home), *words],
            input=given,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def _certificate(self) -> str:
        self._gpg("--passphrase", "", "--quick-generate-key", "anna", "default", "default", "never")
        return self._gpg("--armor", "--export", "anna")

    def run(self, playbook: str, *words: str) -> PlaybookRun:
        lab = self.control.lab
        variables = {
            "debvisor_mfa_users": [
                {"name": ANNA, "recipient": self.certificate, "qr": "png"},
                {"name": BEN, "import_from": f"/home/{BEN}/{THEIRS}"},
            ],
            "debvisor_mfa_letters": str(self.letters),
            "debvisor_mfa_exempt": [
                {"user": "root", "reason": "Ansible cannot type codes", "expires": "2099-12-31"},
                {"user": ROBOT, "reason": "no phone", "expires": "2099-12-31"},
            ],
            "debvisor_mfa_break_glass": {
                "user": GLASS,
                "networks": [str(lab.subnet4)],
                "reason": "The key is in the safe",
                "private_key": str(self.public_key),
            },
        }
        return self.control.ansible(
            f"debvisor.hci.{playbook}",
            f"--extra-vars={json.dumps(variables)}",
            *words,
            log=self.folder / f"{playbook}.log",
            **self.agent,
        )

    def anna_on(self, people: People) -> Enrolment:
        """Return what she has who opened her letter and typed the key."""
        sealed = (self.letters / f"{people.node.name}-{ANNA}.txt.asc").read_text()
        text = self._gpg("--decrypt", given=sealed)
        [key] = re.findall(r"^Key: +(.*)$", text, re.MULTILINE)
        return Enrolment(enrolments.checked_secret(key), ())


@pytest.fixture(scope="module")
def agent() -> Iterator[dict[str, str]]:
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    told = dict(re.findall(r"(SSH_\w+)=([^;]+);", started.stdout))
    yield told
    subprocess.run(["ssh-agent", "-k"], env={**os.environ, **told}, capture_output=True, check=True)


@pytest.fixture(scope="module")
def team(agent: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    found = Team(ControlNode(), tmp_path_factory.mktemp("team"), agent)
    found.arrive()
    yield found
    assert found.run("release_mfa").status == 0
    found.leave()


@pytest.fixture(scope="module")
def before(team: Team) -> list[str]:
    """Return the files as Debian has them, on each node."""
    contents = [people.files() for people in team.on_nodes]
    assert not [content for content in contents if "debvisor" in content]
    return contents


def changed(run: PlaybookRun) -> dict[str, int]:
    """Return how much was changed on each host, by the recap."""
    recap = run.output[run.output.index("PLAY RECAP") :]
    return {host: int(count) for host, count in re.findall(r"^(\S+) .*changed=(\d+)", recap, re.M)}


def test_before_the_day_everything_is_in_place_and_nobody_is_asked(
    team: Team, before: list[str]
) -> None:
    run = team.run("enforce_mfa", "--extra-vars={mfa_stages: [install, report]}")
    assert run.status == 0, run.output[-3000:]
    assert f"{ANNA} is not; {BEN} is not" in run.output
    assert [people.files() for people in team.on_nodes] == before


def test_the_account_of_a_person_is_not_made_the_canary(team: Team) -> None:
    first = team.on_nodes[0]
    account = first.on(f"getent passwd {BEN}")
    run = team.run("enforce_mfa", f"--extra-vars={{mfa_stages: [install], mfa_canary: {BEN}}}")
    assert run.status != 0
    assert "an account of another purpose" in run.output
    assert first.on(f"getent passwd {BEN}") == account


def test_who_would_not_get_the_message_is_not_enrolled(team: Team) -> None:
    in_the_way = team.letters / f"node1-{ANNA}.txt.asc"
    in_the_way.mkdir(parents=True)
    team.letters.chmod(0o750)
    run = team.run("enforce_mfa", "--limit=node1", "--extra-vars={mfa_stages: [enrol]}")
    assert run.status != 0
    assert f"Not enrolled, therefore: {ANNA}" in " ".join(run.output.split())
    assert team.on_nodes[0].on(f"ls {STORE}").split() == [BEN]
    assert stat.S_IMODE(team.letters.stat().st_mode) == 0o750, (
        "a folder that is there keeps its mode"
    )
    shutil.rmtree(team.letters)


def test_who_cannot_be_enrolled_costs_nobody_else_the_message(team: Team) -> None:
    first = team.on_nodes[0]
    first.on(f"mv /home/{BEN}/{THEIRS} /home/{BEN}/{THEIRS}.gone; rm {STORE}/{BEN}")
    run = team.run("enforce_mfa", "--limit=node1", "--extra-vars={mfa_stages: [enrol]}")
    assert run.status != 0
    assert f"Not enrolled: {BEN}." in " ".join(run.output.split())
    assert first.on(f"ls {STORE}").split() == [ANNA]
    assert team.anna_on(first)
    first.on(f"mv /home/{BEN}/{THEIRS}.gone /home/{BEN}/{THEIRS}; rm {STORE}/{ANNA}")
    shutil.rmtree(team.letters)


def test_a_second_host_that_fails_ends_it(team: Team, before: list[str]) -> None:
    first, second, third = team.on_nodes
    keys = f"/home/{GLASS}/.ssh/authorized_keys"
    second.on(
        f"mv {keys} {keys}.gone; cp /home/{BEN}/.ssh/authorized_keys {keys}; chown {GLASS} {keys}"
    )
    run = team.run("enforce_mfa")
    assert run.status != 0
    assert "was rolled back: break-glass with its key" in run.output
    assert not first.enters(BEN)
    assert first.enters(GLASS)
    assert second.files() == before[1]
    assert second.on(f"ls {JOURNAL}") == ""
    assert second.enters(BEN)
    assert third.files() == before[2]
    assert "[node3]" not in run.output
    assert stat.S_IMODE(team.letters.stat().st_mode) == 0o700
    assert {path.name.partition("-")[0] for path in team.letters.iterdir()} == {"node1", "node2"}
    second.on(f"mv {keys}.gone {keys}")


def test_once_that_is_mended_it_goes_on_with_the_others(team: Team) -> None:
    run = team.run("enforce_mfa")
    assert run.status == 0, run.output[-3000:]
    amount = changed(run)
    assert (amount["node1"], amount["node2"] > 0, amount["node3"] > 0) == (0, True, True)
    order = [run.output.index(f"ok: [{name}]") for name in ("node1", "node2", "node3")]
    assert order == sorted(order)
    names = [f"node{number}-{ANNA}.{kind}.asc" for number in (1, 2, 3) for kind in ("png", "txt")]
    assert sorted(path.name for path in team.letters.iterdir()) == names


def test_everybody_enters_with_what_they_have(team: Team) -> None:
    for people in team.on_nodes:
        assert DROP_IN in people.files()
        people.anna = team.anna_on(people)
        assert not people.enters(ANNA)
        assert people.enters(ANNA, people.code())
        people.anna = team.ben
        assert not people.enters(BEN)
        assert people.enters(BEN, people.code())
        assert people.enters(ROBOT)


def test_one_nodes_code_is_worthless_on_another(team: Team) -> None:
    first, second, _third = team.on_nodes
    second.anna = team.anna_on(first)
    assert not second.enters(ANNA, second.code())


def test_a_second_run_changes_nothing(team: Team) -> None:
    run = team.run("enforce_mfa")
    assert run.status == 0, run.output[-3000:]
    assert changed(run) == {"node1": 0, "node2": 0, "node3": 0}


def test_who_has_lost_the_control_node_switches_it_off_by_hand(
    team: Team, before: list[str]
) -> None:
    first = team.on_nodes[0]
    demanding = first.files()
    first.on(f"rm {DROP_IN} && systemctl reload ssh")
    assert first.enters(BEN)
    assert team.run("release_mfa", "--limit=node1").status == 0
    assert first.files() == before[0]
    assert team.run("enforce_mfa", "--limit=node1").status == 0
    assert first.files() == demanding
    assert not first.enters(BEN)


def test_check_mode_of_the_release_changes_nothing(team: Team) -> None:
    contents = [people.files() for people in team.on_nodes]
    run = team.run("release_mfa", "--check")
    assert run.status == 0, run.output[-3000:]
    assert min(changed(run).values()) > 0
    assert [people.files() for people in team.on_nodes] == contents


def test_the_release_restores_every_file(team: Team, before: list[str]) -> None:
    run = team.run("release_mfa")
    assert run.status == 0, run.output[-3000:]
    assert [people.files() for people in team.on_nodes] == before
    assert all(people.enters(name) for people in team.on_nodes for name in (ANNA, BEN, GLASS))
