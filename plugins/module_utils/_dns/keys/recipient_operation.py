# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resource behind ``tsig_recipient``: a host's private key, made once, so that secrets can be sealed for it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from ..._core.checks import check_file_path, refuse_any
from ..._core.errors import DebvisorError, Problem
from ..._core.ports import Files
from ..._core.resource import Resource, State
from ..._core.secret import Secret
from ..._core.spec import Spec

MODE = 0o600
SPEC = Spec({"path": {"type": "path", "required": True}})


class PrivateKeyInvalid(DebvisorError):
    """The file of the private key holds something else."""


class TsigRecipient(Resource):
    """This host's private key; its object is the file, and its only property the public key.

    It is never removed, not even by undo: secrets may be sealed for it by then.
    """

    name = "tsig_recipient"

    def __init__(
        self, files: Files, draw_private: Callable[[], Secret], public_of: Callable[[Secret], str]
    ) -> None:
        self._files = files
        self._draw_private = draw_private
        self._public_of = public_of

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, State | None]:
        path: str = params["path"]
        problems: list[Problem] = []
        check_file_path("path", path, problems)
        refuse_any(problems)
        return {path: {}}

    def read(self, key: str) -> State | None:
        if self._files.facts(key) is None:
            return None
        return {"public": self._public_of(read_private(self._files.read, key))}

    def write(self, key: str, before: State | None, after: State | None) -> None:
        if not self._files.has_folder(key):
            raise DebvisorError(
                f"the folder of {key} does not exist", hint="Create it first, for root alone"
            )
        content = base64.b64encode(self._draw_private().reveal()) + b"\n"
        self._files.write(key, content, mode=MODE, uid=-1, gid=-1)

    def facts(self, found: Mapping[str, State | None]) -> Mapping[str, Any]:
        (state,) = found.values()
        return {"public": state["public"] if state else None}


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
