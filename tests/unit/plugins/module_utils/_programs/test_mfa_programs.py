# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""break-glass-alarm, the metrics of second factors, and what revert-change does at boot."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._access.pam_settings import demanding
from ansible_collections.debvisor.hci.plugins.module_utils._access.sshd_settings import (
    EVERYWHERE,
    KEY_AND_CODE,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit, verify
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Records
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.sshd import Sshd
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.system_log import SystemLog
from ansible_collections.debvisor.hci.plugins.module_utils._programs import (
    access_collectors,
    break_glass_alarm,
    revert_change,
)

from tests.fakes.access_host import AccessHost
from tests.fakes.collecting import CollectingHost


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(SystemLog, "alarm", lambda self, line: lines.append(line))
    monkeypatch.setattr(settings, "audit_file", lambda: tmp_path / "audit.jsonl")
    monkeypatch.setattr(settings, "break_glass_use", lambda: tmp_path / "used.json")
    monkeypatch.setenv("PAM_USER", "firefighter")
    monkeypatch.setenv("PAM_RHOST", "192.0.2.1")
    return lines


def test_a_use_of_break_glass_is_recorded_everywhere(alarms: list[str], tmp_path: Path) -> None:
    assert break_glass_alarm.main([]) == 0
    assert alarms == ["The break-glass account firefighter entered from 192.0.2.1"]
    assert json.loads((tmp_path / "used.json").read_text())["user"] == "firefighter"
    assert '"operation": "break_glass"' in (tmp_path / "audit.jsonl").read_text()
    assert verify(tmp_path / "audit.jsonl").broken == ()


def test_what_can_be_recorded_is_recorded(
    alarms: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used.json").mkdir()
    assert break_glass_alarm.main([]) == 1
    assert len(alarms) == 1
    assert '"operation": "break_glass"' in (tmp_path / "audit.jsonl").read_text()
    assert "break-glass-alarm" in capsys.readouterr().err


def collect(tmp_path: Path) -> int:
    config = {
        "users": ["anna"],
        "canary": "c",
        "exempt": {"root": "2027-06-30"},
        "hash_names": False,
    }
    (tmp_path / "mfa.json").write_text(json.dumps(config))
    (tmp_path / "totp").mkdir()
    return CollectingHost(tmp_path).collect(
        "mfa",
        config=tmp_path / "mfa.json",
        store=tmp_path / "totp",
        used=tmp_path / "used.json",
        audit=tmp_path / "audit.jsonl",
    )


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A host that asks for a second factor: what sshd says, its other files, and the service's file of PAM."""
    told: dict[str, Any] = {
        "sshd": {**EVERYWHERE, "authenticationmethods": KEY_AND_CODE},
        "others": {"sshd_config": "UsePAM yes\n"},
        "pam": demanding("@include common-auth\n", "debvisor-mfa", "sshd"),
        "own": [],
    }
    service = tmp_path / "sshd"

    def places() -> dict[str, str]:
        service.write_text(told["pam"])
        return {"drop_in": "/d/10.conf", "include": "/pam/debvisor-mfa", "service": str(service)}

    monkeypatch.setattr(access_collectors.settings, "ssh_access_places", places)
    monkeypatch.setattr(Sshd, "effective", lambda self, callers: [told["sshd"] for each in callers])
    monkeypatch.setattr(Sshd, "others", lambda self: told["others"])
    monkeypatch.setattr(Sshd, "own_options", lambda self: told["own"])
    return told


WEAK: list[tuple[dict[str, Any], int]] = [
    ({}, 1),
    ({"sshd": {**EVERYWHERE, "authenticationmethods": "any"}}, 0),
    ({"sshd": {"authenticationmethods": KEY_AND_CODE}}, 0),
    ({"others": {"50.conf": "Match User tom\nAuthenticationMethods publickey\n"}}, 0),
    ({"pam": "@include common-auth\n"}, 0),
    ({"pam": "@include debvisor-mfa\n@include common-auth\n"}, 0),
    ({"pam": "auth sufficient pam_x.so\n@include debvisor-mfa\n"}, 0),
    ({"own": ["-f /etc/ssh/other"]}, 0),
]


@pytest.mark.parametrize(("change", "enabled"), WEAK)
def test_metrics_go_by_what_sshd_and_pam_do(
    asking: dict[str, Any], tmp_path: Path, change: dict[str, Any], enabled: int
) -> None:
    asking.update(change)
    (tmp_path / "used.json").write_text('{"used": 17.0}')
    assert collect(tmp_path) == 0
    told = (tmp_path / "out.prom").read_text()
    assert f"debvisor_node_mfa_enabled {enabled}\n" in told
    assert 'debvisor_mfa_user_enrolled{user="anna"} 0\n' in told
    assert "debvisor_mfa_break_glass_last_use_timestamp_seconds 17\n" in told


def test_metrics_tell_when_a_change_was_last_rolled_back(
    asking: dict[str, Any], tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    for operation, result in [
        ("nft_ruleset", "reverted"),
        ("ssh_access", "reverted"),
        ("ssh_access", "confirmed"),
    ]:
        audit.append(
            transaction="1-1",
            operation=operation,
            scope="",
            result=result,
            actions=[],
            before=None,
            after=None,
        )
    with audit.path.open("a") as stream:
        stream.write('{"operation": "ssh_access", "resu')
    lines = [json.loads(line) for line in audit.path.read_text().splitlines()[:3]]
    when = datetime.fromisoformat(lines[1]["time"]).timestamp()
    assert collect(tmp_path) == 0
    told = (tmp_path / "out.prom").read_text()
    assert f"debvisor_mfa_rolled_back_timestamp_seconds {when:.0f}\n" in told


def test_metrics_that_cannot_be_made_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mfa.json").write_text("{torn")
    host = CollectingHost(tmp_path)
    assert host.collect("mfa", config=tmp_path / "mfa.json") == 2
    assert "debvisor-metrics: mfa: " in capsys.readouterr().err
    assert not host.output.exists()


def test_at_boot_all_that_is_undecided_is_rolled_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = AccessHost(tmp_path)
    records = Records.default()
    taken: list[str] = []

    class Left:
        def __init__(self, identity: str) -> None:
            self.identity = identity

    def reverted(operation: object, identity: str, records: Records) -> Any:
        taken.append(identity)
        failure = OSError("disk on fire") if identity == "1" else None
        return type(
            "Outcome", (), {"warnings": [], "failure": failure, "rolled_back_runs": [identity]}
        )()

    monkeypatch.setattr(
        type(records.journal), "unfinished", lambda self, name: [Left("2"), Left("1"), Left("0")]
    )
    monkeypatch.setattr(revert_change, "roll_back_unconfirmed", reverted)
    known = {"ssh_access": host.operation}
    assert revert_change.main(["ssh_access", "--pending"], known, records) == 1
    assert taken == ["2", "1", "0"]
    assert "disk on fire" in capsys.readouterr().err


def test_at_boot_a_journal_that_nobody_can_read_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal/1-2.json").write_text("{torn")
    records = Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")
    known = {"ssh_access": AccessHost(tmp_path).operation}
    assert revert_change.main(["ssh_access", "--pending"], known, records) == 1
    assert "1-2.json cannot be read" in capsys.readouterr().err


def test_at_boot_there_is_mostly_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    records = Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")
    known = {"ssh_access": AccessHost(tmp_path).operation}
    assert revert_change.main(["ssh_access", "--pending"], known, records) == 0


@pytest.mark.parametrize("arguments", [["ssh_access"], ["ssh_access", "1-2", "--pending"]])
def test_it_is_either_one_change_or_all(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        revert_change.main(arguments, {"ssh_access": AccessHost(tmp_path).operation})
