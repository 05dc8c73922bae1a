# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of action plugins that sign addresses of S3 on the control node, so that the host never has the keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import InvalidInput, Problem
from ..module_utils._storage.images import s3


class SignedAddresses(ActionBase):
    """Runs the module of the same name with signed addresses in place of the option ``s3``."""

    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            options = s3.signed(_checked(self._task.args), datetime.now(UTC))
        except InvalidInput as wrong:
            return {**result, "failed": True, "changed": False, "msg": str(wrong)}
        detached = bool(self._task.async_val) and not self._connection.has_native_async
        result.update(
            self._execute_module(module_args=options, task_vars=task_vars, wrap_async=detached)
        )
        if not detached:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the option ``s3`` against its specification, as the module does with those that it gets."""
    found = ArgumentSpecValidator({"s3": {"type": "dict", "options": s3.SPEC}}).validate(
        {"s3": options.get("s3")}
    )
    if found.error_messages:
        raise InvalidInput([Problem("s3", said) for said in found.error_messages])
    return {**options, "s3": found.validated_parameters["s3"]}
