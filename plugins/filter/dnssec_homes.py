# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which host has the keys of each signed zone."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: dnssec_homes
short_description: Find out which host has the keys of each signed zone
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Takes what M(ansible.builtin.find) found for files C(K*.private) in a loop over hosts.
positional: _input
options:
  _input:
    description: The results of the loop. One without files is of a host that was not reached.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where the keys are
  ansible.builtin.debug:
    msg: "{{ found.results | debvisor.hci.dnssec_homes }}"
"""

RETURN = r"""
_value:
  description: For each zone the first host that has a key of it.
  type: dict
"""

KEY_FILE = re.compile(r"K(.+)[.][+][0-9]+[+][0-9]+[.]private")


def dnssec_homes(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return for each zone the first host that has a key of it."""
    homes: dict[str, str] = {}
    for result in results:
        for file in result.get("files") or []:
            if found := KEY_FILE.fullmatch(posixpath.basename(file["path"])):
                homes.setdefault(found[1], result["item"])
    return homes


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dnssec_homes": dnssec_homes}
