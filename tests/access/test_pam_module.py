# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PAM module on a node: what it takes, what it leaves in the store, and when it lets nobody in.

What these tests find is what our modules rely on: which files count as enrolments, and when a store can be used.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access import enrolment as enrolments
from ansible_collections.debvisor.hci.plugins.module_utils._access import pam_settings
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import Enrolment
from ansible_collections.debvisor.hci.plugins.module_utils._access.totp_secret_plan import (
    MODES,
)

from tests.lab import access
from tests.lab.control_node import ControlNode, PlaybookRun
from tests.lab.layout import Node
from tests.lab.watch import watched

pytestmark = pytest.mark.long

USER = "debvisor-pam"
SERVICE = "debvisor-pam-test"
STORE = "/var/lib/debvisor/totp"
FILE = f"{STORE}/{USER}"
LETTER = f"/root/{USER}.txt"
DROP_IN = "/run/debvisor-pam-test.conf"
STACK = pam_settings.include(STORE, "", "", DROP_IN) + "account required pam_permit.so\n"
PACKAGES = "libpam-google-authenticator pamtester python3-pyotp python3-qrcode"
SINCE = 1_764_112_000


def oathtool(enrolment: Enrolment, steps: int = 0) -> str:
    """Return the code that an authenticator shows, or will show in so many steps."""
    when = f"now {30 * steps:+d} seconds"
    words = ["oathtool", "--totp", "--base32", f"--now={when}", enrolment.secret.reveal().decode()]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


class Door:
    """A login on a node that asks for nothing but a code."""

    def __init__(self, control: ControlNode, node: Node, logs: Path) -> None:
        self.control = control
        self.node = node
        self._logs = logs

    def on(self, command: str, timeout: float = 60) -> str:
        return self.control.on(self.node, command, timeout=timeout)

    def put(self, enrolment: Enrolment, mode: int = 0o400, owner: str = "root") -> Enrolment:
        content = shlex.quote(enrolments.render(enrolment).decode())
        self.on(
            f"rm -f {FILE}; printf %s {content} > {FILE}; chown {owner} {FILE}; chmod {mode:o} {FILE}"
        )
        return enrolment

    def kept(self) -> Enrolment:
        return enrolments.parse(self.on(f"cat {FILE}").encode(), FILE)

    def opens(self, code: str) -> bool:
        done = access.run(
            self.control.lab,
            self.node,
            f"echo {code} | timeout 30 pamtester {SERVICE} {USER} authenticate",
            timeout=60,
        )
        assert "pamtester: " in done.stdout + done.stderr, done
        return done.returncode == 0

    def module(self, name: str, *words: str, **options: Any) -> PlaybookRun:
        """Call a module as an operator does."""
        return self.control.ansible(
            self.node.name,
            f"--module-name=debvisor.hci.{name}",
            f"--args={json.dumps(options)}",
            *words,
            log=self._logs / f"{name}.log",
            program="ansible",
            ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
            ANSIBLE_STDOUT_CALLBACK="default" if words else "ansible.posix.json",
        )

    def result(self, name: str, **options: Any) -> dict[str, Any]:
        [result] = self.module(name, **options).results().values()
        return result

    @contextmanager
    def over_the_store(self, *commands: str) -> Iterator[None]:
        """Put another file system in the store's place, which has the same enrolments."""
        mounted = "/run/debvisor-pam"
        self.on(
            f"mkdir -p {mounted}; mount -t tmpfs -o size=64k,nr_inodes=8,mode=0700 none {mounted}"
        )
        try:
            self.on(f"cp -p {FILE} {mounted}; mount --bind {mounted} {STORE}")
            try:
                for command in commands:
                    self.on(command)
                yield
            finally:
                self.on(f"umount {STORE}")
        finally:
            self.on(f"umount {mounted}; rmdir {mounted}")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    control = ControlNode()
    door = Door(control, control.nodes[-1], tmp_path_factory.mktemp("door"))
    apt = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    door.on(f"{apt} {PACKAGES} >/dev/null", timeout=300)
    door.on(f"id {USER} 2>/dev/null || useradd --create-home {USER}; install -d -m 0700 {STORE}")
    door.on(f"touch {DROP_IN}; printf %s {shlex.quote(STACK)} > /etc/pam.d/{SERVICE}")
    yield door
    door.on(
        f"userdel --remove {USER} 2>/dev/null; rm -f {FILE} {LETTER} {DROP_IN} /etc/pam.d/{SERVICE}"
    )


@pytest.fixture
def enrolled(door: Door) -> Enrolment:
    return door.put(enrolments.fresh(SINCE, 2))


def test_each_code_opens_once(door: Door, enrolled: Enrolment) -> None:
    code = oathtool(enrolled)
    assert door.opens(code)
    kept = door.kept()
    assert kept.last_used
    assert (kept.since, kept.scratch_codes) == (SINCE, enrolled.scratch_codes)
    assert not door.opens(code)
    assert door.opens(oathtool(enrolled, steps=1))


def test_without_sshds_drop_in_a_code_opens_nothing(door: Door, enrolled: Enrolment) -> None:
    """sshd would ask PAM for a password then."""
    door.on(f"rm {DROP_IN}")
    try:
        assert not door.opens(oathtool(enrolled))
    finally:
        door.on(f"touch {DROP_IN}")
    assert door.opens(oathtool(enrolled))


def test_a_skew_that_was_brought_along_counts(door: Door, enrolled: Enrolment) -> None:
    skewed = door.put(replace(enrolled, options=(*enrolled.options, ("TIME_SKEW", "10"))))
    ahead, right = oathtool(skewed, steps=10), oathtool(skewed)
    told = [door.result("totp_secret", user=USER, state="verified", code=ahead)]
    told.append(door.result("totp_secret", user=USER, state="verified", code=right))
    assert [each.get("failed", False) for each in told] == [False, True]
    assert door.opens(ahead)
    assert not door.opens(right)


def test_a_skew_is_not_learnt(door: Door, enrolled: Enrolment) -> None:
    """The PAM module would, from three codes of an hour ago that come in a row, and take them from then on."""
    lenient = [
        (name, "9 30" if name == "RATE_LIMIT" else value) for name, value in enrolled.options
    ]
    door.put(replace(enrolled, options=tuple(lenient)))
    assert not door.opens(oathtool(enrolled, steps=-120))
    kept = door.kept()
    assert [name for name, value in kept.options if "SKEW" in name] == []


def test_a_scratch_code_opens_once(door: Door, enrolled: Enrolment) -> None:
    code = enrolled.scratch_codes[0].reveal().decode()
    assert door.opens(code)
    assert door.kept().scratch_codes == enrolled.scratch_codes[1:]
    assert not door.opens(code)


def test_three_attempts_and_then_a_pause(door: Door, enrolled: Enrolment) -> None:
    wrong = [f"{(int(oathtool(enrolled)) + more) % 1_000_000:06d}" for more in (7, 8, 9)]
    assert [door.opens(code) for code in wrong] == [False] * 3
    assert not door.opens(oathtool(enrolled))


def test_who_is_not_enrolled_does_not_enter(door: Door, enrolled: Enrolment) -> None:
    door.on(f"rm {FILE}")
    assert not door.opens(oathtool(enrolled))


@pytest.mark.parametrize("owner", ["root", USER])
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640, 0o604, 0o700])
def test_what_pam_takes_is_what_we_call_enrolled(door: Door, mode: int, owner: str) -> None:
    enrolled = door.put(enrolments.fresh(SINCE, 0), mode, owner)
    assert door.opens(oathtool(enrolled)) is (mode in MODES and owner == "root")


FULL = f"dd if=/dev/zero of={STORE}/fill bs=1k 2>/dev/null || true"
NO_INODES = f"for each in 1 2 3 4 5 6 7 8; do touch {STORE}/fill$each 2>/dev/null || true; done"
READ_ONLY = f"mount -o remount,bind,ro {STORE}"


@pytest.mark.parametrize(
    ("command", "why"), [(FULL, "no room"), (NO_INODES, "no room"), (READ_ONLY, "read-only")]
)
def test_a_store_that_cannot_be_written_lets_nobody_in_and_we_say_so(
    door: Door, enrolled: Enrolment, command: str, why: str
) -> None:
    with door.over_the_store(command):
        assert not door.opens(oathtool(enrolled))
        assert not door.opens(enrolled.scratch_codes[0].reveal().decode())
        store = door.result("totp_secret_info", users=[USER])["store"]
    assert store["usable"] is False
    assert why in store["problem"]
    assert door.opens(oathtool(enrolled))


HANDED_OVER = {"user": USER, "deliver": "file", "deliver_to": LETTER, "qr": "terminal"}


def owner_of_the_letter(door: Door) -> Enrolment:
    """Return what somebody has who typed the key from the letter."""
    lines = door.on(f"cat {LETTER}").splitlines()
    key = next(line.removeprefix("Key:") for line in lines if line.startswith("Key:"))
    return Enrolment(enrolments.checked_secret(key), ())


def test_what_the_module_hands_over_opens(door: Door) -> None:
    door.on(f"rm -f {FILE}")
    assert door.result("totp_secret", **HANDED_OVER)["changed"] is True
    code = oathtool(owner_of_the_letter(door))
    assert door.result("totp_secret", user=USER, state="verified", code=code)["changed"] is False
    assert door.opens(code)
    told = door.result("totp_secret", user=USER, state="verified", code=code)
    assert "used before" in told["msg"]
    found = door.result("totp_secret_info", users=[USER])
    assert found["store"]["usable"] is True
    [about] = found["users"]
    assert (about["enrolled"], about["scratch_codes"]) == (True, 5)
    assert about["last_used"] is not None


def test_new_scratch_codes_open_and_the_former_do_not(door: Door, enrolled: Enrolment) -> None:
    told = door.result("totp_secret", **HANDED_OVER, regenerate="scratch_codes")
    assert (told["changed"], told["scratch_codes"]) == (True, 5)
    letter = door.on(f"cat {LETTER}")
    new = re.findall("[0-9]{8}", letter)
    assert len(new) == 5
    assert enrolled.secret.reveal().decode()[:4] not in letter
    assert not door.opens(enrolled.scratch_codes[0].reveal().decode())
    assert door.opens(new[0])
    assert door.opens(oathtool(enrolled))


def test_neither_key_nor_code_is_told_to_anybody(door: Door, tmp_path: Path) -> None:
    """Enrol, judge a code and log in, as loudly as can be, and look for the real secrets in every record of it."""
    loud = ("-vvv", "--diff")
    with watched(door.control, door.node) as enrolling:
        runs = [door.module("totp_secret", *loud, **HANDED_OVER, regenerate="always")]
        first = door.kept()
        again = {**HANDED_OVER, "regenerate": "scratch_codes"}
        runs.append(door.module("totp_secret", *loud, **again))
    enrolled = door.kept()
    code = oathtool(enrolled)
    given = tmp_path / "code.json"
    given.write_text(json.dumps({"code_from_prompt": code}))
    judged = {"user": USER, "state": "verified", "code": "{{ code_from_prompt }}"}
    with watched(door.control, door.node) as judging:
        runs.append(door.module("totp_secret", *loud, f"--extra-vars=@{given}", **judged))
    assert [run.status for run in runs] == [0, 0, 0], runs[-1].output
    assert door.opens(code)
    assert not door.opens(code)
    audit = door.on("cat /var/log/debvisor/audit.jsonl")
    log = door.on("journalctl --no-pager")
    journal = door.on("cat /var/lib/debvisor/journal/* 2>/dev/null || true")
    assert "totp_secret" in audit
    assert f"{SERVICE}(pam_google_authenticator)" in log
    outputs = [run.output for run in runs]
    secrets = [enrolled.secret, *enrolled.scratch_codes, *first.scratch_codes]
    words = [secret.reveal().decode() for secret in secrets]
    assert len(set(words)) == 11
    records = [*outputs, audit, log, journal, *enrolling, *judging]
    assert not [word for word in words for text in records if word in text]
    shown = re.compile(rf"(?<![\d.]){code}(?!\d)")
    assert not [text for text in [*outputs, audit, journal, *judging] if shown.search(text)]
    assert f": {code}" not in log
