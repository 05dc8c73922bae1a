# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``tsig_recipient``: a host's private key, made once, so that secrets can be sealed for it."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._core.errors import DebvisorError, InvalidInput, Problem
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.secret import Secret
from .tsig_key_operation import Files

MODE = 0o600


class PrivateKeyInvalid(DebvisorError):
    """The file of the private key holds something else."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The key that is there, if any, and whether the file can be made."""

    private: Secret | None = field(repr=False)
    folder: bool


class TsigRecipient(Operation[str, Observed]):
    """Keep this host's private key. What is wanted is the path of its file."""

    name = "tsig_recipient"

    def __init__(
        self, files: Files, draw_private: Callable[[], Secret], public_of: Callable[[Secret], str]
    ) -> None:
        self._files = files
        self._draw_private = draw_private
        self._public_of = public_of

    def parse(self, params: Mapping[str, Any]) -> str:
        path: str = params["path"]
        if not posixpath.isabs(path) or path.endswith("/") or "\0" in path:
            raise InvalidInput([Problem("path", "is not the absolute path of a file")])
        return path

    def scope(self, wanted: str) -> str:
        return f"{self.name}:{wanted}"

    def observe(self, wanted: str) -> Observed:
        if self._files.facts(wanted) is None:
            return Observed(None, self._files.has_folder(wanted))
        return Observed(read_private(self._files.read, wanted), True)

    def plan(self, observed: Observed, wanted: str) -> Plan:
        if observed.private is not None:
            return Plan(facts={"public": self._public_of(observed.private)})
        made = {"private key": "made when it is written"}
        return Plan(
            before={},
            after=made,
            actions=(Action("make", wanted, "a private key for this host"),),
            differences=[Difference(wanted, "", "a private key\n")],
            facts={"public": None},
        )

    def prepare(self, action: Action, wanted: str) -> Receipt:
        if not self._files.has_folder(wanted):
            raise DebvisorError(
                f"the folder of {wanted} does not exist", hint="Create it first, for root alone"
            )
        return {"path": wanted}

    def apply(self, action: Action, receipt: Receipt, wanted: str) -> None:
        content = base64.b64encode(self._draw_private().reveal()) + b"\n"
        self._files.write(wanted, content, mode=MODE, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> None:
        self._files.remove(receipt["path"])

    def verify(self, plan: Plan, wanted: str) -> Mapping[str, Any]:
        return {"public": self._public_of(read_private(self._files.read, wanted))}


def read_private(read: Callable[[str], bytes], path: str) -> Secret:
    """Read a private key from its file.

    :raises PrivateKeyInvalid: where it holds something else.
    """
    try:
        return Secret(base64.b64decode(read(path).strip(), validate=True))
    except (ValueError, binascii.Error):
        raise PrivateKeyInvalid(
            f"{path} does not hold this host's private key",
            hint="Remove the file; the next run makes a new one, and nothing is lost",
        ) from None
