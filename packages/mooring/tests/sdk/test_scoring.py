from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback_web import Answer, Seen, serve

from azureml.exceptions import WebserviceException
from mooring.sdk.scoring import Scorer


@pytest.fixture
def scorer() -> Iterator[Scorer]:
    keys = iter(["old", "new"])
    made = Scorer("svc", lambda: next(keys))
    yield made
    made.close()


@pytest.mark.parametrize("data", ['{"data": "\u00e9"}', '{"data": "\u00e9"}'.encode()])
def test_bytes_and_text_go_as_they_are(scorer: Scorer, data: str | bytes) -> None:
    with serve(lambda seen: Answer(body=seen.body)) as (url, seen):
        assert scorer.run(f"{url}/score", data, auth=False) == {"data": "\u00e9"}
    assert seen[0].headers["content-type"] == "application/json"
    assert "authorization" not in seen[0].headers


def test_a_key_that_was_replaced_is_fetched_once_again(scorer: Scorer) -> None:
    def answer(seen: Seen) -> Answer:
        return Answer(200 if seen.headers["authorization"] == "Bearer new" else 401, b"[1]")

    with serve(answer) as (url, seen):
        assert scorer.run(url, "{}", auth=True) == [1]
        assert scorer.run(url, "{}", auth=True) == [1]
    assert [s.headers["authorization"][7:] for s in seen] == ["old", "new", "new"]


def test_a_key_that_is_wrong_is_an_error(scorer: Scorer) -> None:
    with serve(lambda _: Answer(401, b"{}")) as (url, seen), pytest.raises(WebserviceException) as caught:
        scorer.run(url, "{}", auth=True)
    assert len(seen) == 2
    assert caught.value.status_code == 401
    assert "get_keys" in caught.value.hint


def test_other_answers_show_status_headers_and_body(scorer: Scorer) -> None:
    failed = Answer(500, b'{"message": "no"}', {"x-ms-run-function-failed": "True"})
    with serve(lambda _: failed) as (url, _seen), pytest.raises(WebserviceException) as caught:
        scorer.run(url, "{}", auth=False)
    text = str(caught.value)
    assert "Response Code: 500" in text
    assert "x-ms-run-function-failed" in text
    assert 'Content: {"message": "no"}' in text
    assert "get_logs" in caught.value.hint
    assert caught.value.status_code == 500


def test_text_that_is_no_json(scorer: Scorer) -> None:
    with serve(lambda _: Answer(body=b"plain")) as (url, _seen):
        assert scorer.run(url, "{}", auth=False) == "plain"


def test_objects_are_refused_before_anything_is_sent(scorer: Scorer) -> None:
    with pytest.raises(WebserviceException, match=r"dict") as caught:
        scorer.run("http://127.0.0.1:1", {"data": 1}, auth=False)
    assert "json.dumps" in caught.value.hint


def test_no_answer(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: Answer()) as (url, _seen):
        pass
    with pytest.raises(WebserviceException) as caught:
        scorer.run(url, "{}", auth=False)
    assert (caught.value.code, caught.value.phase) == ("ServiceUnreachable", "Run")
