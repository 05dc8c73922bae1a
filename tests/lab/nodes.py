# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nodes: containers that run systemd as a machine would, made, killed, started again and waited for."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tests.lab import access
from tests.lab.host import Host
from tests.lab.layout import Lab, Node
from tests.lab.report import LabError, Stopwatch, say

SPEC_LABEL = "org.debvisor.lab.spec"
READY_TIMEOUT = 90.0
SHUTDOWN_TIMEOUT = 10.0
REMOVAL_ATTEMPTS = 3
SETTLED = ("running", "degraded")


class State(Enum):
    ABSENT = "absent"
    OFF = "off"
    STALE = "dead with records left"
    UNFIT = "of an older recipe"
    BOOTING = "starting"
    DEGRADED = "degraded"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Sighting:
    state: State
    pid: int = 0


def see(host: Host, lab: Lab, node: Node, image: str | None = None) -> Sighting:
    """How a node is.  With an image, a node that was made from another recipe counts as unfit."""
    record = _inspect(host, node)
    if record is None:
        return Sighting(State.ABSENT)
    if image is not None and record["Config"]["Labels"].get(SPEC_LABEL) != _spec(
        host, lab, node, image
    ):
        return Sighting(State.UNFIT)
    pid = int(record["State"]["Pid"])
    if record["State"]["Status"] in ("exited", "created"):
        return Sighting(State.OFF)
    if not _is_init_of_a_container(pid) or not _network_can_be_reached(host, record, pid):
        return Sighting(State.STALE)
    answer = _system_state(host, node)
    states = {"running": State.RUNNING, "degraded": State.DEGRADED}
    return Sighting(states.get(answer, State.BOOTING), pid)


def pids(host: Host, lab: Lab) -> dict[str, int]:
    """The process id of each running node's init."""
    found = {}
    for node in lab.nodes:
        record = _inspect(host, node)
        if record is not None and _is_init_of_a_container(pid := int(record["State"]["Pid"])):
            found[node.name] = pid
    return found


def create(host: Host, lab: Lab, node: Node, image: str) -> None:
    """Make the node's container and put its identity into it; it is not started yet."""
    host.podman(
        "create",
        *_create_options(host, lab, node),
        f"--label={SPEC_LABEL}={_spec(host, lab, node, image)}",
        image,
        "/sbin/init",
    )
    identity = _identity(host, lab, node, _resolver_text())
    host.podman("cp", "-", f"{node.container}:/", stdin=identity)


def start(host: Host, node: Node) -> None:
    host.podman("start", node.container)


def kill(host: Host, node: Node) -> None:
    """Outright death: nothing is written back, nobody is told.  The disk stays."""
    host.podman("kill", "--signal=KILL", node.container)
    host.podman("wait", node.container, timeout=SHUTDOWN_TIMEOUT)


def pause(host: Host, node: Node) -> None:
    """Let all its processes stand still."""
    host.podman("pause", node.container)


def resume(host: Host, node: Node) -> None:
    host.podman("unpause", node.container)


def remove(host: Host, node: Node) -> bool:
    """Remove the node, alive or dead."""
    if _inspect(host, node) is None:
        return False
    removing = ["rm", "--force", "--time=0", "--volumes", node.container]
    for _dummy in range(
        REMOVAL_ATTEMPTS
    ):  # podman may first have to notice that the processes are dead
        removed = host.podman(*removing, check=False)
        if _inspect(host, node) is None:
            return True
    raise LabError(
        f"podman cannot remove {node.container}",
        removed.stderr,
        f"look at `python3 -m tests.lab podman -- inspect {node.container}`;"
        " a restart of the machine frees what is still busy",
    )


def wait_until_ready(host: Host, lab: Lab, node: Node, timeout: float = READY_TIMEOUT) -> Stopwatch:
    """Return when systemd has settled and ssh lets us in; otherwise say which unit is to blame."""
    watch = Stopwatch()
    state = ""
    while state not in SETTLED:
        state = _system_state(host, node)
        if state not in SETTLED:
            _pause(host, node, watch, timeout, f"systemd says '{state or 'nothing'}'")
    login = access.run(lab, node, ["true"], timeout=10)
    while login.returncode != 0:
        _pause(host, node, watch, timeout, f"ssh says: {login.stderr.strip()}")
        login = access.run(lab, node, ["true"], timeout=10)
    if state == "degraded":
        say(node.name, f"is up, but units have failed: {', '.join(_failed_units(host, node))}")
    return watch


def _pause(host: Host, node: Node, watch: Stopwatch, timeout: float, reason: str) -> None:
    if watch.seconds < timeout:
        time.sleep(0.2)
        return
    units = ", ".join(_failed_units(host, node)) or "none"
    journal = _inside(
        host, node, "journalctl", "--no-pager", "--priority=warning", "--lines=15"
    ).stdout
    raise LabError(
        f"{node.name} is not ready after {timeout:.0f} s",
        f"{reason}\nfailed units: {units}\n{journal}",
        f"look inside with `podman exec -it {node.container} bash`, or start over with `make lab-down lab`",
    )


# What podman is told -------------------------------------------------------------------------------------------------


def _create_options(host: Host, lab: Lab, node: Node) -> list[str]:
    network = f"{lab.name}:ip={node.address4},ip={node.address6},mac={node.mac},interface_name=eth0"
    return [
        f"--name={node.container}",
        f"--hostname={node.name}",
        "--systemd=always",
        "--privileged",
        "--no-hosts",  # /etc/hosts and /etc/resolv.conf are the node's own files, as on a machine
        "--dns=none",
        f"--network={network}",
        "--sysctl=net.ipv6.conf.all.disable_ipv6=0",
        "--sysctl=net.ipv6.conf.default.accept_dad=0",  # addresses are usable at once
        *host.container_limits,
    ]


def _identity(host: Host, lab: Lab, node: Node, resolver: str) -> bytes:
    """The files that make a node itself, as a tar archive."""
    key = access.host_key(lab, node)
    archive = _Archive()
    archive.file("etc/hosts", _hosts_text(node))
    archive.file("etc/resolv.conf", resolver)
    archive.file("etc/ssh/ssh_host_ed25519_key", key.read_text(encoding="utf-8"), 0o600)
    archive.file("etc/ssh/ssh_host_ed25519_key.pub", access.public_key(key))
    archive.folder("root/.ssh", 0o700)
    archive.file("root/.ssh/authorized_keys", access.public_key(access.client_key(lab)), 0o600)
    if (drop_in := _limits_text(host)) is not None:
        archive.folder("etc/systemd/system/service.d", 0o755)
        archive.file("etc/systemd/system/service.d/90-lab-limits.conf", drop_in)
    return archive.bytes()


def _hosts_text(node: Node) -> str:
    return f"""\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
{node.address4} {node.fqdn} {node.name}
{node.address6} {node.fqdn} {node.name}
"""


def _resolver_text() -> str:
    """The resolvers of the host that a node can reach too (a stub resolver on the loopback is no use to it)."""
    for candidate in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if not candidate.exists():
            continue
        lines = [line.split() for line in candidate.read_text(encoding="utf-8").splitlines()]
        servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        reachable = [
            server for server in servers if not server.startswith("127.") and server != "::1"
        ]
        if reachable:
            return "".join(f"nameserver {server}\n" for server in reachable)
    return "# the host has no resolver that a node can reach\n"


def _limits_text(host: Host) -> str | None:
    """Lower what units ask for to what the host can give; None where the host sets no bounds."""
    limits = host.limits
    lines = []
    if limits.max_open_files is not None:
        lines.append(f"LimitNOFILE={limits.max_open_files}")
    if limits.max_processes is not None:
        lines.append(f"LimitNPROC={limits.max_processes}")
    return (
        "\n".join(["# The lab's host cannot raise limits further.", "[Service]", *lines, ""])
        if lines
        else None
    )


def _spec(host: Host, lab: Lab, node: Node, image: str) -> str:
    """Changes when the node would be made differently today."""
    # The resolver is left out: a laptop that changes networks keeps its lab.
    contents = hashlib.sha256(_identity(host, lab, node, resolver="")).hexdigest()
    text = json.dumps([image, _create_options(host, lab, node), contents])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Archive:
    """A tar archive of root-owned files, the same bytes for the same contents."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")

    def folder(self, path: str, mode: int) -> None:
        entry = tarfile.TarInfo(path)
        entry.type = tarfile.DIRTYPE
        entry.mode = mode
        self._tar.addfile(entry)

    def file(self, path: str, text: str, mode: int = 0o644) -> None:
        content = text.encode()
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        entry.mode = mode
        self._tar.addfile(entry, io.BytesIO(content))

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


# What podman and systemd say -----------------------------------------------------------------------------------------


def _inspect(host: Host, node: Node) -> dict[str, Any] | None:
    shown = host.podman("container", "inspect", node.container, check=False)
    return json.loads(shown.stdout)[0] if shown.returncode == 0 else None


def _is_init_of_a_container(pid: int) -> bool:
    """Podman's records may outlive the process, and the number may be another process's by now."""
    if pid <= 0:
        return False
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    inner_ids = fields.get("NSpid", "").split()
    return (
        len(inner_ids) > 1
        and inner_ids[-1] == "1"
        and not fields.get("State", "").strip().startswith("Z")
    )


def _network_can_be_reached(host: Host, record: dict[str, Any], pid: int) -> bool:
    """Whether podman sees the node's network namespace.

    It does not when the holder of the private mount namespace has died and another one took its place: such a node
    still runs, but nobody can manage it any more.
    """
    path = record["NetworkSettings"].get("SandboxKey") or "/nonexistent"
    seen = host.run(
        [
            "stat",
            "--dereference",
            "--format=%i",
            f"{host.root_as_podman_sees_it}{path}",
            f"/proc/{pid}/ns/net",
        ],
        check=False,
    )
    inodes = seen.stdout.split()
    return len(inodes) == 2 and inodes[0] == inodes[1]


def _inside(host: Host, node: Node, *command: str) -> subprocess.CompletedProcess[str]:
    return host.podman("exec", node.container, *command, check=False, timeout=20)


def _system_state(host: Host, node: Node) -> str:
    return _inside(host, node, "systemctl", "is-system-running").stdout.strip()


def _failed_units(host: Host, node: Node) -> list[str]:
    listing = _inside(
        host, node, "systemctl", "list-units", "--failed", "--plain", "--no-legend"
    ).stdout
    return [line.split()[0] for line in listing.splitlines() if line.strip()]
