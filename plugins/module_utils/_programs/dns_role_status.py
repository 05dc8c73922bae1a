# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state that dns-role writes down: read, and shown by ``dns-role status``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from .console import complain, tell
from .dns_concerns import concerns
from .dns_settings import Settings


def read_state(config: Settings) -> dict[str, Any]:
    """Return the state file's content; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads(config.state_file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def show(config: Settings, as_json: bool) -> int:
    """Print how things are. Exit 0: fine; 1: something is wrong; 3: nothing is known."""
    state = read_state(config)
    if not state:
        complain("dns-role does not run here.")
        return 3
    at = time.monotonic()
    found = concerns(state, at, stale_after=config.stale_after, behind_limit=config.behind_limit)
    state["age"] = round(at - state["heartbeat"], 2)
    state["concerns"] = [concern.what for concern in found]
    if as_json:
        tell(json.dumps(state, indent=1))
    else:
        tell("\n".join(table(state)))
    return 1 if state["concerns"] else 0


def table(state: Mapping[str, Any]) -> list[str]:
    """Return the status as lines for people."""
    lines = [
        f"node     {state['node']}",
        f"role     {state['role']} ({state['in_force']})",
        f"VIP      {'here' if state['vip'] else 'elsewhere'}",
        f"lease    {'here' if state.get('lease') else state.get('rival') or 'elsewhere'}",
        f"servers  {state['answering']} of {state['servers']} answer"
        f"{'' if state['quorum'] else ': TOO FEW'}",
        f"now      {state['why']}",
    ]
    lines += [f"CONCERN  {concern}" for concern in state["concerns"]]
    lines += ["", f"{'ZONE':<45} {'SERIAL':>10} {'BEHIND':>7}  PEERS"]
    for zone, about in state["zones"].items():
        others = ", ".join(
            f"{name} {found.get(zone, 'none')}" for name, found in sorted(state["peers"].items())
        )
        serial = about["serial"] if about["serial"] is not None else "none"
        lines.append(f"{zone:<45} {serial:>10} {about['behind_for']:>6}s  {others}")
    unshared = state["unshared"]
    if unshared["waiting"]:
        lines.append(f"\nKept from former terms, still to be compared: {unshared['waiting']}")
    lines += [f"Report: {path}" for path in unshared["reports"]]
    return lines
