# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for the real secrets of a real run everywhere they must not be.

A key is taken away from every node, a verbose, diffing converge brings it back, and a rotation makes new ones: so
secrets are created, carried, installed and retired under observation. Then the bytes of all of them are looked for.
"""

from __future__ import annotations

import base64
import concurrent.futures
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig

from tests.lab import access
from tests.lab.control_node import ControlNode
from tests.lab.layout import Node
from tests.lab.watch import STOP, sample

VICTIM = "debvisor-vm"
KEYS = "/etc/debvisor/keys"
RECIPIENT = "/var/lib/debvisor/recipient"
IMAGE_KEY = token_hex(24)
EXTRA = {
    "debvisor_tsig_rotation": "now",
    "debvisor_tsig_grace": 3,
    "debvisor_image_s3": {
        "endpoint": "https://s3.example.com",
        "access_key": "debvisor-test",
        "secret_key": IMAGE_KEY,
    },
}


@dataclass(slots=True)
class Observation:
    secrets: dict[str, set[str]]
    """Key name -> the forms in which its secret could show: base64, hexadecimal, the reversed quoting of JSON."""
    output: str
    processes: dict[str, list[str]] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)


def forms(secret: Secret) -> set[str]:
    text = tsig.encode_secret(secret)
    return {text, text.rstrip("="), secret.reveal().hex(), text.replace("/", "\\/")}


def secrets_on(control: ControlNode, node: Node) -> dict[str, set[str]]:
    files = control.on(node, f"ls {KEYS}/*.key").split()
    assert files, f"{node.name} holds no key at all: nothing would be searched for"
    keys = [tsig.parse(control.on(node, f"cat {file}").encode(), file) for file in files]
    return {key.name: forms(key.secret) for key in keys}


@pytest.fixture(scope="module")
def observation(control: ControlNode, tmp_path_factory: pytest.TempPathFactory) -> Observation:
    old = {k: v for node in control.nodes for k, v in secrets_on(control, node).items()}
    for node in control.nodes:
        control.on(node, f"rm -f {KEYS}/{VICTIM}*.key")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        samples = {node.name: pool.submit(sample, control, node) for node in control.nodes}
        run = control.ansible(
            "debvisor.hci.site",
            "debvisor.hci.rotate_tsig",
            "--diff",
            "-vvv",
            "--skip-tags=install",  # it carries no secret, and takes most of the time
            f"--extra-vars={json.dumps(EXTRA)}",
            log=tmp_path_factory.mktemp("log") / "site.log",
        )
        for node in control.nodes:
            control.on(node, f"touch {STOP}")
        seen = {name: future.result() for name, future in samples.items()}
    for node in control.nodes:
        control.on(node, f"rm -f {STOP}")
    assert run.status == 0, run.output[-4000:]
    now = {k: v for node in control.nodes for k, v in secrets_on(control, node).items()}
    assert any(name.endswith(VICTIM) for name in now), (
        "the key that was taken away did not come back"
    )
    assert now.keys().isdisjoint(old), "the rotation made no new keys: nothing was observed"
    for node in control.nodes:
        private = Secret(base64.b64decode(control.on(node, f"cat {RECIPIENT}")))
        now[f"private key of {node.name}"] = forms(private)
    now["secret key of the image server"] = {IMAGE_KEY}
    return Observation(
        {**old, **now},
        run.output,
        {name: result["texts"] for name, result in seen.items()},
        {name: result["rounds"] for name, result in seen.items()},
    )


def leaks(secrets: dict[str, set[str]], text: str) -> list[str]:
    """Return the names of the keys whose secret shows. Names only: a failing test must not print the secret."""
    return sorted(name for name, shapes in secrets.items() if any(s in text for s in shapes))


def test_the_search_finds_a_secret_that_is_there(observation: Observation) -> None:
    name, shapes = next(iter(observation.secrets.items()))
    for shape in shapes:
        assert leaks(observation.secrets, f"xx{shape}yy") == [name]


def test_not_in_what_ansible_prints_at_three_v_with_diffs(observation: Observation) -> None:
    assert len(observation.output) > 100_000, "this was not a verbose run"
    assert leaks(observation.secrets, observation.output) == []


def test_not_in_any_process_argument_or_environment(observation: Observation) -> None:
    for node, texts in observation.processes.items():
        assert observation.rounds[node] > 50, f"{node} was hardly looked at"
        assert any("AnsiballZ" in text or "ansible" in text for text in texts)
        assert leaks(observation.secrets, "\n".join(texts)) == []


@pytest.mark.parametrize(
    "where",
    [
        "cat /var/log/debvisor/audit.jsonl",
        "find /var/lib/debvisor /var/log/debvisor /var/log/named /run/debvisor -type f"
        " ! -path /var/lib/debvisor/keyring.json ! -path /var/lib/debvisor/recipient -exec cat {} +",
        "journalctl --no-pager --output=cat",
        "find /tmp /var/tmp /root/.ansible -type f -exec cat {} + 2>/dev/null; true",
        "find /etc /run /usr/libexec /usr/share/ansible /var/cache/bind /var/lib/bind -type f -perm -o=r"
        " -exec cat {} + 2>/dev/null; true",
    ],
    ids=["audit", "state, journal, reports", "system log", "temporary files", "world-readable"],
)
def test_not_at_rest_where_it_does_not_belong(
    control: ControlNode, observation: Observation, where: str
) -> None:
    looked_at = 0
    for node in control.nodes:
        done = subprocess.run(
            [*access.ssh_command(control.lab, node, "-o", "BatchMode=yes"), where],
            capture_output=True,
            timeout=120,
            check=True,
        )
        looked_at += len(done.stdout)
        assert leaks(observation.secrets, done.stdout.decode(errors="replace")) == [], node.name
    if "temporary" not in where:
        assert looked_at > 0 or where.endswith("true")


def test_key_files_are_not_for_everybody(control: ControlNode) -> None:
    for node in control.nodes:
        listing = control.on(node, f"stat -L -c '%a %U %n' {KEYS}/*.key {RECIPIENT}")
        listing += control.on(node, "stat -c '%a %U %n' /var/lib/debvisor/keyring.json || true")
        for line in listing.splitlines():
            mode, owner, path = line.split(maxsplit=2)
            assert int(mode, 8) & 0o007 == 0, f"{node.name}: {path} is {mode}"
            assert owner == "root", f"{node.name}: {path} belongs to {owner}"


def test_the_managers_inventory_holds_no_secret_and_nothing_of_one_run(
    control: ControlNode, observation: Observation
) -> None:
    inventory = control.on(control.nodes[0], "cat /etc/debvisor/inventory.yml")
    assert "debvisor_dns_zones" in inventory
    assert leaks(observation.secrets, inventory) == []
    assert "debvisor_tsig_rotation" not in inventory


def test_the_checkout_holds_no_secret(observation: Observation) -> None:
    checkout = Path(__file__).resolve().parents[2]
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=checkout, capture_output=True, check=True
    ).stdout.split(b"\0")
    for name in filter(None, tracked):
        path = checkout / name.decode()
        if path.is_file():
            assert leaks(observation.secrets, path.read_bytes().decode(errors="replace")) == []
