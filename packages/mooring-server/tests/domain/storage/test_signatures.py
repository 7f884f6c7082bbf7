"""Signatures: the official SDK's own code is the oracle for what clients sign."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob import (
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from azure.storage.queue import generate_queue_sas
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_server.domain.storage import sas, sharedkey
from mooring_server.domain.storage.access import Access, Need
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.request import StorageRequest, parse_query

# Machines that are busy are slow now and then.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = [b"the first key", b"the second key"]
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)
HOST = "http://127.0.0.1:5000"

words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=8)
STANDARD = ["content-type", "content-length", "content-md5", "if-match", "if-none-match", "content-encoding"]
HEADERS = st.sampled_from(["authorization", "x-ms-date", "date"])
texts = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def request_of(method: str, url: str, headers: dict[str, str], service: str = "blob") -> StorageRequest:
    """As the edge reads what a client sent."""
    parts = urlsplit(url)
    _, first, *rest = parts.path.split("/", 2)
    from urllib.parse import unquote

    return StorageRequest(
        method=method,
        raw_path=parts.path,
        account=first.removesuffix("-queue"),
        service=service,
        resource=unquote(rest[0]) if rest else "",
        query=parse_query(parts.query),
        headers={name.lower(): value for name, value in headers.items()},
        address="10.0.0.5",
    )


def signed_by_the_sdk(method: str, url: str, headers: dict[str, str], key: bytes) -> StorageRequest:
    request = HttpRequest(method, url, headers={**headers, "x-ms-date": format_datetime(NOW, usegmt=True)})
    policy = SharedKeyCredentialPolicy("account", encoded(key))
    policy.on_request(SimpleNamespace(http_request=request, context=SimpleNamespace(transport=None)))
    return request_of(method, url, dict(request.headers))


@patient
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "POST"]),
    name=names,
    query=st.dictionaries(words, names, max_size=4),
    metadata=st.dictionaries(words, texts.filter(bool), max_size=5),
    standard=st.dictionaries(
        st.sampled_from(STANDARD),
        texts.filter(bool),
    ),
    key=st.sampled_from(KEYS),
)
def test_what_the_sdk_signs_is_accepted(
    method: str,
    name: str,
    query: dict[str, str],
    metadata: dict[str, str],
    standard: dict[str, str],
    key: bytes,
) -> None:
    text = "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
    url = f"{HOST}/account/container/{quote(name, safe='/~')}" + (f"?{text}" if text else "")
    headers = {**standard, **{f"x-ms-meta-{k}": v for k, v in metadata.items()}, "x-ms-version": "2026-10-06"}
    sharedkey.check(signed_by_the_sdk(method, url, headers, key), KEYS, NOW)


@patient
@given(change=st.sampled_from(["method", "path", "query", "header", "key", "account"]))
def test_any_change_of_a_signed_request_is_refused(change: str) -> None:
    url, headers = (
        f"{HOST}/account/c/b?comp=block&blockid=eA==",
        {"x-ms-version": "2026-10-06", "content-length": "3"},
    )
    good = signed_by_the_sdk("PUT", url, headers, KEYS[0])
    sharedkey.check(good, KEYS, NOW)
    values: dict[str, Any] = dict(vars(good))
    values.update(
        {
            "method": {"method": "DELETE"},
            "path": {"raw_path": "/account/c/c"},
            "query": {"query": parse_query("comp=block&blockid=eQ==")},
            "header": {"headers": {**good.headers, "content-length": "4"}},
            "account": {"account": "other"},
            "key": {},
        }[change]
    )
    keys = [b"renewed", b"the second key"] if change == "key" else KEYS
    with pytest.raises(StorageError) as caught:
        sharedkey.check(StorageRequest(**values), keys, NOW)
    assert caught.value.code == "AuthenticationFailed"


@pytest.mark.parametrize(("minutes", "good"), [(-16, False), (-14, True), (14, True), (16, False)])
def test_the_clocks_may_differ_by_a_quarter_of_an_hour(minutes: int, good: bool) -> None:
    request = signed_by_the_sdk("GET", f"{HOST}/account/c?comp=list", {"x-ms-version": "2026-10-06"}, KEYS[0])
    at = NOW + timedelta(minutes=minutes)
    if good:
        sharedkey.check(request, KEYS, at)
    else:
        with pytest.raises(StorageError, match="AuthenticationFailed"):
            sharedkey.check(request, KEYS, at)


@patient
@given(headers=st.dictionaries(HEADERS, st.text(max_size=40), min_size=1))
def test_nonsense_is_refused_as_such(headers: dict[str, str]) -> None:
    headers.setdefault("authorization", "SharedKey account:x")
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        sharedkey.check(request_of("GET", f"{HOST}/account/c", headers), KEYS, NOW)


@patient
@given(blob=names, permission=st.sampled_from(["r", "rw", "racwd"]), key=st.sampled_from(KEYS))
def test_a_service_sas_of_the_sdk_grants_what_it_says(blob: str, permission: str, key: bytes) -> None:
    common: dict[str, Any] = {"permission": permission, "expiry": NOW + timedelta(hours=1), "start": NOW}
    path = f"{HOST}/account/container/{quote(blob, safe='/~')}"
    token = generate_blob_sas(
        "account", "container", blob, account_key=encoded(key), **common, cache_control="no-store"
    )
    granted = sas.check(request_of("GET", f"{path}?{token}", {}), KEYS, NOW)
    assert granted == Access(permission, container="container", blob=blob)
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        sas.check(request_of("GET", f"{path}x?{token}", {}), KEYS, NOW)
    token = generate_container_sas(
        "account", "container", account_key=encoded(key), **common, ip="10.0.0.1-10.0.0.9"
    )
    granted = sas.check(request_of("GET", f"{path}?{token}", {}), KEYS, NOW)
    assert granted == Access(permission, container="container")


def test_queue_and_account_signatures() -> None:
    expiry = NOW + timedelta(hours=1)
    token = generate_queue_sas("account", "q", encoded(KEYS[1]), permission="raup", expiry=expiry)
    request = request_of("GET", f"{HOST}/account-queue/q/messages?{token}", {}, "queue")
    assert sas.check(request, KEYS, NOW) == Access("raup", container="q")
    token = generate_account_sas(
        "account", encoded(KEYS[0]), resource_types="co", permission="rl", expiry=expiry
    )
    granted = sas.check(request_of("GET", f"{HOST}/account/c?comp=list&{token}", {}), KEYS, NOW)
    assert granted == Access("rl", levels="co")
    granted.check(Need("c", "l"), "c", "")
    refused = {
        "AuthorizationResourceTypeMismatch": Need("s", "l"),
        "AuthorizationPermissionMismatch": Need("o", "w"),
    }
    for code, need in refused.items():
        with pytest.raises(StorageError, match=code):
            granted.check(need, "c", "b")
    with pytest.raises(StorageError, match="AuthorizationServiceMismatch"):
        sas.check(request_of("GET", f"{HOST}/account-queue/q?{token}", {}, "queue"), KEYS, NOW)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"expiry": NOW}, "AuthenticationFailed"),
        ({"start": NOW + timedelta(seconds=1)}, "AuthenticationFailed"),
        ({"ip": "10.0.0.6"}, "AuthorizationSourceIPMismatch"),
        ({"ip": "10.0.0.1-10.0.0.4"}, "AuthorizationSourceIPMismatch"),
        ({"protocol": "https"}, "AuthorizationProtocolMismatch"),
    ],
)
def test_limits_of_a_sas(more: dict[str, Any], code: str) -> None:
    given_: dict[str, Any] = {"permission": "r", "expiry": NOW + timedelta(hours=1), **more}
    token = generate_blob_sas("account", "c", "b", account_key=encoded(KEYS[0]), **given_)
    with pytest.raises(StorageError, match=code):
        sas.check(request_of("GET", f"{HOST}/account/c/b?{token}", {}), KEYS, NOW)


@patient
@given(
    query=st.dictionaries(st.sampled_from(["sv", "ss", "sr", "sp", "se", "st", "si", "skoid", "sip"]), texts)
)
def test_made_up_signatures_are_refused(query: dict[str, str]) -> None:
    text = "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        sas.check(request_of("GET", f"{HOST}/account/c/b?sig=AAAA&{text}", {}), KEYS, NOW)


def test_a_sas_of_a_container_opens_no_other() -> None:
    access = Access("rl", container="c")
    access.check(Need("c", "l"), "c", "")
    with pytest.raises(StorageError, match="AuthorizationFailure"):
        access.check(Need("c", "l"), "other", "")
    with pytest.raises(StorageError, match="AuthorizationPermissionMismatch"):
        access.check(Need("c", "d", ""), "c", "")
