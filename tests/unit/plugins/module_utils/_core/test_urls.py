# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses: what is one, what of it is shown, and where it leads."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import urls

SIGNED = (
    "https://minio.example:9000/images/base.qcow2?X-Amz-Algorithm=AWS4&X-Amz-Signature=deadbeef"
)


@pytest.mark.parametrize(
    "url", [SIGNED, "http://[2001:db8::1]:80/x", "https://me:pass@host.example"]
)
def test_addresses(url: str) -> None:
    assert urls.fault(url) == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin"),
        ("file:///etc/passwd", "must begin"),
        ("ftp://host.example/x", "must begin"),
        ("/images/base.qcow2", "must begin"),
        ("https:///images/base.qcow2", "no host"),
        ("https://host.example:0/x", "no host"),
        ("https://host.example:port/x", "malformed"),
        ("https://[::1/x", "malformed"),
        ("https://host..example/x", "malformed"),
        ("https://host.example/x y", "blanks"),
        ("https://host.example/x\r\nX: y", "blanks"),
    ],
)
def test_what_is_no_address(url: str, said: str) -> None:
    assert said in urls.fault(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (SIGNED, "https://minio.example:9000/images/base.qcow2"),
        ("http://me:pass@[::1]:80/x#secret", "http://[::1]:80/x"),
        ("http://host.example/a b/ä?q", "http://host.example/a%20b/%C3%A4"),
    ],
)
def test_nothing_secret_is_shown(url: str, shown: str) -> None:
    assert urls.shown(url) == shown


@pytest.mark.parametrize(
    ("url", "presigned"),
    [
        (SIGNED, True),
        ("https://h.example/x?AWSAccessKeyId=a&Signature=b&Expires=1", True),
        ("https://h.example/x?sv=1&sig=b", True),
        ("https://h.example/x?X-Goog-Signature=b", True),
        ("https://h.example/x?versionId=3", False),
        ("https://h.example/signature", False),
    ],
)
def test_a_presigned_address_is_known_by_its_signature(url: str, presigned: bool) -> None:
    assert urls.presigned(url) is presigned


def test_credentials_stand_before_the_host() -> None:
    assert urls.credentials(urls.split("https://me:p%40ss@h.example/x")) == "me:p@ss"
    assert urls.credentials(urls.split("https://h.example/x@y")) == ""


def test_the_checksum_is_beside_the_image() -> None:
    assert (
        urls.beside("https://h.example/a/b.qcow2?versionId=3", ".sha256")
        == "https://h.example/a/b.qcow2.sha256?versionId=3"
    )


def test_an_origin_has_a_port() -> None:
    same = ["https://H.example/x", "https://h.example:443/y?z", "https://me@h.example/"]
    assert len({urls.origin(urls.split(url)) for url in same}) == 1
    others = ["http://h.example/", "https://h.example:444/", "https://i.example/"]
    assert len({urls.origin(urls.split(url)) for url in [*same, *others]}) == 4


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/other", "https://h.example/other"),
        ("c.qcow2?x=1", "https://h.example/a/c.qcow2?x=1"),
        ("//i.example/x", "https://i.example/x"),
        ("http://[", ""),
        ("http://i.example/x y#z", "http://i.example/x%20y"),
    ],
)
def test_where_a_redirect_leads(location: str, leads: str) -> None:
    assert urls.redirected("https://h.example/a/b.qcow2?q", location) == leads


def test_what_is_asked_of_the_host() -> None:
    assert urls.target(urls.split("https://me:p@h.example")) == "/"
    assert urls.target(urls.split("https://h.example/x?y#z")) == "/x?y"
