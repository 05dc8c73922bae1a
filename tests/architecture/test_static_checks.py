# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static checks bite: each is shown something wrong, and must say so."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT, import_root
from tests.static import alerts, dependencies, docs, operators_words, role_readme, variables, words
from tests.static.__main__ import main
from tests.static.checks import CHECKS
from tests.static.project import CannotCheck, Finding, Project

SPECIFICATION: dict[str, Any] = {
    "argument_specs": {
        "main": {
            "short_description": "Serve names",
            "options": {
                "dns_port": {"type": "int", "default": 53, "description": ["The port."]},
                "dns_zone": {"type": "str", "required": True, "description": "B(The) zone | C(x)."},
                "dns_keys": {
                    "type": "list",
                    "elements": "dict",
                    "options": {"name": {"choices": ["a", "b"], "description": "See O(dns_zone)."}},
                },
            },
        }
    }
}


def host(*parts: str) -> str:
    """Put a name together that must not stand in this file."""
    return ".".join(parts)


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + host("deb", "debian", "org") + "/debian",
        host("ftp", "de", "debian", "org"),
        host("security", "debian", "org") + " comes first",
        "https://" + host("pypi", "org") + "/simple",
        host("files", "pythonhosted", "org"),
        "(" + host("registry", "npmjs", "org") + ")",
        host("galaxy", "ansible", "com"),
        host("PKGS", "K8S", "io"),
        "image: " + host("quay", "io") + "/ceph",
        "cd /" + "work" + "/main",
        "'/" + "farm" + "/pool'",
        "deb " + "http://mirror.corp.net/debian trixie main",
        "URIs: " + "http://10.0.0.1/debian",
        "pip install --index-url" + " https://nexus.corp.net/simple",
    ],
)
def test_forbidden_words_are_found(text: str) -> None:
    assert list(words.forbidden("a.txt", f"first line\n{text}\n"))
    assert next(words.forbidden("a.txt", text)).startswith("a.txt:1: ")


@pytest.mark.parametrize(
    "text",
    [
        "https://www.debian.org/ and https://docs.ansible.com/",
        "not" + host("pypi", "org") + ".example and my" + host("deb", "debian", "org") + "an",
        "build/{0}/x, ./{0}/y and {{{{ base }}}}/{0}/z".format("work"),
        "workflow /workshop/ /farmer/",
        "deb " + "http://mirror.example.com/debian trixie main",
        "URIs: " + "{{ debvisor_mirror }}",
        "--index-url" + " http://localhost:3141/simple",
    ],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert list(words.forbidden("a.txt", text)) == []


def test_a_forbidden_file_name_is_found() -> None:
    assert list(words.forbidden("notes/" + host("pypi", "org") + "/a.md", ""))


def test_a_module_without_a_page_is_found() -> None:
    pages = {"docs/dns.md": "Use `dns_record_sets`, not tsig_key_info."}
    assert docs.unmentioned(["dns_record_sets"], pages) == []
    assert docs.unmentioned(["tsig_key"], pages)
    assert docs.unmentioned(["dns_record_sets"], {})


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("[a](b.md)", True),
        ("[a](../README.md#top)", True),
        ("[a](../roles/dns)", True),
        ("[a](https://docs.ansible.com)", True),
        ("[a](#below)", True),
        ("```\n[a](nowhere.md)\n```", True),
        ("[a](nowhere.md)", False),
        ("![a](../b.md)", False),
        ("[a](../../README.md)", False),
    ],
)
def test_broken_links_are_found(link: str, leads: bool) -> None:
    existing = ["README.md", "docs/a.md", "docs/b.md", "roles/dns/README.md"]
    assert (docs.broken_links({"docs/a.md": link}, existing) == []) is leads


def test_the_commands_of_a_section_are_found() -> None:
    page = "\n## b\n\n```console\n$ one\n```\n\n## c\n\n```console\n$ two # why\nsaid\n$ three\n```\n\n## d\n\n$ four\n"
    assert docs.commands(page, "c") == ["two # why", "three"]
    assert docs.commands(page, "e") == []


def test_the_readme_is_written_and_kept() -> None:
    first = role_readme.updated("", "dns", SPECIFICATION, {})
    assert first.startswith("# dns\n\nServe names\n")
    assert "| `dns_port` | int | `53` | The port. |" in first
    assert "| `dns_zone` | str | **required** | **The** zone \\| `x`. |" in first
    assert "| `dns_keys[].name` | str |  | See `dns_zone`. One of `a`, `b`. |" in first
    edited = first.replace("Serve names", "By hand") + "\nBy hand, too\n"
    assert role_readme.updated(edited, "dns", SPECIFICATION, {}) == edited
    assert role_readme.current(edited, SPECIFICATION, {})
    grown = role_readme.updated("# dns\n\nBy hand\n", "dns", SPECIFICATION, {})
    assert grown.startswith("# dns\n\nBy hand\n\n## Variables\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("53", "54"),
        lambda text: text.replace(role_readme.END, ""),
        lambda text: text + text,
        lambda text: "",
    ],
)
def test_a_stale_readme_is_found(spoil: Callable[[str], str], tmp_path: Path) -> None:
    role = tmp_path / "dns"
    (role / "meta").mkdir(parents=True)
    (role / "defaults").mkdir()
    assert role_readme.faults(role)
    (role / "meta/argument_specs.yml").write_text(yaml.safe_dump(SPECIFICATION))
    (role / "defaults/main.yml").write_text("dns_port: 53\n")
    assert role_readme.faults(role)
    good = role_readme.updated("", "dns", role_readme.load(role / "meta/argument_specs.yml"), {})
    (role / "README.md").write_text(good)
    assert role_readme.faults(role) == []
    (role / "README.md").write_text(spoil(good))
    assert role_readme.faults(role)


@pytest.mark.parametrize(
    ("defaults", "faults"),
    [
        ({"dns_port": 53}, 0),
        ({"dns_port": 54}, 1),
        ({}, 1),
        ({"dns_port": 53, "dns_more": 1}, 1),
        ({"dns_port": 53, "other": 1}, 2),
    ],
)
def test_defaults_that_differ_from_the_specification_are_found(
    defaults: dict[str, Any], faults: int
) -> None:
    assert len(role_readme.faults_of_defaults("dns", SPECIFICATION, defaults)) == faults


def test_called_collections_are_found() -> None:
    tasks = """
- name: A block
  block:
    - ansible.posix.sysctl: {name: a}
    - name: Inner
      community.general.pamd: {}
      vars: {not.a.module: 1}
    - ansible.builtin.copy: {content: !vault x}
- debvisor.hci.tsig_key: {}
"""
    assert dependencies.called(tasks) == {"ansible.posix", "community.general"}


@pytest.mark.parametrize(
    ("declared", "used", "faults"),
    [
        ({}, {}, 0),
        ({"ansible.posix": ">=2.0.0"}, {"ansible.posix"}, 0),
        ({"ansible.posix": ">=2.1.0,<4.0.0"}, {"ansible.posix"}, 0),
        ({"ansible.posix": ">=2.1.1"}, {"ansible.posix"}, 1),
        ({"ansible.posix": "*"}, {"ansible.posix"}, 1),
        ({"ansible.posix": ">=2.0.0"}, set(), 1),
        ({}, {"ansible.posix"}, 1),
        ({"some.other": ">=1.0.0"}, {"some.other"}, 1),
    ],
)
def test_wrong_dependencies_are_found(
    declared: dict[str, str], used: set[str], faults: int
) -> None:
    assert len(dependencies.faults(declared, {name: {"tasks.yml"} for name in used})) == faults


def breaks(project: Project) -> Finding:
    raise ValueError("a defect")


def lacks(project: Project) -> Finding:
    raise CannotCheck("a program")


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (lambda project: Finding(1, "files"), 0),
        (lambda project: Finding(0, "files"), 1),
        (lambda project: Finding(1, "files", ["wrong"]), 1),
        (breaks, 1),
        (lacks, 1),
    ],
)
def test_the_end_tells_of_failures(
    check: Callable[[Project], Finding], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"good": lambda project: Finding(1, "files")}
    assert main([], {**good, "other": check}) == code
    assert capsys.readouterr().out.endswith(f"{2 - code} passed, {code} failed\n")


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(SystemExit) as end:
        main(["no-such-check"])
    assert end.value.code == 2


def git(*arguments: str, where: Path) -> None:
    subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small checkout with a file that git ignores."""
    root = tmp_path / "somewhere"
    root.mkdir()
    git("init", "--quiet", where=root)
    (root / ".gitignore").write_text("ignored.txt\n")
    (root / "ignored.txt").write_text("x\n")
    (root / "kept.txt").write_text("x\n")
    return Project(root)


def test_copies_hold_what_git_would(project: Project) -> None:
    (project.root / "deleted.txt").write_text("x\n")
    git("add", "deleted.txt", where=project.root)
    (project.root / "deleted.txt").unlink()
    assert [path.as_posix() for path in project.files] == [".gitignore", "kept.txt"]
    copy = project.copy("static")
    assert copy.parts[-3:] == ("ansible_collections", "debvisor", "hci")
    assert sorted(path.name for path in copy.iterdir()) == [".git", ".gitignore", "kept.txt"]


@pytest.mark.parametrize("name", ["docs", "roles", "playbooks", "inventories", "dependencies"])
def test_a_check_that_finds_nothing_to_check_fails(project: Project, name: str) -> None:
    (project.root / "galaxy.yml").write_text("namespace: debvisor\n")
    assert not CHECKS[name](project).passed


@pytest.mark.parametrize(
    ("name", "path", "wrong", "right"),
    [
        ("ruff-lint", "a.py", "import os\n", "X = 1\n"),
        ("ruff-format", "a.py", "X=1\n", "X = 1\n"),
        ("words", "a.md", host("pypi", "org"), "nothing\n"),
        ("inventories", "inventories/a.yml", "all: {hosts: {}}\n", "all: {hosts: {a: {}}}\n"),
        ("inventories", "inventories/b.yml", "all: [\n", "all: {hosts: {a: {}}}\n"),
        (
            "playbooks",
            "playbooks/a.yml",
            "- hosts: all\n  taks: []\n",
            "- hosts: all\n  tasks: []\n",
        ),
    ],
)
def test_a_check_runs_its_tool(
    project: Project, name: str, path: str, wrong: str, right: str
) -> None:
    target = project.root / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(wrong)
    assert CHECKS[name](project).problems
    target.write_text(right)
    again = CHECKS[name](Project(project.root))
    assert again.passed, again


def test_the_checkout_is_importable_whatever_its_name(tmp_path: Path) -> None:
    root = tmp_path / "any-name"
    root.mkdir()
    base = import_root(root)
    assert base.joinpath("ansible_collections/debvisor/hci").resolve() == root
    moved = tmp_path / "moved"
    root.rename(moved)
    assert import_root(moved).joinpath("ansible_collections/debvisor/hci").resolve() == moved
    proper = tmp_path / "ansible_collections/debvisor/hci"
    assert import_root(proper) == tmp_path


def test_the_link_to_the_checkout_takes_the_place_of_an_installed_copy(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    installed = tmp_path / "build/ansible_collections/debvisor/hci"
    (installed / "roles").mkdir(parents=True)
    for _again in range(2):
        subprocess.run(["make", "collection"], cwd=tmp_path, check=True, capture_output=True)
        assert installed.is_symlink()
        assert installed.resolve() == tmp_path.resolve()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Makefile", "build"]


def test_ours_is_the_checkout_that_is_imported() -> None:
    from ansible_collections.debvisor.hci.plugins.module_utils._core import errors

    assert Path(errors.__file__).resolve().is_relative_to(ROOT)


RULES = """
groups:
  - name: g
    rules:
      - {record: r, expr: up}
      - {alert: Seen, expr: up == 0}
      - {alert: Unseen, expr: up == 0}
"""
FIRES = """
tests:
  - alert_rule_test:
      - {alertname: Seen, eval_time: 1m, exp_alerts: []}
      - {alertname: Seen, eval_time: 2m, exp_alerts: [{exp_labels: {}}]}
      - {alertname: Unseen, eval_time: 2m, exp_alerts: []}
"""


def test_an_alert_that_no_test_sees_fire_is_found() -> None:
    assert alerts.unseen("r.yml", RULES, alerts.fired(FIRES)) == ["r.yml: no test sees Unseen fire"]


PLUGIN = """
DOCUMENTATION = "It is told nobody."
def work(dead_man, told):
    \"\"\"Docstrings may say told.\"\"\"
    warn(f"The dead-man of {told} fires")
    fail("Nobody is left")
    return {"told": told}
"""
TASKS = """
- name: Mend the broken zone
  block:
    - name: Do it
      ansible.builtin.debug: {msg: Somebody was here}
    - name: Enrol who is not
      ansible.builtin.debug: {var: x, name: Told}
    - name: roles | Restart the name server
      ansible.builtin.service: {name: told}
"""


def test_words_that_operators_should_not_read_are_found() -> None:
    assert sorted(operators_words.of_python(PLUGIN)) == ["2: told", "5: dead-man", "6: Nobody"]
    short = "task name 'Do it' has fewer than three words"
    lone = "task name 'Enrol who is not' has a pronoun in place of a noun"
    assert list(operators_words.of_yaml(TASKS)) == ["Mend", short, "Somebody", lone]
    alert = "alert: A\nannotations: {summary: 'n1 took a change back', description: It came back.}"
    assert list(operators_words.of_yaml(alert)) == ["took a change back"]
    page = "A run that was cut off is taken back.\nA host is cut off. `told`\n```\ntold\n```\n"
    assert list(operators_words.of_page(page)) == ["run that was cut off", "taken back"]


def test_a_default_that_is_computed_is_shown() -> None:
    computed = {"dns_zone": "{{ debvisor_zone | default('a') }}"}
    options = {"dns_zone": {"type": "str", "description": "The zone."}}
    specification = {"argument_specs": {"main": {"options": options}}}
    row = "| `dns_zone` | str | `debvisor_zone \\| default('a')` | The zone. |"
    assert row in role_readme.table(specification, computed)


def test_a_variable_needs_a_meaning_and_the_page_its_row(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "dns"
    for name in ("meta", "defaults"):
        (role / name).mkdir(parents=True)
    ttl = "{{ debvisor_ttl | default((1 + 2) * 3) | int }}"
    written = {"dns_ttl": ttl, "dns_file": "/etc/debvisor_x.conf"}
    (role / "defaults/main.yml").write_text(yaml.safe_dump(written))

    def describe(text: str) -> None:
        options = {"dns_ttl": {"description": text}}
        content = yaml.safe_dump({"argument_specs": {"main": {"options": options}}})
        (role / "meta/argument_specs.yml").write_text(content)

    describe("C(debvisor_ttl) says it.")
    assert "docs/variables.md: debvisor_ttl has no meaning" in variables.faults(tmp_path)
    describe("How long. C(debvisor_ttl) says it.")
    found = variables.variables(tmp_path)
    assert list(found) == ["debvisor_ttl"]
    row = "| `debvisor_ttl` | `(1 + 2) * 3` | role `dns` | How long. |\n"
    assert row in variables.page(found)
    assert [each for each in variables.faults(tmp_path) if "out of date" in each]
