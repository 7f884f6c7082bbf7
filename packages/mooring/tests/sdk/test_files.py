from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from azureml.core.model import Model
from azureml.exceptions import (
    ModelNotFoundException,
    ModelPathNotFoundException,
    UserErrorException,
    WebserviceException,
)
from mooring.sdk import files, model_files
from mooring.sdk.client import filter_text, part
from mooring.sdk.patches import changed


class Blobs:
    """The two calls that uploading needs, remembering contents."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def missing(self, digests: list[str]) -> set[str]:
        return {d for d in digests if d not in self.contents}

    def upload(self, digest: str, source: Path, size: int, _progress: Any = None) -> None:
        content = source.read_bytes()
        assert len(content) == size
        assert digest not in self.contents, "sent twice"
        self.contents[digest] = content


def test_only_what_is_missing_is_sent(tmp_path: Path) -> None:
    for name, text in (("a", "same"), ("b", "same"), ("c.sh", "other")):
        (tmp_path / name).write_text(text)
    (tmp_path / "c.sh").chmod(0o755)
    blobs = Blobs()
    sent = files.upload(blobs, files.walk(tmp_path))  # type: ignore[arg-type]
    digest = "sha256:" + hashlib.sha256(b"same").hexdigest()
    assert sent[0] == {"path": "a", "digest": digest, "size": 4, "executable": False}
    assert [f["path"] for f in sent] == ["a", "b", "c.sh"]
    assert sent[2]["executable"] is True
    assert len(blobs.contents) == 2
    files.upload(blobs, files.walk(tmp_path))  # type: ignore[arg-type]


def test_links_are_followed_and_loops_are_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert [f.path for f in files.walk(tmp_path)] == ["link/f", "real/f"]
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    with pytest.raises(UserErrorException, match="symbolic link"):
        list(files.walk(tmp_path))


@pytest.mark.parametrize("path", ["", "/a", "a/../b", "./a", "../a"])
def test_paths_that_are_not_sent(path: str) -> None:
    with pytest.raises(UserErrorException):
        files.check_path(path)


class TestModelFiles:
    def test_a_file_has_its_base_name(self, here: Path) -> None:
        (here / "out").mkdir()
        (here / "out" / "model.pkl").write_text("m")
        assert [f.path for f in model_files.collect("out/model.pkl", None)] == ["model.pkl"]

    def test_a_folder_keeps_its_name_and_hidden_files(self, here: Path) -> None:
        for name in ("m/a.bin", "m/sub/b.bin", "m/.hidden", "m/sub/c.txt"):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text("x")
        assert [f.path for f in model_files.collect("m", None)] == [
            "m/.hidden",
            "m/a.bin",
            "m/sub/b.bin",
            "m/sub/c.txt",
        ]
        chosen = model_files.collect("m", ["a.bin", "sub"])
        assert [f.path for f in chosen] == ["m/a.bin", "m/sub/b.bin", "m/sub/c.txt"]
        (here / "x").write_text("")
        with pytest.raises(WebserviceException):
            model_files.collect("m", ["../x"])
        with pytest.raises(WebserviceException):
            model_files.collect("m/a.bin", ["a"])

    def test_missing_shows_what_is_there(self, here: Path) -> None:
        (here / "outputs").mkdir()
        (here / "outputs" / "modle.pkl").write_text("")
        with pytest.raises(ModelPathNotFoundException) as caught:
            model_files.collect("outputs/model.pkl", None)
        assert "modle.pkl" in str(caught.value)

    def test_empty_folder(self, here: Path) -> None:
        (here / "m").mkdir()
        with pytest.raises(WebserviceException) as caught:
            model_files.collect("m", None)
        assert caught.value.code == "ModelEmpty"


@pytest.mark.usefixtures("here")
class TestGetModelPathWithoutWorkspace:
    def make(self, *names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("")

    def test_highest_version_and_a_given_one(self) -> None:
        self.make("azureml-models/m/2/a.pkl", "azureml-models/m/10/b.pkl", "azureml-models/m/x/c.pkl")
        assert Model.get_model_path("m") == "azureml-models/m/10/b.pkl"
        assert Model.get_model_path("m", version=2) == "azureml-models/m/2/a.pkl"

    def test_a_file_beside_the_script(self) -> None:
        self.make("m")
        assert Model.get_model_path("m") == "m"

    def test_two_entries_are_no_model(self) -> None:
        self.make("azureml-models/m/1/a", "azureml-models/m/1/b")
        with pytest.raises(ModelNotFoundException) as caught:
            Model.get_model_path("m")
        assert "a\n" in str(caught.value)

    def test_none(self) -> None:
        with pytest.raises(ModelNotFoundException, match="version 3"):
            Model.get_model_path("m", 3)
        with pytest.raises(WebserviceException, match="whole number"):
            Model.get_model_path("m", "3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (None, None),
        ([], None),
        (["k"], "k"),
        (["k", ["a", "b"]], "k,a=b"),
        ([("a", "b")], "a=b"),
        ("k=v", "k=v"),
        ({"a": 1}, "a=1"),
    ],
)
def test_filters(items: Any, text: str | None) -> None:
    assert filter_text(items) == text


def test_patches_and_parts() -> None:
    assert changed({"a": "1", "b": "2"}, {"c": "3"}, ["a", "x"]) == {"b": "2", "c": "3"}
    assert changed({"a": "1"}, None, "a") == {}
    assert changed({"a": "1"}, {"a": "2"}, ["a"]) == {"a": "2"}
    assert part("m:1") == "m:1"
    assert part("a/b c") == "a%2Fb%20c"
