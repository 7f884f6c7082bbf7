from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopback_web import Answer, Seen, serve

from azureml.exceptions import AuthenticationException, UserErrorException, WebserviceException
from mooring.sdk.client import Client
from mooring.sdk.connection import Connection
from mooring.sdk.http import Http


@contextmanager
def client(url: str) -> Iterator[Client]:
    http = Http(Connection(url, "secret"))
    yield Client(http, "s", "g", "w x")
    http.close()


def test_token_path_and_json() -> None:
    with serve(lambda seen: Answer(body=seen.body)) as (url, seen), client(url) as api:
        assert api.call("POST", "/models", {"a": 1}, {"q": None, "b": 2}) == {"a": 1}
    assert seen[0].path == "/mooring/v1/subscriptions/s/resourceGroups/g/workspaces/w%20x/models?b=2"
    assert seen[0].headers["authorization"] == "Bearer secret"


def test_all_pages_whatever_address_the_link_has() -> None:
    def answer(seen: Seen) -> Answer:
        link = None if "skip" in seen.path else "http://elsewhere:1" + seen.path + "&%24skipToken=2"
        return Answer(body=json.dumps({"value": [{"path": seen.path}], "nextLink": link}).encode())

    with serve(answer) as (url, _seen), client(url) as api:
        pages = [item["path"] for item in api.pages("/models", {"name": "m"})]
    assert len(pages) == 2
    assert pages[1].endswith("/models?name=m&%24skipToken=2")


def test_operation_location() -> None:
    headers = {"Operation-Location": "http://h/x/operations/op-7?api=1"}
    with serve(lambda _: Answer(202, b'{"name": "svc"}', headers)) as (url, _seen), client(url) as api:
        assert api.start("POST", "/services", {}) == ({"name": "svc"}, "op-7")


def test_errors_of_the_server() -> None:
    body = {
        "error": {"code": "ModelInUse", "message": "used by svc", "hint": "delete svc", "phase": "Validate"}
    }
    with (
        serve(lambda _: Answer(412, json.dumps(body).encode())) as (url, _seen),
        client(url) as api,
        pytest.raises(WebserviceException) as caught,
    ):
        api.call("DELETE", "/models/m:1")
    assert (caught.value.status_code, caught.value.hint) == (412, "delete svc")


def test_no_token_says_where_to_put_one() -> None:
    body = b'{"error": {"code": "Unauthorized", "message": "no token"}}'
    with (
        serve(lambda _: Answer(401, body)) as (url, _seen),
        client(url) as api,
        pytest.raises(AuthenticationException) as caught,
    ):
        api.call("GET")
    assert "MOORING_TOKEN" in caught.value.hint


@pytest.mark.parametrize("body", [b"<html>", b'{"detail": "Not Found"}'])
def test_something_else_at_that_address(body: bytes) -> None:
    with (
        serve(lambda _: Answer(404, body)) as (url, _seen),
        client(url) as api,
        pytest.raises(UserErrorException) as caught,
    ):
        api.call("GET")
    assert caught.value.code == "ServerVersion"
    assert body.decode() in caught.value.evidence["answer"]


def test_nothing_at_that_address() -> None:
    with serve(lambda _: Answer()) as (url, _seen):
        pass
    with client(url) as api, pytest.raises(UserErrorException) as caught:
        api.call("GET")
    assert caught.value.code == "ServerUnreachable"
    assert "MOORING_ENDPOINT" in caught.value.hint


def test_a_server_that_came_back_elsewhere_is_found() -> None:
    with serve(lambda _: Answer()) as (gone, _seen):
        pass
    with serve(lambda _: Answer(body=b'{"here": true}')) as (url, _seen):
        http = Http(Connection(gone, local=True), lambda: Connection(url, local=True))
        assert http.json("POST", "/x", body={})[0] == {"here": True}
        http.close()


def test_download_appears_only_when_complete(tmp_path: Path) -> None:
    body = b"x" * 3_000_000
    with serve(lambda _: Answer(body=body)) as (url, _seen), client(url) as api:
        sizes: list[int] = []
        api.download("m:1", "sub/f.bin", tmp_path / "f.bin", sizes.append)
    assert (tmp_path / "f.bin").read_bytes() == body
    assert sum(sizes) == len(body)
    assert [p.name for p in tmp_path.iterdir()] == ["f.bin"]
    error = b'{"error": {"code": "NotFound", "message": "no file"}}'
    with (
        serve(lambda _: Answer(404, error)) as (url, _seen),
        client(url) as api,
        pytest.raises(WebserviceException, match="ModelNotFound"),
    ):
        api.download("m:1", "g", tmp_path / "g")
    assert not (tmp_path / "g").exists()


SENDER = """
import resource, sys
from pathlib import Path
from mooring.sdk.connection import Connection
from mooring.sdk.http import Http
from mooring.sdk.files import digest_of
http = Http(Connection(sys.argv[1]))
http.json("GET", "/warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = Path(sys.argv[2])
digest, size = digest_of(source)
http.upload("/blob", source, size)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_uploads_take_constant_memory(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    with serve(lambda _: Answer()) as (url, seen):
        done = subprocess.run(
            [sys.executable, "-c", SENDER, url, str(big)], capture_output=True, text=True, check=True
        )
    assert len(seen[1].body) == 200 * 1024 * 1024
    assert seen[1].headers["content-length"] == str(200 * 1024 * 1024)
    assert int(done.stdout) < 20, "MiB more than before"
