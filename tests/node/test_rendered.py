# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the roles rendered, judged on the node by the program that reads it."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host

from tests.lab import access
from tests.lab.layout import Node, current_lab

NODES = current_lab().nodes
PRIMARIES, SECONDARIES = NODES[:2], NODES[2:]


def host(node: Node) -> Host:
    return testinfra.get_host(
        f"ssh://{node.name}", ssh_config=str(access.ssh_config(current_lab()))
    )


def by_name(node: Node) -> str:
    return node.name


@pytest.mark.parametrize("node", NODES, ids=by_name)
def test_named_accepts_every_configuration(node: Node) -> None:
    files = host(node).check_output("ls /etc/bind/named-*.conf").split()
    assert len(files) >= (3 if node in PRIMARIES else 1)
    for file in files:
        checked = host(node).run("named-checkconf -z %s", file)
        assert checked.rc == 0, f"{file}: {checked.stdout}{checked.stderr}"


@pytest.mark.parametrize("node", NODES, ids=by_name)
def test_every_zone_file_loads(node: Node) -> None:
    zones = host(node).check_output("ls /var/lib/bind/*.zone").split()
    assert len(zones) >= 4
    for path in zones:
        zone = path.rsplit("/", 1)[1].removesuffix(".zone")
        checked = host(node).run("named-checkzone -j %s %s", zone, path)
        assert checked.rc == 0, f"{path}: {checked.stdout}{checked.stderr}"


@pytest.mark.parametrize("node", PRIMARIES, ids=by_name)
def test_keepalived_ignores_nothing_of_its_configuration(node: Node) -> None:
    checked = host(node).run(
        "keepalived --config-test --use-file=/etc/keepalived/keepalived.conf --log-console"
    )
    said = checked.stdout + checked.stderr
    assert checked.rc == 0, said
    assert "ignoring" not in said.lower(), said


@pytest.mark.parametrize("node", PRIMARIES, ids=by_name)
def test_the_linter_refuses_what_keepalived_would_ignore(node: Node) -> None:
    """The role's validator bites: keepalived itself accepts a script that is tracked before it is defined."""
    broken = (
        "vrrp_instance X {\\n interface lo\\n virtual_router_id 9\\n track_script { later }\\n}\\n"
        'vrrp_script later {\\n script "/bin/true"\\n}\\n'
    )
    made = host(node).run(
        f"f=$(mktemp) && printf '{broken}' > $f && /usr/libexec/debvisor/keepalived-lint $f; r=$?; rm -f $f; exit $r"
    )
    assert made.rc != 0, made.stdout + made.stderr


@pytest.mark.parametrize("node", PRIMARIES, ids=by_name)
def test_nft_accepts_the_rules_and_holds_them(node: Node) -> None:
    assert host(node).run("nft --check --file /etc/debvisor/dns-gate.nft").rc == 0
    assert "friends4" in host(node).check_output("nft list table inet debvisor_dns")


@pytest.mark.parametrize("node", PRIMARIES, ids=by_name)
def test_systemd_accepts_the_units(node: Node) -> None:
    units = "/etc/systemd/system/dns-role.service /etc/systemd/system/debvisor-dns-gate.service"
    checked = host(node).run(f"systemd-analyze verify {units}")
    assert checked.rc == 0, checked.stderr
    complaints = [
        line for line in checked.stderr.splitlines() if "dns-role" in line or "debvisor" in line
    ]
    assert complaints == []


def test_systemd_accepts_the_managers_units() -> None:
    manager = host(NODES[0])
    for unit in ("tsig-rotate.service", "tsig-rotate.timer", "debvisor-metrics.service"):
        checked = manager.run(f"systemd-analyze verify /etc/systemd/system/{unit}")
        assert checked.rc == 0, checked.stderr
        assert "tsig" not in checked.stderr
    for timer in ("tsig-rotate.timer", "debvisor-metrics.timer"):
        assert manager.service(timer).is_running
        assert manager.service(timer).is_enabled


@pytest.mark.parametrize("node", PRIMARIES, ids=by_name)
@pytest.mark.parametrize("name", ["named", "keepalived", "dns-role", "debvisor-dns-gate"])
def test_the_services_run_now_and_after_a_boot(node: Node, name: str) -> None:
    service = host(node).service(name)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize("node", SECONDARIES, ids=by_name)
def test_the_secondary_serves(node: Node) -> None:
    assert host(node).service("named").is_running


@pytest.mark.parametrize("node", NODES, ids=by_name)
def test_the_audit_chain_of_each_node_holds(node: Node) -> None:
    checked = host(node).run("/usr/libexec/debvisor/audit-verify")
    assert checked.rc == 0, checked.stderr
    assert int(checked.stdout.split()[0]) > 0


@pytest.mark.parametrize("node", NODES, ids=by_name)
def test_no_transaction_is_left_open(node: Node) -> None:
    assert host(node).check_output("find /var/lib/debvisor/journal -name '*.json' | wc -l") == "0"
