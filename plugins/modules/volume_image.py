#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_image
short_description: Make a volume hold the bytes of a disk image
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Brings an image from a web server or S3-compatible storage into the host's cache, verifies it, and fills a volume
    with it, for a guest to boot from.
  - A new volume is filled beside the one that is there, read back, and only then takes its name; so a failure at any
    moment leaves what was there before. Nothing is removed that this run did not make, but what O(overwrite) allows
    to be replaced.
  - A volume that holds the wanted image already is left alone, whatever its guest wrote to it since. What a volume
    was filled from is kept on the volume itself, as tags of LVM, properties of ZFS, metadata of RBD, or extended
    attributes of a file.
  - A volume that is open, mounted, held by another device, a disk of a guest that runs, or behind the disk of any guest
    (the base of an overlay, as after an external snapshot), is never written to.
  - The image is never opened before its header was read. Images with a backing file, with data in another file,
    encrypted or corrupt ones are refused.
  - At most two runs work on a host at a time, whoever started them; others wait. C(/etc/debvisor/volumes.json) may say
    another number. M(debvisor.hci.volume_job_info)
    shows how far a run is, M(debvisor.hci.volume_job) stops it.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
  - debvisor.hci.image_source
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(overwrite=always), which is there to fill a volume afresh.
      - Not with O(checksum=none) where the image has left the cache, or its server does not distinguish versions.
options:
  volume_name:
    description:
      - Name of the volume.
    type: str
    required: true
  backend:
    description:
      - What kind of volume it is.
      - V(lvm) is a logical volume, V(lvm_thin) one of a thin pool, V(zfs) a zvol, V(rbd) an image of Ceph,
        V(directory) a raw file C(NAME.raw) in a folder.
    type: str
    choices: [lvm, lvm_thin, zfs, rbd, directory]
    default: lvm
  pool:
    description:
      - Where the volume is. The volume group with V(lvm), C(GROUP/THINPOOL) with V(lvm_thin), the dataset below which
        zvols are with V(zfs), the folder with V(directory). With V(rbd), the pool, used as C(client.admin), or
        C(CLIENT@POOL).
    type: str
    required: true
  state:
    description:
      - Whether the volume is there with the image on it, or is not there.
      - With V(absent), only a volume that this module made is removed, unless O(adopt=true).
    type: str
    choices: [present, absent]
    default: present
  volume_size_gb:
    description:
      - Size of the volume in GiB. A volume that is there may differ from it by 5 %.
      - Either this or O(size) is needed with O(state=present).
    type: int
  size:
    description:
      - The same with a unit, such as V(512M) or V(20G); units are powers of 1024.
    type: str
  overwrite:
    description:
      - What happens to a volume that is there with something else on it.
      - V(never) fails. V(different) replaces its content where that came from another image. V(always) does so even
        where it came from this image, to give a guest a fresh disk.
    type: str
    choices: [never, different, always]
    default: never
  adopt:
    description:
      - Whether a volume that this module did not make may be replaced, where O(overwrite) says so too, or removed.
    type: bool
    default: false
  replace:
    description:
      - How content is replaced. V(beside) fills a new volume, so that there must be room for two, and swaps them.
      - V(in_place) writes over the volume. What was on it is then lost, also where the run fails.
    type: str
    choices: [beside, in_place]
    default: beside
  golden:
    description:
      - Whether the volume is cloned from one that the pool keeps for this image, and that is made where it is not
        there. Further volumes with this image then take less than a second.
      - Nothing else is done where the backend cannot clone, which V(lvm) and V(directory) cannot.
    type: bool
    default: false
  verify:
    description:
      - How the volume is read back. V(sampled) compares both ends of every region and random offsets with the
        image. V(full) compares everything, which takes several times as long as writing it.
    type: str
    choices: [sampled, full]
    default: sampled
  timeout:
    description:
      - Seconds that the run may work; what it waits for its turn, or for other runs, does not count. It is then rolled
        back.
    type: int
    default: 3600
  queue_timeout:
    description:
      - Seconds that it may wait for its turn, and for another run on the same volume.
    type: int
    default: 3600
  job_id:
    description:
      - Name of the run for M(debvisor.hci.volume_job_info) and M(debvisor.hci.volume_job). Without it, one is made
        up.
    type: str
  correlation_id:
    description:
      - A name that the caller uses for what this run is part of. It stands in the job's record and in log lines.
    type: str
  cache_path:
    description:
      - Folder of the cache. Without it, that of libvirt's pool C(images), or C(/var/lib/libvirt/images).
    type: path
notes:
  - Needs the package C(qemu-utils), and what the backend needs, such as C(lvm2); with O(backend=rbd) C(python3-rbd) and
    C(qemu-block-extra), C(/etc/ceph/ceph.conf) and the client's keyring. Has to run as root.
  - To follow a run, start it with C(async) and C(poll=0); the playbook C(debvisor.hci.provision_volume) does
    so.
seealso:
  - module: debvisor.hci.volume_job_info
  - module: debvisor.hci.volume_job
  - module: debvisor.hci.image_cache
"""

EXAMPLES = r"""
- name: Give a guest its root disk
  debvisor.hci.volume_image:
    image_url: https://images.example.com/debian-13.qcow2
    volume_name: web1-root
    volume_size_gb: 20
    pool: hv

- name: Clone it within a second from the pool's golden volume, which is made the first time
  debvisor.hci.volume_image:
    image_url: s3://images/debian-13.qcow2
    s3:
      endpoint: https://s3.example.com
      access_key: "{{ vault_s3_access_key }}"
      secret_key: "{{ vault_s3_secret_key }}"
    volume_name: web2-root
    volume_size_gb: 20
    backend: lvm_thin
    pool: hv/thin
    golden: true

- name: Give a guest that is shut down a fresh disk
  debvisor.hci.volume_image:
    image_url: https://images.example.com/debian-13.qcow2
    volume_name: web1-root
    volume_size_gb: 20
    pool: hv
    overwrite: always

- name: Remove a volume
  debvisor.hci.volume_image:
    volume_name: web1-root
    pool: hv
    state: absent
"""

RETURN = r"""
job_id:
  description: Name of the run.
  returned: success, with O(state=present)
  type: str
cache_hit:
  description: Whether nothing had to be fetched, as the image was in the cache or on a volume already.
  returned: with O(state=present)
  type: bool
image_sha256:
  description: SHA-256 of the image in hexadecimal digits; empty in check mode where it is not published.
  returned: with O(state=present)
  type: str
image_path:
  description: Where the image is in the cache; empty where the cache was not needed.
  returned: success, with O(state=present)
  type: str
users:
  description:
    - Who uses the volume, each with C(kind), C(name) and C(detail). The kinds are V(guest), V(process), V(device),
      V(loop device), V(kernel), V(writer), V(client) and V(lock).
  returned: failure, because the volume is in use
  type: list
  elements: dict
virtual_size:
  description: Bytes of the image's disk; 0 where it was not read.
  returned: with O(state=present)
  type: int
volume:
  description: The volume.
  returned: success, with O(state=present)
  type: dict
  contains:
    device:
      description: What guests are given, a device, a file or C(rbd:POOL/NAME).
      type: str
    identity:
      description: What no other volume has, such as the UUID of a logical volume.
      type: str
    size:
      description: Bytes.
      type: int
    image:
      description: What it was filled from, as C(sha256:DIGEST).
      type: str
    filled_at:
      description: When, in UTC.
      type: str
"""

from ..module_utils._core.operation import module, run
from ..module_utils._storage.volumes.volume_request import SPEC
from ..module_utils._wiring import storage


def main() -> None:
    this = module(SPEC)
    operation = storage.volume_image(this.params, check=this.check_mode)
    run(operation, this, lock_timeout=this.params["queue_timeout"])


if __name__ == "__main__":
    main()
