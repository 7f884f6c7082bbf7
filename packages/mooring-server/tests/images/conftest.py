"""A builder with caches of its own; uv's downloads are shared between the tests of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mooring_server.images.builder import ImageBuilder
from mooring_server.images.types import BuildRequest, ModelTree, TreeFile
from mooring_server.images.unpack import Unpacker
from mooring_server.store.content import ContentStore


@dataclass
class Recorder:
    """A reporter that remembers."""

    phases: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def phase(self, name: str, detail: str = "") -> None:
        self.phases.append(name)
        self.lines.append(f"{name} {detail}")

    def log(self, message: str) -> None:
        self.lines.append(message)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Workshop:
    """Everything a test of images needs, below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reopen()

    def reopen(self) -> None:
        """As after a restart of the server."""
        self.store = ContentStore(self.root / "content")
        self.builder = ImageBuilder(self.store, self.root / "cache")
        self.unpacker = Unpacker(self.store, self.root / "unpacked", self.root / "cache/pythons")

    def file(self, path: str, content: bytes = b"", *, executable: bool = False) -> TreeFile:
        return TreeFile(path, self.store.put_bytes(content), len(content), executable)

    def request(
        self,
        pip: Iterable[str] = (),
        *,
        conda: Iterable[str] = (),
        environment: Mapping[str, Any] | None = None,
        score: bytes = b"def init(): pass\n",
        model: bytes | None = b"weights",
        **fields: Any,
    ) -> BuildRequest:
        dependencies = [*conda, {"pip": list(pip)}]
        python = {"condaDependencies": {"dependencies": dependencies}}
        models = () if model is None else (ModelTree("m", 1, (self.file("model.pkl", model),)),)
        values: dict[str, Any] = {
            "repository": "ws/image",
            "tag": "1",
            "environment": {"python": python, **(environment or {})},
            "entry_script": "score.py",
            "source_directory": None,
            "files": (self.file("score.py", score),),
            "models": models,
        }
        return BuildRequest(**{**values, **fields})


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture(autouse=True)
def shared_downloads(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(downloads))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def reporter() -> Recorder:
    return Recorder()
