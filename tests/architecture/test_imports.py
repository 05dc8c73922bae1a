# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and who may touch Ansible."""

from __future__ import annotations

import pytest

from tests.architecture import rules
from tests.architecture.tree import sources

PREFIX = rules.UTILS
SOURCES = sources()

MODULE = "plugins/modules/x.py"
ACTION = "plugins/action/x.py"
CONTROLLER = "plugins/plugin_utils/x.py"
CORE = "plugins/module_utils/_core/x.py"
PORT = "plugins/module_utils/_ports/host/x.py"
DNS = "plugins/module_utils/_dns/keys/x.py"
ENTRY = "plugins/module_utils/_programs/x.py"
STORAGE = "plugins/module_utils/_ports/storage/x.py"
HTTP = "plugins/module_utils/_ports/http/x.py"
WIRING = "plugins/module_utils/_wiring/x.py"
GUARD = "try:\n    {}\nexcept ImportError:\n    pass\n"
TYPING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}\n"


def test_there_is_something_to_check() -> None:
    layers = {rules.layer_of(path) for path in SOURCES}
    assert set(rules.RULES) - {"doc_fragments", "_virt", "_cluster"} <= layers, layers


@pytest.mark.parametrize("path", SOURCES)
def test_imports_keep_to_the_table(path: str) -> None:
    assert rules.wrong_imports(path, SOURCES[path]) == []


@pytest.mark.parametrize("path", SOURCES)
def test_domain_packages_do_no_io(path: str) -> None:
    assert rules.impure_calls(path, SOURCES[path]) == []


@pytest.mark.parametrize("path", SOURCES)
def test_only_the_executor_touches_the_module_object(path: str) -> None:
    assert rules.module_touches(path, SOURCES[path]) == []


def test_what_runs_on_a_node_never_reaches_ansible() -> None:
    assert rules.ansible_reached(SOURCES) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (MODULE, f"from {PREFIX}._core.operation import run"),
        (MODULE, f"from {PREFIX}._core import operation, plan"),
        (MODULE, "from ..module_utils._ports.host.files import Files"),
        (MODULE, f"from {PREFIX}._dns.names import Name"),
        (MODULE, "from ansible.module_utils.basic import AnsibleModule"),
        (ACTION, "from ansible.plugins.action import ActionBase"),
        (ACTION, "from ..plugin_utils.commit_confirm import CommitConfirm"),
        (CONTROLLER, "from ansible.plugins.action import ActionBase"),
        (CONTROLLER, "from ..module_utils._storage import s3"),
        (CORE, "from .errors import DebvisorError"),
        (CORE, "from . import settings"),
        (CORE, "import os, fcntl"),
        (rules.EXECUTOR, TYPING.format("from ansible.module_utils.basic import AnsibleModule")),
        (PORT, "from ..._core.errors import Refused"),
        (PORT, "from ..._core.secret import Secret"),
        (PORT, "from ..._core.durable import write_whole"),
        (DNS, "from ..._core.secret import Secret"),
        (DNS, "from ..._core.waiting import wait_until"),
        (PORT, "from ..._core import errors"),
        (PORT, "from .command import Command"),
        (STORAGE, "from ..._storage.volumes import Volume"),
        (PORT, "import subprocess"),
        (PORT, GUARD.format("import dns.message")),
        (PORT, TYPING.format("import libvirt")),
        (DNS, "from .names import Name"),
        (DNS, "from ..._core.plan import Plan"),
        (DNS, "import ipaddress"),
        (DNS, "from urllib.parse import quote"),
        (ENTRY, "from .._core import settings"),
        (ENTRY, "from .._ports.bind import Bind"),
        (ENTRY, "from .._dns.names import Name"),
        (ENTRY, "from .._wiring.storage import volume_ports"),
        (WIRING, "from .._ports.dns.bind import Bind"),
        (WIRING, "from .._dns.keys import keyring"),
        (MODULE, "from ..module_utils._wiring import storage"),
        (DNS, "from ..protocol import names"),
        (HTTP, "from ..net.tcp_probe import TcpProbe"),
    ],
)
def test_what_the_table_allows(path: str, source: str) -> None:
    assert rules.wrong_imports(path, source) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (MODULE, f"from {PREFIX}._programs.role import main"),
        (MODULE, f"from {PREFIX}._dns import names\nfrom {PREFIX}._storage import sizes"),
        (MODULE, "import dns.resolver"),
        (MODULE, GUARD.format("import dns.resolver")),
        (MODULE, "from ansible_collections.debvisor.hci.plugins.modules import other"),
        (ACTION, f"import {PREFIX}._dns.names\nimport {PREFIX}._virt.domain"),
        (MODULE, "from ..plugin_utils.commit_confirm import CommitConfirm"),
        (CONTROLLER, "from ..module_utils._ports.host.files import Files"),
        (CORE, "from .._ports.files import Files"),
        (CORE, "from .._dns import names"),
        (CORE, "def f():\n    from .._ports import files"),
        (CORE, "from ansible.module_utils.basic import AnsibleModule"),
        (CORE, TYPING.format("from ansible.module_utils.basic import AnsibleModule")),
        (CORE, "import yaml"),
        (rules.EXECUTOR, "from .._ports.files import Files"),
        (PORT, "from ..._core.operation import run"),
        (PORT, "from ..._core import operation"),
        (PORT, "from ..._core import *"),
        (STORAGE, "from ..._dns.names import Name\nfrom ..._storage.volumes import Volume"),
        (PORT, "from ..._storage.volumes import Volume"),
        (HTTP, "from ..._storage.images import ranges"),
        (PORT, "from ansible.module_utils.basic import AnsibleModule"),
        (PORT, GUARD.format("from ansible.module_utils.common.text import converters")),
        (PORT, "import ansible_collections.community.general.plugins.module_utils.deps"),
        (PORT, "import dns.message"),
        (PORT, "try:\n    import dns\nexcept ValueError:\n    pass"),
        (PORT, "try:\n    pass\nexcept ImportError:\n    import dns"),
        (PORT, "import importlib\nimportlib.import_module('ansible.errors')"),
        (PORT, "import importlib\nimportlib.import_module(name)"),
        (PORT, "__import__('libvirt')"),
        (DNS, "from ..._core.operation import run"),
        (DNS, "from ..._core.journal import Journal"),
        (DNS, "from ..._core import settings"),
        (DNS, "from ..._ports import dns_server"),
        (DNS, "from ..._storage import sizes"),
        (DNS, "from ansible.module_utils.basic import AnsibleModule"),
        (DNS, GUARD.format("import dns.name")),
        (DNS, "import subprocess"),
        (DNS, "from os import environ"),
        (DNS, "import urllib.request"),
        (DNS, "from ..records import zone_plan"),
        (DNS, "from ..protocol import names\nfrom ..records import zone_plan"),
        (PORT, "from ..http.web import Web"),
        (PORT, "from ..._wiring import storage"),
        (HTTP, "from ..storage.lvm import Lvm"),
        (CORE, "from .._wiring import storage"),
        (WIRING, "from .._programs import dns_role"),
        (WIRING, "from ansible.module_utils.basic import AnsibleModule"),
        ("plugins/module_utils/_dns/loose.py", ""),
        ("plugins/module_utils/_ports/novel/x.py", ""),
        (ENTRY, "from ansible.module_utils.basic import AnsibleModule"),
        (ENTRY, "from .._dns import names\nfrom .._virt import domain"),
        (ENTRY, "from ansible_collections.debvisor.hci.plugins.modules import tsig_key"),
        ("plugins/module_utils/_novel/x.py", ""),
        ("plugins/module_utils/loose.py", ""),
        ("plugins/novel/x.py", ""),
    ],
)
def test_what_the_table_refuses(path: str, source: str) -> None:
    assert rules.wrong_imports(path, source)


@pytest.mark.parametrize("call", ["open('/etc/hosts')", "print(1)", "eval('1')"])
def test_io_in_a_domain_package_is_found(call: str) -> None:
    assert rules.impure_calls(DNS, call)
    assert rules.impure_calls(PORT, call) == []


@pytest.mark.parametrize(
    "source",
    ["module.fail_json(msg='no')", "self.module.exit_json()", "m.warn('x')", "m.run_command([])"],
)
def test_touching_the_module_object_is_found(source: str) -> None:
    assert rules.module_touches(MODULE, source)
    assert rules.module_touches(PORT, source)
    assert rules.module_touches(rules.EXECUTOR, source) == []


def test_python_own_warnings_are_not_the_modules() -> None:
    assert rules.module_touches(PORT, "import warnings\nwarnings.warn('x')") == []


def test_ansible_is_found_through_a_chain() -> None:
    wiring = {ENTRY: "from .._core import y", "plugins/module_utils/_core/y.py": "import ansible"}
    [wrong] = rules.ansible_reached(wiring)
    assert wrong.endswith("_programs/x.py -> plugins/module_utils/_core/y.py -> ansible")
    wiring["plugins/module_utils/_core/y.py"] = TYPING.format("import ansible")
    assert rules.ansible_reached(wiring) == []
