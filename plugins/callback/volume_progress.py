# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: volume_progress
type: notification
short_description: Show people how far the filling of volumes is
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Prints a line whenever a loop on M(debvisor.hci.volume_job_info) looks at a job that got further since. The playbook
    C(debvisor.hci.provision_volume) has such a loop.
requirements:
  - Has to be named in C(callbacks_enabled) of C(ansible.cfg), or in E(ANSIBLE_CALLBACKS_ENABLED).
"""

from collections.abc import Mapping
from typing import Any

from ansible.plugins.callback import CallbackBase

LOOKS = "debvisor.hci.volume_job_info"
MIB = 1 << 20


def line(job: Mapping[str, Any]) -> str:
    """Say in one line how far a job is."""
    progress = job["progress"]
    if job["waiting_for"]:
        return f"{job['volume_name']}: waits for {job['waiting_for']}"
    if job["status"] != "running":
        return f"{job['volume_name']}: {job['status']}"
    told = f"{job['volume_name']}: {progress['percent']} %, {progress['stage'].replace('_', ' ')}"
    if progress["bytes_total"]:
        done, total = progress["bytes_processed"] / MIB, progress["bytes_total"] / MIB
        told += f" {done:.0f} of {total:.0f} MiB"
    if progress["rate"] is not None:
        told += f", {progress['rate'] / MIB:.1f} MiB/s"
    if progress["eta"] is not None:
        minutes, seconds = divmod(progress["eta"], 60)
        told += f", {minutes}:{seconds:02d} left"
    return told


class CallbackModule(CallbackBase):
    """Prints what changed."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "debvisor.hci.volume_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], str] = {}

    def v2_runner_retry(self, result: Any) -> None:
        """Show what a loop saw, and why it goes on."""
        self._show(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Show what a loop saw last."""
        self._show(result)

    def _show(self, result: Any) -> None:
        if result._task.resolved_action != LOOKS:
            return
        host = result._host.get_name()
        for job in result._result.get("jobs", []):
            key, told = (host, job["job_id"]), line(job)
            if self._shown.get(key) != told:
                self._shown[key] = told
                self._display.display(f"[{host}] {told}")
