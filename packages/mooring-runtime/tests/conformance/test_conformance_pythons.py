"""The contract with the user's code under every Python of this machine, beside packages that clash with ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance_cases import WORLDS, World
from conformance_facts import observe
from conformance_pythons import MINORS, environment
from conformance_servers import ours
from test_conformance import GOLDEN, compare

from mooring_runtime.testing import Service, interpreter, running

pytestmark = pytest.mark.full
SCORE = """
import sys
import azureml.mine, flask, numpy, pydantic
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.core.model import Model
def init(): pass
def run(data):
    ours = sorted(name for name in sys.modules if name.split(".")[0] in ("granian", "uvicorn", "mooring_runtime"))
    return [list(sys.version_info[:2]), flask.__file__, pydantic.VERSION, numpy.__version__, azureml.mine.NAME, ours]
"""


DECORATED = """
import numpy
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("data", NumpyParameterType(numpy.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(numpy.array([3.0])))
def run(data): return data.sum(axis=1).tolist()
"""
# inference-schema for 3.6 does not know optional parameters, which these scripts have; 1.7, the last for 3.7, converts
# their default of None as if it came in the request, and fails.
TOO_NEW = dict.fromkeys((6, 7), ("standard", "arrays", "nested"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("pythons")) as started:
        yield started


@pytest.fixture(params=MINORS, ids=lambda minor: f"3.{minor}")
def python(request: pytest.FixtureRequest) -> tuple[int, Path]:
    minor: int = request.param
    base = interpreter(minor)
    if base is None:
        pytest.skip(f"no Python 3.{minor} in pyenv or on the search path")
    return minor, environment(minor, base)


def test_old_packages_of_the_user(python: tuple[int, Path], service: Service) -> None:
    minor, path = python
    service.apply(SCORE, python=str(path))
    service.ready()
    version, flask, pydantic, _, mine, seen = service.post(b"").json()
    assert version == [3, minor]
    assert Path(flask).is_relative_to(path.parents[1])
    assert pydantic.startswith("1.")
    assert (mine, seen) == ("mine", [])
    service.apply(DECORATED, python=str(path))
    service.ready()
    assert service.post(b'{"data": [[1, 2], [3, 4]]}', content_type="application/json").json() == [3, 7]
    assert service.post(b'{"data": "x"}', content_type="application/json").status in (400, 500)
    definitions = service.get("/swagger.json").json()["definitions"]
    assert definitions["ServiceInput"]["properties"]["data"]["type"] == "array"


@pytest.mark.parametrize(
    "world", [world for world in WORLDS if not world.needs], ids=lambda world: world.name
)
def test_answers_as_azure_does(
    world: World, python: tuple[int, Path], service: Service, tmp_path: Path
) -> None:
    minor, path = python
    if world.name in TOO_NEW.get(minor, ()):
        pytest.skip(f"inference-schema for Python 3.{minor} cannot do optional parameters")
    host, port = ours(service, world, tmp_path / "app", path)
    compare(world, GOLDEN[world.name], observe(host, port, world))
