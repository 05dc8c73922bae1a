# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirms a second factor once logins over new connections have shown that it is asked for, and who enters with it."""

from __future__ import annotations

import base64
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail

from ..module_utils._access.enrolment import SECRET_BYTES
from ..module_utils._core.errors import DebvisorError
from ..module_utils._ports.access.one_time_codes import OneTimeCodes
from ..plugin_utils.access_controller import TellsOfController
from ..plugin_utils.commit_confirm import PAUSE, CommitConfirm
from ..plugin_utils.ssh_client import Attempt, SshClient

STEP = 30
LONGEST_LOGIN = 15.0
KEY, CODE, PASSWORD = "publickey", "keyboard-interactive", "password"
DEFAULT_CANARY = "debvisor-canary"
Proof = tuple[str, Callable[[float], Attempt], Callable[[Attempt], bool]]
"""What is tried, how within so many seconds, and whether it went as it should."""


class ActionModule(CommitConfirm, TellsOfController):
    """The module changes; we prove."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        if self._connection.transport != "ssh":
            raise AnsibleActionFail(
                f"ssh_access proves its changes over SSH, and this connection is {self._connection.transport}"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="access-", dir=constants.DEFAULT_LOCAL_TMP))
        try:
            return super().run(tmp, task_vars)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _change(self, task_vars: Any) -> dict[str, Any]:
        options = {**self._task.args}
        if self._enforces:
            options["controller"] = {**self._controller(), **self._new_canary()}
        return dict(self._execute_module(module_args=options, task_vars=task_vars))

    @property
    def _enforces(self) -> bool:
        return self._task.args.get("state", "enforced") == "enforced"

    def _new_canary(self) -> dict[str, str]:
        """Make a key and a secret, and see that codes can be made of it, while nothing is changed yet."""
        self._secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES))
        try:
            OneTimeCodes().at(self._secret, 0)
            key = self._new_key()
        except (DebvisorError, OSError, subprocess.SubprocessError) as cause:
            raise AnsibleActionFail(f"The control node could not prove logins: {cause}") from cause
        return {"canary_key": key, "canary_secret": self._secret.decode()}

    def _new_key(self) -> str:
        key = self._folder / "key"
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "debvisor", "-f", str(key)]
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=60)
        return key.with_name("key.pub").read_text(encoding="utf-8").strip()

    def _disproof(self, result: dict[str, Any], ends: float) -> str:
        """Let each proof be tried until somebody decided, for sshd may just be reading its configuration."""
        if not self._enforces:
            return ""
        result["proofs"] = proofs = []
        for name, attempt, holds in self._proofs():
            came = self._decided(attempt, ends)
            held = holds(came)
            proofs.append({"proof": name, "holds": held, "said": "" if held else came.said})
            if not held:
                return f"{name}: {self._told(came)}"
        return ""

    @staticmethod
    def _told(came: Attempt) -> str:
        if came.accepted:
            return "it enters, and must not"
        return came.said or "it does not enter"

    @staticmethod
    def _decided(attempt: Callable[[float], Attempt], ends: float) -> Attempt:
        came = Attempt(False, False, "no time was left to try it")
        while (left := ends - time.monotonic()) > 0:
            came = attempt(min(left, LONGEST_LOGIN))
            if came.accepted or came.refused:
                break
            time.sleep(min(PAUSE, left))
        return came

    def _proofs(self) -> Iterator[Proof]:
        """Yield what is tried, in an order in which the right code is used last: so it was refused without a key.

        No more than three are to be refused, as sshd would make us wait (sshd_config(5), PerSourcePenalties).
        """
        client = self._client()
        canary = self._task.args.get("canary") or DEFAULT_CANARY
        key = self._folder / "key"
        codes = OneTimeCodes()

        def right() -> str:
            return codes.at(self._secret, int(time.time()) // STEP)

        def wrong() -> str:
            return f"{(int(right()) + 500_000) % 1_000_000:06d}"

        def login(methods: str, **how: Any) -> Callable[[float], Attempt]:
            def attempt(seconds: float) -> Attempt:
                given = {name: each() if callable(each) else each for name, each in how.items()}
                return client.attempt(canary, methods, timeout=seconds, **given)

            return attempt

        both = f"{KEY},{CODE}"
        yield "canary with key alone", login(both, key=key), _lacks_only_code
        yield "canary without its key", login(f"{CODE},{PASSWORD}", answer=right), _refused
        yield "canary with key and wrong code", login(both, key=key, answer=wrong), _refused
        yield "canary with key and code", login(both, key=key, answer=right), _accepted
        user = self._task.args["break_glass"]["user"]
        glass = self._break_glass_key()

        def work(seconds: float) -> Attempt:
            word = secrets.token_hex(8)
            came = client.attempt(
                user, KEY, key=glass, agent=True, command=f"echo {word}", timeout=seconds
            )
            if came.accepted and word not in came.printed:
                return Attempt(False, True, "it enters, and cannot run commands")
            return came

        yield "break-glass with its key", work, _accepted

    def _client(self) -> SshClient:
        """Return a client that goes where Ansible goes, by the same way, but with keys of its own."""
        option = self._connection.get_option
        words = [
            word
            for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")
            for word in shlex.split(option(name) or "")
        ]
        if port := option("port"):
            words += ["-p", str(port)]
        return SshClient(option("host"), self._folder, words, option("ssh_executable"))


def _accepted(came: Attempt) -> bool:
    return came.accepted


def _refused(came: Attempt) -> bool:
    return came.refused and not came.accepted


def _lacks_only_code(came: Attempt) -> bool:
    """Tell by the method that sshd still asks for whether it took the key."""
    return _refused(came) and f"({CODE})" in came.said
