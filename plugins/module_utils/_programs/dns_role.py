# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns-role: makes this server the writer or a follower, whichever it should be, and reports its state.

This is its command line; the resident part is :mod:`dns_role_controller`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError, TimedOut
from .._core.waiting import wait_until
from .._ports.dns.bind import Bind
from .._ports.host import command
from .._ports.net import ip_addresses
from . import dns_mend, dns_role_controller
from .console import complain, tell
from .dns_role_status import read_state, show
from .dns_settings import Settings
from .dns_transitions import took_updates


def boot(config: Settings) -> int:
    """Before named starts: keep what a writer left, and make it a follower.

    Where there is no room for that, it starts closed: it serves what it has, and follows once dns-role found room.
    """
    bind = Bind(config.link, config.zone_dir)
    if took_updates(bind):
        try:
            dns_mend.keep(bind, config)
        except DebvisorError as failure:
            complain(f"starts closed: {failure}")
            _point_to(bind, "closed")
            return 0
    _point_to(bind, "follower")
    return 0


def _point_to(bind: Bind, name: str) -> None:
    """Put a configuration in force, where it is not: a disk that takes no writes is no reason not to answer."""
    if bind.in_force() != name:
        bind.point_to(name)


def handover(config: Settings) -> int:
    """Ask the resident program to hand over, and wait until it did."""
    before = read_state(config)
    if not before or not before.get("vip"):
        tell("This node does not hold the VIP: there is nothing to hand over.")
        return 0
    try:
        command.run(
            ["systemctl", "kill", "--signal=SIGUSR1", "--kill-whom=main", "dns-role.service"]
        )
    except command.ProgramFailed as failure:
        complain(f"dns-role.service does not run here: {failure.why}")
        return 1

    def done() -> tuple[bool, dict[str, Any]]:
        state = read_state(config)
        gone = bool(state) and not state["vip"] and state["role"] == "follower"
        return gone or _called_off(before, state), state

    try:
        state = wait_until(
            done,
            what="the VIP to leave",
            timeout=3 * config.handover_patience,
            first=0.05,
            longest=0.05,
        )
    except TimedOut:
        complain("The VIP is still here: see `journalctl -u dns-role`.")
        return 1
    if _called_off(before, state):
        complain(f"Not handed over, this node writes on: {state['handover_called_off']['why']}.")
        complain("Run `dns-role status` on the other primary: it says what it lacks.")
        return 1
    tell("Handed over.")
    return 0


def _called_off(before: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    said = state.get("handover_called_off")
    return bool(said) and said != before.get("handover_called_off")


def code_hash() -> str:
    """Return a hash over the code that this program has imported; a change of it calls for a restart."""
    ours = (__package__ or "").rpartition(".")[0]
    files = {
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith(f"{ours}.") and module.__file__
    } | {Path(__file__)}
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dns-role", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=settings.CONFIG_DIR / "dns.json")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="watch and act; what the service runs")
    verbs.add_parser("boot", help="make this server a follower before named starts")
    verbs.add_parser("handover", help="give the VIP and the writing to another primary")
    verbs.add_parser("version", help="show a hash over the code")
    verbs.add_parser("release-vip", help="take the VIP off this server; run when keepalived ends")
    shown = verbs.add_parser("status", help="show role, quorum and serials")
    shown.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.verb == "version":
        tell(code_hash())
        return 0
    try:
        config = Settings.read(options.config)
        if options.verb == "release-vip":
            for address in ip_addresses.remove(config.vips):
                complain(f"keepalived ended and left {address} here: it is removed")
            return 0
        if options.verb == "status":
            return show(config, options.json)
        return {"run": dns_role_controller.run, "boot": boot, "handover": handover}[options.verb](
            config
        )
    except DebvisorError as failure:
        complain(f"dns-role: {failure}")
        return 1
