# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks. Each says what it looked at; one that found nothing to look at has failed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from tests.rings import rings as ring_map
from tests.static import alerts, dependencies, docs, operators_words, role_readme, variables, words
from tests.static.project import CannotCheck, Finding, Project, Run

Check = Callable[[Project], Finding]
CHECKS: dict[str, Check] = {}

TYPED = (
    "plugins/module_utils",
    "tests/rings",
    "tests/static",
    "tests/architecture",
    "tests/checkout.py",
)
"""What mypy holds to strict typing."""
SANITY_NEEDED = frozenset(
    {"ansible-doc", "compile", "import", "pep8", "pylint", "runtime-metadata", "validate-modules", "yamllint"}
)  # fmt: skip
"""Sanity tests that must have found something to test."""
NOISE = re.compile(
    r"^(?:Running sanity test|Installing requirements|Using cached pip|WARNING: (?:Location|Using locale)|Looking in"
    r"|(?:Processing|Collecting|Installing collected|Successfully installed) |  [ A-Z\u2501]).*\n",
    re.MULTILINE,
)
"""What ansible-test and pip say when all is well."""
PATIENT_IMPORT = """
import subprocess, sys
from galaxy_importer import main
from galaxy_importer.loaders import collection

class Popen(subprocess.Popen):
    def communicate(self, timeout=None):
        return super().communicate()

collection.Popen = Popen
sys.exit(main.main())
"""
"""galaxy-importer without its limit of three minutes for ansible-lint: a busy machine is no fault."""
FORMATTED = "E203,E402,E704,W503"
"""What flake8 says of ruff's format, and what Galaxy leaves out too."""
SHIPPED = frozenset(
    {
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "SECURITY.md",
        "changelogs",
        "docs",
        "extensions",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }
)
"""What may stand at the top of the artifact."""


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under the name by which it is called."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


@check("ruff-lint")
def ruff_lint(project: Project) -> Finding:
    """ruff check, with the rules in pyproject.toml"""
    return _ruff(project, project.run("ruff", "check", "--output-format=concise", "."))


@check("ruff-format")
def ruff_format(project: Project) -> Finding:
    """ruff format --check"""
    return _ruff(project, project.run("ruff", "format", "--check", "."))


def _ruff(project: Project, run: Run) -> Finding:
    seen = project.run("ruff", "check", "--show-files", ".").output.split()
    return Finding(len([name for name in seen if name.endswith(".py")]), "files", run.problems)


@check("mypy")
def mypy(project: Project) -> Finding:
    """mypy --strict on module_utils and on the tests' own tools"""
    run = project.run("mypy", *TYPED)
    counted = re.search(r"(?:in|checked) (\d+) source files?", run.output)
    return Finding(int(counted[1]) if counted else 0, "files", run.problems)


@check("words")
def forbidden_words(project: Project) -> Finding:
    """no host names of mirrors or registries, no paths of one machine"""
    problems: list[str] = []
    checked = 0
    for path in project.files:
        if (project.root / path).is_symlink():
            text = os.readlink(project.root / path)
        elif (project.root / path).is_file():
            text = (project.root / path).read_bytes().decode("utf-8", errors="replace")
        else:
            continue
        checked += 1
        problems += words.forbidden(path.as_posix(), text)
    return Finding(checked, "files", problems)


@check("wording")
def wording(project: Project) -> Finding:
    """plain technical English in what operators read; task names that can be searched for"""
    found = operators_words.found(project)
    return Finding(found.checked, "files", operators_words.faults(found))


@check("rings")
def rings(project: Project) -> Finding:
    """every path below plugins, roles, playbooks and tests belongs to a ring of tests; rings name what is there"""
    map_of_rings = ring_map.parse(project.text(Path("tests/rings/rings.toml")))
    paths = [path.as_posix() for path in project.files]
    problems = ring_map.uncovered(map_of_rings, paths) + ring_map.idle(map_of_rings, paths)
    return Finding(len(paths), "files", problems)


@check("docs")
def documentation(project: Project) -> Finding:
    """every module is mentioned below docs/; every relative link leads somewhere"""
    modules = [path.stem for path in project.matching("plugins/modules/*.py")]
    if not modules:
        return Finding(0, "modules")
    pages = {path.as_posix(): project.text(path) for path in project.with_suffix(".md")}
    guides = {name: text for name, text in pages.items() if name.startswith("docs/")}
    existing = [path.as_posix() for path in project.files]
    problems = docs.unmentioned(modules, guides) + docs.broken_links(pages, existing)
    return Finding(len(pages), "pages", problems)


@check("readme")
def readme(project: Project) -> Finding:
    """the README's commands for machines of one's own work, also after `make lab`; what they installed is what runs"""
    told = docs.commands(project.text(Path("README.md")), "On machines of your own")
    copy = project.copy("readme")
    (copy / ".venv").symlink_to(Path(sys.prefix))
    home = project.build("readme", "home")
    home.mkdir()
    for_show = 'ansible-playbook() { command ansible-playbook "$@" --syntax-check; }'  # the machines are not there
    walk = "\n".join(["set -eu", for_show, "make collection", *told])
    run = project.run("bash", "-c", walk, where=copy, environment={"HOME": str(home)})
    ran = [Path(path) for path in re.findall(r"^playbook: (.+)$", run.output, re.MULTILINE)]
    problems = run.problems or [
        f"{path} would run, not what was installed" for path in ran if not path.is_relative_to(home)
    ]
    return Finding(len(ran), "playbooks", problems)


@check("roles")
def roles(project: Project) -> Finding:
    """argument_specs.yml, defaults and the README's table agree in every role"""
    found = role_readme.roles(project.root)
    problems = [problem for role in found for problem in role_readme.faults(role)]
    return Finding(len(found), "roles", problems)


@check("variables")
def variables_page(project: Project) -> Finding:
    """docs/variables.md has every debvisor_* variable, with its default and meaning"""
    return Finding(
        len(variables.variables(project.root)), "variables", variables.faults(project.root)
    )


@check("dependencies")
def dependency_bounds(project: Project) -> Finding:
    """galaxy.yml depends on what roles and playbooks call, in versions that Debian 13 has"""
    used: dict[str, set[str]] = {}
    checked = 0
    for path in project.files:
        if path.parts[0] not in {"playbooks", "roles"} or path.suffix not in {".yml", ".yaml"}:
            continue
        checked += 1
        for name in dependencies.called(project.text(path)):
            used.setdefault(name, set()).add(path.as_posix())
    declared = yaml.safe_load(project.text(Path("galaxy.yml"))).get("dependencies") or {}
    return Finding(checked, "task files", dependencies.faults(declared, used))


@check("alerts")
def alert_rules(project: Project) -> Finding:
    """promtool check rules and promtool test rules; a test sees every alert fire"""
    rules = project.matching("roles/*/files/*.rules.yml")
    tests = project.matching("tests/alerts/*.yml")
    problems: list[str] = []
    for verb, paths in (("check", rules), ("test", tests)):
        for path in paths:
            problems += project.run("promtool", verb, "rules", path.as_posix()).problems
    fired = {name for path in tests for name in alerts.fired(project.text(path))}
    for path in rules:
        problems += alerts.unseen(path.as_posix(), project.text(path), fired)
    return Finding(len(rules) + len(tests), "files", problems)


@check("ansible-lint")
def ansible_lint(project: Project) -> Finding:
    """ansible-lint --offline --profile production; warnings fail too"""
    copy = project.copy("lint")
    home = project.build("lint", "home")  # ansible-lint installs the collection there
    home.mkdir()
    run = project.run(
        "ansible-lint", "--offline", "--profile", "production", "--strict", "--nocolor",
        where=copy,
        environment={**_collections(copy), "HOME": str(home)},
    )  # fmt: skip
    counted = re.search(r"in (\d+) files processed", run.output)
    return Finding(int(counted[1]) if counted else 0, "files", run.problems)


@check("ansible-test")
def ansible_test(project: Project) -> Finding:
    """ansible-test sanity with this Python and no ignored findings, for all but our tests, which ruff and mypy judge"""
    ignored = [
        f"{path}: ignores are not for us; mend the finding"
        for path in project.files
        if path.match("tests/sanity/ignore*") and project.text(path).strip()
    ]
    copy = project.copy("sanity", _is_for_sanity)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    run = project.run(
        "ansible-test", "sanity", "--python", version, "--junit", "--color", "no",
        where=copy,
        environment={"HOME": str(_home_for_ansible_test(project))},
    )  # fmt: skip
    ran, skipped = _sanity_results(copy / "tests" / "output" / "junit")
    problems = [*ignored, *(NOISE.sub("", problem) for problem in run.problems)]
    if lacking := sorted(SANITY_NEEDED - set(ran)):
        problems.append(f"did not run, or found nothing to test: {', '.join(lacking)}")
    if not ran:
        problems.append(run.output.strip())
    note = f"not applicable: {', '.join(skipped)}" if skipped else ""
    return Finding(len(ran), "sanity tests", problems, note)


def _is_for_sanity(path: Path) -> bool:
    """Leave our own tests out: they are not shipped, and pylint takes twice as long for them as for all else."""
    return path.parts[0] != "tests" or path == Path("tests/config.yml")


def _sanity_results(folder: Path) -> tuple[list[str], list[str]]:
    """Return which sanity tests ran and which were skipped."""
    ran: list[str] = []
    skipped: list[str] = []
    for path in sorted(folder.glob("ansible-test-sanity-*.xml")):
        name = re.sub(r"(?:-python-[\d.]+)?$", "", path.stem.removeprefix("ansible-test-sanity-"))
        outcome = ElementTree.parse(path)
        (skipped if outcome.find(".//skipped") is not None else ran).append(name)
    return ran, skipped


def _home_for_ansible_test(project: Project) -> Path:
    """Prepare a home folder that keeps the 100 MB of virtual environments out of the real one.

    ansible-test looks there for a script that puts pip into an empty virtual environment, before it would download
    one. It hands only a few variables down to pip, so the user's own pip configuration has to be found in this home.
    """
    package = importlib.util.find_spec("ansible_test")
    if package is None or not package.origin:
        raise CannotCheck("ansible-test is not installed beside this Python")
    source = Path(package.origin).parent / "_internal" / "python_requirements.py"
    versions = re.findall(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8"))
    if not versions:
        raise CannotCheck(f"{source} no longer says which pip it wants")
    home = project.build("home")
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        script = cache / f"get_pip_{version.replace('.', '_')}.py"
        shutil.copyfile(project.root / "tests" / "static" / "get_pip.py", script)
    for name in (".config/pip", ".pip"):
        mine, theirs = home / name, Path.home() / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        if theirs.is_dir() and not mine.exists():
            mine.unlink(missing_ok=True)
            mine.symlink_to(theirs)
    return home


@check("changelog")
def changelog(project: Project) -> Finding:
    """antsibull-changelog lint"""
    run = project.run("antsibull-changelog", "lint", where=project.copy("static"))
    fragments = [
        path for path in project.files if path.match("changelogs/fragments/*") and path.suffix
    ]
    releases = project.matching("changelogs/changelog.yaml")
    return Finding(len(fragments) + len(releases), "fragments", run.problems)


@check("antsibull-docs")
def antsibull_docs(project: Project) -> Finding:
    """antsibull-docs lint-collection-docs, plugins and references included"""
    copy = project.copy("static")
    run = project.run(
        "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=dependent",
        "--skip-rstcheck", str(copy),
        where=copy,
        environment=_collections(copy),
    )  # fmt: skip
    documented = [
        *project.matching("plugins/modules/*.py"),
        *project.matching("roles/*/meta/argument_specs.yml"),
    ]
    return Finding(len(documented), "modules and roles", run.problems)


@check("playbooks")
def playbooks(project: Project) -> Finding:
    """ansible-playbook --syntax-check of every playbook"""
    copy = project.copy("static")
    found = project.matching("playbooks/*.yml")
    if not found:
        return Finding(0, "playbooks")
    inventories = [argument for name in _inventories(copy) for argument in ("-i", name)]
    run = project.run(
        "ansible-playbook", "--syntax-check", *inventories[:2], *(path.as_posix() for path in found),
        where=copy,
        environment=_collections(copy),
    )  # fmt: skip
    problems = run.problems or _deprecations(run)
    return Finding(len(found), "playbooks", problems)


@check("inventories")
def inventories(project: Project) -> Finding:
    """ansible-inventory --list of every inventory; each has hosts"""
    copy = project.copy("static")
    problems: list[str] = []
    hosts = 0
    for name in _inventories(copy):
        listing = project.build("static", "inventory.json")
        run = project.run(
            "ansible-inventory", "-i", name, "--list", "--output", str(listing),
            where=copy,
            environment={**_collections(copy), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"},
        )  # fmt: skip
        problems += run.problems or _deprecations(run)
        if run.code == 0:
            there = _hosts(json.loads(listing.read_text(encoding="utf-8")))
            hosts += len(there)
            if not there:
                problems.append(f"{name}: has no hosts")
    return Finding(hosts, "hosts", problems)


def _inventories(copy: Path) -> list[str]:
    """Return the inventories' paths, folders or single files, relative to the copy."""
    return sorted(
        f"inventories/{path.name}"
        for path in (copy / "inventories").glob("*")
        if path.is_dir() or path.suffix in {".ini", ".yaml", ".yml"}
    )


def _hosts(listing: dict[str, Any]) -> set[str]:
    return {
        host
        for group, content in listing.items()
        if group != "_meta"
        for host in content.get("hosts", [])
    }


@check("artifact")
def artifact(project: Project) -> Finding:
    """the built collection installs, holds what it should, and documents every module and role"""
    tarball = _built(project)
    with tarfile.open(tarball) as archive:
        tops = {member.name.partition("/")[0] for member in archive.getmembers()}
    problems = [f"{tarball.name} ships {name}" for name in sorted(tops - SHIPPED)]

    target = project.build("artifact", "installed")
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(target)}
    install = project.run(
        "ansible-galaxy", "collection", "install", "--offline", "--no-deps", "--force", "-p", str(target), str(tarball),
        where=tarball.parent,
        environment=environment,
    )  # fmt: skip
    if install.problems:
        return Finding(1, "artifact", [*problems, *install.problems])

    checked = 0
    for kind, expected in (
        ("module", {path.stem for path in project.matching("plugins/modules/*.py")}),
        ("role", {path.parts[1] for path in project.files if path.parts[0] == "roles"}),
    ):
        listed = project.run(
            "ansible-doc", "-t", kind, "--list", "--json", "debvisor.hci",
            where=target,
            environment=environment,
        )  # fmt: skip
        problems += listed.problems
        known = set(json.loads(listed.output)) if listed.code == 0 else set()
        problems += [
            f"ansible-doc does not list the {kind} {name} of the artifact"
            for name in sorted(expected - {name.removeprefix("debvisor.hci.") for name in known})
        ]
        if known:  # of all at once: each start of ansible-doc takes longer than what it has to say
            shown = project.run(
                "ansible-doc", "-t", kind, "--json", *sorted(known), where=target, environment=environment
            )  # fmt: skip
            problems += shown.problems
            told = set(json.loads(shown.output)) if shown.code == 0 else set()
            problems += [
                f"ansible-doc shows nothing of the {kind} {name} of the artifact"
                for name in sorted(known - told)
            ]
            checked += len(known)
    called = [f"debvisor.hci.{path.stem}" for path in project.matching("playbooks/*.yml")]
    if called:
        run = project.run(
            "ansible-playbook", "--syntax-check", "-i", "localhost,", *called,
            where=target,
            environment=environment,
        )  # fmt: skip
        problems += run.problems
    return Finding(checked, "modules and roles", problems)


@check("galaxy-importer")
def galaxy_importer(project: Project) -> Finding:
    """the built collection passes what Galaxy does with it at import; warnings fail too"""
    tarball = _built(project)
    where = project.build("artifact", "import")
    where.mkdir(exist_ok=True)
    run = project.run(
        sys.executable, "-c", PATIENT_IMPORT, str(tarball),
        where=where,
        environment={"HOME": str(where)},
    )  # fmt: skip
    loaded = re.findall(r"^Loading (?:module|role|playbook) ", run.output, re.MULTILINE)
    faults = re.findall(r"^(?:WARNING|ERROR): .+", run.output, re.MULTILINE)
    flake8 = project.run(
        "flake8", "--isolated", "--select=E,F,W", f"--extend-ignore={FORMATTED}", "--max-line-length=160", "plugins"
    )  # fmt: skip
    problems = [*run.problems, *faults, *flake8.problems]
    return Finding(len(loaded), "modules, roles and playbooks", problems)


def _built(project: Project) -> Path:
    """Return the artifact, which is built once in a run."""
    output = project.build("artifact")
    with project.lock:
        if "tarball" not in project.copies:
            run = project.run(
                "ansible-galaxy", "collection", "build", "--force", "--output-path", str(output),
                where=project.copy("artifact"),
            )  # fmt: skip
            if run.problems:
                raise CannotCheck(f"ansible-galaxy built nothing\n{run.output}")
            project.copies.add("tarball")
    [tarball] = output.glob("debvisor-hci-*.tar.gz")
    return tarball


def _collections(copy: Path) -> dict[str, str]:
    """Let Ansible find the copy first. What it depends on comes with the ``ansible`` package of the environment."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2])}


def _deprecations(run: Run) -> list[str]:
    if "[DEPRECATION WARNING]" not in run.output:
        return []
    return [f"{' '.join(run.command)}\n{run.output.strip()}"]
