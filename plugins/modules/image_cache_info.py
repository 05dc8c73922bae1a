#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_cache_info
short_description: Show which disk images a hypervisor keeps
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Tells which images are in the cache of a hypervisor, who keeps them there, what else is in its folder, and how much
    room is left.
  - No image is read for that; M(debvisor.hci.image_cache) with O(debvisor.hci.image_cache#module:state=verified) does.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  path:
    description:
      - Folder of the cache. Without it, that of libvirt's pool C(images), or C(/var/lib/libvirt/images) where there is
        no libvirt.
    type: path
seealso:
  - module: debvisor.hci.image_cache
"""

EXAMPLES = r"""
- name: See what is in the cache
  debvisor.hci.image_cache_info:
  register: images

- name: Show the addresses of pinned images
  ansible.builtin.debug:
    msg: "{{ images.images | selectattr('pinned') | map(attribute='url') }}"
"""

RETURN = r"""
folder:
  description: Where the cache is.
  returned: success
  type: str
  sample: /var/lib/libvirt/images
exists:
  description: Whether that folder is there.
  returned: success
  type: bool
images:
  description: The images, by name.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
    name:
      description: Its name in the cache.
      type: str
    sha256:
      description: Its digest in hexadecimal digits.
      type: str
    image_type:
      description: V(qcow2) or V(raw).
      type: str
    size:
      description: Bytes of the file.
      type: int
    room:
      description: Bytes that it takes on disk.
      type: int
    url:
      description: Where it came from, without credentials and query.
      type: str
    etag:
      description: The entity tag that its server gave it.
      type: str
    pinned:
      description: Whether it stays whatever the limits say.
      type: bool
    in_use:
      description: Whether a run or a program of QEMU has it open.
      type: bool
    verified:
      description: Whether it is the file that was verified; else the next run that wants it verifies it again.
      type: bool
    verified_at:
      description: When it was verified last, in UTC; empty where nobody knows.
      type: str
    last_used:
      description: When it was used last, in UTC.
      type: str
quarantine:
  description: Files that were not what they should have been.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
    name:
      description: The image that it should have been.
      type: str
    room:
      description: Bytes that it takes on disk.
      type: int
    reason:
      description: What is wrong with it.
      type: str
    since:
      description: When it was put there, in UTC.
      type: str
parts:
  description: Downloads that were cut off. The next run that wants the image goes on with them.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
    name:
      description: The image that it is to become, or C(origin-...) where nobody knows its digest.
      type: str
    room:
      description: Bytes that it takes on disk.
      type: int
    since:
      description: When the last of it came, in UTC.
      type: str
totals:
  description: How many images there are, and bytes on disk.
  returned: success
  type: dict
  contains:
    images:
      description: How many.
      type: int
    room:
      description: Bytes that they take on disk.
      type: int
    evictable:
      description: Bytes of those that limits may take away.
      type: int
    leftovers:
      description: Bytes of what is of no use.
      type: int
    free:
      description: Bytes that are free on the file system.
      type: int
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core import settings
from ..module_utils._core.operation import inform
from ..module_utils._core.waiting import SystemClock
from ..module_utils._ports.image_folder import ImageFolder
from ..module_utils._ports.libvirt_pool import LibvirtPool
from ..module_utils._storage import pool
from ..module_utils._storage.cache_looking import CacheLooking


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path"}},
        supports_check_mode=True,
    )
    folders = partial(ImageFolder, locks=settings.lock_dir())
    looking = CacheLooking(folders, LibvirtPool(pool.POOL), SystemClock())
    inform(looking.look, module)


if __name__ == "__main__":
    main()
