"""Dockerfiles of environments: where they come from, and what is wrong before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.errors import InvalidRequest, PhaseFailed
from mooring_server.images.dockerfiles.builder import DockerfileBases
from mooring_server.images.dockerfiles.dockerfile import Dockerfile
from mooring_server.images.dockerfiles.recipe import Recipe, context_digests, recipe_of
from mooring_server.images.dockerfiles.tool import Job, failed
from mooring_server.images.scratch import Scratch
from mooring_server.store.content import ContentStore


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def context(store: ContentStore, **more: Any) -> dict[str, Any]:
    digest = store.put_bytes(b"FROM a\n")
    files = [{"path": "docker/Dockerfile", "digest": digest, "size": 7, "executable": False}]
    return {"docker": {"buildContext": {"dockerfilePath": "./docker/Dockerfile", "files": files, **more}}}


def test_a_text_or_a_file_of_the_context(store: ContentStore) -> None:
    assert recipe_of({}, store) is None
    text = recipe_of({"docker": {"baseDockerfile": "FROM b\n"}}, store)
    assert text is not None
    assert (text.dockerfile.images, text.files) == (("b",), ())
    described = context(store)
    found = recipe_of(described, store)
    assert found is not None
    assert (found.dockerfile.images, found.path) == (("a",), "docker/Dockerfile")
    assert context_digests(described) == [found.files[0].digest]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda docker: docker.update(baseDockerfile=1), "EnvironmentInvalid"),
        (lambda docker: docker.update(baseDockerfile="RUN true"), "DockerfileInvalid"),
        (lambda docker: docker.update(buildContext="here"), "EnvironmentInvalid"),
        (lambda docker: docker["buildContext"].update(files=[{"path": 1}]), "EnvironmentInvalid"),
        (lambda docker: docker["buildContext"].update(files="all"), "EnvironmentInvalid"),
        (lambda docker: docker["buildContext"].update(files=[]), "DockerfileNotFound"),
        (lambda docker: docker["buildContext"].update(dockerfilePath="Other"), "DockerfileNotFound"),
    ],
)
def test_what_is_no_dockerfile(
    store: ContentStore, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    environment = context(store)
    change(environment["docker"])
    with pytest.raises(InvalidRequest) as caught:
        recipe_of(environment, store)
    assert caught.value.code == code


def test_without_a_builder_the_error_says_which_to_install(store: ContentStore, tmp_path: Path) -> None:
    bases = DockerfileBases(store, tmp_path / "cache", Scratch(tmp_path / "tmp"), list)
    with pytest.raises(PhaseFailed) as caught:
        bases.base(Recipe(Dockerfile("FROM scratch\n"), "", ()), {}, lambda _: None, lambda _: None)
    assert caught.value.code == "BuilderMissing"
    assert "apt-get install buildah" in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "said", "code", "message"),
    [
        (
            ["STEP 1/2: FROM a", "STEP 2/2: RUN x", "why", 'Error: building at STEP "RUN x": exit status 4'],
            'building at STEP "RUN x": exit status 4',
            "DockerfileFailed",
            "Step 2/2 of the Dockerfile failed, RUN x: status 4.",
        ),
        (
            ["Step 1/2 : FROM a", "Step 2/2 : RUN x"],
            "The command '/bin/sh -c x' returned a non-zero code: 5",
            "DockerfileFailed",
            "Step 2/2 of the Dockerfile failed, RUN x: status 5.",
        ),
        (
            ["cannot clone"],
            "cannot clone",
            "BuilderFailed",
            "docker could not build the Dockerfile: cannot clone.",
        ),
        (
            ["STEP 1/1: FROM a", "write: No space left on device"],
            "write",
            "DiskFull",
            "There is no space left",
        ),
    ],
)
def test_what_the_builders_say(tmp_path: Path, lines: list[str], said: str, code: str, message: str) -> None:
    job = Job(Dockerfile("FROM a\n"), {}, tmp_path, tmp_path, "x")
    error = failed("docker", job, lines, said)
    assert error.code == code
    assert error.message.startswith(message) or code == "DiskFull"


def test_a_base_without_a_shell_is_the_hint(tmp_path: Path) -> None:
    job = Job(Dockerfile("FROM a\n"), {}, tmp_path, tmp_path, "x")
    said = 'exec: "/bin/sh": stat /bin/sh: no such file or directory'
    assert "has no shell" in (failed("buildah", job, ["STEP 2/2: RUN x", said], said).hint or "")
