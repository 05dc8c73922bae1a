# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's code and programs in the machine, in the places where the role `node` puts them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jinja2
import yaml

from tests.lab.layout import CHECKOUT
from tests.lab.report import LabError
from tests.vm import access
from tests.vm.layout import NAME

ROLE = CHECKOUT / "roles" / "node"
CODE = Path("plugins/module_utils")
PROGRAMS = "/usr/libexec/debvisor"


def collection() -> None:
    """Bring code and programs in the machine up to this checkout."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    target = f"{defaults['node_collection_path']}/{CODE}"
    folders = f"{target} {PROGRAMS} /etc/debvisor/keys /var/lib/debvisor /var/log/debvisor"
    access.run(f"mkdir -p {folders}")
    _synchronize(f"{CHECKOUT / CODE}/", target)
    for program in defaults["node_programs"]:
        text = _rendered(item=program, node_collection_path=defaults["node_collection_path"])
        file = f"{PROGRAMS}/{program['name']}"
        access.run(f"cat > {file} && chmod 0755 {file}", stdin=text.encode())


def _synchronize(source: str, target: str) -> None:
    done = subprocess.run(
        [
            *("rsync", "--recursive", "--checksum", "--delete", "--exclude=__pycache__"),
            f"--rsh=ssh -F {access.SSH_CONFIG}",
            source,
            f"{NAME}:{target}/",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise LabError("cannot copy the collection to the machine", done.stderr, "`make vm` first")


def _rendered(**variables: Any) -> str:
    template = (ROLE / "templates/program.j2").read_text(encoding="utf-8")
    # As Ansible's template module sets it.
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(template).render(**variables)
