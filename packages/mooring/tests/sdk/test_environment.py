from __future__ import annotations

import os
from pathlib import Path

import pytest

from azureml.core import Environment
from azureml.core.container_registry import ContainerRegistry
from azureml.core.environment import DockerBuildContext
from azureml.exceptions import UserErrorException


def test_round_trip(here: Path) -> None:
    made = Environment("my-env")
    made.environment_variables = {"A": "1", "N": 2}  # type: ignore[dict-item]
    made.python.conda_dependencies.add_pip_package("numpy")  # type: ignore[union-attr]
    made.docker.enabled = True
    made.docker.base_image = "debian:12"
    made.docker.base_image_registry.address = "r.test"
    made.docker.shm_size = "2g"
    made.inferencing_stack_version = "latest"
    made.exclude_newer = "model"
    data = made.to_json()
    assert data["environmentVariables"] == {"A": "1", "N": "2"}
    again = Environment.from_json(data)
    assert again.to_json() == data
    capitals = Environment.from_json({key[:1].upper() + key[1:]: value for key, value in data.items()})
    assert capitals.to_json() == data


def test_default_leaves_the_base_image_to_the_server() -> None:
    data = Environment("e").to_json()
    assert data["docker"]["baseImage"] is None
    assert data["environmentVariables"] == {}


@pytest.mark.azureml("PythonSection.conda_dependencies_file")
def test_conda_specification(here: Path) -> None:
    (here / "env.yml").write_text("name: e\ndependencies: [numpy]\n")
    made = Environment.from_conda_specification("e", "env.yml")
    assert list(made.python.conda_dependencies.conda_packages) == ["numpy"]  # type: ignore[union-attr]
    made.python.conda_dependencies_file = "env.yml"
    assert made.python.conda_dependencies_file == "env.yml"


def test_pip_requirements(here: Path) -> None:
    (here / "more.txt").write_text("scipy\n")
    (here / "r.txt").write_text(
        "# comment\n--extra-index-url https://i.test\nnumpy==1.0  # why\n\n-r more.txt\npandas \\\n >=1\n"
    )
    made = Environment.from_pip_requirements("e", "r.txt", pip_version="24.0").python.conda_dependencies
    assert made is not None
    assert list(made.pip_packages) == ["numpy==1.0", "scipy", "pandas   >=1"]
    assert list(made.pip_options) == ["--extra-index-url https://i.test"]
    assert list(made.conda_packages) == ["pip=24.0"]
    with pytest.raises(UserErrorException, match="does not exist"):
        Environment.from_pip_requirements("e", "none.txt")
    (here / "loop.txt").write_text("-r loop.txt\n")
    with pytest.raises(UserErrorException, match="itself"):
        Environment.from_pip_requirements("e", "loop.txt")


@pytest.mark.azureml(
    "Environment.from_dockerfile",
    "Environment.from_docker_build_context",
    "DockerSection.base_dockerfile",
    "DockerSection.build_context",
)
def test_images_and_dockerfiles(here: Path) -> None:
    registry = ContainerRegistry()
    registry.address, registry.username, registry.password = "r.test", "u", "p"
    made = Environment.from_docker_image("e", "r.test/i:1", registry)
    assert made.python.user_managed_dependencies
    assert made.to_json()["docker"]["baseImageRegistry"]["username"] == "u"
    (here / "Dockerfile").write_text("FROM debian:12\n")
    assert Environment.from_dockerfile("e", "Dockerfile").docker.base_dockerfile == "FROM debian:12\n"
    assert Environment.from_dockerfile("e", "FROM x\nRUN y").docker.base_dockerfile == "FROM x\nRUN y"
    by_path = Environment("e")
    by_path.docker.base_dockerfile = "Dockerfile"
    assert by_path.to_json()["docker"]["baseDockerfile"] == "FROM debian:12\n"
    context = DockerBuildContext.from_local_directory(None, str(here))
    assert Environment.from_docker_build_context("e", context).to_json()["docker"]["buildContext"]["location"]
    described = Environment.from_docker_build_context("e", context)
    files = [{"path": "Dockerfile", "digest": "sha256:1", "size": 1, "executable": False}]
    context.files = files
    assert Environment.from_json(described.to_json()).to_json() == described.to_json()
    with pytest.raises(UserErrorException):
        DockerBuildContext.from_local_directory(None, str(here), "None")
    with pytest.raises(UserErrorException, match="not both"):
        Environment.from_docker_image("e", "i", conda_specification="a", pip_requirements="b")


@pytest.mark.azureml("Environment.from_existing_conda_environment")
def test_existing_conda_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(UserErrorException) as caught:
        Environment.from_existing_conda_environment("e", "base")
    assert caught.value.code == "CondaNotInstalled"
    conda = here / "conda"
    conda.write_text(
        "#!/bin/sh\n[ $5 = base ] || { echo no such >&2; exit 1; }\n"
        "echo 'name: base'\necho 'dependencies: [numpy=1.0]'\necho 'prefix: /x'\n"
    )
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.defpath}")
    made = Environment.from_existing_conda_environment("e", "base").python.conda_dependencies
    assert made is not None
    assert made.as_dict() == {"name": "base", "dependencies": ["numpy=1.0"]}
    with pytest.raises(UserErrorException, match="could not export") as caught:
        Environment.from_existing_conda_environment("e", "other")
    assert "no such" in caught.value.evidence["log"]


def test_directories(here: Path) -> None:
    made = Environment("e")
    made.docker.base_dockerfile = "FROM x\n"
    made.save_to_directory("saved")
    assert {p.name for p in (here / "saved").iterdir()} == {
        "azureml_environment.json",
        "conda_dependencies.yml",
        "BaseDockerfile",
    }
    assert Environment.load_from_directory("saved").to_json() == made.to_json()
    with pytest.raises(UserErrorException, match="exists already"):
        made.save_to_directory("saved")
    made.save_to_directory("saved", overwrite=True)
    with pytest.raises(UserErrorException):
        Environment.load_from_directory("nowhere")


def test_clone_is_independent() -> None:
    made = Environment("a")
    made.version = "3"
    other = made.clone("b")
    other.environment_variables["X"] = "1"
    assert (other.name, other.version, made.environment_variables) == ("b", None, {})


@pytest.mark.parametrize(
    "call",
    [
        lambda e: e.build(None),
        lambda e: e.build_local(None),
        lambda e: e.get_image_details(None),
        lambda _: Environment.label(None, "e", "1", ["x"]),
        lambda _: Environment.add_private_pip_wheel(None, "x.whl"),
        lambda _: Environment.get(None, "e", label="prod"),
    ],
)
def test_what_is_not_there_says_what_is(call: object) -> None:
    with pytest.raises(UserErrorException) as caught:
        call(Environment("e"))  # type: ignore[operator]
    assert caught.value.hint


@pytest.mark.azureml(
    "DockerSection.arguments", "DockerSection.gpu_support", "DockerSection.shared_volumes", "DockerSection.shm_size"
)  # fmt: skip
def test_docker_settings_are_accepted_and_kept() -> None:
    made = Environment("e")
    made.docker.arguments = ["--ulimit", "core=0"]
    made.docker.shared_volumes = False
    made.docker.shm_size = "1g"
    made.docker.gpu_support = True
    kept = Environment.from_json(made.to_json()).docker
    assert kept.arguments == ["--ulimit", "core=0"]
    assert kept.shared_volumes is False
    assert kept.shm_size == "1g"
