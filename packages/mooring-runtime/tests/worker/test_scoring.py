from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from mooring_runtime.worker import frames
from mooring_runtime.worker.containers import RequestHeaders
from mooring_runtime.worker.entry import EntryError
from mooring_runtime.worker.request import HTTPError, Request, query_object
from mooring_runtime.worker.response import Response
from mooring_runtime.worker.scoring import RAW_MARK, Scorer

RUNNING = SimpleNamespace(requested=False)
Logged = Callable[[], str]


def full(**fields: Any) -> bytes:
    head = {
        "id": "i",
        "method": "POST",
        "path": "/score",
        "query": "",
        "headers": [],
        "host": "h",
        "scheme": "http",
    }
    return json.dumps({**head, **fields}).encode()


def test_text() -> None:
    kind, head, body = Scorer(lambda data: {"got": data}, RUNNING).answer(frames.TEXT, b"id", "é".encode())
    assert kind == frames.RESULT
    assert float(head) >= 0
    assert json.loads(body) == {"got": "é"}


@pytest.mark.parametrize(
    "run",
    [lambda: 1, lambda a, b: (a, b), lambda request_headers: request_headers, lambda **data: data],
    ids=["none", "two", "headers", "any"],
)
def test_functions_with_other_parameters(run: Any) -> None:
    with pytest.raises(EntryError, match="exactly one data parameter"):
        Scorer(run, RUNNING)


@pytest.mark.parametrize("run", [lambda data, extra=1: (data, extra), lambda *args: args, len])
def test_functions_that_take_one(run: Any) -> None:
    assert Scorer(run, RUNNING).mode == "text"


def test_a_keyword() -> None:
    def run(*, request_headers: Any = None, data: str) -> Any:
        return [data, request_headers["x"]]

    _, _, body = Scorer(run, RUNNING).answer(frames.FULL, full(headers=[["x", "1"]]), b"d")
    assert json.loads(body) == ["d", "1"]
    _, _, body = Scorer(lambda *, data: data, RUNNING).answer(frames.TEXT, b"i", b"d")
    assert json.loads(body) == "d"


def test_forms_give_no_text(logged: Logged) -> None:
    head = full(headers=[["content-type", "application/x-www-form-urlencoded"]])
    _, _, body = Scorer(lambda data: data, RUNNING).answer(frames.FULL, head, b"a=1")
    assert json.loads(body) == ""
    assert "application/json" in logged()


def test_headers_under_another_name_of_the_data() -> None:
    def run(request_headers: Any, raw: Any) -> Any:
        return [raw, request_headers["x-a"]]

    scorer = Scorer(run, RUNNING)
    assert scorer.mode == "headers"
    _, _, body = scorer.answer(frames.FULL, full(headers=[["x-a", "1"]]), b"d")
    assert json.loads(body) == ["d", "1"]


def test_exceptions_are_logged_with_the_id(logged: Logged) -> None:
    def run(data: str) -> None:
        raise KeyError(data)

    kind, head, _ = Scorer(run, RUNNING).answer(frames.TEXT, b"the-id", b"k")
    assert kind == frames.REPLY
    assert json.loads(head) == {
        "status": 500,
        "headers": [["content-type", "application/json"]],
        "ms": None,
        "failed": True,
    }
    text = logged()
    assert "the-id" in text
    assert "KeyError: 'k'" in text
    assert 'scoring.py", line' not in text.replace("test_scoring.py", "")


def test_sigterm_is_not_swallowed() -> None:
    def run(data: str) -> None:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        Scorer(run, SimpleNamespace(requested=True)).answer(frames.TEXT, b"i", b"")


def test_numpy_hint(logged: Logged) -> None:
    numpy = pytest.importorskip("numpy")
    for value, hint in ((numpy.arange(3), "Return array.tolist()"), (numpy.int64(1), ".item()")):
        _, head, _ = Scorer(lambda _, value=value: value, RUNNING).answer(frames.TEXT, b"i", b"")
        assert json.loads(head)["failed"] is False
        assert hint in logged()


@pytest.mark.parametrize(
    "response",
    [
        Response("x", 42),
        Response("x", 1000),
        Response("x", 200, {f"X-{number}": "v" * 1000 for number in range(200)}),
        Response("x", 200, {"X": "\ud800"}),
        SimpleNamespace(status_code=200, headers={}, content_type=None, get_data=lambda: 5),
    ],
)
def test_answers_that_cannot_be_sent_are_failures_of_run(response: object, logged: Logged) -> None:
    kind, head, _ = Scorer(lambda _: response, RUNNING).answer(frames.TEXT, b"i", b"")
    assert (kind, json.loads(head)["status"], json.loads(head)["failed"]) == (frames.REPLY, 500, True)
    assert "run() raised an exception" in logged()


def test_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    monkeypatch.setattr(frames, "MAX_ANSWER", 8)
    for result in ("1234567", Response(b"123456789", 200)):
        _, head, body = Scorer(lambda _, result=result: result, RUNNING).answer(frames.TEXT, b"i", b"")
        assert (json.loads(head)["status"], json.loads(head)["failed"]) == (500, True)
        assert "returned 9 bytes" in json.loads(body)["message"]
        assert "request i: The scoring script returned 9 bytes" in logged()
    kind, _, body = Scorer(lambda _: "123456", RUNNING).answer(frames.TEXT, b"i", b"")
    assert (kind, body) == (frames.RESULT, b'"123456"')


def test_long_parts_of_a_streamed_answer_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_PART", 8)
    scorer = Scorer(lambda _: Response(iter([b"", b"0123456789", "1"]), 200), RUNNING)
    _, head, body = scorer.answer(frames.TEXT, b"i", b"")
    assert json.loads(head)["stream"] is True
    assert scorer.stream is not None
    assert [body, *scorer.stream] == [b"01234567", b"89", b"1"]


def test_flask_like_responses() -> None:
    class FlaskResponse:
        status_code = 404
        headers = {"Content-Type": "text/plain", "Content-Length": "2"}  # noqa: RUF012
        content_type = "text/plain"

        def get_data(self) -> bytes:
            return b"no"

    kind, head, body = Scorer(lambda _: FlaskResponse(), RUNNING).answer(frames.TEXT, b"i", b"")
    assert (kind, body) == (frames.REPLY, b"no")
    assert json.loads(head)["headers"] == [["content-type", "text/plain"]]
    assert json.loads(head)["status"] == 404


def test_raw() -> None:
    def run(request: Request) -> Response:
        return Response(request.get_data() * 2, 202, {"A": "b"}, run_function_failed=True)

    setattr(run, RAW_MARK, True)
    scorer = Scorer(run, RUNNING)
    assert scorer.mode == "raw"
    _, head, body = scorer.answer(frames.FULL, full(), b"\xff")
    assert body == b"\xff\xff"
    assert json.loads(head)["headers"] == [["content-type", "text/html; charset=utf-8"], ["a", "b"]]
    assert json.loads(head)["failed"] is True


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&b=x&b=2", {"a": 1, "b": ["x", 2]}),
        ("", {}),
        ("a=-1.5e3&b=007&c=1_0&d=[1]", {"a": -1500.0, "b": "007", "c": "1_0", "d": [1]}),
        ("a=true&b=null&c=%FF", {"a": True, "b": None, "c": "%FF"}),
        ("a=%C3%A9+%26", {"a": "é &"}),
        ("a=-", {"a": "-"}),
    ],
)
def test_query_object(query: str, expected: dict[str, Any]) -> None:
    assert query_object(query) == expected


def test_headers_in_any_case() -> None:
    headers = RequestHeaders([("x-ms-id", "1"), ("accept", "a"), ("Accept", "b"), ("x_y", "no")])
    assert dict(headers) == {"X-Ms-Id": "1", "Accept": "a,b"}
    assert headers["X-MS-ID"] == headers.get("x-ms-id") == "1"
    assert "ACCEPT" in headers
    assert headers.get("other", 5) == 5


def test_request_json() -> None:
    request = Request(json.loads(full(headers=[["content-type", "application/json"]])), b"{")
    assert request.get_json(silent=True) is None
    broken = Request(json.loads(full(headers=[["content-type", "application/json"]])), b"{")
    with pytest.raises(HTTPError, match="Expecting"):
        _ = broken.json
    with pytest.raises(HTTPError, match="Content-Type") as caught:
        _ = Request(json.loads(full()), b"[1]").json
    assert caught.value.code == 415
    assert Request(json.loads(full()), b"[1]").get_json(force=True) == [1]


def test_responses() -> None:
    assert Response(None, 200).data == b"{}"
    assert Response({"a": 1}, 200).content_type == "application/json"
    assert Response("text", 200, json_str=True).data == b'"text"'
    assert Response("t", 200, {"A": "b, c"}).headers.getlist("a") == ["b", "c"]
    with pytest.raises(ValueError, match="newline"):
        Response("t", 200, {"A": "b\nc"})
    assert Response("é", 200).get_data(as_text=True) == "é"


def test_streamed_bodies() -> None:
    closed = []

    def parts() -> Iterator[str]:
        try:
            yield from ("", "a", "b")
        finally:
            closed.append(True)

    scorer = Scorer(lambda _: Response(parts(), 200), RUNNING)
    _, head, body = scorer.answer(frames.TEXT, b"i", b"")
    assert (json.loads(head)["stream"], body) == (True, b"a")
    assert list(scorer.stream) == [b"b"]
    assert closed == [True]
    assert Response(parts(), 200).get_data() == b"ab"


def test_a_streamed_body_that_fails_before_it_begins() -> None:
    def parts() -> Iterator[str]:
        raise KeyError("k")
        yield ""

    scorer = Scorer(lambda _: Response(parts(), 200), RUNNING)
    _, head, _ = scorer.answer(frames.TEXT, b"i", b"")
    assert json.loads(head)["status"] == 500
    assert scorer.stream is None
