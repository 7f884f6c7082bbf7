"""Mistakes with models and images: what is not there, what lies outside, what is in use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from bad_input import BASE, Desk, Expected
from support import RunningServer

from azureml.core import Image, Webservice
from azureml.core.image import ContainerImage
from azureml.core.model import Model
from azureml.core.webservice import AciWebservice
from azureml.exceptions import ModelNotFoundException, ModelPathNotFoundException, WebserviceException

SCORE = "def init():\n    pass\ndef run(data):\n    return data\n"
PYTHON = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def desk(server: RunningServer, sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "myenv.yml").write_text(f"dependencies:\n- python={PYTHON}\n")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.pkl").write_text("weights")
    (tmp_path / "secret.txt").write_text("not yours")
    return Desk(server, tmp_path)


def test_a_model_path_that_is_not_there(desk: Desk) -> None:
    before = desk.state()
    expected = Expected(
        "ModelPathNotFound",
        "Upload",
        ModelPathNotFoundException,
        r"'outputs/modle\.pkl' does not exist",
        evidence={"tree": r"model\.pkl"},
    )
    raised = desk.raises(lambda: Model.register(desk.ws, "outputs/modle.pkl", "things"), expected)
    desk.refuses(["model", "register", "-n", "things", "-p", "outputs/modle.pkl"], expected).same_as(raised)
    desk.unchanged(before)


@pytest.mark.parametrize("child", ["../secret.txt", "/etc/passwd", "..", "link"])
def test_child_paths_outside_of_the_folder(desk: Desk, child: str) -> None:
    before = desk.state()
    (desk.folder / "outputs" / "link").symlink_to("../secret.txt")
    expected = Expected(
        "InvalidChildPaths",
        "Validate",
        WebserviceException,
        "lies outside",
        evidence={"tree": r"model\.pkl"},
    )
    desk.raises(lambda: Model.register(desk.ws, "outputs", "things", child_paths=[child]), expected)
    desk.unchanged(before)


def test_a_child_path_that_is_not_there(desk: Desk) -> None:
    expected = Expected(
        "ModelPathNotFound", "Upload", ModelPathNotFoundException, "nope", evidence={"tree": r"model\.pkl"}
    )
    desk.raises(lambda: Model.register(desk.ws, "outputs", "things", child_paths=["nope"]), expected)


def test_an_empty_folder(desk: Desk) -> None:
    before = desk.state()
    (desk.folder / "empty").mkdir()
    expected = Expected("ModelEmpty", "Validate", WebserviceException, "holds no files")
    raised = desk.raises(lambda: Model.register(desk.ws, "empty", "things"), expected)
    desk.refuses(["model", "register", "-n", "things", "-p", "empty"], expected).same_as(raised)
    desk.unchanged(before)


@pytest.mark.parametrize(
    "path",
    ["../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a\\b", "nul\0", "line\nbreak", "a/" * 600 + "a"],
)
def test_model_file_names_that_lead_elsewhere(desk: Desk, path: str) -> None:
    before = desk.state()
    digest = desk.server.upload(b"evil", BASE)
    expected = Expected("InvalidPath|InvalidRequest", "Validate", WebserviceException, ".")
    answer = desk.server.client.post(
        f"{BASE}/models", json={"name": "things", "files": [{"path": path, "digest": digest}]}
    )
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["code"] in expected.code.split("|")
    assert error["hint"]
    image = {"entryScript": "score.py", "files": [{"path": path, "digest": digest}], "environment": {}}
    answer = desk.server.client.post(f"{BASE}/images", json={"name": "things", **image})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, error["code"])
    desk.unchanged(before)


@pytest.mark.parametrize(
    "path", ["../../mooring.db", "..%2F..%2Fmooring.db", "%2Fetc%2Fpasswd", "outputs/../x"]
)
def test_artifact_paths_that_lead_elsewhere(desk: Desk, path: str) -> None:
    model = Model.register(desk.ws, "outputs", "traversed")
    answer = desk.server.client.get(f"{BASE}/models/{model.id}/files/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in {"ModelFileNotFound", "ModelNotFound", "NotFound"}
    assert b"SQLite" not in answer.content
    model.delete()


def test_models_and_images_that_are_not_there(desk: Desk) -> None:
    before = desk.state()
    missing = Expected("ModelNotFound", "Validate", ModelNotFoundException, "nope:3", hint="register")
    raised = desk.raises(lambda: Model(desk.ws, id="nope:3"), missing)
    desk.refuses(["model", "show", "-i", "nope:3"], missing).same_as(raised)
    desk.denies("GET", "/models/nope:3", missing).same_as(raised)
    image = Expected("ImageNotFound", "Validate", WebserviceException, "nope:3", hint="mooring image list")
    raised = desk.raises(lambda: Image(desk.ws, id="nope:3"), image)
    desk.refuses(["image", "show", "-i", "nope:3"], image).same_as(raised)
    desk.denies("GET", "/images/nope:3", image).same_as(raised)
    desk.denies("POST", "/services", image, {"name": "things", "imageId": "nope:3"}).same_as(raised)
    no = Expected("WebserviceNotFound", "Validate", WebserviceException, "nope", hint="mooring service list")
    raised = desk.raises(lambda: Webservice(desk.ws, "nope"), no)
    desk.refuses(["service", "show", "-n", "nope"], no).same_as(raised)
    desk.unchanged(before)


def test_what_is_in_use_is_not_deleted(desk: Desk) -> None:
    before = desk.state()
    model = Model.register(desk.ws, "outputs", "used")
    config = ContainerImage.image_configuration("score.py", runtime="python", conda_file="myenv.yml")
    image = ContainerImage.create(desk.ws, "used-image", [model], config)
    image.wait_for_creation()
    service = Webservice.deploy_from_image(
        desk.ws, "used-service", image, AciWebservice.deploy_configuration()
    )
    service.wait_for_deployment()
    there = desk.state()
    model_used = Expected(
        "ModelInUse",
        "Validate",
        WebserviceException,
        rf"used-image:{image.version}",
        hint="Delete these images",
    )
    image_used = Expected(
        "ImageInUse", "Validate", WebserviceException, "used-service", hint="Delete the service"
    )
    raised = desk.raises(model.delete, model_used)
    desk.refuses(["model", "delete", "-i", model.id, "--yes"], model_used).same_as(raised)
    desk.denies("DELETE", f"/models/{model.id}", model_used).same_as(raised)
    raised = desk.raises(image.delete, image_used)
    desk.refuses(["image", "delete", "-i", image.id, "--yes"], image_used).same_as(raised)
    desk.denies("DELETE", f"/images/{image.id}", image_used).same_as(raised)
    desk.unchanged(there)
    service.delete()
    image.delete()
    model.delete()
    desk.unchanged(before)


REQUESTS: dict[str, tuple[str, str, bytes, str]] = {
    "cut short": ("POST", "/models", b'{"name": "m", ', "InvalidRequest"),
    "no JSON": ("POST", "/models", b"\xff\xfe\x00", "InvalidRequest"),
    "nested for ever": ("POST", "/models", b"[" * 100_000, "InvalidRequest"),
    "a list": ("POST", "/models", b"[]", "InvalidRequest"),
    "nothing": ("POST", "/models", b"", "InvalidRequest"),
    "unknown field": ("POST", "/models", b'{"name": "m", "files": [], "x": 1}', "InvalidRequest"),
    "wrong types": ("POST", "/models", b'{"name": [], "files": {"a": 1}}', "InvalidRequest"),
    "no number": ("POST", "/services", b'{"name": "svc-1", "imageId": "a:1", "port": NaN}', "InvalidRequest"),
    "memory that is endless": (
        "POST",
        "/services",
        b'{"name": "svc-1", "imageId": "a:1", "containerResourceRequirements": {"memoryInGB": Infinity}}',
        "InvalidRequest",
    ),
    "a lone surrogate": ("POST", "/models", b'{"name": "\\ud800", "files": []}', "InvalidRequest"),
    "too large": ("POST", "/models", b" " * (33 << 20), "BodyTooLarge"),
    "environment that is a text": ("PUT", "/environments/e", b'"text"', "InvalidRequest"),
    "wait that is no number": ("GET", "/operations/x?wait=soon", b"", "InvalidRequest"),
}


@pytest.mark.parametrize(("method", "path", "body", "code"), REQUESTS.values(), ids=REQUESTS)
def test_requests(desk: Desk, method: str, path: str, body: bytes, code: str) -> None:
    before = desk.state()
    answer = desk.server.client.request(
        method, BASE + path, content=body or None, headers={"Content-Type": "application/json"}
    )
    error: dict[str, Any] = answer.json()["error"]
    assert answer.status_code in {400, 413}, answer.text
    assert (error["code"], error["phase"]) == (code, "Validate")
    assert error["message"]
    assert error["hint"]
    desk.unchanged(before)
