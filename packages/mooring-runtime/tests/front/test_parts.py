"""Keys, ids and descriptions."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from mooring_runtime.front import swagger
from mooring_runtime.front.auth import Keys
from mooring_runtime.front.contract import Contract
from mooring_runtime.front.cors import Cors
from mooring_runtime.front.identity import IdTooLong, identify
from mooring_runtime.front.stream import HIGH_WATER, BodyStream, StreamBroken


def exchange(**headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(header=named.get)


def test_keys() -> None:
    keys = Keys(["one", "žluť"])
    assert keys.refusal("Bearer one") is None
    assert keys.refusal("bearer  one ") is None
    assert keys.refusal("Bearer žluť") is None
    for wrong in ("Bearer two", "Bearer ", "Bearer", "Basic one", ""):
        assert keys.refusal(wrong) is not None
    assert "needs a key" in str(keys.refusal(None))
    assert Keys().refusal(None) is None


def test_ids() -> None:
    assert identify(exchange(x_ms_request_id="a", x_ms_client_request_id="b")).request_id == "a"
    assert identify(exchange(x_ms_client_request_id="b")).request_id == "b"
    assert dict(identify(exchange(x_ms_request_id="a")).headers)["x-ms-client-request-id"] == "a"
    own = identify(exchange(x_ms_request_id="no\u00e9", traceid="t"))
    assert dict(own.headers)["x-request-id"] == own.request_id
    assert dict(own.headers)["traceid"] == "t"
    with pytest.raises(IdTooLong, match="x-ms-client-request-id must not exceed 100"):
        identify(exchange(x_ms_client_request_id="x" * 101))
    with pytest.raises(IdTooLong, match=r"^x-request-id must not exceed 100"):
        identify(exchange(x_request_id="x" * 101))


def test_the_users_own_description() -> None:
    own = swagger.Swagger("s", {"files": {"2": {}, "3": [3]}, "versions": ["3.0"]})
    assert own.document("2") == b"{}"
    assert own.document("3.0") == b"[3]"
    for version in ("9", "3.1"):
        with pytest.raises(swagger.NoSuchVersion, match=r"\[2, 3\]"):
            own.document(version)


def test_cors() -> None:
    cors = Cors("https://a.example, https://b.example")
    asked = SimpleNamespace(method="POST", header={"origin": "https://B.example"}.get)
    assert cors.headers(asked) == [("access-control-allow-origin", "https://B.example"), ("vary", "Origin")]  # type: ignore[arg-type]
    other = SimpleNamespace(method="POST", header={"origin": "https://b.example.evil"}.get)
    assert cors.headers(other) == []  # type: ignore[arg-type]


def test_the_contract_of_no_worker() -> None:
    contract = Contract("s", None)
    assert (contract.cors, contract.scoring_timeout_ms) == (None, None)
    assert contract.swagger.supported == ["2", "3", "3.1"]


def test_streams() -> None:
    async def scene() -> None:
        flow: list[bool] = []
        cancelled: list[bool] = []
        stream = BodyStream(b"first", flow.append, lambda: cancelled.append(True))
        assert await stream.next() == b"first"
        stream.feed(b"x" * (HIGH_WATER + 1))
        assert flow == [False]
        await stream.next()
        assert flow == [False, True]
        waiting = asyncio.ensure_future(stream.next())
        await asyncio.sleep(0)
        stream.drop()
        assert await waiting is None
        assert cancelled == [True]
        broken = BodyStream(b"a", flow.append, lambda: None)
        broken.end("it died")
        assert await broken.next() == b"a"
        with pytest.raises(StreamBroken, match="it died"):
            await broken.next()

    asyncio.run(scene())


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_references_lead_somewhere(version: str) -> None:
    reported = {"input": {"type": "object"}, "output": {"type": "array"}}
    document = json.loads(swagger.Swagger("s", reported).document(version))

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                walk(value)

    walk(document)
