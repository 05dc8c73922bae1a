#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_cache_info
short_description: List the disk images in a hypervisor's cache
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Lists the images in the cache of a hypervisor, which are pinned or in use, what else is in its folder, and how much
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
      description: When it was verified last, in UTC; empty where that is unknown.
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
  description: Interrupted downloads. The next run that wants the image resumes them.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
    name:
      description: The image that it is to become, or C(origin-...) while its digest is unknown.
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
  description: How long the lookup took, in seconds.
  returned: success
  type: float
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._storage.images.cache_looking import SPEC
from ..module_utils._wiring import storage


def main() -> None:
    inform(storage.cache_contents().look, module(SPEC))


if __name__ == "__main__":
    main()
