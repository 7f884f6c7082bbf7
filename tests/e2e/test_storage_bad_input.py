"""What goes wrong at a storage account gets Azure's code, and changes nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobBlock
from storage_support import ACCOUNTS, Account, code_of, make_account, signed
from support import RunningServer


@pytest.fixture(scope="module")
def account(server: RunningServer) -> Account:
    made = make_account(server, "badinput")
    with made.blobs() as blobs:
        blobs.create_container("con")
    return made


@pytest.fixture
def raw(account: Account) -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["x-ms-request-id"]
    assert answer.headers["content-type"] == "application/xml"
    found = re.search(r"<Code>(\w+)</Code><Message>[^<]+RequestId:[^<]+</Message>", answer.text)
    assert found
    assert found[1] == answer.headers["x-ms-error-code"]
    return answer.status_code, found[1]


def test_a_request_signed_by_hand_is_good_and_one_of_another_time_is_not(
    account: Account, raw: httpx.Client
) -> None:
    url, headers = signed(account, "GET", "/?comp=list")
    assert raw.get(url, headers=headers).status_code == 200
    for minutes in (-16, 16):
        url, headers = signed(
            account, "GET", "/?comp=list", at=datetime.now(timezone.utc) + timedelta(minutes=minutes)
        )
        answer = raw.get(url, headers=headers)
        assert code(answer) == (403, "AuthenticationFailed")
        assert "too old or too new" in answer.text


def test_a_signature_is_for_one_request_only(account: Account, raw: httpx.Client) -> None:
    url, headers = signed(account, "GET", "/?comp=list")
    assert code(raw.get(url + "&prefix=c", headers=headers)) == (403, "AuthenticationFailed")
    assert code(raw.get(url, headers={**headers, "x-ms-meta-more": "1"})) == (403, "AuthenticationFailed")
    assert code(raw.delete(url, headers=headers)) == (403, "AuthenticationFailed")
    for given in ("SharedKey", "SharedKey badinput", "SharedKey badinput:", "Bearer x", "Basic eDp5"):
        answer = raw.get(url, headers={**headers, "authorization": given})
        assert code(answer) == (403, "AuthenticationFailed"), given
    assert code(raw.get(account.endpoint + "/?comp=list")) == (401, "NoAuthenticationInformation")


def test_unknown_accounts_and_other_pages(server: RunningServer, account: Account, raw: httpx.Client) -> None:
    url, headers = signed(account, "GET", "/?comp=list")
    assert code(raw.get(url.replace(account.name, "nobody"), headers=headers)) == (404, "ResourceNotFound")
    assert raw.get(server.url + "/nobody").json()["error"]["code"] == "NotFound"


def test_the_articles_account_name_gets_azures_error(server: RunningServer) -> None:
    answer = server.client.put(f"{ACCOUNTS}/triggerStorage", json={})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "AccountNameInvalid")
    assert "'triggerstorage'" in error["hint"]


PATHS = (
    "../../etc/passwd",
    "a/../../../b",
    "..",
    ".",
    "/absolute",
    "a//b",
    "con\\..\\x",
    "%2e%2e/x",
    "a" * 1024,
    "x;y=z&?#",
)


def test_names_that_look_like_paths_are_names(account: Account, raw: httpx.Client, shared_home: Path) -> None:
    def strays() -> list[Path]:
        return [p for p in shared_home.rglob("*") if "passwd" in p.name or p.name == "absolute"]

    before, data = strays(), b"here" * 50_000
    for name in PATHS:
        # Every character encoded, dots as well: clients would resolve them before they send.
        target = "/con/" + "".join(f"%{byte:02X}" for byte in name.encode())
        url, headers = signed(account, "PUT", target, length=str(len(data)), x_ms_blob_type="BlockBlob")
        assert raw.put(url, headers=headers, content=data).status_code == 201, name
        url, headers = signed(account, "GET", target)
        assert raw.get(url, headers=headers).content == data
        with account.blobs() as blobs:
            assert name in blobs.get_container_client("con").list_blob_names()
        url, headers = signed(account, "DELETE", target)
        assert raw.delete(url, headers=headers).status_code == 202
    assert strays() == before


def test_paths_of_containers_lead_nowhere_else(account: Account, raw: httpx.Client) -> None:
    for target in (
        "/%2e%2e/x",
        "/..%2f..%2fetc/passwd",
        "//con/b",
        "/C/b",
        "/con%00/b",
        "/con/b%00",
        "/con/%ff%fe",
        "/a/b%0a",
    ):
        url, headers = signed(account, "GET", target)
        answer = raw.get(url, headers=headers)
        assert answer.status_code in {400, 404}, (target, answer.text)
        assert code(answer)[1] in {
            "InvalidResourceName",
            "OutOfRangeInput",
            "InvalidUri",
            "ContainerNotFound",
        }, target


def test_wrong_headers_and_bodies_change_nothing(account: Account, raw: httpx.Client) -> None:
    def put(target: str, body: bytes, **headers: str) -> tuple[int, str]:
        url, all_headers = signed(account, "PUT", target, length=str(len(body)) if body else "", **headers)
        return code(raw.put(url, headers=all_headers, content=body))

    kind = {"x_ms_blob_type": "BlockBlob"}
    assert put("/con/b", b"x") == (400, "MissingRequiredHeader")
    assert put("/con/b", b"x", x_ms_blob_type="AppendBlob") == (501, "NotImplemented")
    assert put("/con/b", b"x", **kind, x_ms_encryption_scope="s") == (400, "UnsupportedHeader")
    assert put("/con/b", b"x", **kind, x_ms_blob_content_md5="short") == (400, "InvalidMd5")
    assert put("/con/b", b"x", **{**kind, "x_ms_meta_a": "x" * 9000})[1] == "MetadataTooLarge"
    assert put("/con/b?blockid=%21&comp=block".replace("%21", "!"), b"x") == (400, "InvalidBlockId")
    assert put("/con/b?comp=blocklist", b"<BlockList>") == (400, "InvalidXmlDocument")
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><BlockList>&a;</BlockList>'
    assert put("/con/b?comp=blocklist", bomb) == (400, "InvalidXmlDocument")
    assert put("/con/b?comp=blocklist", b"<Other/>") == (400, "InvalidXmlDocument")
    assert put("/con/b?comp=tier", b"", x_ms_access_tier="Cool") == (501, "NotImplemented")
    assert put("/con/b?comp=lease", b"", x_ms_lease_action="steal") == (400, "InvalidHeaderValue")
    url, headers = signed(account, "GET", "/con?comp=list&maxresults=0&restype=container")
    assert code(raw.get(url, headers=headers)) == (400, "OutOfRangeQueryParameterValue")
    url, headers = signed(account, "GET", "/con?comp=list&marker=?&restype=container".replace("=?", "=!"))
    assert code(raw.get(url, headers=headers)) == (400, "InvalidQueryParameterValue")
    with account.blobs() as blobs:
        assert not blobs.get_blob_client("con", "b").exists()


def test_content_that_does_not_fit_its_md5_is_refused(account: Account, raw: httpx.Client) -> None:
    with account.blobs() as blobs:
        blob = blobs.get_blob_client("con", "md5")
        right = base64.b64encode(hashlib.md5(b"x" * 300_000).digest()).decode()

        def spoil(request: object) -> None:
            request.http_request.headers["Content-MD5"] = base64.b64encode(b"0" * 16).decode()  # type: ignore[attr-defined]

        blob.stage_block("a", b"x" * 300_000, validate_content=True)
        assert code_of(lambda: blob.stage_block("b", b"x", raw_request_hook=spoil))[0] in {400, 403}
        blob.commit_block_list([BlobBlock("a")])
        assert base64.b64encode(hashlib.md5(blob.download_blob().readall()).digest()).decode() == right


def test_of_two_uploads_at_once_one_wins_whole(account: Account) -> None:
    with account.blobs() as blobs, ThreadPoolExecutor(4) as pool:
        blob = blobs.get_blob_client("con", "race")
        contents = [bytes([n]) * 400_000 for n in range(4)]
        for _ in range(5):
            list(pool.map(lambda data: blob.upload_blob(data, overwrite=True), contents))
            assert blob.download_blob().readall() in contents
        blob.delete_blob()

        def create(data: bytes) -> bool:
            try:
                blob.upload_blob(data)
            except Exception as error:  # noqa: BLE001
                assert "BlobAlreadyExists" in str(error)
                return False
            return True

        made = list(pool.map(create, contents))
        assert sum(made) == 1
        assert blob.download_blob().readall() == contents[made.index(True)]


def test_a_blob_that_is_replaced_while_it_is_read_is_whole_or_an_error(account: Account) -> None:
    with account.blobs() as blobs:
        blob = blobs.get_blob_client("con", "read")
        old = b"o" * 3_000_000
        blob.upload_blob(old, overwrite=True)
        stream = blob.download_blob()
        chunks = stream.chunks()
        first = next(iter(chunks))
        blob.upload_blob(b"n", overwrite=True)
        assert first + b"".join(chunks) == old


def test_the_feed_of_changes(account: Account, raw: httpx.Client) -> None:
    def follow(after: int, **more: str) -> dict[str, object]:
        extra = "".join(f"&{k}={v}" for k, v in more.items())
        url, headers = signed(account, "GET", f"/?after={after}&comp=changes{extra}")
        answer = raw.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    with account.blobs() as blobs:
        container = blobs.create_container("feed")
        start = follow(0)["after"]
        assert isinstance(start, int)
        container.upload_blob("a", b"1")
        container.upload_blob("b", b"2")
        etag = container.upload_blob("a", b"3", overwrite=True).get_blob_properties().etag
        blobs.get_blob_client("con", "elsewhere").upload_blob(b"x", overwrite=True)
        found = follow(start, container="feed")
        rows = found["changes"]
        assert isinstance(rows, list)
        assert [(r["container"], r["name"]) for r in rows] == [("feed", "b"), ("feed", "a")]
        assert rows[1]["etag"] == etag
        assert rows[1]["contentLength"] == 1
        after = found["after"]
        assert isinstance(after, int)
        assert follow(after, container="feed")["changes"] == []
        assert (
            follow(after + 10**6, container="feed")["changes"] == rows
        )  # of another life of the account: begin anew
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(follow, after, container="feed", wait="30")
            container.upload_blob("con", b"4")
            news = waiting.result(60)["changes"]
        assert isinstance(news, list)
        assert [r["name"] for r in news] == ["con"]
        url, headers = signed(account, "GET", "/?after=x&comp=changes")
        assert code(raw.get(url, headers=headers)) == (400, "InvalidQueryParameterValue")
        container.delete_container()


def test_bodies_and_signatures_are_not_in_the_log(account: Account, shared_home: Path) -> None:
    secret = b"PRIVATE-BODY-OF-A-USER"
    with account.blobs() as blobs:
        blobs.get_blob_client("con", "private").upload_blob(secret, overwrite=True)
        code_of(lambda: blobs.get_blob_client("con", "private").commit_block_list([BlobBlock("nobody")]))
    for log in [shared_home / "output.log", *(shared_home / "logs").glob("*")]:
        text = log.read_bytes()
        assert secret not in text
        assert account.key.encode() not in text
