# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collector of second factors. ``about`` is what its role wrote for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from .._access import factor_metrics
from .._access.pam_settings import asks
from .._access.ssh_access_state import NOWHERE
from .._access.sshd_settings import KEY_AND_CODE, Expectation, exceptions
from .._access.totp_secret_info import TotpSecretInfo
from .._core import settings
from .._core.audit import Audit
from .._ports.access.sshd import Sshd
from .._ports.access.totp_store import TotpStore
from .._ports.host.files import Files
from .collected import Collected

ANYONE = "nobody"
"""An account that no exemption names."""


def of_mfa(about: Mapping[str, Any]) -> Collected:
    """Whether a second factor is required, who has one, and the use of break-glass."""
    config = json.loads(Path(about.get("config", settings.mfa_config())).read_bytes())
    folder = Path(about.get("store", settings.totp_dir()))
    used = Path(about.get("used", settings.break_glass_use()))
    store, places = TotpStore(folder), settings.ssh_access_places()
    factors = TotpSecretInfo(Files(), store, str(folder))
    reverted = Audit(Path(about.get("audit", settings.audit_file()))).last(
        "ssh_access", {"reverted", "rolled_back_later"}
    )
    facts = factor_metrics.Facts(
        enabled=_enabled(places, config["canary"]),
        enrolled={user: factors.about(user)["enrolled"] for user in config["users"]},
        expiries={name: date.fromisoformat(day) for name, day in config["exempt"].items()},
        break_glass_used=json.loads(used.read_bytes())["used"] if used.exists() else None,
        store_usable=not store.condition().problem,
        rolled_back=reverted.timestamp() if reverted else None,
    )
    return Collected(factor_metrics.families(facts, hash_names=config["hash_names"]))


def _enabled(places: Mapping[str, str], canary: str) -> bool:
    """Whether sshd asks for a key and a code, whoever comes, and PAM for the code and no password."""
    sshd = Sshd(Path(places["drop_in"]))
    answers = sshd.effective([(canary, NOWHERE), (ANYONE, NOWHERE)])
    expected = [Expectation(name, NOWHERE, KEY_AND_CODE) for name in (canary, ANYONE)]
    weak = [each.problem(answer) for each, answer in zip(expected, answers, strict=True)]
    weak += [*exceptions(sshd.others()), *sshd.own_options()]
    include = places["include"].rpartition("/")[2]
    return not any(weak) and asks(Path(places["service"]).read_text(errors="replace"), include)
