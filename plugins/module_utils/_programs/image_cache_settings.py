# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the programs that maintain the cache of images, as the role wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .._core.errors import DebvisorError, InvalidInput
from .._core.spec import filled
from .._storage.images.cache_plan import SPEC


def read(path: Path) -> dict[str, Any]:
    """Read the file, and fill in what it leaves out.

    :raises DebvisorError: where it cannot be read, or is not what the role writes.
    """
    try:
        return filled(SPEC, json.loads(path.read_bytes()))
    except OSError as cause:
        raise DebvisorError(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause
    except (ValueError, TypeError, AttributeError, InvalidInput) as cause:
        raise DebvisorError(
            f"{path} is not what the role debvisor.hci.image_cache writes",
            why=f"{type(cause).__name__}: {cause}",
            hint="Run the role again",
        ) from cause
