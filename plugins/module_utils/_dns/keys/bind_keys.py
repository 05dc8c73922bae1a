# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys BIND accepts on this host: the names of key files, and the two files that its configurations include."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from .host_bundle import HeldClass

TRANSFER_CONF = "bind-transfer.conf"
UPDATE_CONF = "bind-update.conf"


def file_name(of_class: str, number: int) -> str:
    """Return the name of the file that holds one generation."""
    return f"{of_class}.g{number}.key"


def configurations(
    folder: str, held: Sequence[HeldClass], peers: Mapping[str, str]
) -> dict[str, bytes]:
    """Return the two files that the name server's configurations include, by name.

    :param peers: addresses of servers, each with the class whose current key is signed with there.
    """
    transfer = [each for each in held if each.serves == "transfer"]
    update = [each for each in held if each.serves == "update"]
    head = "// Written by the module debvisor.hci.tsig_keys: which keys this server accepts.\n"
    lines = [head]
    lines += [_include(folder, each, number) for each in transfer for number in sorted(each.keys)]
    readers = [each for each in update if each.reads]
    lines.append(_access_list("debvisor-transfer", transfer))
    lines.append(_access_list("debvisor-readers", readers))
    lines.append(_access_list("debvisor-proof", update))
    signers = {each.name: each.keys[each.current].name for each in transfer}
    lines += [
        f'server {address} {{ keys "{signers[of_class]}"; }};\n'
        for address, of_class in peers.items()
        if of_class in signers
    ]
    found = {TRANSFER_CONF: "".join(lines).encode()}
    lines = [head]
    lines += [_include(folder, each, number) for each in update for number in sorted(each.keys)]
    found[UPDATE_CONF] = "".join(lines).encode()
    return found


def _include(folder: str, each: HeldClass, number: int) -> str:
    return f'include "{posixpath.join(folder, file_name(each.name, number))}";\n'


def _access_list(name: str, classes: Sequence[HeldClass]) -> str:
    keys = [key.name for each in classes for _number, key in sorted(each.keys.items())]
    members = " ".join(f'key "{key}";' for key in keys) or "none;"
    return f'acl "{name}" {{ {members} }};\n'
