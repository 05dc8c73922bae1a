# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures against those that Amazon published: an example in S3's manual, and the test suite of its SDKs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.sigv4 import (
    Credentials,
    Signer,
    object_url,
)

SECRET = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SUITE_SECRET = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
SUITE_MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def signature(url: str) -> str:
    return parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]


def test_the_example_of_the_manual() -> None:
    signer = Signer(Credentials("AKIAIOSFODNN7EXAMPLE", SECRET))
    moment = datetime(2013, 5, 24, tzinfo=UTC)
    assert signer.presigned(
        "https://examplebucket.s3.amazonaws.com/test.txt",
        moment=moment,
        lifetime=timedelta(days=1),
    ) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize(
    ("target", "token", "expected"),
    [
        ("/ሴ", None, "10eae3f14a260bd3911cc6d008d3c576d143b05b62f09782a7a4b37f52178e44"),
        (
            "/%E1%88%B4",
            None,
            "10eae3f14a260bd3911cc6d008d3c576d143b05b62f09782a7a4b37f52178e44",
        ),
        (
            "/?Param2=value2&Param1=value1",
            None,
            "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
        ),
        ("/?ሴ=bar", None, "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600"),
        (
            "//example//",
            None,
            "822a5a9ba28072c5ab2bb4a6307d0c88276d40e49fec6b724c03fb4d4ba60fc2",
        ),
        (
            "/?Param1=value1",
            None,
            "49096700cbbaa5753443850f40df10f904fc2fdb544dc9512203cc77c471a9de",
        ),
        (
            f"/{UNRESERVED}",
            None,
            "95968482db1b9e0fadef6efc1bd24689f77c77d9ef56919c96a28cc92e0d6005",
        ),
        ("", SUITE_TOKEN, "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c"),
    ],
    ids=[
        "get-utf8",
        "get-utf8, written out",
        "get-vanilla-query-order-key-case",
        "get-vanilla-utf8-query",
        "get-slashes-unnormalized",
        "get-vanilla-empty-query-key",
        "get-unreserved",
        "get-vanilla-with-session-token",
    ],
)
def test_the_suite(target: str, token: str | None, expected: str) -> None:
    session = None if token is None else Secret(token)
    signer = Signer(
        Credentials("AKIDEXAMPLE", SUITE_SECRET, session),
        service="service",
        payload=hashlib.sha256(b"").hexdigest(),
    )
    url = signer.presigned(
        f"https://example.amazonaws.com{target}",
        moment=SUITE_MOMENT,
        lifetime=timedelta(hours=1),
    )
    assert signature(url) == expected


def test_a_moment_of_any_zone_and_the_usual_port_change_nothing() -> None:
    signer = Signer(Credentials("key", SECRET), region="eu-central-1")
    elsewhere = SUITE_MOMENT.astimezone(timezone(timedelta(hours=9)))
    hour = timedelta(hours=1)
    plain = signer.presigned("https://S3.test/a/b", moment=SUITE_MOMENT, lifetime=hour)
    assert "eu-central-1" in plain
    assert signer.presigned("https://S3.test/a/b", moment=elsewhere, lifetime=hour) == plain
    usual = signer.presigned("https://s3.test:443/a/b", moment=SUITE_MOMENT, lifetime=hour)
    assert signature(usual) == signature(plain)
    for other in ("https://s3.test:8443/a/b", "http://s3.test:443/a/b"):
        found = signer.presigned(other, moment=SUITE_MOMENT, lifetime=hour)
        assert signature(found) != signature(plain)


def test_no_permission_lasts_longer_than_a_server_takes() -> None:
    signer = Signer(Credentials("key", SECRET))
    url = signer.presigned("https://s3.test/a", moment=SUITE_MOMENT, lifetime=timedelta(days=30))
    assert "X-Amz-Expires=604800&" in url


def test_what_is_shown_holds_no_secret() -> None:
    signer = Signer(Credentials("key", SECRET, Secret("token")))
    url = signer.presigned("https://s3.test/a", moment=SUITE_MOMENT, lifetime=timedelta(hours=1))
    assert SECRET.reveal().decode() not in url + repr(signer)


@pytest.mark.parametrize(
    ("host_style", "expected"),
    [
        (False, "https://s3.test:7443/images/a/b%20%2Bc.qcow2"),
        (True, "https://images.s3.test:7443/a/b%20%2Bc.qcow2"),
    ],
)
def test_both_styles_of_address(host_style: bool, expected: str) -> None:
    found = object_url("https://s3.test:7443/", "images", "a/b +c.qcow2", host_style=host_style)
    assert found == expected
