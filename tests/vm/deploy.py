# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's code and programs in the machine, in the places where the role `node` puts them."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import jinja2
import yaml

from tests.lab.layout import CHECKOUT
from tests.vm import access

ROLE = CHECKOUT / "roles" / "node"
CODE = "plugins/module_utils"
PROGRAMS = "/usr/libexec/debvisor"


def collection() -> None:
    """Bring code and programs in the machine up to this checkout: in one go, for each session takes its time.

    All is on its disk afterwards, so that a reset loses nothing of it.
    """
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    path = defaults["node_collection_path"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(CHECKOUT / CODE, f"{path}/{CODE}", filter=_without_caches)
        for program in defaults["node_programs"]:
            text = _rendered(item=program, node_collection_path=path).encode()
            entry = tarfile.TarInfo(f"{PROGRAMS}/{program['name']}")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text))
    folders = "/etc/debvisor/keys /var/lib/debvisor /var/log/debvisor /run/debvisor"
    access.run(
        f"rm -rf {path}/{CODE} {PROGRAMS} && mkdir -p {folders} && tar -C / -xz --no-same-owner && sync",
        stdin=buffer.getvalue(),
        timeout=120,
    )


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry


def _rendered(**variables: Any) -> str:
    template = (ROLE / "templates/program.j2").read_text(encoding="utf-8")
    # As Ansible's template module sets it.
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(template).render(**variables)


def unit(role: str, name: str) -> None:
    """Install and enable a unit that a role brings, as the role would."""
    text = (CHECKOUT / "roles" / role / "templates" / f"{name}.j2").read_bytes()
    access.write(f"/etc/systemd/system/{name}", text)
    access.run(f"systemctl daemon-reload && systemctl enable {name} && sync")
