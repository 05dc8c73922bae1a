# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of rings is read as it is meant, and only a green run of a clean tree is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.tree import sources
from tests.rings import __main__ as runner
from tests.rings import rings as maps
from tests.rings.reach import reached
from tests.rings.rings import Counts, Green, Ring, Rings

MAP = """
[lab]
name = "test"
begin = ["begin"]
end = ["end"]
[base]
core = ["plugins/core"]
[paths]
dns = ["@core", "plugins/modules/dns_*", "roles/dns"]
[ring.all]
about = "everything"
command = ["true"]
paths = ["*"]
in_test = true
budget = 1
[ring.dns]
about = "names"
command = ["true", "dns"]
paths = ["@dns"]
nodes = true
budget = 2
"""


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("plugins/core/a/b.py", ["all", "dns"]),
        ("plugins/core", ["all", "dns"]),
        ("plugins/core_other.py", ["all"]),
        ("plugins/modules/dns_zone.py", ["all", "dns"]),
        ("roles/dns/tasks/main.yml", ["all", "dns"]),
        ("roles/dnsmasq/tasks/main.yml", ["all"]),
    ],
)
def test_a_changed_path_calls_for_its_rings(path: str, names: list[str]) -> None:
    assert [ring.name for ring in maps.parse(MAP).touched([path])] == names


def test_rings_are_chosen_in_the_maps_order() -> None:
    rings = maps.parse(MAP)
    assert [ring.name for ring in rings.named(["dns", "all"])] == ["all", "dns"]
    assert [ring.name for ring in rings.in_test()] == ["all"]
    with pytest.raises(ValueError, match="no such ring: vm; there are all, dns"):
        rings.named(["vm"])


def test_what_no_ring_names_and_what_is_not_there_are_found() -> None:
    rings = maps.parse(MAP)
    there = ["plugins/core/a.py", "plugins/modules/dns_zone.py", "roles/dns/a.yml", "docs/a.md"]
    assert maps.uncovered(rings, there) == maps.idle(rings, there) == []
    assert maps.uncovered(rings, [*there, "roles/new/a.yml"]) == [
        "roles/new/a.yml: belongs to no ring of rings.toml"
    ]
    assert maps.idle(rings, there[1:]) == ["rings.toml: nothing is at plugins/core"]


REPORT = """<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2"/></testsuites>"""


def test_runs_are_counted(tmp_path: Path) -> None:
    ring = Ring("dns", "", (), (), 1)
    report = tmp_path / "dns.xml"
    assert maps.counted(ring, "", report) == Counts(0, 0, 0)
    report.write_text(REPORT)
    assert maps.counted(ring, "", report) == Counts(3, 2, 2)
    converge = Ring("converge", "", (), (), 1, count=r"\bok=(\d+)")
    assert maps.counted(
        converge, "a: \x1b[0;32mok=2 \x1b[0m changed=1\nb: ok=3\n", report
    ) == Counts(5, 0, 0)


def test_faults_are_told_in_few_lines(tmp_path: Path) -> None:
    report = tmp_path / "dns.xml"
    pytest_ring = Ring("dns", "", (), (), 1)
    assert maps.broken(pytest_ring, "", report) == []
    error = '<testcase classname="t" name="{}"><error message="not\n settled"/></testcase>'
    failure = '<testcase classname="t" name="a"><failure message="{}"/></testcase>'
    cases = [failure.format("x" * 999), *map(error.format, "bc"), '<testcase name="d"/>']
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    assert maps.broken(pytest_ring, "", report) == [
        f"t::a: {'x' * maps.FAULT}",
        "t::b and 1 more: not settled",
    ]
    static = maps.parse(maps.MAP.read_text()).named(["static"])[0]
    output = "mypy ok 2 s\n\x1b[31mruff    FAILED   0.1 s  3 files\n    a.py\n\x1b[0mdocs ok 1 s\n"
    assert maps.broken(static, output, report) == ["ruff    FAILED   0.1 s  3 files\n    a.py"]


@pytest.mark.parametrize(
    ("status", "counts", "dirty", "moved", "why"),
    [
        (0, Counts(3, 0, 1), False, False, ""),
        (1, Counts(3, 0, 0), False, False, "failed"),
        (0, Counts(3, 1, 0), False, False, "failed"),
        (0, Counts(0, 0, 9), False, False, "nothing"),
        (0, Counts(3, 0, 0), True, False, "changes"),
        (0, Counts(3, 0, 0), False, True, "another commit"),
    ],
)
def test_only_a_green_run_of_a_clean_tree_is_recorded(
    status: int, counts: Counts, dirty: bool, moved: bool, why: str
) -> None:
    said = maps.refusal(status=status, counts=counts, dirty=dirty, moved=moved)
    assert why in said
    assert bool(said) is bool(why)


def test_a_record_keeps_those_of_other_rings(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert maps.recorded(path) == {}
    first, second = (Green(each, "2026-01-01T00:00:00Z", 60, 3, 0) for each in ("a", "b"))
    maps.record("vm", first, path)
    maps.record("dns", first, path)
    maps.record("dns", second, path)
    assert maps.recorded(path) == {"dns": second, "vm": first}


def test_what_a_path_rests_on_is_followed(tmp_path: Path) -> None:
    for path, text in {
        "plugins/modules/a.py": "from ..module_utils._wiring import a\nfrom ..module_utils._core.plan import Plan",
        "plugins/module_utils/_wiring/a.py": "from .._ports.host.files import Files",
        "plugins/module_utils/_ports/host/files.py": "import os",
        "plugins/module_utils/_core/plan.py": "from . import errors",
        "plugins/module_utils/_core/errors.py": "",
        "plugins/action/b.py": "from ansible_collections.debvisor.hci.plugins.plugin_utils.c import C",
        "plugins/plugin_utils/c.py": "",
        "plugins/modules/b.py": "",
        "plugins/filter/f.py": "",
        "roles/r/tasks/main.yml": "- debvisor.hci.b:\n# - debvisor.hci.a:\n- import_role: {name: debvisor.hci.s}",
        "roles/r/meta/argument_specs.yml": "description: Like M(debvisor.hci.a).",
        "roles/s/templates/t.j2": "{{ 1 | debvisor.hci.f }}",
        "roles/t/tasks/main.yml": "",
        "playbooks/p.yml": "- debvisor.hci.r",
        "tests/on/test_it.py": "import tests.lab.node\nfrom tests import helper",
        "tests/lab/node.py": "",
        "tests/helper.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    utils = "plugins/module_utils"
    assert reached(["plugins/modules/a*"], tmp_path) == {
        f"{utils}/_wiring/a.py",
        f"{utils}/_ports/host/files.py",
        f"{utils}/_core/plan.py",
        f"{utils}/_core/errors.py",
    }
    assert reached(["playbooks/p.yml", "tests/on"], tmp_path) == {
        "roles/r",
        "roles/s",
        "plugins/modules/b.py",
        "plugins/action/b.py",
        "plugins/plugin_utils/c.py",
        "plugins/filter/f.py",
        "tests/lab/node.py",
        "tests/helper.py",
    }


@pytest.fixture(scope="module")
def ours() -> Rings:
    return maps.parse(maps.MAP.read_text("utf-8")).followed()


UTILS = "plugins/module_utils"
ON_NODES = {"firewall", "access", "volumes", "dns", "rotation"}


@pytest.mark.parametrize(
    ("path", "capabilities"),
    [
        (f"{UTILS}/_core/plan.py", ON_NODES),
        (f"{UTILS}/_ports/host/command.py", ON_NODES),
        (f"{UTILS}/_ports/host/revert_timer.py", {"firewall", "access"}),
        ("plugins/plugin_utils/commit_confirm.py", {"firewall", "access"}),
        (f"{UTILS}/_wiring/storage.py", {"volumes"}),
        (f"{UTILS}/_dns/writer/writer.py", {"dns", "rotation"}),
        (f"{UTILS}/_programs/dns_role_controller.py", {"dns", "rotation"}),
        ("roles/units/tasks/main.yml", ON_NODES),
        ("roles/metrics/tasks/main.yml", ON_NODES),
        ("roles/node/tasks/main.yml", ON_NODES),
        ("tests/lab/control.py", ON_NODES),
    ],
)
def test_a_change_calls_for_every_ring_that_rests_on_it(
    ours: Rings, path: str, capabilities: set[str]
) -> None:
    names = {ring.name for ring in ours.touched([path])}
    assert names & ON_NODES == capabilities
    assert names >= {f"{each}-long" for each in capabilities}
    assert ("vm" in names) is ("volumes" in capabilities)


def test_all_code_is_shown_on_nodes(ours: Rings) -> None:
    shown = [ring for ring in ours.each.values() if ring.nodes]
    assert shown
    for path in sources("plugins"):
        documents = path.startswith("plugins/doc_fragments/")
        assert documents or any(ring.holds(path) for ring in shown), path


def test_new_files_are_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"rev-parse": "b", "merge-base": "a", "diff": "x.py\ny.py", "ls-files": "new.py"}
    monkeypatch.setattr(runner, "git", lambda *words: said[words[0]])
    assert runner.changed("") == ["x.py", "y.py", "new.py"]
