#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_cache
short_description: Fetch, pin, prune and verify the cached disk images of a hypervisor
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - The cache holds the images that M(debvisor.hci.volume_image) fills volumes with. They stand in the folder of
    libvirt's pool C(images), each under its SHA-256, so that one image that has two addresses is there once, and an
    address that has a new image does not serve the old one.
  - An image is verified before it gets its name. What is known of it is kept beside it, with what identifies the file,
    so that a look-up notices a file that was changed since; it is then verified again, and put into quarantine and
    fetched anew where it is bad.
  - This module fetches images ahead of their use, pins them, removes them, verifies them again, and prunes the cache.
extends_documentation_fragment:
  - debvisor.hci.image_source
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  state:
    description:
      - With V(present), the pool is there, active, and starts with the machine, and the image is in the cache, where
        O(image_url) or O(checksum) names one.
      - With V(absent), the image that they name is not in the cache. With O(image_url), every image that came from
        there goes. One that is in use is never removed.
      - V(pruned) removes the images that were not used for longest until the limits hold, and what interrupted
        downloads and removals have left.
      - V(verified) reads all images, or the one that O(checksum) names, and puts those into quarantine that are not
        what their name says.
    type: str
    choices: [present, absent, pruned, verified]
    default: present
  path:
    description:
      - Folder of the cache. Without it, that of libvirt's pool C(images), or C(/var/lib/libvirt/images) where there is
        no libvirt. The pool is left alone where a folder is given.
      - It must be this host's own; one on a network file system is refused.
    type: path
  pinned:
    description:
      - Whether the image stays whatever the limits say. Without it, that stays as it is.
      - A pinned image is removed by O(state=absent) only with O(pinned=false).
    type: bool
  max_age:
    description:
      - With O(state=pruned), images go that were not used for so many seconds.
    type: float
  max_bytes:
    description:
      - With O(state=pruned), images go until the cache takes no more room than this, such as V(200G); units are powers
        of 1024.
    type: str
  min_free:
    description:
      - With O(state=pruned), images go until so much is free on the cache's file system, such as V(50G).
    type: str
  leftover_age:
    description:
      - With O(state=pruned), abandoned parts of downloads, images in quarantine and other leftovers go
        once they are so many seconds old.
    type: float
    default: 604800
  timeout:
    description:
      - Seconds that fetching an image, or verifying images, may take. What has come of an image by then is kept, and
        the next run goes on from there.
    type: float
    default: 3600
notes:
  - Has to run as root. The cache's folder should be on a local file system; the locks of images are the host's own.
seealso:
  - module: debvisor.hci.image_cache_info
  - module: debvisor.hci.volume_image
"""

EXAMPLES = r"""
- name: Have an image on all hypervisors before the maintenance window
  debvisor.hci.image_cache:
    image_url: https://images.example.com/debian-13.qcow2
    pinned: true

- name: Let the limits have it again
  debvisor.hci.image_cache:
    image_url: https://images.example.com/debian-13.qcow2
    pinned: false

- name: Remove an image that must not be used any more
  debvisor.hci.image_cache:
    checksum: sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    pinned: false
    state: absent

- name: Keep the cache below 200 GiB, and 50 GiB free
  debvisor.hci.image_cache:
    max_bytes: 200G
    min_free: 50G
    state: pruned

- name: Read all images again, and put damaged ones away
  debvisor.hci.image_cache:
    state: verified
"""

RETURN = r"""
folder:
  description: Where the cache is.
  returned: success
  type: str
  sample: /var/lib/libvirt/images
cache_hit:
  description: Whether the image was there already.
  returned: with O(state=present), where an image is named
  type: bool
image:
  description: The image.
  returned: with O(state=present), where an image is named, and not in check mode
  type: dict
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
    url:
      description: Where it came from, without credentials and query.
      type: str
    pinned:
      description: Whether it stays whatever the limits say.
      type: bool
    verified:
      description: Whether it is the file that was verified.
      type: bool
freed:
  description: Bytes that were given back, or in check mode would be.
  returned: with O(state=absent) and O(state=pruned)
  type: int
removed:
  description: The names of the images that went.
  returned: with O(state=absent) and O(state=pruned)
  type: list
  elements: str
verified:
  description: The names of the images that are good.
  returned: with O(state=verified)
  type: list
  elements: str
damaged:
  description: The names of the images that were put into quarantine.
  returned: with O(state=verified)
  type: list
  elements: str
"""

from ..module_utils._core.operation import module, run
from ..module_utils._storage.images.cache_plan import SPEC
from ..module_utils._wiring import storage


def main() -> None:
    this = module(SPEC)
    run(storage.image_cache(this.params), this, lock_timeout=this.params["timeout"])


if __name__ == "__main__":
    main()
