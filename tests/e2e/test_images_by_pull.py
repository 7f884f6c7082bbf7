"""Sockets that let no image through by load, as proxies before Docker's do: the engine pulls it from a registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from engines import Between, Podman, Service, own_docker, podman
from support import WS, eventually
from test_containers import ECHO, Place, healthy, score, serving
from test_external_registry import Upstream, authority, trusted, upstream

from mooring_runtime.engine.client import Engine

__all__ = ["authority", "trusted", "upstream"]  # fixtures
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

TEXT = json.dumps({"message": "not allowed here"}).encode()
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(TEXT), TEXT)


class Pulling:
    """A server whose engine refuses some requests, and remembers all."""

    def __init__(self, engine: Service, between: Between, place: Place) -> None:
        self.engine = engine
        self.place = place
        self.asked: list[str] = []
        self.refused = {"POST /images/load"}
        between.seen = self._seen

    def _seen(self, request: str, sent: int) -> bytes | None:
        if sent == 0:
            self.asked.append(request)
        return REFUSED if request in self.refused else None

    def nothing_left(self) -> None:
        eventually(self.engine.empty, "no image is left", 240)


@pytest.fixture(scope="module", params=["podman", "docker"])
def pulling(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    trusted: dict[str, str],
    upstream: Upstream,
) -> Iterator[Pulling]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which builds the base image, is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with (podman if request.param == "podman" else own_docker)(folder) as engine:
        between = Between(folder, engine.socket)
        with serving(folder, Engine(between.socket), **trusted) as place:
            if isinstance(engine, Podman):  # Docker trusts what listens on the loopback
                engine.stop()
                engine.trust(urlsplit(place.server.url).netloc, upstream.address)
                engine.start()
            yield Pulling(engine, between, place)
        between.close()


@pytest.fixture(params=["own", "external"])
def registry(request: pytest.FixtureRequest, pulling: Pulling, upstream: Upstream) -> Iterator[str]:
    """The address of the registry that the workspace uses."""
    server = pulling.place.server
    if request.param == "external":
        body = {"address": f"{upstream.address}/team", "username": "me", "password": "secret"}
        assert server.client.put(f"{WS}/registry", json=body).status_code == 200
    yield upstream.address if request.param == "external" else urlsplit(server.url).netloc
    server.client.delete(f"{WS}/registry")


def test_an_image_is_pulled(pulling: Pulling, registry: str) -> None:
    pulling.asked.clear()
    view = healthy(pulling.place.deploy("pulled", ECHO + f"# {registry}\n".encode()))
    assert score(view, [1]) == [1]
    assert "POST /images/load" in pulling.asked
    assert "POST /images/create" in pulling.asked
    [container] = pulling.place.containers("pulled")
    described = pulling.engine.engine.image(container["Image"])
    assert described is not None
    # The registry's name has gone: what the server brought is the server's to remove.
    assert [name.partition(":")[0].rpartition("-")[0] for name in described["RepoTags"]] == [
        "localhost/mooring"
    ]
    pulling.place.delete("pulled")
    pulling.nothing_left()


def test_what_was_tried_is_told(pulling: Pulling) -> None:
    pulling.refused.add("POST /images/create")
    try:
        failed = pulling.place.deploy("neither", ECHO + b"# neither\n")
    finally:
        pulling.refused.remove("POST /images/create")
    error = failed["operation"]["error"]
    assert (error["code"], error["phase"]) == ("ImageNotHandedOver", "Unpack")
    assert error["evidence"]["load"] == "403 not allowed here"
    [(place, said)] = [pair for pair in error["evidence"].items() if pair[0] != "load"]
    assert place.startswith(urlsplit(pulling.place.server.url).netloc)
    assert said == "not allowed here"
    assert "plain http" in error["hint"]
    pulling.place.delete("neither")
    pulling.nothing_left()
