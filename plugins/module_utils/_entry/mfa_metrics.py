# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mfa-metrics: write as metrics whether a second factor is asked for, by whom it is had, and the use of break-glass."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from .._access.factor_metrics import Facts, render
from .._access.pam_settings import asks
from .._access.ssh_access_state import NOWHERE
from .._access.sshd_settings import KEY_AND_CODE, Expectation, exceptions
from .._access.totp_secret_info import TotpSecretInfo
from .._core import settings
from .._core.audit import Audit
from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._ports.files import Files
from .._ports.sshd import Sshd
from .._ports.totp_store import TotpStore
from .console import complain, tell

NOBODY = "nobody"
"""Somebody whom no exemption names."""


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: written; 1: not."""
    parser = argparse.ArgumentParser(prog="mfa-metrics", description=(__doc__ or "").strip())
    parser.add_argument("--config", type=Path, default=settings.mfa_config())
    parser.add_argument("--store", type=Path, default=settings.totp_dir())
    parser.add_argument("--used", type=Path, default=settings.break_glass_use())
    parser.add_argument("--audit", type=Path, default=settings.audit_file())
    parser.add_argument("--output", type=Path, help="file for node_exporter's textfile collector")
    options = parser.parse_args(arguments)
    try:
        config = json.loads(options.config.read_bytes())
        text = render(_facts(config, options), hash_names=config["hash_names"])
        if options.output:
            write_whole(options.output, text.encode(), mode=0o644)
        else:
            tell(text)
    except (DebvisorError, OSError, ValueError, KeyError) as failure:
        complain(f"mfa-metrics: {failure}")
        return 1
    return 0


def _enabled(places: Mapping[str, str], canary: str) -> bool:
    """Tell whether sshd asks for a key and a code, whoever comes, and PAM for the code and no password."""
    sshd = Sshd(Path(places["drop_in"]))
    answers = sshd.effective([(canary, NOWHERE), (NOBODY, NOWHERE)])
    expected = [Expectation(name, NOWHERE, KEY_AND_CODE) for name in (canary, NOBODY)]
    weak = [each.problem(answer) for each, answer in zip(expected, answers, strict=True)]
    weak += [*exceptions(sshd.others()), *sshd.own_options()]
    include = places["include"].rpartition("/")[2]
    return not any(weak) and asks(Path(places["service"]).read_text(errors="replace"), include)


def _facts(config: Mapping[str, Any], options: argparse.Namespace) -> Facts:
    places = settings.ssh_access_places()
    store = TotpStore(options.store)
    factors = TotpSecretInfo(Files(), store, str(options.store))
    taken_back = Audit(options.audit).last("ssh_access", {"reverted", "unwound"})
    return Facts(
        enabled=_enabled(places, config["canary"]),
        enrolled={user: factors.about(user)["enrolled"] for user in config["users"]},
        expiries={name: date.fromisoformat(day) for name, day in config["exempt"].items()},
        break_glass_used=json.loads(options.used.read_bytes())["used"]
        if options.used.exists()
        else None,
        store_usable=not store.condition().problem,
        taken_back=taken_back.timestamp() if taken_back else None,
    )
