from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from azureml.exceptions import UserErrorException
from mooring.sdk.package_context import empty_folder, write_context


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def image() -> bytes:
    layers = {
        "base": tar({"usr/bin/python": b"python"}),
        "app": gzip.compress(
            tar({"var/azureml-app/score.py": b"def run", "var/azureml-app/../../evil": b"no"})
        ),
        "model": gzip.compress(tar({"var/azureml-app/azureml-models/m/1/m.txt": b"2", "etc/passwd": b"no"})),
    }
    config = {
        "config": {
            "Env": ["PATH=/usr/bin", 'GREETING=say "hi" for $5'],
            "Labels": {"dev.mooring.python": "3.11"},
            "WorkingDir": "/var/azureml-app",
            "Entrypoint": ["/p", "-m", "x"],
            "ExposedPorts": {"5001/tcp": {}},
            "User": "10001:10001",
        },
        "history": [
            {"created_by": "debian"},
            {"created_by": "ENV A=1", "empty_layer": True},
            {"created_by": "mooring app app"},
            {"created_by": "mooring model m/1"},
        ],
    }
    listing = [{"Config": "c", "RepoTags": ["127.0.0.1:5/reg/package:1"], "Layers": list(layers)}]
    return tar({"manifest.json": json.dumps(listing).encode(), "c": json.dumps(config).encode(), **layers})


def test_the_users_files_lie_open_and_the_rest_in_layers(tmp_path: Path) -> None:
    data = image()
    write_context([data[:700], data[700:]], tmp_path)
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {
        "Dockerfile",
        "layers/000.tar",
        "azureml-app/score.py",
        "azureml-app/azureml-models/m/1/m.txt",
    }
    lines = (tmp_path / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "FROM scratch",
        "ADD layers/000.tar /",
        'ENV PATH="/usr/bin"',
        'ENV GREETING="say \\"hi\\" for \\$5"',
        'LABEL "dev.mooring.python"="3.11"',
        "COPY azureml-app /var/azureml-app",
        "WORKDIR /var/azureml-app",
        "EXPOSE 5001",
        "USER 10001:10001",
        'ENTRYPOINT ["/p", "-m", "x"]',
    ]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    assert empty_folder(str(tmp_path / "a/b")).is_dir()
    (tmp_path / "mine").touch()
    with pytest.raises(UserErrorException) as caught:
        empty_folder(str(tmp_path))
    assert "is not empty" in str(caught.value)
