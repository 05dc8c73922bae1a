# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every path and constant that more than one part of the product relies on, once."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_DIR = Path("/etc/debvisor")
LIBEXEC_DIR = Path("/usr/libexec/debvisor")
RUN_DIR = Path("/run/debvisor")

SYSTEM_STATE_DIR = Path("/var/lib/debvisor")
SYSTEM_LOG_DIR = Path("/var/log/debvisor")


def _user_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "debvisor"


def state_dir() -> Path:
    """Where durable state lives: the system's folder for root, the user's own for anybody else."""
    return SYSTEM_STATE_DIR if os.geteuid() == 0 else _user_state()


def log_dir() -> Path:
    """Where the audit chain and reports live, by the same rule as :func:`state_dir`."""
    return SYSTEM_LOG_DIR if os.geteuid() == 0 else _user_state()


def journal_dir() -> Path:
    """One file per unfinished transaction."""
    return state_dir() / "journal"


AUDIT_FILE_BYTES = 16 * 2**20
AUDIT_FILES_KEPT = 8
"""How large a file of the audit chain becomes before it is rotated, and how many rotated files are kept."""


def audit_file() -> Path:
    """The chain of audit lines. Older files beside it have numbers."""
    return log_dir() / "audit.jsonl"


def lock_dir() -> Path:
    """Locks of running operations. They die with their holders."""
    return RUN_DIR / "lock" if os.geteuid() == 0 else _user_state() / "lock"


def keyring_file() -> Path:
    """The keyring of TSIG keys, on the one host that has it."""
    return state_dir() / "keyring.json"


def firewall_dir() -> Path:
    """What the packet filter is made from: lists, bans, rule sets, the present quarantine."""
    return state_dir() / "firewall"


def blocklist_store() -> Path:
    """The block lists that are in force."""
    return firewall_dir() / "blocklist"


def ban_book() -> Path:
    """The bans that are in force."""
    return firewall_dir() / "bans.json"


def feeds_dir() -> Path:
    """The last good copies of blocklist feeds, each as ``<name>.txt``."""
    return firewall_dir() / "feeds"


def blocklist_config() -> Path:
    """What the timer refreshes and loads: the options of feeds and of the lists, as the role wrote them."""
    return CONFIG_DIR / "blocklist.json"


def totp_dir() -> Path:
    """Second factors of users, each as ``<user>``. PAM reads them here, so the place is root's, whoever asks."""
    return SYSTEM_STATE_DIR / "totp"


def ssh_access_places() -> dict[str, str]:
    """Where sshd and PAM are told of second factors."""
    return {
        "drop_in": "/etc/ssh/sshd_config.d/10-debvisor-mfa.conf",
        "include": "/etc/pam.d/debvisor-mfa",
        "service": "/etc/pam.d/sshd",
        "also_include": "/etc/pam.d/debvisor-mfa-also",
        "sudo": "/etc/pam.d/sudo",
        "sudo_login": "/etc/pam.d/sudo-i",
        "console": "/etc/pam.d/login",
        "common_auth": "/etc/pam.d/common-auth",
        "store": str(totp_dir()),
        "canary_keys": str(CONFIG_DIR / "canary.keys"),
        "alarm": str(LIBEXEC_DIR / "break-glass-alarm"),
    }


def collectors_dir() -> Path:
    """Which collectors of metrics run on this host: a file for each, as the roles wrote them."""
    return CONFIG_DIR / "metrics.d"


def tsig_rotation_state() -> Path:
    """How the last rotations of TSIG keys ended, on the host that runs them."""
    return state_dir() / "tsig-rotation.json"


def mfa_config() -> Path:
    """Whom the metrics of second factors cover, as the role wrote it."""
    return CONFIG_DIR / "mfa.json"


def break_glass_use() -> Path:
    """When the break-glass account was last used."""
    return SYSTEM_STATE_DIR / "break-glass.json"


def jobs_dir() -> Path:
    """Jobs of the storage modules, each as ``<id>.json``."""
    return state_dir() / "jobs"


def job_counters() -> Path:
    """What jobs did since this machine was set up. It outlives their records."""
    return state_dir() / "job-counters.json"


def job_queue() -> Path:
    """Tickets of jobs that run or wait for their turn."""
    return lock_dir() / "job-queue"


def volume_config() -> Path:
    """What holds for the volumes of this host, whoever asks: how many jobs at once."""
    return CONFIG_DIR / "volumes.json"


def image_cache_config() -> Path:
    """What the timers prune and verify the cache of images by: options of ``image_cache``, as the role wrote them."""
    return CONFIG_DIR / "image_cache.json"
