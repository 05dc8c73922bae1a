# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hold a private mount namespace for podman, on hosts whose /sys/fs/cgroup is not cgroup2.

The namespace has a cgroup2 hierarchy of its own.  Podman mounts network namespaces in the mount namespace it runs in,
so every podman command of the lab enters this one.  What podman notes about networks while they are in use (address
leases, namespaces) lies in memory here: it ends with the namespace, as it would with a reboot, so a lab whose processes
all died leaves no address taken.

Started by ``tests.lab.host``, in a new namespace or in that of an earlier holder that died while nodes lived on; found
again by its last argument.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

MARKER = "debvisor-lab-holder"
MOUNTS = (
    ("cgroup2", "/sys/fs/cgroup"),
    ("tmpfs", "/run/netns"),
    ("tmpfs", "/run/containers/networks"),
)


def main() -> int:
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():  # else: somebody else's, taken over
        for kind, target in MOUNTS:
            Path(target).mkdir(parents=True, exist_ok=True)
            mounted = subprocess.run(
                ["mount", "-t", kind, kind, target], check=False, capture_output=True, text=True
            )
            if mounted.returncode != 0:
                print(mounted.stderr.strip() or "mount failed without a message", flush=True)
                return 1
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main())
