# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of action plugins that prove a change over a new connection, and only then let it stay.

The module arms the host's revert timer and changes. A connection that was open before proves nothing: the packet filter
lets it pass as established, and sshd has let it in already. So the module is run once more, to confirm, over one that
is opened afterwards. Where that fails, nothing need be done from here: the host rolls the change back by itself.
A change that is disproven need not wait for that. It is rolled back at once, over any connection: the old one will do.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import connection_loader

PAUSE = 1.0
"""Seconds between attempts to connect: keepalived, sshd or a route may need a moment after the change."""
CONNECT_TIMEOUT = 5
"""Seconds for one attempt to connect: several fit into the time that the host gives."""
SSH_ALONE = (
    "-o ControlMaster=no -o ControlPath=none -o ServerAliveInterval=2 -o ServerAliveCountMax=2"
)
"""For ssh the first word on an option counts. No shared session may answer for a new one; a dead one ends soon."""


class CommitConfirm(ActionBase):
    """Runs the module of the same name, and confirms its change where that awaits it."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._change(task_vars))
        if "awaiting" in result and not result.get("failed"):
            self._prove(result, task_vars)
        return result

    def _change(self, task_vars: Any) -> dict[str, Any]:
        """Run the module for the change itself."""
        return dict(self._execute_module(task_vars=task_vars))

    def _disproof(self, result: dict[str, Any], ends: float) -> str:
        """Try over new connections what has to work beside our own; return what did not, or an empty text.

        :param ends: when the host rolls the change back, by ``time.monotonic()``.
        """
        return ""

    def _prove(self, result: dict[str, Any], task_vars: Any) -> None:
        """Confirm over new connections, until one does it or the time is over, and add that to the result."""
        transaction, seconds = (result["awaiting"][key] for key in ("transaction", "seconds"))
        ends = time.monotonic() + seconds
        self._connection.close()
        if why := self._disproof(result, ends):
            self._roll_back(result, why, ends, task_vars)
            return
        last = ""
        while (left := ends - time.monotonic()) > 0:
            try:
                answer = self._confirm(transaction, task_vars)
            except AnsibleError as cause:
                last = str(cause)
                time.sleep(min(PAUSE, left))
                continue
            result.setdefault("warnings", []).extend(answer.get("warnings") or [])
            if not answer.get("failed"):
                del result["awaiting"]
                result["confirmed"] = True
                return
            if answer.get("committed"):
                del result["awaiting"]
                why = f"The change is confirmed and stays, but the host could not tidy up after it: {answer.get('msg')}"
                result.update(failed=True, confirmed=True, msg=why)
                return
            why = f"The host does not confirm the change, and rolls it back by itself: {answer.get('msg')}"
            break
        else:
            why = (
                f"No new connection to the host could be opened within {seconds:.0f} s after the change,"
                f" so the host rolls it back by itself, about now. The last attempt said: {last}"
                if last
                else "The module took as long as confirm_within allows, so no time was left to confirm the change,"
                " and the host rolls it back by itself, about now. Set a longer confirm_within"
            )
        result.update(failed=True, confirmed=False, msg=why)

    def _roll_back(self, result: dict[str, Any], why: str, ends: float, task_vars: Any) -> None:
        """Have the host roll the change back now, as long as it does not do that by itself."""
        options = {**self._task.args, "rollback": result["awaiting"]["transaction"]}
        resists = "no time was left"
        while (left := ends - time.monotonic()) > 0:
            try:
                answer = dict(self._execute_module(module_args=options, task_vars=task_vars))
            except AnsibleError as cause:
                resists = str(cause)
                time.sleep(min(PAUSE, left))
                continue
            result.setdefault("warnings", []).extend(answer.get("warnings") or [])
            if not answer.get("failed"):
                del result["awaiting"]
                told = f"The change is not confirmed, and was rolled back: {why}"
                result.update(
                    failed=True, confirmed=False, rolled_back=True, changed=False, msg=told
                )
                return
            resists = answer.get("msg") or "the host does not say why"
            break
        told = (
            f"The change is not confirmed, and the host rolls it back by itself: {why}."
            f" It could not be rolled back at once: {resists}"
        )
        result.update(failed=True, confirmed=False, rolled_back=False, msg=told)

    def _confirm(self, transaction: str, task_vars: Any) -> dict[str, Any]:
        used = self._connection
        self._connection = fresh = self._fresh()
        try:
            return dict(
                self._execute_module(
                    module_args={**self._task.args, "confirm": transaction}, task_vars=task_vars
                )
            )
        finally:
            self._connection = used
            fresh.close()

    def _fresh(self) -> ConnectionBase:
        """Make a connection as the task's own one, which shares nothing with it but its options."""
        used = self._connection
        fresh = connection_loader.get(
            used.ansible_name, self._play_context, new_stdin=None, task_uuid=self._task._uuid
        )
        options = used.get_options()
        for option, value in {"timeout": CONNECT_TIMEOUT, "reconnection_retries": 0}.items():
            if option in options:
                options[option] = value
        if "ssh_args" in options:
            options["ssh_args"] = f"{SSH_ALONE} {options['ssh_args'] or ''}"
        fresh.set_options(direct=options)
        fresh._shell = used._shell  # it holds the remote temporary folder, and no connection
        if used.become:
            fresh.set_become_plugin(used.become)
        return fresh
