"""Keys, ids and descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mooring_runtime.front import swagger
from mooring_runtime.front.auth import Keys
from mooring_runtime.front.identity import IdTooLong, identify


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
    own = identify(exchange(x_ms_request_id="no\u00e9", traceid="t"))
    assert dict(own.headers)["x-request-id"] == own.request_id
    assert dict(own.headers)["traceid"] == "t"
    with pytest.raises(IdTooLong, match="x-ms-client-request-id header may have 100"):
        identify(exchange(x_ms_client_request_id="x" * 101))


def test_the_users_own_description(tmp_path: Path) -> None:
    (tmp_path / "swagger.json").write_text("{}")
    assert swagger.document("s", "2", None, str(tmp_path)) == b"{}"
    (tmp_path / "swagger3.json").write_text("[3]")
    assert swagger.document("s", "3", None, str(tmp_path)) == b"[3]"
    assert swagger.document("s", "9", None, str(tmp_path)) is None


@pytest.mark.parametrize("version", swagger.VERSIONS)
def test_references_lead_somewhere(version: str) -> None:
    text = swagger.document("s", version, {"input": {"type": "object"}, "output": {"type": "array"}}, None)
    assert text is not None
    document = json.loads(text)

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                walk(value)

    walk(document)
