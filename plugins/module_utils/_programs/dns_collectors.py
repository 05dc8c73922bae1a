# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collectors of DNS servers, and of TSIG keys. ``about`` is what the role wrote for one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.checks import refuse_any
from .._core.errors import DebvisorError, Problem
from .._core.metrics import single
from .._dns.keys import rotation_report
from .._dns.keys.keyring_operation import read_keyring
from .._ports.dns.bind import Bind
from .._ports.host.files import Files
from . import tsig_rotation_result
from .collected import Collected
from .dns_concerns import concerns
from .dns_role_status import read_state
from .dns_settings import Settings

DAY = 86400
TCP_SHARE = 0.8
"""Of BIND's limit of TCP clients: more have been there at once, and it is time to raise it."""


def of_dns(about: Mapping[str, Any]) -> Collected:
    """What dns-role sees. A concern is whatever ``dns-role status`` is concerned about."""
    config = Settings.read(Path(about.get("settings", settings.CONFIG_DIR / "dns.json")))
    state, at = read_state(config), time.monotonic()
    running = bool(state) and at - state["heartbeat"] < config.stale_after
    here = state if running else {}  # what a dns-role that died had then is not so any more
    found = [
        concern.what
        for concern in concerns(
            state or None, at, stale_after=config.stale_after, behind_limit=config.behind_limit
        )
    ]
    high = limit = 0
    try:
        high, limit = Bind(config.link, config.zone_dir).tcp_clients()
        if high > TCP_SHARE * limit:
            found.append(
                f"BIND has had {high} TCP clients at once, and serves no more than {limit}"
            )
    except DebvisorError as failure:
        found.append(f"BIND does not say how many TCP clients it has: {failure}")
    values = {
        "running": ("Whether dns-role reports.", running),
        "vip": ("Whether the VIP is here.", here.get("vip", False)),
        "lease": ("Whether this server has the lease of the writer.", here.get("lease", False)),
        "writer": ("Whether this server takes updates.", here.get("role") == "writer" and here.get("lease", False)),
        "keepalived": ("Whether keepalived runs, where it has to.", state.get("keepalived", False)),
        "servers": ("DNS servers that this one talks to, itself included.", config.audible),
        "servers_answering": ("DNS servers that answer, this one included.", state.get("answering", 0)),
        "tcp_clients_high": ("TCP clients at once since BIND started.", high),
        "tcp_clients_limit": ("TCP clients that BIND serves at once.", limit),
        "concerns": ("What dns-role status is concerned about.", len(found)),
    }  # fmt: skip
    families = [
        single(f"debvisor_dns_{name}", "gauge", explanation, int(value))
        for name, (explanation, value) in values.items()
    ]
    return Collected(families, found)


def of_tsig(about: Mapping[str, Any]) -> Collected:
    """The ages of keys and the last rotation. A concern is an overdue key or a failed rotation."""
    ring = read_keyring(Files(), about.get("keyring", str(settings.keyring_file())))
    last = tsig_rotation_result.read(Path(about.get("state", settings.tsig_rotation_state())))
    now, limit = int(time.time()), about.get("max_age_days")
    if not isinstance(limit, int | float | None):
        refuse_any([Problem("max_age_days", f"is not a number: {limit!r}")])
    overdue = [
        name
        for name, each in ring.classes.items()
        if limit and each.used and now - each.current.created > limit * DAY
    ]
    concerns = [f"keys older than {limit:g} days: {', '.join(overdue)}"] if overdue else []
    if last.get("result"):
        concerns.append("the last rotation failed; run debvisor.hci.rotate_tsig to see why")
    return Collected(rotation_report.families(ring, last, now), concerns)
