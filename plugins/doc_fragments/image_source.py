# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name an image and the way to it."""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.image_source) in a module that brings an image to the host."""

    DOCUMENTATION = r"""
options:
  image_url:
    description:
      - Where the image is. C(https:), C(http:), or C(s3://BUCKET/KEY) with the O(s3) options.
      - An address with a query or a password in it is shown without them; the control node hands it over in
        O(signed_urls).
    type: str
  image_type:
    description:
      - What the image is. It is never guessed, as a disk may be made to look like an image.
    type: str
    choices: [qcow2, raw]
    default: qcow2
  checksum:
    description:
      - The SHA-256 of the image, as hexadecimal digits, also after C(sha256:); or the address of an object that holds
        it.
      - Without it, the object C(IMAGE_URL.sha256) is read. It may hold the bare digest, or lines as C(sha256sum)
        writes them, with or without C(--tag); of several lines the one with the image's file name counts.
      - V(none) takes the image as it comes. It is then known by its address and entity tag.
    type: str
  ca_path:
    description:
      - File on this host with certificates of authorities that the server's certificate is checked against, instead
        of the system's.
    type: path
  client_cert:
    description:
      - File on this host with the certificate that is shown to the server.
    type: path
  client_key:
    description:
      - File on this host with its key, where that is not in the same file.
    type: path
  validate_certs:
    description:
      - Whether the server's certificate is checked.
    type: bool
    default: true
  connections:
    description:
      - How many parts of the image are fetched at a time, where the server answers ranges.
    type: int
    choices: [1, 2, 4, 8, 16]
    default: 4
  s3:
    description:
      - How C(s3:) addresses are reached. The control node signs addresses with these keys that are good for a while,
        and sends only those to the host.
    type: dict
    suboptions:
      endpoint:
        description:
          - Address of the storage, such as C(https://s3.example.com).
        type: str
        required: true
      access_key:
        description:
          - Name of the key.
        type: str
        required: true
      secret_key:
        description:
          - The key.
        type: str
        required: true
      session_token:
        description:
          - Token that goes with temporary keys.
        type: str
      region:
        description:
          - Region that signatures name.
        type: str
        default: us-east-1
      addressing:
        description:
          - Whether the bucket stands in the path or in the host's name.
        type: str
        choices: [path, host]
        default: path
      valid_for:
        description:
          - Seconds for which the signed addresses are good. They must outlast the queue and the download.
        type: int
        default: 21600
  signed_urls:
    description:
      - Signed addresses of the image and of its checksum. The control node fills this in; it is not for playbooks.
    type: dict
    suboptions:
      image:
        description:
          - Of the image.
        type: str
        required: true
      checksum:
        description:
          - Of the object with its checksum.
        type: str
"""
