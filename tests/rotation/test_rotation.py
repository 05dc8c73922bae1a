# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations of the real keys of a real cluster, in good times and bad ones."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Collection

import dns.tsig
import pytest
from _pytest.mark.structures import ParameterSet

from tests.lab.cluster import Cluster, eventually
from tests.lab.rotations import CLASSES, Driver, names

STRIKES = [
    ("Prove that every server", "/usr/libexec/debvisor/dns-role handover"),
    ("Wait until old keys", "pkill -9 -x named"),
]
"""How the VIP moves meanwhile: from which task on, and by what."""

PHASES: list[tuple[str, int]] = [
    ("Introduce a new generation", 1),
    ("Start the host's canary", 1),
    ("Install the keys sealed", 1),
    ("Prove that every server", 1),
    ("Promote the proved", 1),
    ("Install the keys sealed", 2),
    ("Wait until old keys", 1),
    ("Retire the unused keys", 1),
    ("Install the keys sealed", 3),
    ("Write the rotation report", 1),
]
"""Where a rotation is killed: the name of a task, and which one of that name."""


def phases(*numbers: int, short: Collection[int]) -> list[ParameterSet]:
    """Return these phases, all but the short ones' as long tests."""
    return [
        pytest.param(*PHASES[number], marks=[] if number in short else [pytest.mark.long])
        for number in numbers
    ]


SERVICE = "/etc/systemd/system/tsig-rotate.service"
TIMER = "/etc/systemd/system/tsig-rotate.timer"
FORMER = f"{SERVICE} {TIMER} /var/lib/debvisor/manager_ed25519 /etc/debvisor/inventory.yml"
"""What a former manager has."""


def next_of(numbers: dict[str, int]) -> dict[str, int]:
    return {name: number + 1 for name, number in numbers.items()}


class Strike:
    """Do something to the holder of the VIP when a rotation comes to a task, beside the rotation."""

    def __init__(self, cluster: Cluster, task: str, command: str) -> None:
        self._cluster, self._task, self._command = cluster, task, command
        self._holder = cluster.holder()
        self._pool = concurrent.futures.ThreadPoolExecutor()
        self._made: list[concurrent.futures.Future[str]] = []

    def __call__(self, task: str) -> None:
        if self._task in task:
            self._made.append(self._pool.submit(self._cluster.run, self._holder, self._command))

    def made(self) -> list[str]:
        """Return what came of it; a strike that failed is an error."""
        self._pool.shutdown()
        return [strike.result() for strike in self._made]


@pytest.mark.parametrize(
    ("rounds", "struck"), [(2, (0, 1)), pytest.param(10, (3, 7), marks=pytest.mark.long)]
)
def test_rotations_in_a_row_lose_nothing(
    driver: Driver, rounds: int, struck: tuple[int, int]
) -> None:
    """In two of the rounds the VIP moves."""
    strikes = dict(zip(struck, STRIKES, strict=True))
    cluster = driver.cluster
    moved = []
    with driver.witnesses() as witnesses:
        for number in range(rounds):
            before = driver.current()
            strike = Strike(cluster, *strikes.get(number, ("no such task", "")))
            driver.rotate(on_task=strike)
            moved += strike.made()
            assert driver.assert_settled_everywhere() == next_of(before)
            report = driver.report()
            assert report["complete"], report
            assert report["dropped"] == names(before)
            for node, canary in report["canaries"].items():
                assert canary["updates"]["made"] > 100, (number, node, canary)
                assert canary["transfers"]["made"] > 4, (number, node, canary)
                assert canary["updates"]["failed"] == canary["transfers"]["failed"] == 0, canary
    assert len(moved) == len(STRIKES), "the VIP did not move: the hard part was not tried"
    for witness in witnesses:
        assert witness.made > 20 * rounds, (witness.node, witness.made)
        assert witness.failed == 0, (witness.node, witness.failed)


@pytest.mark.parametrize(("task", "nth"), phases(*range(len(PHASES)), short={7}))
def test_a_killed_rotation_goes_on(driver: Driver, task: str, nth: int) -> None:
    before, ring = driver.current(), driver.keyring()
    begun = None if (task, nth) != PHASES[0] else lambda: driver.keyring() != ring
    killed = driver.play(debvisor_tsig_rotation="now", kill_at=(task, nth), kill_once=begun)
    assert killed.status < 0, f"it was not killed: {killed.output[-2000:]}"
    assert driver.play().status == 0
    assert driver.assert_settled_everywhere() == next_of(before)


@pytest.mark.parametrize(("task", "nth"), phases(0, 3, 5, 6, short={5}))
def test_a_killed_rotation_can_be_aborted(driver: Driver, task: str, nth: int) -> None:
    before = driver.current()
    killed = driver.play(debvisor_tsig_rotation="now", kill_at=(task, nth))
    assert killed.status < 0, f"it was not killed: {killed.output[-2000:]}"
    aborted = driver.play(debvisor_tsig_rotation="abort")
    assert aborted.status == 0, aborted.output[-3000:]
    assert driver.assert_settled_everywhere() == before


def test_aborting_when_nothing_is_under_way_changes_nothing(driver: Driver) -> None:
    before = driver.keyring()
    aborted = driver.play(debvisor_tsig_rotation="abort")
    assert (aborted.status, aborted.changed) == (0, 0), aborted.output[-3000:]
    assert driver.keyring() == before


def test_a_second_run_changes_nothing_and_a_check_changes_nothing(driver: Driver) -> None:
    driver.rotate()
    again = driver.play()
    assert (again.status, again.changed) == (0, 0), again.output[-3000:]
    assert "Nothing is due" in again.output
    held = {node.name: driver.held(node.name) for node in driver.cluster.lab.nodes}
    ring = driver.keyring()
    check = driver.play("rotate_tsig", "--check", "--diff", debvisor_tsig_rotation="now")
    assert check.status == 0, check.output[-3000:]
    assert check.changed > 0
    assert "incoming" in check.output
    assert driver.keyring() == ring
    assert held == {node.name: driver.held(node.name) for node in driver.cluster.lab.nodes}


def test_an_old_key_is_refused_everywhere_and_the_new_one_is_not(driver: Driver) -> None:
    cluster = driver.cluster
    old = {name: driver.key(f"debvisor-{name}") for name in CLASSES}
    driver.rotate()
    new = {name: driver.key(f"debvisor-{name}") for name in CLASSES}
    name = f"refused.{cluster.zone}."
    assert cluster.update(cluster.vip, old["node"], name, "10.200.0.1") != "NOERROR"
    assert cluster.update(cluster.vip, new["node"], name, "10.200.0.1") == "NOERROR"
    for node in cluster.lab.nodes:
        address = str(node.address4)
        with pytest.raises(dns.tsig.PeerBadKey):
            cluster.transfer(address, old[cluster.shared_with(node.name)])
        assert cluster.transfer(address, new[cluster.shared_with(node.name)])


def test_a_server_that_is_down_holds_a_rotation_up(driver: Driver) -> None:
    before = driver.keyring()
    driver.cluster.kill("node3")
    held_up = driver.play(debvisor_tsig_rotation="now")
    assert held_up.status != 0
    assert "node3" in held_up.output
    assert "Nothing was changed" in held_up.output
    assert driver.keyring() == before


def test_a_server_that_dies_meanwhile_holds_the_promotion_up(driver: Driver) -> None:
    before = driver.current()

    def strike(task: str) -> None:
        if task == "Prove that every server accepts the new keys":
            driver.cluster.kill("node3")

    held_up = driver.play(debvisor_tsig_rotation="now", on_task=strike)
    assert held_up.status != 0
    standings = {tuple(entry.values()) for entry in driver.keyring().values()}
    assert standings == {("current", "incoming")}, standings
    driver.cluster.power_on()
    driver.cluster.whole()
    assert driver.play().status == 0
    assert driver.assert_settled_everywhere() == next_of(before)


@pytest.mark.long
def test_a_client_that_was_down_works_until_retirement_and_catches_up(driver: Driver) -> None:
    cluster = driver.cluster
    number = driver.current()["debvisor-vm"]
    only = {"debvisor_tsig_only": "debvisor-vm", "debvisor_tsig_rotation": "now"}
    cluster.kill("node3")
    ended = driver.play(**only)
    assert "node3 may still sign with it" in ended.output, ended.output[-3000:]
    assert "not reached: node3" in ended.output
    assert list(driver.keyring()["debvisor-vm"].values()) == ["retiring", "current"]
    assert not driver.report()["complete"]
    cluster.power_on()
    cluster.whole()
    held = driver.held("node3")
    assert held["debvisor-vm.key"] == f"debvisor-vm.g{number}.key"
    zone = f"vm.{cluster.zone}"
    update = f"printf 'server {cluster.vip}\\nzone {zone}\\nupdate add late.{zone} 60 A 10.9.9.9\\nsend\\n'"
    cluster.run("node3", f"{update} | nsupdate -t 5 -k /etc/debvisor/keys/debvisor-vm.key")
    caught_up = driver.play(debvisor_tsig_only="debvisor-vm")
    assert caught_up.status == 0, caught_up.output[-3000:]
    assert driver.assert_settled_everywhere()["debvisor-vm"] == number + 1


@pytest.mark.long
def test_a_client_that_was_down_for_all_of_it_catches_up(driver: Driver) -> None:
    cluster = driver.cluster
    number = driver.current()["debvisor-vm"]
    cluster.kill("node3")
    driver.play(
        debvisor_tsig_only="debvisor-vm", debvisor_tsig_rotation="now", debvisor_tsig_retire_after=0
    )
    rotated = driver.current()["debvisor-vm"]
    assert rotated > number, (
        "its time had come"
    )  # numbers of rotations that were aborted are not used again
    cluster.power_on()
    cluster.whole()
    assert driver.held("node3")["debvisor-vm.key"] == f"debvisor-vm.g{number}.key"
    assert driver.play().status == 0
    assert driver.assert_settled_everywhere()["debvisor-vm"] == rotated


def test_revocation_makes_a_key_worthless_at_once(driver: Driver) -> None:
    cluster = driver.cluster
    before = driver.current()
    old = driver.key("debvisor-node")
    began = time.monotonic()
    ended = driver.play("revoke_tsig", debvisor_tsig_only="debvisor-node")
    print(f"revoked in {time.monotonic() - began:.1f} s")
    assert ended.status == 0, ended.output[-3000:]
    name = f"revoked.{cluster.zone}."
    assert cluster.update(cluster.vip, old, name, "10.200.0.2") != "NOERROR"
    new = driver.key("debvisor-node")
    assert cluster.update(cluster.vip, new, name, "10.200.0.2") == "NOERROR"
    after = driver.assert_settled_everywhere()
    assert after == {**before, "debvisor-node": before["debvisor-node"] + 1}


@pytest.mark.long
def test_revocation_without_a_server_says_what_it_leaves_behind(driver: Driver) -> None:
    cluster = driver.cluster
    cluster.kill("node3")
    ended = driver.play("revoke_tsig", debvisor_tsig_only="debvisor-vm")
    assert ended.status == 0, ended.output[-3000:]
    assert "not reached: node3" in ended.output
    cluster.power_on()
    cluster.whole()
    assert driver.play().status == 0
    driver.assert_settled_everywhere()


def test_an_emergency_goes_on_without_a_server_and_says_so(driver: Driver) -> None:
    cluster = driver.cluster
    before = driver.current()
    cluster.kill("node3")
    ended = driver.play(debvisor_tsig_rotation="now", debvisor_tsig_emergency=True)
    assert "not reached: node3" in ended.output, ended.output[-3000:]
    assert driver.current() == next_of(before)
    cluster.power_on()
    assert driver.play().status == 0
    assert driver.assert_settled_everywhere() == next_of(before)
    cluster.whole()


def test_a_lost_keyring_is_not_made_anew_by_accident(driver: Driver) -> None:
    run = driver.cluster.run
    run("node1", "mv /var/lib/debvisor/keyring.json /var/lib/debvisor/keyring.json.lost")
    try:
        refused = driver.play("dns_ha", "--skip-tags=install")
        assert refused.status != 0
        assert "there is no keyring" in refused.output
    finally:
        run("node1", "mv /var/lib/debvisor/keyring.json.lost /var/lib/debvisor/keyring.json")
    driver.assert_settled_everywhere()


@pytest.mark.long
def test_a_run_for_one_host_keeps_the_others_and_lets_a_former_manager_go(driver: Driver) -> None:
    """The manager saw another host key of node3, which was the manager before, with another key of its own."""
    run = driver.cluster.run
    known, keys = "/var/lib/debvisor/manager_known_hosts", "/root/.ssh/authorized_keys"
    left = f"ls {FORMER} 2>/dev/null; systemctl is-active tsig-rotate.timer; true"
    before, let_in = run("node1", f"cat {known}"), run("node3", f"cat {keys}")
    run("node1", f"sed -i '/{driver.cluster.address('node3')} /s/ AAAA.*/ AAAAOLD/' {known}")
    run("node3", f"sed -n 's/ AAAA.* debvisor-manager/ AAAAOLD debvisor-manager/p' {keys} >>{keys}")
    run("node3", f"touch {FORMER}; echo '[Service]\nExecStart=/bin/true' >{SERVICE}")
    run("node3", f"echo '[Timer]\nOnCalendar=yearly' >{TIMER}; systemctl start tsig-rotate.timer")
    assert "inactive" not in run("node3", left)
    limited = driver.play("dns_ha", "--limit=node3", "--skip-tags=install")
    assert limited.status == 0, limited.output[-3000:]
    assert run("node1", f"cat {known}") == before
    assert run("node3", f"cat {keys}") == let_in
    assert run("node3", left) == "inactive\n"


def test_the_manager_rotates_by_itself(driver: Driver) -> None:
    run = driver.cluster.run
    assert "tsig-rotate.timer" in run("node1", "systemctl list-timers --all --no-pager")
    run("node1", "systemctl start tsig-rotate.service", timeout=180)
    metrics = run("node1", "cat /var/lib/prometheus/node-exporter/debvisor_tsig.prom")
    for each in CLASSES:
        assert f'debvisor_tsig_key_age_seconds{{class="debvisor-{each}"}}' in metrics
    assert "debvisor_tsig_rotation_last_run_failed 0" in metrics
    run("node1", "mv /etc/debvisor/inventory.yml /etc/debvisor/inventory.yml.lost")
    try:
        run("node1", "! systemctl start tsig-rotate.service", timeout=180)
        metrics = run("node1", "cat /var/lib/prometheus/node-exporter/debvisor_tsig.prom")
        assert "debvisor_tsig_rotation_last_run_failed 1" in metrics
        assert '"operation": "rotate_tsig"' in run(
            "node1", "tail -n 1 /var/log/debvisor/audit.jsonl"
        )
    finally:
        run("node1", "mv /etc/debvisor/inventory.yml.lost /etc/debvisor/inventory.yml")
    run("node1", "systemctl start tsig-rotate.service", timeout=180)
    eventually(
        "the failure is over",
        lambda: (
            "last_run_failed 0"
            in run("node1", "cat /var/lib/prometheus/node-exporter/debvisor_tsig.prom")
        ),
    )
