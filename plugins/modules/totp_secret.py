#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_secret
short_description: Enrol a user for time-based one-time codes
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Keeps one user's second factor on this host, as the PAM module of C(libpam-google-authenticator) reads it, but below
    C(/var/lib/debvisor/totp) where it is root's alone, and not in the user's home.
  - A new secret comes from the operating system's random source. It is handed over once, when it is made, and only
    where O(deliver) says. Neither result, diff, log nor journal ever hold the secret, the address for the
    authenticator, the picture of it, or a scratch code in the clear.
  - Codes go by RFC 6238 with SHA-1, six digits and steps of 30 seconds, which every authenticator knows. Three attempts
    in 30 seconds are allowed, the codes of the step before and after count, and no code is taken twice.
  - Needs the Python libraries pyotp for O(state=verified) and qrcode for O(qr), Debian's C(python3-pyotp) and
    C(python3-qrcode), and C(gpg) for O(deliver=encrypted). The role debvisor.hci.mfa installs them.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(regenerate=always) and O(regenerate=scratch_codes), which make something new each time.
options:
  user:
    description:
      - Name of the account. It has to exist where O(state=present).
    type: str
    required: true
  state:
    description:
      - V(present) enrols the user, and leaves one alone who is enrolled.
      - V(absent) takes the second factor away. Where codes are demanded, the user can then not log in.
      - V(verified) fails where O(code) would not be accepted now. The code is not used up.
    type: str
    choices: [present, absent, verified]
    default: present
  regenerate:
    description:
      - When to put a new secret in the place of what is there.
      - V(never) fails where the user's file is no valid enrolment. A given O(secret) replaces another one all the same.
      - V(if_invalid) replaces it in that case.
      - V(always) replaces it in each run, for a lost phone. The old secret and its scratch codes are then worthless.
      - V(scratch_codes) leaves the secret as it is, and makes new scratch codes in each run. They alone are handed
        over; the former ones are worthless. Who is not enrolled is enrolled afresh.
    type: str
    choices: [never, if_invalid, always, scratch_codes]
    default: never
  secret:
    description:
      - The secret itself, in base32 and at least 128 bits long, to enrol a user on several hosts with one secret. Keep
        it in a vault. Scratch codes are each host's own.
    type: str
  import_from:
    description:
      - Absolute path of an enrolment that the user made with C(google-authenticator), such as
        V(/home/anna/.google_authenticator). It is taken over with its options and scratch codes, so the user's
        authenticator goes on as it is. Options that keep a code from being used twice and limit attempts are added.
      - Nothing is read where the user is enrolled already. The file is left where it is, because the PAM configuration
        in force may still use it; remove it once codes are demanded by the role debvisor.hci.mfa.
      - Has to belong to the user or to root, and be readable by no other account.
    type: path
  code:
    description:
      - The code to judge with O(state=verified).
    type: str
  issuer:
    description:
      - Who hands the secret out, as authenticators show it.
    type: str
    default: debvisor
  label:
    description:
      - What authenticators call the account. Without it, the user's name, V(@), and the name of this host.
    type: str
  scratch_codes:
    description:
      - How many scratch codes to make with a secret, up to 10. Each lets its owner in once without the authenticator.
    type: int
    default: 5
  deliver:
    description:
      - Where to hand over what the user needs - key, address, picture and scratch codes - when a secret is made or put
        in.
      - V(none) is for O(secret) and O(import_from), which somebody knows already. No scratch codes are made then.
      - V(file) writes it to O(deliver_to) on this host, in the clear, for root alone. Give it to its owner and remove
        it.
      - V(encrypted) returns it in RV(sealed), encrypted for O(recipient).
    type: str
    choices: [none, file, encrypted]
    default: none
  deliver_to:
    description:
      - Absolute path of the file for O(deliver=file). Its folder must exist. A picture goes to a second file, with
        V(.png) at the end of its name. What is there is replaced.
    type: path
  recipient:
    description:
      - The OpenPGP certificate for O(deliver=encrypted), as C(gpg --armor --export) writes it.
    type: str
  qr:
    description:
      - Whether to hand over a QR code, too, and whether as lines of text that a terminal shows, or as a picture.
    type: str
    choices: [none, terminal, png]
    default: none
seealso:
  - module: debvisor.hci.totp_secret_info
"""

EXAMPLES = r"""
- name: Enrol Anna, and encrypt for her what she needs
  debvisor.hci.totp_secret:
    user: anna
    issuer: Example Cluster
    deliver: encrypted
    recipient: "{{ lookup('ansible.builtin.file', 'keys/anna.asc') }}"
    qr: png
  register: enrolment

- name: Fetch it, for the mail to her
  ansible.builtin.copy:
    content: "{{ item.message }}"
    dest: "enrolments/{{ item.name }}.asc"
    mode: "0600"
  loop: "{{ enrolment.sealed | default([]) }}"
  delegate_to: localhost

- name: Enrol Anna, to be read aloud on the console
  debvisor.hci.totp_secret:
    user: anna
    deliver: file
    deliver_to: /root/anna.txt
    qr: terminal

- name: Take over what Ben has used so far
  debvisor.hci.totp_secret:
    user: ben
    import_from: /home/ben/.google_authenticator

- name: Give Anna a new secret, as her phone is lost
  debvisor.hci.totp_secret:
    user: anna
    regenerate: always
    deliver: file
    deliver_to: /root/anna.txt

- name: Give Anna new scratch codes, as she used up hers
  debvisor.hci.totp_secret:
    user: anna
    regenerate: scratch_codes
    deliver: encrypted
    recipient: "{{ lookup('ansible.builtin.file', 'keys/anna.asc') }}"

- name: Find out whether Anna's authenticator is right
  debvisor.hci.totp_secret:
    user: anna
    state: verified
    code: "{{ code_from_prompt }}"
"""

RETURN = r"""
user:
  description: The account.
  returned: success, and not in check mode
  type: str
  sample: anna
enrolled:
  description: Whether the user has a second factor now.
  returned: O(state=present) or O(state=absent), and not in check mode
  type: bool
fingerprint:
  description: The beginning of the SHA-256 hash of the secret; the same wherever the secret is.
  returned: O(state=present), and not in check mode
  type: str
  sample: sha256:2bb80d537b1da3e3
scratch_codes:
  description: How many scratch codes are left.
  returned: O(state=present), and not in check mode
  type: int
  sample: 5
mode:
  description: The mode of the user's file.
  returned: O(state=present), and not in check mode
  type: str
  sample: '0400'
sealed:
  description: What the user needs, encrypted; the text, and where it was asked for, the picture.
  returned: O(deliver=encrypted), when a secret was made or put in, and not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: A name for it, such as V(anna.txt) or V(anna.png).
      type: str
    message:
      description: The armoured OpenPGP message.
      type: str
before:
  description: What was there. Whether the user was enrolled, the secret's fingerprint, scratch codes left, the mode.
  returned: always
  type: dict
after:
  description: The same, as it shall be.
  returned: always
  type: dict
"""

from ..module_utils._access.totp_secret_options import SPEC
from ..module_utils._core.operation import module, run
from ..module_utils._wiring import access


def main() -> None:
    run(access.totp_secret(), module(SPEC))


if __name__ == "__main__":
    main()
