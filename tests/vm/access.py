# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How people, tests and Ansible get into the machine: keys, the ssh command, an inventory.

Sessions share one connection, for a handshake costs an emulated machine a second.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Sequence

from tests.lab.access import ensure_key, public_key
from tests.lab.report import LabError
from tests.vm.layout import NAME, RUN, STATE

CLIENT_KEY = STATE / "id_ed25519"
HOST_KEY = STATE / "host_ed25519"
KNOWN_HOSTS = STATE / "known_hosts"
SSH_CONFIG = STATE / "ssh_config"
INVENTORY = STATE / "hosts.json"
CREDENTIAL = STATE / "tmpfiles.extra"
"""What systemd in the machine is told to write before sshd starts."""
SHARED_CONNECTION = RUN / "ssh"


class CommandFailed(LabError):
    """A command in the machine ended with something else than 0."""


def prepare(port: int) -> None:
    """Make the keys that are missing, and write what ssh and Ansible need to reach the machine."""
    ensure_key(CLIENT_KEY, f"{NAME} client")
    ensure_key(HOST_KEY, NAME)
    CREDENTIAL.write_text(_credential_text(), encoding="utf-8")
    CREDENTIAL.chmod(0o600)
    KNOWN_HOSTS.write_text(f"{NAME} {public_key(HOST_KEY)}", encoding="utf-8")
    options = _options(port)
    lines = "".join(f"    {name} {value}\n" for name, value in options.items())
    SSH_CONFIG.write_text(f"Host {NAME}\n{lines}", encoding="utf-8")
    INVENTORY.write_text(_inventory_text(port, options), encoding="utf-8")


def ssh_command(*options: str) -> list[str]:
    return ["ssh", "-F", str(SSH_CONFIG), *options, NAME]


def run(
    command: Sequence[str] | str,
    *,
    stdin: bytes = b"",
    timeout: float = 60.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command in the machine as root. A string is for its shell; words are passed on as they are."""
    text = command if isinstance(command, str) else shlex.join(command)
    try:
        done = subprocess.run(
            [*ssh_command(), "--", text],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(
            f"`{text}` did not end in the machine",
            f"it was given {timeout:.0f} s",
            f"look: ssh -F {SSH_CONFIG} {NAME}",
        ) from late
    result = subprocess.CompletedProcess(
        text,
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )
    if check and result.returncode != 0:
        raise CommandFailed(
            f"`{text}` failed in the machine with exit code {result.returncode}",
            result.stderr or result.stdout,
            f"look: ssh -F {SSH_CONFIG} {NAME}",
        )
    return result


def write(path: str, content: bytes) -> None:
    """Write a file in the machine; it is on its disk afterwards, so that a reset does not lose it."""
    run(f"cat > {path} && sync {path} {path.rpartition('/')[0]}", stdin=content)


def hang_up() -> None:
    """End the shared connection; the machine at its other end is about to go, or has gone."""
    if SHARED_CONNECTION.exists():
        subprocess.run([*ssh_command("-O", "exit")], capture_output=True, timeout=30, check=False)
        SHARED_CONNECTION.unlink(missing_ok=True)


def _options(port: int) -> dict[str, str]:
    return {
        "HostName": "127.0.0.1",
        "Port": str(port),
        "User": "root",
        "HostKeyAlias": NAME,
        "IdentityFile": f'"{CLIENT_KEY}"',
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f'"{KNOWN_HOSTS}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "LogLevel": "ERROR",
        "ControlMaster": "auto",
        "ControlPath": f'"{SHARED_CONNECTION}"',
        "ControlPersist": "600",
    }


def _inventory_text(port: int, options: dict[str, str]) -> str:
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_args": " ".join(
            f"-o {shlex.quote(f'{name}={value}')}" for name, value in options.items()
        ),
    }
    return json.dumps({"debvisor": {"hosts": {NAME: variables}}}, indent=2) + "\n"


def _credential_text() -> str:
    """Lines of tmpfiles.d(5); `f~` takes its content in base64."""
    files = (
        ("/etc/ssh/host_key", HOST_KEY.read_text(encoding="utf-8")),
        ("/root/.ssh/authorized_keys", public_key(CLIENT_KEY)),
    )
    lines = ["d /root/.ssh 0700 root root -"]
    for path, text in files:
        lines.append(f"f~ {path} 0600 root root - {base64.b64encode(text.encode()).decode()}")
    return "\n".join(lines) + "\n"
