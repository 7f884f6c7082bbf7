from __future__ import annotations

import json
from typing import Any

import pytest

from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.supervisor.spec import parse

DOCUMENTED: dict[str, Any] = {
    "service": "mysvc",
    "generation": 3,
    "host": "127.0.0.1",
    "port": 0,
    "auth_keys": ["primary", "secondary"],
    "scoring_timeout_ms": 60000,
    "max_request_bytes": 104857600,
    "revision": {
        "id": "3",
        "python": "/bin/python",
        "worker_dir": "/worker",
        "app_root": "/app",
        "entry_script": "score.py",
        "source_directory": None,
        "env": {"AZUREML_MODEL_DIR": "/m"},
        "workers": 1,
        "init_deadline_seconds": 300,
        "cpu_cores": 1.0,
        "memory_bytes": 1073741824,
        "sandbox": {
            "mode": "auto",
            "network": "auto",
            "readable": ["/image"],
            "protected": ["/home/me/.local/share/mooring"],
            "open_ports": [20000],
            "closed_ports": [40123],
        },
        "container": None,
    },
}
CONTAINER = {"engine": "/run/docker.sock", "image": "localhost/mooring-1:2", "user": "10001:10001"}


def in_container(**changes: Any) -> dict[str, Any]:
    revision = {**DOCUMENTED["revision"], "sandbox": None, "container": {**CONTAINER, **changes}}
    return {"revision": revision}


def test_round_trip_in_a_container() -> None:
    spec = parse({**DOCUMENTED, **in_container(network="none", labels={"a": "b"})})
    assert spec.revision.container is not None
    assert spec.revision.container.network == "none"
    assert parse(json.loads(json.dumps(spec.to_json()))) == spec


def test_round_trip() -> None:
    spec = parse(DOCUMENTED)
    assert spec.auth_keys == ("primary", "secondary")
    assert parse(json.loads(json.dumps(spec.to_json()))) == spec
    written = json.loads(json.dumps(spec.to_json()))
    assert {key: written[key] for key in DOCUMENTED} == DOCUMENTED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service": 1}, "service must be text, not 1"),
        ({"port": 70000}, "port must be between 0 and 65535"),
        ({"port": True}, "port must be a whole number"),
        ({"auth_keys": [""]}, "auth_keys"),
        ({"colour": "red"}, "Unknown field colour. Known: service"),
        ({"scoring_timeout_ms": 0}, "scoring_timeout_ms must be above 0"),
        ({"revision": {"id": "1"}}, "The field revision.python is missing"),
        ({"revision": {**DOCUMENTED["revision"], "env": {"A": 1}}}, "revision.env must map text to text"),
        ({"revision": {**DOCUMENTED["revision"], "workers": 0}}, "revision.workers must be above 0"),
        ({"revision": []}, "revision must be an object"),
        ({"revision": {**DOCUMENTED["revision"], "container": CONTAINER}}, "a container needs none"),
        (in_container(user="0:0"), "uid:gid and not root, not '0:0'"),
        (in_container(user="root"), "uid:gid and not root, not 'root'"),
        (in_container(network="host"), "must be one of default, none, not 'host'"),
        (in_container(privileged=True), "Unknown field revision.container.privileged"),
    ],
)
def test_mistakes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SupervisorError) as caught:
        parse({**DOCUMENTED, **changes})
    assert message in caught.value.failure.message
    assert caught.value.failure.to_json()["code"] == "SpecInvalid"


def test_not_an_object() -> None:
    with pytest.raises(SupervisorError, match="The spec must be a JSON object"):
        parse(None)


def test_same_processes() -> None:
    revision = parse(DOCUMENTED).revision
    more = parse({**DOCUMENTED, "revision": {**DOCUMENTED["revision"], "workers": 5}}).revision
    other = parse({**DOCUMENTED, "revision": {**DOCUMENTED["revision"], "env": {}}}).revision
    assert revision.same_processes(more)
    assert not revision.same_processes(other)
