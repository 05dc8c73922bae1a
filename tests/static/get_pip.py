# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the bootstrap script that ansible-test would download.

ansible-test runs it in an empty virtual environment with the requirements to install. The pip that comes with
Python does the same job from whatever package index this machine is set up for. It runs in that environment's
own process tree, so it needs nothing but the standard library.
"""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys

NOT_FOR_PIP = frozenset({"--no-setuptools", "--no-wheel"})
"""Options of the original script that pip itself does not know."""


def main(arguments: list[str]) -> int:
    """Install pip, then what was asked for."""
    configured = dict(os.environ)  # ensurepip takes pip's configuration out of the environment
    ensurepip.bootstrap(default_pip=True)
    wanted = [argument for argument in arguments if argument not in NOT_FOR_PIP]
    return subprocess.call([sys.executable, "-m", "pip", "install", *wanted], env=configured)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
