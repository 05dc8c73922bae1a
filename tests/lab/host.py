# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machine the lab runs on: what it can do, and how to run privileged commands and podman on it.

An ordinary Debian host needs none of the measures here.  Where the host is limited (a hybrid cgroup hierarchy, no
CAP_SYS_RESOURCE, no systemd), ``Limits.detect`` finds out and only the measures that are needed are used.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tests.lab import holder
from tests.lab.layout import BUILD, FIRST_LAB
from tests.lab.report import LabError, say

CAP_SYS_RESOURCE = 24
TOOLS = {
    "podman": "podman",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What this host withholds from containers.  All false or None on an ordinary host."""

    lacks_cgroup2: bool
    lacks_systemd: bool
    max_open_files: int | None
    max_processes: int | None

    @classmethod
    def detect(cls) -> Limits:
        may_raise = _has_capability(CAP_SYS_RESOURCE)
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        return cls(
            lacks_cgroup2=not Path("/sys/fs/cgroup/cgroup.controllers").exists(),
            lacks_systemd=not Path("/run/systemd/system").is_dir(),
            max_open_files=None if may_raise else open_files,
            # Podman lowers its own limit of processes on the way; a value as low as that of files is always granted.
            max_processes=None if may_raise else min(open_files, processes),
        )

    def describe(self) -> str:
        found = []
        if self.lacks_cgroup2:
            found.append("no cgroup2 at /sys/fs/cgroup (using a private one)")
        if self.lacks_systemd:
            found.append("no systemd (podman manages cgroups itself)")
        if self.max_open_files is not None:
            found.append(f"limits cannot be raised (at most {self.max_open_files} open files)")
        return "; ".join(found) or "nothing to work around"


class Host:
    """Runs commands on this machine, with the privileges and in the namespace that the lab needs."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits.detect()
        self._sudo = [] if os.geteuid() == 0 else ["sudo"]

    def require_tools(self) -> None:
        path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
        missing = sorted(
            {package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None}
        )
        if missing:
            raise LabError(
                f"this host lacks {', '.join(missing)}",
                "the lab runs podman containers",
                "run `make deps` first",
            )

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
        privileged: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        command = [*(self._sudo if privileged else []), *argv]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise LabError(
                f"`{_brief(argv)}` did not finish",
                f"it was given {timeout:.0f} s",
                "see whether the host is overloaded",
            ) from late
        result = subprocess.CompletedProcess(
            command,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and result.returncode != 0:
            raise LabError(
                f"`{_brief(argv)}` failed with exit code {result.returncode}",
                result.stderr or result.stdout,
                "`make lab-down` removes what is left of the lab; then try `make lab` again",
            )
        return result

    # Podman ------------------------------------------------------------------------------------------------------

    def podman(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        manager = ["--cgroup-manager=cgroupfs"] if self.limits.lacks_systemd else []
        return self.run_beside_podman(
            ["podman", *manager, *arguments], stdin=stdin, check=check, timeout=timeout
        )

    def run_beside_podman(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that sees the mounts that podman sees."""
        return self.run(
            [*self._enter_namespace(), *argv], stdin=stdin, check=check, timeout=timeout
        )

    def _enter_namespace(self) -> list[str]:
        if not self.needs_holder:
            return []
        if holder_pid() is None:
            with locked("holder"):
                if holder_pid() is None:
                    self.start_holder()
        return ["nsenter", f"--target={holder_pid()}", "--mount"]

    @cached_property
    def container_limits(self) -> list[str]:
        """Options for `podman create` that keep a container within what the host allows."""
        options = []
        if self.limits.max_open_files is not None:
            options.append(
                f"--ulimit=nofile={self.limits.max_open_files}:{self.limits.max_open_files}"
            )
        if self.limits.max_processes is not None:
            options.append(
                f"--ulimit=nproc={self.limits.max_processes}:{self.limits.max_processes}"
            )
        if "pids" not in self._cgroup_controllers():
            options.append("--pids-limit=-1")
        return options

    def _cgroup_controllers(self) -> list[str]:
        controllers = f"{self.root_as_podman_sees_it}/sys/fs/cgroup/cgroup.controllers"
        return self.run(["cat", controllers], check=False).stdout.split()

    @property
    def root_as_podman_sees_it(self) -> str:
        """A prefix for paths whose mounts only podman sees."""
        return f"/proc/{holder_pid()}/root" if self.needs_holder else ""

    # The holder of the private mount namespace ---------------------------------------------------------------------

    @property
    def needs_holder(self) -> bool:
        return self.limits.lacks_cgroup2

    def start_holder(self) -> None:
        """Make the private namespace, or take over that of running nodes whose holder has died."""
        guard = _container_guard_pid()
        enter = (
            ["unshare", "--mount", "--propagation", "slave"]
            if guard is None
            else ["nsenter", f"--target={guard}", "--mount"]
        )
        argv = [*self._sudo, *enter, sys.executable, holder.__file__, holder.MARKER]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        answer = process.stdout.readline().strip()
        if answer != "ready":
            raise LabError(
                "cannot make a private cgroup2 hierarchy for the containers",
                answer or "the holder process died without a message",
                "run as root, or on a host whose /sys/fs/cgroup is cgroup2 (any ordinary Debian 12 or later)",
            )

    def stop_holder(self) -> bool:
        pid = holder_pid()
        if pid is None:
            return False
        self.run(["kill", f"-{signal.SIGTERM.value}", str(pid)], check=False)
        deadline = time.monotonic() + 5
        while holder_pid() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        return True


def holder_pid() -> int | None:
    """The process id of the live namespace holder, recognised by its command line."""
    for pid, argv in _processes():
        # python3 .../tests/lab/holder.py debvisor-lab-holder
        if len(argv) == 3 and argv[2] == holder.MARKER and argv[1].endswith("/tests/lab/holder.py"):
            return pid
    return None


def _container_guard_pid() -> int | None:
    """The process id of some lab container's conmon: it lives in the namespace podman started it from."""
    for pid, argv in _processes():
        if Path(argv[0]).name == "conmon" and any(
            option == "-n" and name.startswith(f"{FIRST_LAB}-") for option, name in pairwise(argv)
        ):
            return pid
    return None


def _processes() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        except OSError:
            continue
        if argv[:-1]:
            yield int(entry.name), argv[:-1]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process, and one thread of it, at a time do what this name stands for."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("host", f"waiting for another command that has the {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def announce_limits(limits: Limits) -> None:
    say("host", limits.describe())


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) & (1 << number))
    return False


def _brief(argv: Sequence[str]) -> str:
    text = " ".join(argv[argv.index("podman") :] if "podman" in argv else argv)
    return text if len(text) <= 100 else text[:97] + "..."
