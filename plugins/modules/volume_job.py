#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_job
short_description: Cancel a job that fills a volume, or forget jobs that ended
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Stops a job of M(debvisor.hci.volume_image) on this host, whichever controller started it, and waits until it has
    rolled back. Ansible and AWX themselves cannot do that; they only stop polling.
  - Clears the records of jobs that ended. The volumes stay.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  state:
    description:
      - V(cancelled) asks the job to stop, by a file and by SIGTERM to its process, and waits for its end. A job that
        ended already stays as it is. One that is not there is an error.
      - V(absent) forgets a job, or many. One that did not end is never forgotten.
    type: str
    choices: [cancelled, absent]
    required: true
  job_id:
    description:
      - The job. Needed for O(state=cancelled).
    type: str
  older_than:
    description:
      - With O(state=absent) and without O(job_id), forgets jobs that ended so long ago, as in V(30m), V(12h), V(7d) or
        V(4w).
    type: str
  keep:
    description:
      - With O(state=absent) and without O(job_id), so many of the jobs that ended last stay, however old they are.
    type: int
  timeout:
    description:
      - How long to wait for the end of a job that is cancelled, in seconds, up to 3600.
    type: float
    default: 120
seealso:
  - module: debvisor.hci.volume_image
  - module: debvisor.hci.volume_job_info
"""

EXAMPLES = r"""
- name: Stop a job, and have it rolled back
  debvisor.hci.volume_job:
    job_id: "{{ job_id }}"
    state: cancelled

- name: Forget what ended more than a month ago, but for the last hundred
  debvisor.hci.volume_job:
    state: absent
    older_than: 4w
    keep: 100
"""

RETURN = r"""
jobs:
  description:
    - The jobs that were cancelled or forgotten, as M(debvisor.hci.volume_job_info) returns them. A cancelled one is
      reported as it ended.
  returned: success
  type: list
  elements: dict
"""

from ..module_utils._core.operation import module, run
from ..module_utils._storage.jobs.job_operation import SPEC
from ..module_utils._wiring import jobs


def main() -> None:
    run(jobs.volume_job(), module(SPEC))


if __name__ == "__main__":
    main()
