# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LVM's tool with one volume group, `hv`, as far as our port uses it; its answers have the form of the real ones."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Sequence
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed

EXTENT = 4 << 20
BLANK = {
    "lv_path": "",
    "lv_layout": "linear",
    "lv_role": "public",
    "lv_attr": "-wi-a-----",
    "lv_device_open": "",
    "lv_health_status": "",
    "lv_tags": "",
    "pool_lv": "",
    "origin": "",
    "zero": "unknown",
    "data_percent": "",
    "metadata_percent": "",
}


class LvmTool:
    """Stands in for ``command.run``."""

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, str]] = {}
        self.group = {
            "vg_free": str(100 * EXTENT),
            "vg_extent_size": str(EXTENT),
            "vg_attr": "wz--n-",
        }
        self.asked: list[tuple[str, ...]] = []
        self.failures: list[tuple[str, str]] = []
        """(verb, what is said): each makes one call fail, in this order."""
        self._numbers = itertools.count(1)

    def add(self, name: str, size: int = EXTENT, **fields: str) -> dict[str, str]:
        record = {**BLANK, "lv_name": name, "lv_path": f"/dev/hv/{name}", "lv_size": str(size)}
        self.volumes[name] = {**record, "lv_uuid": f"uuid-{next(self._numbers)}", **fields}
        return self.volumes[name]

    def add_thin_pool(self, name: str = "thin", **fields: str) -> dict[str, str]:
        usual = {"zero": "zero", "data_percent": "25.00", "metadata_percent": "10.57"}
        pool = {"lv_layout": "thin,pool", "lv_role": "private", "lv_path": "", **usual}
        return self.add(name, 100 * EXTENT, **{**pool, **fields})

    def changes(self) -> list[tuple[str, ...]]:
        """What was asked for, without the questions."""
        return [words for words in self.asked if words[0] not in ("lvs", "vgs")]

    def __call__(self, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        words = (
            words[4:] if words[0] == "sh" else words
        )  # a change is run by a shell that holds a lock
        verb, *rest = words[1:]
        self.asked.append((verb, *rest))
        if self.failures and self.failures[0][0] == verb:
            raise ProgramFailed(words[0], 5, self.failures.pop(0)[1])
        return subprocess.CompletedProcess(words, 0, self._answer(verb, rest), "")

    def _answer(self, verb: str, words: list[str]) -> str:
        named = {key.lstrip("-"): value for key, value in itertools.pairwise(words)}
        last = words[-1].partition("/")
        match verb:
            case "lvs" | "vgs" if last[0] != "hv":
                raise ProgramFailed("lvm", 5, f'  Volume group "{last[0]}" not found')
            case "lvs":
                records = [record | self.group for record in self.volumes.values()]
                return json.dumps({"report": [{"lv": records}], "log": []})
            case "vgs":
                return json.dumps({"report": [{"vg": [self.group]}], "log": []})
            case "lvcreate":
                self._create(named, words)
            case "lvextend":
                self.volumes[last[2]]["lv_size"] = named["size"].rstrip("b")
            case "lvchange":
                self._change(last[2], words)
            case "lvrename":
                self._rename(*words[1:])
            case "lvremove":
                uuid = named["select"].removeprefix("lv_uuid=")
                self.volumes = {n: r for n, r in self.volumes.items() if r["lv_uuid"] != uuid}
            case "settle":
                pass
        return ""

    def _create(self, named: dict[str, str], words: list[str]) -> None:
        name = named["name"]
        if name in self.volumes:
            raise ProgramFailed(
                "lvm", 5, f'  Logical Volume "{name}" already exists in volume group "hv"'
            )
        tags = [word.partition("=")[2] for word in words if word.startswith("--addtag=")]
        origin = words[-1].partition("/")[2]
        fields: dict[str, str] = {}
        if origin:
            size = int(self.volumes[origin]["lv_size"])
            fields = {
                "lv_role": "public,snapshot,thinsnapshot",
                "origin": origin,
                "pool_lv": "thin",
            }
            self.volumes[origin]["lv_role"] = "public,origin,thinorigin"
        else:
            asked = int(named.get("size", named.get("virtualsize", "")).rstrip("b"))
            size = -(-asked // EXTENT) * EXTENT
            if "thinpool" in named:
                fields = {"lv_layout": "thin,sparse", "pool_lv": named["thinpool"]}
        self.add(name, size, lv_tags=",".join(sorted(tags)), **fields)

    def _change(self, name: str, words: list[str]) -> None:
        record = self.volumes[name]
        tags = {tag for tag in record["lv_tags"].split(",") if tag}
        tags -= {word.partition("=")[2] for word in words if word.startswith("--deltag=")}
        tags |= {word.partition("=")[2] for word in words if word.startswith("--addtag=")}
        record["lv_tags"] = ",".join(sorted(tags))
        if "--permission" in words:
            if record["lv_attr"][1] == "r":
                raise ProgramFailed("lvm", 5, f'  Logical volume "hv/{name}" is already read only')
            record["lv_attr"] = "-ri-a-----"

    def _rename(self, old: str, new: str) -> None:
        if new in self.volumes:
            raise ProgramFailed(
                "lvm", 5, f'  Logical Volume "{new}" already exists in volume group "hv"'
            )
        self.volumes[new] = self.volumes.pop(old) | {"lv_name": new, "lv_path": f"/dev/hv/{new}"}
