# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hold a private mount namespace with a cgroup2 hierarchy of its own, for hosts whose /sys/fs/cgroup is not cgroup2.

Podman mounts network namespaces in the mount namespace it runs in, so every podman command of the lab enters this one.
Started by ``tests.lab.host`` under ``unshare --mount``; found again by its last argument.
"""

from __future__ import annotations

import signal
import subprocess
import sys

MARKER = "debvisor-lab-holder"


def main() -> int:
    mounted = subprocess.run(
        ["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=False, capture_output=True, text=True
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
