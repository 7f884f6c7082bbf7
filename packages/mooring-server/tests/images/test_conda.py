"""Azure environments become requirements for PyPI."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.errors import InvalidRequest, MooringError
from mooring_server.images.conda import Requirements, read_environment
from mooring_server.images.condanames import pypi_name
from mooring_server.images.environment import base_reference, left_out, variables


def read(*dependencies: Any, **environment: Any) -> Requirements:
    python = {"condaDependencies": {"channels": ["conda-forge"], "dependencies": list(dependencies)}}
    return read_environment({"python": python, **environment})


@pytest.mark.parametrize(
    ("conda", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.19", "numpy==1.19.*"),
        ("numpy=1.19.*", "numpy==1.19.*"),
        ("numpy 1.19.*", "numpy==1.19.*"),
        ("numpy==1.19.5", "numpy==1.19.5"),
        ("numpy==1.19.*", "numpy==1.19.*"),
        ("numpy 1.19.5", "numpy==1.19.5"),
        ("numpy >=1.19, <2", "numpy>=1.19,<2"),
        ("numpy>= 1.19", "numpy>=1.19"),
        ("numpy!=1.20", "numpy!=1.20"),
        ("numpy~=1.19", "numpy~=1.19"),
        ("numpy=*", "numpy"),
        ("numpy>=1.19.*", "numpy>=1.19"),
        ("conda-forge::numpy=1.19", "numpy==1.19.*"),
        ("numpy[version='>=1.19']", "numpy>=1.19"),
        ("numpy=1.19.2=py37h54aff64_0", "numpy==1.19.2"),
        ("numpy 1.19.2 py37h54aff64_0", "numpy==1.19.2"),
        ("pytorch-cpu=1.4", "torch==1.4.*"),
        ("tensorflow-gpu==2.4.1", "tensorflow==2.4.1"),
        ("py-xgboost-cpu", "xgboost"),
        ("opencv", "opencv-python-headless"),
        ("py-opencv=4.5", "opencv-python-headless==4.5.*"),
        ("psycopg2", "psycopg2-binary"),
        ("pytables", "tables"),
        ("matplotlib-base", "matplotlib"),
        ("python-graphviz", "graphviz"),
        ("msgpack-python", "msgpack"),
        ("ruamel.yaml", "ruamel-yaml"),
    ],
)
def test_conda_requirements(conda: str, requirement: str) -> None:
    assert read(conda).packages == (requirement,)


@pytest.mark.parametrize(
    "name",
    [
        "cudatoolkit=10.1",
        "mkl",
        "libgcc",
        "libgcc-ng",
        "openmpi",
        "r-base",
        "nodefaults",
        "_libgcc_mutex",
        "graphviz",
    ],
)
def test_what_is_no_python_is_dropped_and_told(name: str) -> None:
    requirements = read(name, "numpy")
    assert requirements.packages == ("numpy",)
    assert any(name.partition("=")[0] in change and "no Python" in change for change in requirements.changes)


def test_azureml_is_replaced_and_inference_schema_stays() -> None:
    requirements = read(
        "python=3.6.2",
        {
            "pip": [
                "azureml-defaults==1.0.45",
                "azureml-monitoring",
                "azureml_contrib_services",
                "inference-schema[numpy-support]",
            ]
        },
    )
    assert requirements.packages == ("inference-schema[numpy-support]",)
    (change,) = requirements.changes
    assert all(
        name in change
        for name in ("azureml-defaults==1.0.45", "azureml-monitoring", "azureml_contrib_services")
    )


def test_every_change_is_one_sentence() -> None:
    requirements = read("pip=20.1", "numpy=1.19.2=py37_0", "pytorch", "mkl", {"pip": ["azureml-core"]})
    assert len(requirements.changes) == 6
    assert all(change.endswith(".") for change in requirements.changes)


@pytest.mark.parametrize(
    ("text", "minor"),
    [("python=3.6.2", (3, 6)), ("python==3.8.*", (3, 8)), ("python=3.10", (3, 10)), ("python 3.7.4", (3, 7))],
)
def test_one_python(text: str, minor: tuple[int, int]) -> None:
    requirements = read(text)
    assert requirements.python is not None
    assert requirements.python.minor == minor


def test_python_ranges() -> None:
    assert read("python").python is None
    request = read("python>=3.6,<3.9").python
    assert request is not None
    assert request.specifiers is not None
    assert "3.8.18" in request.specifiers
    assert "3.9.0" not in request.specifiers


def test_pip_options_are_read_and_never_told() -> None:
    requirements = read(
        {
            "pip": [
                "--index-url https://user:secret@index.example/simple",
                "--extra-index-url=https://b.example",
                "-f /wheels",
                "--trusted-host b.example",
                "six  # comment",
            ]
        }
    )
    assert requirements.options.index_url == "https://user:secret@index.example/simple"
    assert requirements.options.extra_index_urls == ("https://b.example",)
    assert requirements.options.find_links == ("/wheels",)
    assert requirements.packages == ("six",)
    assert "secret" not in str(requirements.changes)


def test_pip_replaces_what_conda_installs() -> None:
    requirements = read("numpy=1.19", {"pip": ["numpy==1.21.0"]})
    assert requirements.packages == ("numpy==1.21.0",)
    assert any("takes the place" in change for change in requirements.changes)


@pytest.mark.parametrize("environment", [{}, {"python": None}, {"python": {"condaDependencies": None}}])
def test_nothing_asked_for_nothing_installed(environment: dict[str, Any]) -> None:
    assert read_environment(environment) == Requirements()


def test_user_managed_dependencies() -> None:
    requirements = read_environment(
        {"python": {"userManagedDependencies": True, "condaDependencies": {"dependencies": ["numpy"]}}}
    )
    assert requirements.packages == ()
    assert "userManagedDependencies" in requirements.changes[0]


def test_conda_dependencies_as_yaml() -> None:
    environment = {"python": {"condaDependencies": "dependencies:\n- numpy=1.19\n- pip:\n  - six\n"}}
    assert read_environment(environment).packages == ("numpy==1.19.*", "six")


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"python": []}, "EnvironmentInvalid", "a list"),
        ({"python": {"condaDependencies": "a: [b"}}, "EnvironmentInvalid", "not YAML"),
        ({"python": {"condaDependencies": "numpy"}}, "EnvironmentInvalid", "mapping"),
        (
            {"python": {"condaDependencies": {"dependencies": "numpy"}}},
            "EnvironmentInvalid",
            "must be a list",
        ),
        (
            {"python": {"condaDependencies": {"dependencies": [1]}}},
            "EnvironmentInvalid",
            "package or a `pip` list",
        ),
        ({"excludeNewer": "yesterday"}, "EnvironmentInvalid", "2019-06-01"),
    ],
)
def test_environments_that_are_none(environment: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_environment(environment)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.phase == "Resolve"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("numpy==1.0==2", "RequirementInvalid"),
        ("-r requirements.txt", "PipOptionUnsupported"),
        ("-e .", "PipOptionUnsupported"),
        ("--index-url", "PipOptionUnsupported"),
        ("git+https://github.com/a/b", "RequirementUnsupported"),
        ("./local.whl", "RequirementUnsupported"),
        ("a @ https://user:secret@host/a-1-py3-none-any.whl", "RequirementUnsupported"),
        ("a @ https://host/a-1.tar.gz", "RequirementUnsupported"),
    ],
)
def test_pip_lines_that_cannot_be_installed(line: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({"pip": [line]})
    assert caught.value.code == code
    assert "secret" not in str(caught.value.to_json())


@pytest.mark.parametrize("text", ["numpy=1.0|2.0", "=1.0", "numpy=abc def ghi<", "numpy=="])
def test_conda_specs_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(text)
    assert caught.value.code == "CondaDependencyInvalid"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["numpy", "python", "pip", "mkl", "azureml-core", "a", "--pre", "-f", "x @ ", "pytorch"]
)
specs = st.tuples(names, st.text("<>=!~.*| ,[]'1290abv\n#@:/-", max_size=12)).map("".join)
dependency = (
    specs
    | st.fixed_dictionaries({"pip": st.lists(specs | json_values, max_size=3) | json_values})
    | json_values
)


@given(st.lists(dependency, max_size=4) | json_values, json_values)
def test_the_reader_fails_only_in_words(dependencies: Any, other: Any) -> None:
    for conda in ({"dependencies": dependencies, "channels": other}, other):
        environment = {"python": {"condaDependencies": conda}, "docker": other, "environmentVariables": other}
        for step in (read_environment, left_out, variables):
            with contextlib.suppress(MooringError):
                step(environment)


def test_azures_own_bases_are_stood_in_for() -> None:
    both = left_out({"docker": {"baseDockerfile": "FROM debian", "baseImage": "mine"}})
    assert [sentence.split()[0] for sentence in both] == ["What", "docker.baseImage"]
    azure = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
    assert left_out({"docker": {"baseImage": azure}}) == []
    assert base_reference({"docker": {"baseImage": azure}}) is None
    assert base_reference({"docker": {"baseImage": "registry.example/mine:1"}}) == "registry.example/mine:1"


def test_names_in_no_table_are_kept() -> None:
    assert pypi_name("scikit-learn") == "scikit-learn"
    assert pypi_name("pytorch") == "torch"
    assert pypi_name("cudatoolkit") is None
