"""The official SDK for blobs, unmodified, against a storage account of ours; in the full tier against Azurite as well.

Where the two differ, the test says so by `account.ours`; docs/guide/storage.md lists these differences.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobClient,
    BlobPrefix,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from storage_support import Account, code_of, make_account

PEERS = ["ours", pytest.param("azurite", marks=pytest.mark.full)]


@pytest.fixture(scope="module", params=PEERS)
def account(request: pytest.FixtureRequest) -> Account:
    if request.param == "azurite":
        reference: Account = request.getfixturevalue("azurite")
        return reference
    return make_account(request.getfixturevalue("server"), "blobtests")


@pytest.fixture
def container(account: Account, request: pytest.FixtureRequest) -> Iterator[ContainerClient]:
    name = "c" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    with account.blobs() as service:
        made = service.create_container(name)
        yield made
        made.delete_container()


def soon() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


def test_a_blob_comes_back_as_it_was_sent(container: ContainerClient) -> None:
    blob = container.get_blob_client("folder/name with spaces, é, + and %41.json")
    settings = ContentSettings(
        content_type="application/json", content_language="de", cache_control="no-cache",
        content_disposition="attachment", content_encoding="identity",
    )  # fmt: skip
    put = blob.upload_blob(b'{"data": [1]}', metadata={"stage": "live"}, content_settings=settings)
    seen = blob.get_blob_properties()
    assert (seen.name, seen.size, seen.etag) == (blob.blob_name, 13, put["etag"])
    assert seen.metadata == {"stage": "live"}
    assert seen.blob_type == "BlockBlob"
    got = seen.content_settings
    assert (got.content_type, got.content_language, got.cache_control) == (
        "application/json",
        "de",
        "no-cache",
    )
    assert got.content_md5 == bytearray(hashlib.md5(b'{"data": [1]}').digest())
    assert abs(datetime.now(timezone.utc) - seen.last_modified) < timedelta(minutes=1)
    assert blob.download_blob().readall() == b'{"data": [1]}'
    assert [b.name for b in container.list_blobs()] == [blob.blob_name]
    blob.delete_blob()
    assert not blob.exists()
    assert code_of(blob.download_blob) == (404, "BlobNotFound")


def test_empty_blobs_ranges_and_their_md5(account: Account, container: ContainerClient) -> None:
    blob = container.upload_blob("empty", b"")
    assert blob.download_blob().readall() == b""
    blob = container.upload_blob("digits", b"0123456789")
    assert blob.download_blob(offset=2, length=3).readall() == b"234"
    assert blob.download_blob(offset=8).readall() == b"89"
    assert blob.download_blob(offset=8, length=100).readall() == b"89"
    assert blob.download_blob(offset=1, length=4, validate_content=True).readall() == b"1234"
    if account.ours:  # Azurite gives nothing, without an error
        assert code_of(lambda: blob.download_blob(offset=10, length=1)) == (416, "InvalidRange")


def test_etags_guard_reads_and_writes(container: ContainerClient) -> None:
    blob = container.upload_blob("b", b"1")
    first = blob.get_blob_properties().etag
    same: Any = {"etag": first, "match_condition": MatchConditions.IfNotModified}
    other: Any = {"etag": first, "match_condition": MatchConditions.IfModified}
    assert code_of(lambda: blob.upload_blob(b"2")) == (409, "BlobAlreadyExists")
    assert code_of(lambda: blob.download_blob(**other))[0] == 304
    assert blob.upload_blob(b"2", overwrite=True, **same)["etag"] != first
    assert code_of(lambda: blob.upload_blob(b"3", overwrite=True, **same)) == (412, "ConditionNotMet")
    assert code_of(lambda: blob.delete_blob(**same)) == (412, "ConditionNotMet")
    assert code_of(lambda: blob.download_blob(**same)) == (412, "ConditionNotMet")
    assert blob.download_blob(**other).readall() == b"2"
    past = datetime.now(timezone.utc) - timedelta(hours=1)
    assert code_of(lambda: blob.set_blob_metadata({}, if_unmodified_since=past)) == (412, "ConditionNotMet")
    assert blob.set_blob_metadata({"a": "b"}, if_modified_since=past)["etag"]


def test_metadata_and_properties_change_the_etag_and_not_the_content(container: ContainerClient) -> None:
    blob = container.upload_blob("b", b"1", metadata={"a": "1"})
    tags = [blob.get_blob_properties().etag]
    blob.set_blob_metadata({"b": "2", "z_a": "3", "b1": "4"})
    tags.append(blob.get_blob_properties().etag)
    blob.set_http_headers(ContentSettings(content_type="text/plain"))
    seen = blob.get_blob_properties()
    assert len({*tags, seen.etag}) == 3
    assert seen.metadata == {"b": "2", "z_a": "3", "b1": "4"}
    assert seen.content_settings.content_type == "text/plain"
    assert blob.download_blob().readall() == b"1"


def test_leases_of_blobs(container: ContainerClient) -> None:
    blob = container.upload_blob("b", b"1")
    lease = blob.acquire_lease(60)
    assert code_of(lambda: blob.acquire_lease(60)) == (409, "LeaseAlreadyPresent")
    assert code_of(lambda: blob.upload_blob(b"2", overwrite=True)) == (412, "LeaseIdMissing")
    wrong = "11111111-2222-3333-4444-555555555555"
    mismatch = (412, "LeaseIdMismatchWithBlobOperation")
    assert code_of(lambda: blob.upload_blob(b"2", overwrite=True, lease=wrong)) == mismatch
    assert code_of(lambda: blob.delete_blob(lease=wrong)) == mismatch
    blob.upload_blob(b"2", overwrite=True, lease=lease)
    seen = blob.get_blob_properties().lease
    assert (seen.status, seen.state, seen.duration) == ("locked", "leased", "fixed")
    lease.renew()
    lease.change(wrong)
    assert lease.id == wrong
    lease.release()
    assert blob.get_blob_properties().lease.state == "available"
    endless = blob.acquire_lease()
    assert blob.get_blob_properties().lease.duration == "infinite"
    assert endless.break_lease(0) == 0
    assert blob.get_blob_properties().lease.state == "broken"
    assert code_of(endless.renew) == (409, "LeaseIsBrokenAndCannotBeRenewed")
    blob.delete_blob()
    assert code_of(lambda: blob.acquire_lease(60))[0] == 404


def test_leases_and_metadata_of_containers(account: Account, container: ContainerClient) -> None:
    container.set_container_metadata({"owner": "ada"})
    assert container.get_container_properties().metadata == {"owner": "ada"}
    lease = container.acquire_lease(60)
    assert container.get_container_properties().lease.state == "leased"
    assert code_of(container.delete_container) == (412, "LeaseIdMissing")
    lease.release()
    with account.blobs() as service:
        assert code_of(lambda: service.create_container(container.container_name)) == (
            409,
            "ContainerAlreadyExists",
        )
        found = list(
            service.list_containers(name_starts_with=container.container_name, include_metadata=True)
        )
    assert [(c.name, c.metadata) for c in found] == [(container.container_name, {"owner": "ada"})]


def test_blocks_become_a_blob_in_the_order_of_the_list(container: ContainerClient) -> None:
    blob = container.get_blob_client("blocks")
    for name, data in (("a", b"first "), ("b", b"second "), ("c", b"x" * 300_000)):
        blob.stage_block(name, data)
    assert code_of(blob.get_blob_properties)[0] == 404
    assert [b.id for b in blob.get_block_list("uncommitted")[1]] == ["a", "b", "c"]
    blob.commit_block_list([BlobBlock("b"), BlobBlock("a")], metadata={"m": "1"})
    assert blob.download_blob().readall() == b"second first "
    committed, waiting = blob.get_block_list("all")
    assert ([b.id for b in committed], waiting) == (["b", "a"], [])
    blob.stage_block("d", b"y" * 200_000)
    blob.commit_block_list([BlobBlock("a"), BlobBlock("d")])
    assert blob.download_blob().readall() == b"first " + b"y" * 200_000
    assert blob.download_blob(offset=4, length=4).readall() == b"t yy"
    assert code_of(lambda: blob.commit_block_list([BlobBlock("c")])) == (400, "InvalidBlockList")


def test_large_blobs_go_in_blocks_and_come_in_ranges(account: Account, container: ContainerClient) -> None:
    data = os.urandom(9 * 2**20 + 7)
    with account.blobs(
        max_single_put_size=2**20, max_block_size=2**20, max_single_get_size=2**20, max_chunk_get_size=2**20
    ) as service:
        blob = service.get_blob_client(container.container_name, "large")
        blob.upload_blob(data, max_concurrency=3)
        assert blob.download_blob(max_concurrency=3).readall() == data
    one = container.upload_blob("whole", data)
    assert one.download_blob().readall() == data
    one.upload_blob(b"small", overwrite=True)
    assert one.download_blob().readall() == b"small"


def test_lists_by_prefix_delimiter_and_page(container: ContainerClient) -> None:
    names = ["a", "b/1", "b/2", "b/c/3", "d", "ä", "b0"]
    for name in names:
        container.upload_blob(name, b"x", metadata={"n": "1"})
    assert [b.name for b in container.list_blobs()] == sorted(names)
    assert [b.name for b in container.list_blobs(name_starts_with="b/")] == ["b/1", "b/2", "b/c/3"]
    top = sorted(container.walk_blobs(), key=lambda x: x.name)
    assert [x.name for x in top] == ["a", "b/", "b0", "d", "ä"]
    assert [isinstance(x, BlobPrefix) for x in top] == [False, True, False, False, False]
    assert sorted(x.name for x in container.walk_blobs("b/")) == ["b/1", "b/2", "b/c/"]
    pages = container.list_blobs(results_per_page=2).by_page()
    assert [[b.name for b in page] for page in pages] == [["a", "b/1"], ["b/2", "b/c/3"], ["b0", "d"], ["ä"]]
    assert list(container.list_blob_names(results_per_page=3)) == sorted(names)
    assert next(iter(container.list_blobs(include=["metadata"]))).metadata == {"n": "1"}


def test_a_copy_within_the_account_is_there_at_once(container: ContainerClient) -> None:
    for size in (5, 500_000):
        data = os.urandom(size)
        source = container.upload_blob(
            f"from {size}", data, metadata={"a": "1"}, content_settings=ContentSettings(content_type="text/x")
        )
        target = container.get_blob_client(f"to/{size}")
        assert target.start_copy_from_url(source.url)["copy_status"] == "success"
        source.delete_blob()
        seen = target.get_blob_properties()
        assert (seen.metadata, seen.content_settings.content_type) == ({"a": "1"}, "text/x")
        assert seen.copy.status == "success"
        assert target.download_blob().readall() == data
    missing = container.get_blob_client("nobody")
    assert code_of(lambda: target.start_copy_from_url(missing.url))[0] == 404


def test_a_service_sas_opens_what_it_is_for(account: Account, container: ContainerClient) -> None:
    blob = container.upload_blob("dir/b.txt", b"text")
    names: Any = {"account_name": account.name, "container_name": container.container_name}
    names["account_key"] = account.key
    token = generate_blob_sas(
        **names,
        blob_name="dir/b.txt",
        permission=BlobSasPermissions(read=True),
        expiry=soon(),
        content_type="a/b",
    )
    with BlobClient.from_blob_url(f"{blob.url}?{token}", retry_total=0) as reader:
        assert reader.download_blob().readall() == b"text"
        assert reader.get_blob_properties().content_settings.content_type == "a/b"
        denied = (403, "AuthorizationPermissionMismatch")
        assert code_of(lambda: reader.upload_blob(b"x", overwrite=True)) == denied
    with BlobClient.from_blob_url(f"{blob.url}2?{token}", retry_total=0) as other:
        assert code_of(other.download_blob) == account.refusal
    token = generate_container_sas(
        **names, permission=ContainerSasPermissions(write=True, list=True), expiry=soon()
    )
    with ContainerClient.from_container_url(f"{container.url}?{token}", retry_total=0) as lister:
        assert [b.name for b in lister.list_blobs()] == ["dir/b.txt"]
        lister.upload_blob("new", b"x")
        assert code_of(lambda: lister.delete_blob("new")) == denied
        assert code_of(lister.delete_container)[0] == 403


@pytest.mark.parametrize("wrong", ["expired", "early", "key", "changed"])
def test_a_sas_that_is_wrong_opens_nothing(account: Account, container: ContainerClient, wrong: str) -> None:
    now = datetime.now(timezone.utc)
    times: dict[str, Any] = {"expired": {"expiry": now - timedelta(minutes=1)}, "early": {
        "start": now + timedelta(minutes=20), "expiry": soon()}}  # fmt: skip
    token = generate_account_sas(
        account.name,
        "AAAA" + account.key[4:] if wrong == "key" else account.key,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, list=True),
        **times.get(wrong, {"expiry": soon()}),
    )
    if wrong == "changed":
        token = token.replace("sp=rl", "sp=rwl")
    with BlobServiceClient(account.endpoint, credential=token, retry_total=0) as service:
        assert code_of(lambda: list(service.list_containers())) == account.refusal


def test_an_account_sas_is_for_its_resource_types(account: Account, container: ContainerClient) -> None:
    container.upload_blob("b", b"x")
    token = generate_account_sas(
        account.name,
        account.key,
        resource_types=ResourceTypes(object=True),
        permission=AccountSasPermissions(read=True, list=True),
        expiry=soon(),
    )
    with BlobServiceClient(account.endpoint, credential=token, retry_total=0) as service:
        assert service.get_blob_client(container.container_name, "b").download_blob().readall() == b"x"
        assert code_of(lambda: list(service.list_containers())) == (403, "AuthorizationResourceTypeMismatch")


def test_a_wrong_key_opens_nothing(account: Account) -> None:
    wrong = Account(account.connection_string.replace(account.key, "AAAA" + account.key[4:]))
    with wrong.blobs() as service:
        assert code_of(lambda: list(service.list_containers())) == account.refusal


def test_what_is_not_there_is_named(account: Account) -> None:
    with account.blobs() as service:
        missing = service.get_container_client("nobody")
        assert code_of(lambda: missing.upload_blob("b", b"x")) == (404, "ContainerNotFound")
        assert code_of(lambda: list(missing.list_blobs())) == (404, "ContainerNotFound")
        assert code_of(missing.delete_container) == (404, "ContainerNotFound")
        for name in ("Upper", "a--b", "-ab"):
            assert code_of(lambda n=name: service.create_container(n)) == (400, "InvalidResourceName")  # type: ignore[misc]


def test_the_service_tells_its_properties(account: Account) -> None:
    with account.blobs() as service:
        found = service.get_service_properties()
        assert not found["delete_retention_policy"].enabled
        assert service.get_account_information()["account_kind"] == "StorageV2"


def test_the_rest_is_refused_as_not_implemented(account: Account, container: ContainerClient) -> None:
    if not account.ours:
        pytest.skip("Azurite has these")
    blob = container.upload_blob("b", b"x")
    for act in (
        blob.create_snapshot,
        container.get_blob_client("log").create_append_blob,
        lambda: container.get_blob_client("disk").create_page_blob(512),
        lambda: blob.set_standard_blob_tier("Cool"),
        lambda: blob.set_blob_tags({"a": "b"}),
        lambda: list(container.find_blobs_by_tags("\"a\"='b'")),
        blob.undelete_blob,
        lambda: container.set_container_access_policy({}),
    ):
        assert code_of(act) == (501, "NotImplemented")
