# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns-check: the second check of the local DNS server, run by keepalived. Exit 0: it may hold the VIP.

It imports the standard library and a few small modules of ours alone, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from .._ports.dns.dns_probe import Answer, Question, ask
from .console import complain
from .dns_concerns import BEHIND_LIMIT, OK, STALE, STALE_AFTER, UNKNOWN, UNSERVED, concerns

BUDGET = 0.5
CHECKED, HEALTH = "dns-checked", "dns-health"
"""Files beside the state file: this program touches the first one, and dns-role the second one, some times a second."""
LOADING = "dns-loading"
"""Beside them: while dns-role has BIND load its zones, as before it writes, the time by which they are there."""
SILENT_FOR = 1.0
"""Seconds since dns-role did: it hangs, and nobody renews its lease."""
LOCAL = "127.0.0.1"
REFUSED = 5
"""The rcode of a server that does not know the zone (RFC 1035 section 4.1.1)."""


def judge(
    answers: Mapping[Question, Answer | None],
    state: Mapping[str, Any] | None,
    at: float,
    *,
    stale_after: float,
    behind_limit: float,
) -> tuple[int, str]:
    """Return the exit code and its reason: first what the server answers, then what dns-role knows."""
    served = any(answer and answer.serial is not None for answer in answers.values())
    for question, answer in answers.items():
        where = f"{question.zone} at {question.address}"
        if answer and answer.rcode == REFUSED and served:
            continue  # this zone is not configured here, or no more; the server itself is well
        if answer is None:
            return UNSERVED, f"{where}: no answer"
        if answer.rcode != 0:
            return UNSERVED, f"{where}: rcode {answer.rcode}"
        if not answer.authoritative:
            return UNSERVED, f"{where}: the answer has no authority"
        if answer.serial is None:
            return UNSERVED, f"{where}: no SOA in the answer"
    for concern in concerns(state, at, stale_after=stale_after, behind_limit=behind_limit):
        if concern.code != OK:
            return concern.code, concern.what
    return OK, "fine"


def main(arguments: list[str]) -> int:
    """Check once. The only argument is the path of the configuration."""
    if len(arguments) != 1:
        complain("usage: dns-check FILE, which holds the configuration")
        return UNKNOWN
    try:
        with open(arguments[0], "rb") as stream:
            config = json.load(stream)
        timing = config.get("timing", {})
        questions = [Question(LOCAL, zone, int(config["port"])) for zone in config["zones"]]
        state_file = config["state_file"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as trouble:
        complain(f"dns-check: the configuration cannot be used: {trouble!r}")
        return UNKNOWN
    try:
        with open(state_file, "rb") as stream:
            state = json.load(stream)
    except (OSError, ValueError):
        state = None
    folder = os.path.dirname(state_file)
    _touch(os.path.join(folder, CHECKED))
    if (silent := _age(os.path.join(folder, HEALTH))) > SILENT_FOR:
        complain(f"dns-check: dns-role hangs, for {silent:.1f} s")
        _withdraw(os.path.join(folder, HEALTH))
        return STALE
    loading = _is_loading(os.path.join(folder, LOADING))
    code, why = judge(
        ask(questions, BUDGET),
        state,
        time.monotonic(),
        stale_after=float(timing.get("stale_after", STALE_AFTER)),
        behind_limit=float(timing.get("behind_limit", BEHIND_LIMIT)),
    )
    if code == UNSERVED and loading:
        return OK  # else the VIP would go from server to server, where zones take longer than two of these checks
    if code:
        complain(f"dns-check: {why}")
    return code


def _is_loading(path: str) -> bool:
    """Return whether the time that is noted there, on the monotonic clock, is still to come."""
    try:
        with open(path) as stream:
            return time.monotonic() < float(stream.read())
    except (OSError, ValueError):
        return False


def _withdraw(path: str) -> None:
    """Tell keepalived at once, which acts on this program's word only when it says so twice. dns-role takes it back."""
    with contextlib.suppress(OSError), open(path, "w") as stream:
        stream.write("1\n")


def _touch(path: str) -> None:
    """Note the present time at a file."""
    with contextlib.suppress(OSError), open(path, "ab"):
        os.utime(path)


def _age(path: str) -> float:
    """Return for how many seconds dns-role has not touched a file; 0 where it is not there.

    It is touched with the time of the monotonic clock, which nobody steps.
    """
    try:
        return time.monotonic() - os.stat(path).st_mtime
    except OSError:
        return 0.0
