# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which every module that talks to a DNS server reaches it."""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.dns)."""

    DOCUMENTATION = r"""
options:
  server:
    description:
      - Address or name of the server that takes updates.
    type: str
    required: true
  port:
    description:
      - Port of O(server), for UDP and TCP alike.
    type: int
    default: 53
  key_file:
    description:
      - TSIG key file in BIND's format, as C(tsig-keygen) writes it.
      - Queries, transfers and updates are signed with its key.
      - Without it nothing is signed.
    type: path
  timeout:
    description:
      - How long to wait for an answer, in seconds.
    type: float
    default: 10
"""
