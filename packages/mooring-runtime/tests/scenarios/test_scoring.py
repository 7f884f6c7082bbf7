"""Azure's scoring contract over HTTP."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mooring_runtime import __version__
from mooring_runtime.testing import Service, running

PLAIN = """
import json, sys
def init(): pass
def run(data):
    if data == "raise": raise ValueError("secret detail")
    if data == "exit": sys.exit(3)
    if data == "none": return None
    if data == "set": return {1}
    if data == "nan": return float("nan")
    if data == "text": return "plain"
    if data == "pid":
        import os
        return os.getpid()
    return {"data": data}
"""
HEADERS = """
def init(): pass
def run(data, request_headers):
    return [data, request_headers["X-Custom"], request_headers.get("x-custom")]
"""
RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

@rawhttp
def run(request):
    assert isinstance(request, AMLRequest)
    what = request.args.get("what")
    if what == "bytes": return AMLResponse(request.get_data()[::-1], 201, {"X-Own": "a"})
    if what == "text": return AMLResponse("text", status_code=200)
    if what == "json": return AMLResponse({"a": 1}, 200, json_str=True)
    if what == "quoted": return AMLResponse("text", 200, json_str=True)
    if what == "bad": return AMLResponse("bad request", 400)
    if what == "broken": return AMLResponse("broken", 503, {"Retry-After": "7"})
    if what == "none": return AMLResponse(None, 200)
    if what == "failed": return AMLResponse("hm", 200, run_function_failed=True)
    if what == "string": return "string"
    return {
        "method": request.method, "path": request.path, "query": request.query_string.decode(),
        "type": request.headers.get("content-type"), "form": request.form, "json": request.get_json(silent=True),
        "text": request.get_data(as_text=True), "all": request.args.getlist("b"), "url": request.url,
    }
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("plain")) as service:
        service.apply(PLAIN, {"max_request_bytes": 1000, "scoring_timeout_ms": 20000})
        service.ready()
        yield service


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("raw")) as service:
        service.apply(RAW)
        service.ready()
        yield service


def test_routes(plain: Service) -> None:
    root = plain.get("/")
    assert (root.status, root.body) == (200, b"Healthy")
    assert root.headers["content-type"].startswith("text/html")
    assert plain.get("/livez").status == plain.get("/readyz").status == 200
    missing = plain.get("/elsewhere")
    assert missing.status == 404
    assert set(missing.json()) == {"message"}


def test_post_and_its_headers(plain: Service) -> None:
    answer = plain.post(b'{"x": 1}', x_ms_client_request_id="mine", TraceId="t1")
    assert answer.json() == {"data": '{"x": 1}'}
    headers = answer.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-ms-run-function-failed"] == "False"
    assert re.fullmatch(r"\d+\.\d{3}", headers["x-ms-run-fn-exec-ms"])
    assert headers["x-ms-server-version"] == f"mooring/{__version__}"
    assert headers["x-ms-client-request-id"] == headers["x-ms-request-id"] == "mine"
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-request-id"])
    assert headers["traceid"] == "t1"


def test_request_ids(plain: Service) -> None:
    both = plain.post(b"1", x_ms_request_id="a", x_ms_client_request_id="b").headers
    assert (both["x-ms-request-id"], both["x-ms-client-request-id"]) == ("a", "b")
    neither = plain.post(b"1").headers
    assert neither["x-ms-request-id"] == neither["x-request-id"]
    assert "x-ms-client-request-id" not in neither
    assert both["x-request-id"] != "a"
    for name in ("x_ms_request_id", "x_ms_client_request_id"):
        assert plain.post(b"1", **{name: "x" * 100}).status == 200
        assert plain.post(b"1", **{name: "x" * 101}).status == 431


def test_get_gives_the_query_as_json(plain: Service) -> None:
    data = plain.get("/score?a=1&b=x&b=2&c=1.5&d=nan&e=").json()["data"]
    assert json.loads(data) == {"a": 1, "b": ["x", 2], "c": 1.5, "d": "nan", "e": ""}


def test_methods(plain: Service) -> None:
    refused = plain.request("PUT", "/score", b"1")
    assert refused.status == 405
    assert set(refused.json()) == {"message"}
    options = plain.request("OPTIONS", "/score")
    assert options.status == 200
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("body", ["raise", "exit"])
def test_exceptions(plain: Service, body: str) -> None:
    answer = plain.post(body.encode(), x_ms_request_id=f"id-of-{body}")
    assert answer.status == 500
    message = "An unexpected error occurred in scoring script. Check the logs for more info."
    assert answer.json() == {"message": message}
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "x-ms-run-fn-exec-ms" not in answer.headers
    assert f"id-of-{body}" in plain.logged(
        {"raise": "ValueError: secret detail", "exit": "SystemExit: 3"}[body]
    )
    assert plain.client.status()["workers"][0]["restarts"] == 0


def test_return_values(plain: Service) -> None:
    assert plain.post(b"none").body == b"{}"
    assert plain.post(b"text").json() == "plain"
    assert plain.post(b"nan").body == b"NaN"
    unserialisable = plain.post(b"set")
    assert unserialisable.status == 500
    assert unserialisable.headers["x-ms-run-function-failed"] == "False"
    plain.logged("a set")


def test_invalid_utf_8(plain: Service) -> None:
    answer = plain.post(b"\xff\xfe")
    assert answer.status == 400
    assert "UTF-8" in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "False"


def test_empty_body(plain: Service) -> None:
    assert plain.post(b"").json() == {"data": ""}


def test_bodies_that_are_too_long(plain: Service) -> None:
    assert plain.post(b"x" * 1000).status == 200
    answer = plain.post(b"x" * 1001)
    assert answer.status == 413
    assert "1000 bytes" in answer.json()["message"]


def test_chunked_bodies(plain: Service) -> None:
    address = urlsplit((plain.client.last_state() or {})["url"])
    for size, status in ((500, b"200"), (1500, b"413")):
        with socket.create_connection((address.hostname, address.port), 10) as connection:
            head = (
                b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            chunk = b"%x\r\n%s\r\n" % (size, b"y" * size)
            connection.sendall(head + chunk + b"0\r\n\r\n")
            with connection.makefile("rb") as answer:
                assert status in answer.readline()


def test_swagger(plain: Service) -> None:
    document = plain.get("/swagger.json").json()
    assert document["swagger"] == "2.0"
    assert "/score" in document["paths"]
    assert plain.get("/swagger.json?version=3").json()["openapi"].startswith("3.0")
    assert plain.get("/swagger.json?version=3.1").json()["openapi"].startswith("3.1")
    assert plain.get("/swagger.json?version=4").status == 404


def test_large_bodies(service: Service) -> None:
    service.apply("def init(): pass\ndef run(data): return data")
    service.ready()
    body = b"z" * (20 << 20)
    assert service.post(body).body == b'"' + body + b'"'


def test_request_headers(service: Service) -> None:
    service.apply(HEADERS)
    service.ready()
    assert service.post(b"body", x_custom="v").json() == ["body", "v", "v"]


def test_raw_request(raw: Service) -> None:
    answer = raw.request("POST", "/score?a=1&b=2&b=3", b'{"k": 1}', content_type="application/json").json()
    assert answer["method"] == "POST"
    assert answer["path"] == "/score"
    assert answer["query"] == "a=1&b=2&b=3"
    assert answer["all"] == ["2", "3"]
    assert answer["type"] == "application/json"
    assert answer["json"] == {"k": 1}
    assert answer["text"] == '{"k": 1}'
    assert answer["url"].endswith("/score?a=1&b=2&b=3")


def test_raw_form_and_methods(raw: Service) -> None:
    form = raw.request("POST", "/score", b"a=1&b=x", content_type="application/x-www-form-urlencoded")
    assert form.json()["form"] == {"a": "1", "b": "x"}
    assert raw.request("OPTIONS", "/score").json()["method"] == "OPTIONS"
    assert raw.get("/score").json()["method"] == "GET"
    assert raw.request("DELETE", "/score").status == 405


def test_raw_responses(raw: Service) -> None:
    def ask(what: str, body: bytes = b"abc") -> tuple[int, bytes, str]:
        answer = raw.request("POST", f"/score?what={what}", body)
        return answer.status, answer.body, answer.headers["x-ms-run-function-failed"]

    assert ask("bytes", b"\xff\x00a") == (201, b"a\x00\xff", "False")
    assert ask("text") == (200, b"text", "False")
    assert ask("json") == (200, b'{"a": 1}', "False")
    assert ask("quoted") == (200, b'"text"', "False")
    assert ask("bad") == (400, b"bad request", "False")
    assert ask("broken") == (503, b"broken", "True")
    assert ask("none") == (200, b"{}", "False")
    assert ask("failed") == (200, b"hm", "True")
    assert ask("string") == (200, b'"string"', "False")
    assert raw.request("POST", "/score?what=broken").headers["retry-after"] == "7"
    assert raw.request("POST", "/score?what=bytes").headers["x-own"] == "a"


def test_folders_and_modules_of_the_user(service: Service) -> None:
    revision = service.revision("raise RuntimeError('the wrong script')")
    root = Path(revision["app_root"])
    (root / "src" / "deep").mkdir(parents=True)
    # Names that the worker's own files have as well.
    for name in ("frames", "scoring", "entry", "http_like"):
        (root / "src" / f"{name}.py").write_text(f"NAME = 'user {name}'")
    (root / "src" / "deep" / "main.py").write_text("""
import os, sys
import frames, scoring, entry, http_like, beside
class Thing: pass
def init(): print("stdout line"); os.system("echo from a child")
def run(data):
    return [frames.NAME, scoring.NAME, entry.NAME, http_like.NAME, beside.NAME, os.getcwd(),
            Thing.__module__, sys.modules[Thing.__module__].run is run]
""")
    (root / "src" / "deep" / "beside.py").write_text("NAME = 'beside'")
    service.apply_spec({"revision": {**revision, "source_directory": "src", "entry_script": "deep/main.py"}})
    service.ready()
    assert service.post(b"1").json() == [
        "user frames",
        "user scoring",
        "user entry",
        "user http_like",
        "beside",
        str(root),
        "main",
        True,
    ]
    assert re.search(r"^\S+Z stdout line$", service.logged("from a child"), re.MULTILINE)
    assert re.search(r"^\S+Z from a child$", service.logged("from a child"), re.MULTILINE)


def test_model_paths(service: Service) -> None:
    score = """
from azureml.core import Model
from azureml.core.model import Model as Same
from azureml.exceptions import ModelNotFoundException
def init(): pass
def run(data):
    assert Model is Same
    try:
        return Model.get_model_path("absent")
    except ModelNotFoundException as exc:
        return [Model.get_model_path("m"), Model.get_model_path("m", version=2), exc.message]
"""
    revision = service.revision(score)
    root = Path(revision["app_root"])
    for version in (2, 10):
        folder = root / "azureml-models" / "m" / str(version)
        folder.mkdir(parents=True)
        (folder / "model.pkl").touch()
    service.apply_spec({"revision": revision})
    service.ready()
    newest, second, message = service.post(b"1").json()
    assert newest == str(root / "azureml-models/m/10/model.pkl")
    assert second == str(root / "azureml-models/m/2/model.pkl")
    assert "Deployed: m" in message


def test_a_namespace_package_of_the_user_goes_on_working(service: Service) -> None:
    revision = service.revision("""
import azureml.mine
from azureml.core.model import Model
def init(): pass
def run(data): return azureml.mine.NAME
""")
    package = Path(revision["app_root"]) / "site" / "azureml"
    package.mkdir(parents=True)
    (package / "mine.py").write_text("NAME = 'mine'")
    (package / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)")
    service.apply_spec({"revision": {**revision, "env": {"PYTHONPATH": str(package.parent)}}})
    service.ready()
    assert service.post(b"1").json() == "mine"


SCHEMA_UTIL = '''
"""Stands in for the inference_schema package: what the worker asks of it."""
_SCHEMAS = {}
def is_schema_decorated(function):
    return function in _SCHEMAS
def get_input_schema(function):
    return _SCHEMAS[function]
def get_output_schema(function):
    return {"type": "array"}
def get_supported_versions(function):
    return ["2.0", "3.0"]
'''
SCHEMA_SCORE = """
from inference_schema import schema_util
def init(): pass
def run(data, request_headers, scale=1):
    assert request_headers["Host"]
    return [data, scale]
schema_util._SCHEMAS[run] = {"type": "object", "properties": {"data": {"type": "array"}, "scale": {}}}
"""


def test_inference_schema(service: Service) -> None:
    revision = service.revision(SCHEMA_SCORE)
    package = Path(revision["app_root"]) / "inference_schema"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "schema_util.py").write_text(SCHEMA_UTIL)
    service.apply_spec({"revision": revision})
    service.ready()

    def ask(body: bytes, content_type: str = "application/json") -> tuple[int, object]:
        answer = service.post(body, content_type=content_type)
        return answer.status, answer.json()

    assert ask(b'{"data": [1], "scale": 3}') == (200, [[1], 3])
    assert ask(b'{"data": [1], "other": 3}', "application/json; charset=utf-8") == (200, [[1], 1])
    assert ask(b"", "application/json")[0] == 400
    assert ask(b"[1]")[0] == 400
    assert ask(b"{")[0] == 400
    status, answer = ask(b'{"scale": 1}')
    assert status == 400
    assert "'data'" in str(answer)
    assert ask(b'{"data": [1]}', "text/plain")[0] == 415
    assert service.get("/score?data=4").json() == [4, 1]
    definitions = service.get("/swagger.json").json()["definitions"]
    assert definitions["ServiceInput"]["properties"]["data"] == {"type": "array"}
    assert definitions["ServiceOutput"] == {"type": "array"}
    assert service.get("/swagger.json?version=3.1").status == 404
