#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_job_info
short_description: Show the progress and results of volume jobs
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Reads the records of the jobs that M(debvisor.hci.volume_image) leaves below C(/var/lib/debvisor/jobs). It does not
    wait, so it suits a loop with C(until).
  - A job whose process died, or whose host restarted meanwhile, is reported as failed, though it could not record
    that itself.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  job_id:
    description:
      - The job. Without it all jobs of this host are listed, oldest first.
    type: str
seealso:
  - module: debvisor.hci.volume_image
  - module: debvisor.hci.volume_job
"""

EXAMPLES = r"""
- name: Wait for the job, and see how far it is
  debvisor.hci.volume_job_info:
    job_id: "{{ job_id }}"
  register: asked
  until: asked.jobs | length and asked.jobs[0].status in ['completed', 'failed', 'cancelled']
  retries: 720
  delay: 5

- name: List what runs on this host
  debvisor.hci.volume_job_info:
  register: asked
"""

RETURN = r"""
jobs:
  description: The jobs; none where there is no job of that name.
  returned: success
  type: list
  elements: dict
  contains:
    job_id:
      description: Its name.
      type: str
    operation:
      description: What it does, as the name of the module.
      type: str
    status:
      description:
        - V(queued) while it waits for its turn, for another job or for another run on the same volume; V(running),
          V(completed), V(failed) or V(cancelled).
      type: str
    waiting_for:
      description: What it waits for, while it is V(queued).
      type: str
    progress:
      description:
        - How far it is. C(percent) is of the whole job, never goes back, and is 100 once the job is completed.
          C(stage_percent), C(bytes_processed), C(bytes_total), C(rate) in bytes a second and C(eta) in seconds are of
          the C(stage); they are V(null) or 0 where they are unknown.
        - The stages are V(queued), V(preflight), V(resolving_checksum), V(checking_cache), V(downloading),
          V(verifying), V(creating_volume), V(preparing_target), V(converting), V(syncing), V(verifying_volume),
          V(publishing) and V(finalizing).
      type: dict
    error:
      description: Why it failed, as C(what), C(why), C(hint) and C(stage); V(null) where it did not.
      type: dict
    rolled_back:
      description:
        - After a failure, whether nothing of the job is left. V(null) for a job that did not fail, or died.
      type: bool
    correlation_id:
      description: What the caller knows it by.
      type: str
    volume_name:
      description: The volume that is filled.
      type: str
    backend:
      description: The kind of its pool.
      type: str
    pool:
      description: Its pool.
      type: str
    image_url:
      description: Where the image comes from, without credentials and query.
      type: str
    image_sha256:
      description: The image's digest, as soon as it is known.
      type: str
    image_path:
      description: Where the image is in this host's cache.
      type: str
    virtual_size:
      description: The size of the image's disk in bytes.
      type: int
    cache_hit:
      description: Whether the image was there already; V(null) while that is unknown.
      type: bool
    bytes_downloaded:
      description: What came over the network.
      type: int
    volume:
      description: What became of the volume, as M(debvisor.hci.volume_image) returns it.
      type: dict
    timings:
      description: The seconds that each stage took so far; all waiting is C(queued).
      type: dict
    queued_at:
      description: When it began, in UTC.
      type: str
    started_at:
      description: When it first had not to wait.
      type: str
    updated_at:
      description: When its record was last written.
      type: str
    ended_at:
      description: When it ended.
      type: str
    requester:
      description: Who asked for it, as the audit log says it.
      type: dict
    owner:
      description: Its process, as C(pid), C(started) in clock ticks after boot, and C(boot) as the kernel's boot id.
      type: dict
duration:
  description: How long the lookup took, in seconds.
  returned: success
  type: float
"""

from functools import partial

from ..module_utils._core.operation import inform, module
from ..module_utils._storage.jobs.job_operation import INFO_SPEC, look
from ..module_utils._wiring import jobs


def main() -> None:
    inform(partial(look, jobs.jobs()), module(INFO_SPEC))


if __name__ == "__main__":
    main()
