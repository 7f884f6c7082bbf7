"""`@batched`: one call of run() for several requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mooring.scoring
from mooring.scoring import BadRequest, batched
from mooring_runtime.testing import WORKER_DIR
from mooring_runtime.worker import frames, serve
from mooring_runtime.worker.entry import EntryError
from mooring_runtime.worker.response import Response
from mooring_runtime.worker.scoring import RAW_MARK, Scorer

RUNNING = SimpleNamespace(requested=False)
Answer = tuple[int, bytes, bytes]


def score(run: Callable[..., Any], *bodies: bytes, max_size: int = 4) -> list[Answer]:
    requests = [(frames.TEXT, f"id{place}".encode(), body) for place, body in enumerate(bodies)]
    answers: list[Answer] = Scorer(batched(max_size=max_size)(run), RUNNING).answers(requests)
    return answers


def status(answer: Answer) -> tuple[int, Any]:
    kind, head, body = answer
    return 200 if kind == frames.RESULT else json.loads(head)["status"], json.loads(body)


def test_each_gets_its_own() -> None:
    answers = score(lambda inputs: [[value, len(inputs)] for value in inputs], b"a", b"b", b"c")
    assert [status(answer) for answer in answers] == [(200, [name, 3]) for name in "abc"]
    assert len({answer[1] for answer in answers}) == 1  # the time is that of the call


def test_one_alone_is_a_batch_too() -> None:
    scorer = Scorer(batched(max_size=3)(lambda inputs: inputs), RUNNING)
    assert (scorer.mode, scorer.batch) == ("text", 3)
    assert json.loads(scorer.answer(frames.TEXT, b"id", b"x")[2]) == "x"
    head = json.dumps({"id": "i", "method": "GET", "query": "a=1", "headers": []}).encode()
    assert json.loads(json.loads(scorer.answer(frames.FULL, head, b"")[2])) == {"a": 1}


def test_what_an_exception_says_of_itself_makes_no_bad_request(logged: Callable[[], str]) -> None:
    class Obliging(Exception):
        def __getattr__(self, name: str) -> int:
            return 400

    marked = KeyError("k")
    marked.mooring_status = 400  # type: ignore[attr-defined]
    answers = score(lambda _: [Obliging("o"), marked], b"a", b"b")
    assert [status(answer)[0] for answer in answers] == [500, 500]
    assert "KeyError: 'k'" in logged()


def test_an_exception_in_the_list_is_one_request_s(logged: Callable[[], str]) -> None:
    answers = score(lambda _: [1, BadRequest("no such column"), KeyError("k")], b"a", b"b", b"c")
    assert [status(answer)[0] for answer in answers] == [200, 400, 500]
    assert status(answers[1])[1] == {"message": "no such column"}
    text = logged()
    assert "request id2: run() raised an exception\nKeyError: 'k'" in text
    assert "id1" not in text


def test_what_is_no_text_does_not_reach_run() -> None:
    answers = score(lambda inputs: [inputs for _ in inputs], b"a", b"\xff", b"c")
    assert [status(answer)[0] for answer in answers] == [200, 400, 200]
    assert status(answers[2])[1] == ["a", "c"]


def test_what_cannot_be_written_is_one_request_s() -> None:
    answers = score(lambda _: [{1, 2}, 2], b"a", b"b")
    assert [status(answer)[0] for answer in answers] == [500, 200]


@pytest.mark.parametrize(
    ("returned", "said"),
    [([1], "got 2 and returned a list of 1"), (None, "a NoneType"), ({"a": 1, "b": 2}, "a dict")],
)
def test_another_number_of_results(returned: Any, said: str, logged: Callable[[], str]) -> None:
    answers = score(lambda _: returned, b"a", b"b")
    assert [status(answer)[0] for answer in answers] == [500, 500]
    assert said in logged()


def test_an_exception_of_run_fails_all(logged: Callable[[], str]) -> None:
    def run(_: list[str]) -> None:
        raise OSError("gone")

    assert [status(answer)[0] for answer in score(run, b"a", b"b")] == [500, 500]
    assert "request id0, id1: run() raised an exception" in logged()


def test_a_bad_request_that_is_raised() -> None:
    def run(_: object) -> None:
        raise BadRequest("no")

    for answer in (*score(run, b"a", b"b"), Scorer(run, RUNNING).answer(frames.TEXT, b"i", b"a")):
        assert status(answer) == (400, {"message": "no"})


def test_responses() -> None:
    closed = []

    def parts() -> Any:
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    scorer = Scorer(batched()(lambda _: [Response("tea", 418), Response(parts(), 200)]), RUNNING)
    answers = scorer.answers([(frames.TEXT, b"a", b""), (frames.TEXT, b"b", b"")])
    assert [json.loads(answer[1])["status"] for answer in answers] == [418, 500]
    assert answers[0][2] == b"tea"
    assert scorer.stream is None
    assert closed == [True]


def test_what_cannot_be_batched() -> None:
    with pytest.raises(EntryError, match="cannot take request_headers"):
        Scorer(batched()(lambda data, request_headers: [data, request_headers]), RUNNING)
    raw = batched()(lambda request: [request])
    setattr(raw, RAW_MARK, True)
    with pytest.raises(EntryError, match="@batched and @rawhttp"):
        Scorer(raw, RUNNING)


@pytest.mark.parametrize("size", [0, 1025, True, "8"])
def test_sizes(size: Any) -> None:
    with pytest.raises(ValueError, match="from 1 to 1024"):
        batched(max_size=size)


def test_the_worker_s_copy_is_the_package_s() -> None:
    ours = Path(mooring.scoring.__file__).read_bytes()
    assert (WORKER_DIR / "fallback" / "mooring" / "scoring.py").read_bytes() == ours


@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=40)), min_size=1, max_size=8))
def test_a_batch_on_the_wire(sent: list[tuple[int, bytes]]) -> None:
    scorer = Scorer(batched(max_size=8)(lambda inputs: inputs), RUNNING)
    body = b"".join(frames.encode(frame_id, frames.TEXT, b"id", text) for frame_id, text in sent)
    answers = frames.Decoder().feed(serve.together(scorer, body))
    assert [answer[0] for answer in answers] == [frame_id for frame_id, _ in sent]
    for (_, text), (_, *answer) in zip(sent, answers, strict=True):
        code, said = status((answer[0], answer[1], answer[2]))
        try:
            assert (code, said) == (200, text.decode())
        except UnicodeDecodeError:
            assert code == 400
