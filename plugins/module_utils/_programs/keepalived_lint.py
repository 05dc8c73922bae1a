# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived-lint: keepalived's own check of a configuration, taken at its word.

``keepalived --config-test`` exits 0 for much that it then ignores, such as a script that is used before it is defined.
Here every complaint is an error.
"""

from __future__ import annotations

from .._core.errors import DebvisorError
from .._ports.host.command import attempt
from .console import complain

KEEPALIVED = "/usr/sbin/keepalived"
HARMLESS = ("SECURITY VIOLATION - scripts are being executed but script_security not enabled",)


def complaints(output: str) -> list[str]:
    """Return the lines that complain."""
    return [line for line in output.splitlines() if line.strip() and not line.endswith(HARMLESS)]


def main(arguments: list[str]) -> int:
    """Check the file that the only argument names."""
    if len(arguments) != 1:
        complain("usage: keepalived-lint FILE")
        return 2
    words = [KEEPALIVED, "--config-test", "--use-file", arguments[0], "--log-console"]
    try:
        ended = attempt(words, timeout=20)
    except DebvisorError as failure:
        complain(f"keepalived-lint: {failure}")
        return 2
    found = complaints((ended.printed + ended.complained).decode(errors="replace"))
    for line in found:
        complain(line)
    return 1 if found or ended.status else 0
