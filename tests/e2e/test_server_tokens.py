"""Tokens with roles, on a real server: every route refuses what does not suffice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support import WS, RunningServer

from mooring.sdk.exceptions import UserErrorException
from mooring.sdk.model import Model
from mooring.sdk.workspace import Workspace

OTHER = WS.rpartition("/")[0] + "/other"
THIS = [{"subscription": "sub", "resourceGroup": "rg", "name": "ws"}]
ELSEWHERE = [{"subscription": "sub", "resourceGroup": "rg", "name": "other"}]
TOKENS = "/mooring/v1/tokens"
LESS = {"contributor": "reader", "owner": "contributor"}
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(server: RunningServer) -> Iterator[Make]:
    """Makes tokens that are revoked afterwards."""
    server.client.put(OTHER, json={"existOk": True})
    made: list[str] = []

    def create(role: str, workspaces: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
        body = {"name": f"{role}-{len(made)}", "role": role, "workspaces": workspaces, **more}
        answer = server.client.post(TOKENS, json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        token: dict[str, Any] = answer.json()
        return token

    yield create
    for identity in made:
        server.client.delete(f"{TOKENS}/{identity}")


def caller(server: RunningServer, token: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def operations(server: RunningServer) -> list[tuple[str, str, str]]:
    """Method, path and role of everything in the OpenAPI description."""
    paths = server.client.get("/mooring/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), path, description["x-mooring-role"])
        for path, methods in paths.items()
        for method, description in methods.items()
    ]


def test_every_route_refuses_callers_without_its_role(server: RunningServer, make: Make) -> None:
    names = {"subscription": "sub", "resource_group": "rg", "workspace": "ws"}
    everywhere = {role: make(role)["token"] for role in ("reader", "contributor")}
    stranger = make("owner", ELSEWHERE)["token"]
    seen = operations(server)
    assert len(seen) > 40
    assert [path for _, path, role in seen if role == "none"] == ["/livez"]
    with httpx.Client(base_url=server.url, timeout=60) as plain:
        for method, path, role in seen:
            if role == "none":
                continue
            url = re.sub(r"\{(\w+)(:path)?\}", lambda m: names.get(m[1], "nothing"), path)

            def status(token: str | None, method: str = method, url: str = url) -> int:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                return plain.request(method, url, headers=headers).status_code

            assert status(None) == 401, (method, path)
            if role in LESS:
                assert status(everywhere[LESS[role]]) == 403, (method, path)
            if "{workspace}" in path:
                assert status(stranger) == 403, (method, path)


def test_a_reader_reads_but_sees_no_keys(
    server: RunningServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make("reader", THIS)
    monkeypatch.setenv("MOORING_ENDPOINT", server.url)
    monkeypatch.setenv("MOORING_TOKEN", token["token"])
    workspace = Workspace.get("ws", subscription_id="sub", resource_group="rg")
    assert Model.list(workspace, name="nothing") == []
    with pytest.raises(UserErrorException) as caught:
        workspace.mooring.call("POST", "/listKeys")
    error: Any = caught.value
    assert error.code == "Forbidden"
    assert error.evidence == {
        "needed": "the role contributor for workspace sub/rg/ws",
        "has": "reader for sub/rg/ws",
    }


def test_a_contributor_changes_its_workspaces_but_deletes_none(server: RunningServer, make: Make) -> None:
    with caller(server, make("contributor", THIS)["token"]) as client:
        assert client.put(WS, json={"existOk": True}).status_code == 200
        assert client.put(OTHER, json={"existOk": True}).status_code == 403
        assert client.put(WS + "-new", json={}).status_code == 403
        assert client.post(f"{WS}/listKeys").status_code == 200
        listed = client.get("/mooring/v1/subscriptions/sub/workspaces").json()["value"]
        assert [workspace["name"] for workspace in listed] == ["ws"]
        assert client.delete(WS).status_code == 403
        assert client.get(TOKENS).status_code == 403
        assert client.get("/mooring/v1/audit").status_code == 403


def test_an_owner_of_a_workspace_hands_out_no_more_than_it_has(server: RunningServer, make: Make) -> None:
    far = make("reader")
    with caller(server, make("owner", THIS)["token"]) as client:
        for workspaces in (None, ELSEWHERE, THIS + ELSEWHERE):
            body = {"name": "wider", "role": "reader", "workspaces": workspaces}
            assert client.post(TOKENS, json=body).status_code == 403
        made = client.post(TOKENS, json={"name": "mine", "role": "owner", "workspaces": THIS})
        assert made.status_code == 201
        names = [token["name"] for token in client.get(TOKENS).json()["value"] if token["state"] == "Active"]
        assert "mine" in names
        assert far["name"] not in names
        assert client.delete(f"{TOKENS}/{far['id']}").status_code == 404
        assert client.delete(f"{TOKENS}/mine").status_code == 204
        assert client.get("/mooring/v1/audit").status_code == 403


def test_tokens_end(server: RunningServer, make: Make) -> None:
    revoked, expired = make("reader"), make("reader", expiresInDays=1e-9)
    assert server.client.post(TOKENS, json={"name": revoked["name"], "role": "reader"}).status_code == 409
    with caller(server, revoked["token"]) as client:
        assert client.get("/mooring/v1/info").status_code == 200
        assert server.client.delete(f"{TOKENS}/{revoked['id']}").status_code == 204
        assert client.get("/mooring/v1/info").json()["error"]["code"] == "Unauthorized"
    with caller(server, expired["token"]) as client:
        assert client.get("/mooring/v1/info").status_code == 401
    states = {t["id"]: t["state"] for t in server.client.get(TOKENS).json()["value"]}
    assert states[revoked["id"]] == "Revoked"
    assert states[expired["id"]] == "Expired"


def test_a_grant_ends_with_its_workspace_and_opens_no_later_one(server: RunningServer, make: Make) -> None:
    short = WS + "-short"
    assert server.client.put(short, json={}).status_code == 201
    token = make("owner", [{"subscription": "sub", "resourceGroup": "rg", "name": "ws-short"}])["token"]
    with caller(server, token) as client:
        assert client.get(short).status_code == 200
        assert client.delete(short).status_code == 204
        assert server.client.put(short, json={}).status_code == 201
        assert client.get(short).status_code == 403
    assert server.client.delete(short).status_code == 204


def test_the_audit_log_has_changes_and_refusals_but_no_tokens(server: RunningServer, make: Make) -> None:
    token = make("contributor", THIS)
    with caller(server, token["token"]) as client:
        client.put(WS, json={"existOk": True})
        client.get(WS)
        client.delete(WS)
    with caller(server, "a-wrong-token") as client:
        assert client.get(WS).status_code == 401
    path = server.home / "logs" / "audit.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    entries = server.client.get("/mooring/v1/audit", params={"count": 4}).json()["value"]
    assert [json.loads(line) for line in path.read_text().splitlines()][-4:] == entries
    created, changed, deleted, stranger = entries
    assert created["route"] == TOKENS
    assert created["token"] == {"id": "local", "name": "local"}
    assert (changed["method"], changed["status"], changed["workspace"]) == ("PUT", 200, "sub/rg/ws")
    assert changed["token"] == {"id": token["id"], "name": token["name"]}
    assert (deleted["method"], deleted["status"]) == ("DELETE", 403)
    assert (stranger["status"], stranger["token"], stranger["address"]) == (401, None, "127.0.0.1")
    assert token["token"] not in path.read_text()
    assert "a-wrong-token" not in path.read_text()
