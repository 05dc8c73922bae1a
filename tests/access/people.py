# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People with keys and authenticators, who log in to a node as people do: OpenSSH's client, and oathtool."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._access import enrolment as enrolments
from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import Enrolment

from tests.lab import access
from tests.lab.control_node import ControlNode, PlaybookRun
from tests.lab.layout import Node

ANNA, BEN, GLASS, ROBOT = "dv-anna", "dv-ben", "dv-glass", "dv-robot"
"""Enrolled; not enrolled; for emergencies; exempt."""
PASSWORD = "correct horse"
STORE = "/var/lib/debvisor/totp"
DROP_IN = "/etc/ssh/sshd_config.d/10-debvisor-mfa.conf"
PATIENCE = "/etc/ssh/sshd_config.d/90-dv-patience.conf"
ALSO = "/etc/pam.d/debvisor-mfa-also /etc/pam.d/sudo /etc/pam.d/sudo-i /etc/pam.d/login"
FILES = f"{DROP_IN} /etc/pam.d/debvisor-mfa /etc/pam.d/sshd {ALSO}"
TERMINAL = Path(__file__).with_name("terminal.py")
SINCE = 1_764_112_000


@dataclass
class People:
    """The accounts on one node, and what their owners have."""

    control: ControlNode
    node: Node
    folder: Path
    anna: Enrolment = field(default_factory=lambda: enrolments.fresh(SINCE, 5))

    def arrive(self) -> None:
        """Make the accounts, each with a key of its own, and enrol one."""
        for name in (ANNA, BEN, GLASS, ROBOT):
            access.ensure_key(self.key(name), name)
            public = shlex.quote(access.public_key(self.key(name)))
            home = f"/home/{name}"
            self.on(
                f"id {name} 2>/dev/null || useradd --create-home --shell /bin/bash --groups sudo {name};"
                f"install -d -o {name} -m 0700 {home}/.ssh; printf %s {public} > {home}/.ssh/authorized_keys;"
                f"echo {shlex.quote(f'{name}:{PASSWORD}')} | chpasswd"
            )
        self.enrol()

    def be_patient(self) -> None:
        """Have sshd not turn us away for a while because so many of our logins are refused."""
        self.on(f"echo PerSourcePenalties no > {PATIENCE}; systemctl reload ssh")

    def enrol(self) -> None:
        content = shlex.quote(enrolments.render(self.anna).decode())
        path = f"{STORE}/{ANNA}"
        self.on(
            f"install -d -m 0700 {STORE}; rm -f {path}; printf %s {content} > {path}; chmod 0400 {path}"
        )

    def leave(self) -> None:
        for name in (ANNA, BEN, GLASS, ROBOT):
            self.on(f"userdel --remove {name} 2>/dev/null; rm -f {STORE}/{name}")
        self.on(f"rm -f {PATIENCE}; systemctl reload ssh")

    def on(self, command: str, timeout: float = 60) -> str:
        return self.control.on(self.node, command, timeout=timeout)

    def key(self, name: str) -> Path:
        return self.folder / name

    def code(self, steps: int = 0) -> str:
        """Return what Anna's authenticator shows, or will show in so many steps."""
        secret = self.anna.secret.reveal().decode()
        words = ["oathtool", "--totp", "--base32", f"--now=now {30 * steps:+d} seconds", secret]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def enters(
        self, name: str, answer: str | None = None, *, key: bool = True, methods: str = ""
    ) -> bool:
        """Tell whether somebody gets in who has the key, and answers what is asked once."""
        options = [
            "-o", f"PreferredAuthentications={methods or 'publickey,keyboard-interactive,password'}",
            "-o", "NumberOfPasswordPrompts=1",
            "-o", f"BatchMode={'yes' if answer is None else 'no'}",
            "-o", f"User={name}",
        ]  # fmt: skip
        keys = ["-F", str(self._config(name, with_key=key))]
        done = subprocess.run(
            ["ssh", *keys, *options, self.node.name, "id -un"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **self._asked(answer)},
            start_new_session=True,
            check=False,
        )
        refused = "Permission denied" in done.stderr
        assert (done.stdout.strip() == name) != refused, done.stderr or done.stdout
        return not refused

    @contextmanager
    def session(self, name: str) -> Iterator[Callable[[str], str]]:
        """Give a session of somebody who enters by key alone: a line that is said comes back."""
        keys = ["-F", str(self._config(name, with_key=True))]
        settings = ("BatchMode=yes", "ServerAliveInterval=5", "ServerAliveCountMax=6")
        alive = [word for each in settings for word in ("-o", each)]
        words = ["ssh", *keys, *alive, "-l", name, self.node.name, "cat"]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
            assert process.stdin
            assert process.stdout
            spoken, heard = process.stdin, process.stdout

            def says(line: str) -> str:
                spoken.write(f"{line}\n")
                return heard.readline().strip()

            try:
                yield says
            finally:
                process.kill()

    def administers(self, name: str, *answers: str, options: str = "") -> bool:
        """Tell whether somebody who is logged in becomes root by these answers to sudo."""
        given = shlex.quote("".join(f"{answer}\n" for answer in answers))
        sudo = f"sudo -S -k -p '' {options} id -un"
        return self.on(f"printf %s {given} | runuser -u {name} -- {sudo} || true") == "root\n"

    def logs_in_at_the_console(self, name: str, *answers: str) -> bool:
        """Tell whether these answers bring somebody a shell at the machine itself."""
        words = ["python3", "-c", TERMINAL.read_text(), f"login {name}", *answers]

        return self.on(shlex.join(words), timeout=90).startswith("in ")

    def _config(self, name: str, *, with_key: bool) -> Path:
        """Return the lab's configuration of ssh, with this person's key in the place of the lab's."""
        common = access.ssh_config(self.control.lab).read_text()
        lab = f'"{access.client_key(self.control.lab)}"'
        path = self.folder / f"config-{name}-{with_key}"
        path.write_text(common.replace(lab, str(self.key(name)) if with_key else "none"))
        return path

    def _asked(self, answer: str | None) -> dict[str, str]:
        if answer is None:
            return {}
        told, program = self.folder / "answer", self.folder / "askpass"
        told.write_text(answer + "\n")
        program.write_text(f"#!/bin/sh\ncat {told}\n")
        program.chmod(0o700)
        return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of ssh_access that hold for this node."""
        lab = self.control.lab
        return {
            "users": [ANNA],
            "exempt": [
                {"user": "root", "reason": "the lab", "expires": "2099-12-31"},
                {"user": ROBOT, "reason": "no phone", "expires": "2099-12-31"},
            ],
            "break_glass": {
                "user": GLASS,
                "networks": [str(lab.subnet4), str(lab.subnet6)],
                "reason": "the safe",
                "private_key": str(self.key(GLASS)),
            },
            "also": ["sudo", "console"],
            "confirm_within": 120,
            **more,
        }

    def module(self, *words: str, name: str = "ssh_access", **options: Any) -> PlaybookRun:
        """Call a module for the node, through its action plugin."""
        return self.control.ansible(
            *self.call(*words, name=name, **options),
            log=self.folder / f"{name}.log",
            program="ansible",
            ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
            ANSIBLE_STDOUT_CALLBACK="default" if words else "ansible.posix.json",
        )

    def call(self, *words: str, name: str = "ssh_access", **options: Any) -> list[str]:
        module = f"--module-name=debvisor.hci.{name}"
        return [self.node.name, module, f"--args={json.dumps(options)}", *words]

    def result(self, name: str = "ssh_access", **options: Any) -> dict[str, Any]:
        [result] = self.module(name=name, **options).results().values()
        return result

    def asked(self, **more: Any) -> dict[str, Any]:
        """Return the options of ssh_access_info."""
        options = self.options(**more)
        del options["confirm_within"]
        return options

    def snapshot(self) -> str:
        """Return when what was last written, of all that a run may write."""
        folders = "/etc /var/lib/debvisor /var/log/debvisor /home"
        return self.on(f"find {folders} -printf '%p %m %U %s %T@\n' | sort")

    def files(self) -> str:
        """Return what the files of sshd and PAM hold, and whose they are."""
        return self.on(
            f"for each in {FILES}; do stat -c '%n %a %U:%G' $each; cat $each; done 2>/dev/null; true"
        )
