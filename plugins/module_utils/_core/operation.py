# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an operation becomes an Ansible module: options from its :class:`Spec`, and its outcome as Ansible's result."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from .audit import public
from .confirmation import RevertTimer
from .confirming import confirm, roll_back
from .errors import DebvisorError
from .executor import Outcome, Records, execute, sentence
from .locking import LOCK_TIMEOUT
from .plan import Operation
from .spec import RULES, Spec

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def module(spec: Spec) -> AnsibleModule:
    """Return the module whose options ``spec`` describes. It supports check mode, as all of ours do."""
    from ansible.module_utils.basic import AnsibleModule

    return AnsibleModule(
        argument_spec=dict(spec.options),
        supports_check_mode=True,
        **{rule: given for rule in RULES if (given := getattr(spec, rule))},
    )


def run(
    operation: Operation[Any, Any],
    module: AnsibleModule,
    records: Records | None = None,
    revert_timer: RevertTimer | None = None,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
) -> NoReturn:
    """Run ``operation`` with the module's options, or confirm it, and end the module with the result."""
    started = time.monotonic()
    records = records or Records.default()
    check = module.check_mode
    gc.disable()  # the process ends with the module, and looking through 10,000 records for cycles costs a third of it
    decisions = {"confirm": confirm, "rollback": roll_back}
    decided = next((name for name in decisions if module.params.get(name)), None)
    if decided and revert_timer is not None:
        outcome = decisions[decided](
            operation,
            module.params[decided],
            records,
            revert_timer,
            check=check,
            lock_timeout=lock_timeout,
        )
    else:
        outcome = execute(
            operation,
            module.params,
            records,
            revert_timer=revert_timer,
            check=check,
            lock_timeout=lock_timeout,
        )
    result = _result(outcome, with_diff=module._diff)
    result["duration"] = round(time.monotonic() - started, 3)
    for warning in outcome.warnings:
        module.warn(warning)
    if outcome.failure is not None:
        module.fail_json(
            msg=sentence(outcome.failure), **result, **_failure(outcome, outcome.failure)
        )
    module.exit_json(**result)
    raise SystemExit  # exit_json does not return; this tells the type checker


def _result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    plan = outcome.plan
    result: dict[str, Any] = {
        **public(plan.facts),
        **public(outcome.facts),
        "changed": outcome.changed,
        "actions": [action.public() for action in plan.actions],
        "before": public(plan.before),
        "after": public(plan.after),
        "transaction": outcome.transaction,
    }
    if outcome.awaiting is not None:
        result["awaiting"] = {
            "transaction": outcome.transaction,
            "seconds": round(outcome.awaiting, 3),
        }
    if outcome.rolled_back_runs:
        result["rolled_back_runs"] = outcome.rolled_back_runs
    if with_diff:
        result["diff"] = [
            {
                "before_header": difference.name,
                "after_header": difference.name,
                "before": difference.before,
                "after": difference.after,
            }
            for difference in plan.differences
        ]
    return result


def inform(
    look: Callable[[Mapping[str, Any]], Mapping[str, Any]], module: AnsibleModule
) -> NoReturn:
    """End a module that only reads: with what ``look`` finds, or with why it cannot."""
    started = time.monotonic()
    try:
        found = public(look(module.params))
    except Exception as failure:  # as in execute(): every failure becomes a result
        module.fail_json(msg=sentence(failure), changed=False, **_explained(failure))
    else:
        module.exit_json(changed=False, duration=round(time.monotonic() - started, 3), **found)
    raise SystemExit  # exit_json does not return; this tells the type checker


def _failure(outcome: Outcome, failure: Exception) -> dict[str, Any]:
    return {
        "done": outcome.done,
        "rolled_back": outcome.rolled_back,
        "rollback_errors": outcome.rollback_errors,
        "committed": outcome.committed,
        **_explained(failure),
    }


def _explained(failure: Exception) -> dict[str, Any]:
    told: dict[str, Any] = {"error_type": type(failure).__name__}
    if isinstance(failure, DebvisorError):
        told.update({"what": failure.what, "why": failure.why, "hint": failure.hint})
        told.update(public(failure.details))
    else:
        told["hint"] = "This is unexpected: please report it with the exception below"
        told["exception"] = "".join(traceback.format_exception(failure))
    return told
