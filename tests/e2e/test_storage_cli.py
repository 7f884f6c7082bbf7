"""`mooring storage` from account to blob, as a user types it, with the JSON of `az storage`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bad_input import SEPARATE
from typer.testing import CliRunner

from mooring.cli.main import app


@pytest.fixture
def mooring(sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)

    def run(line: str, status: int = 0) -> Any:
        done = CliRunner(**SEPARATE).invoke(app, ["storage", *line.split()])
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if status == 0 and done.stdout else done.stderr

    return run


def test_from_an_account_to_a_blob_and_back(
    mooring: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'clistorage'" in mooring("account create -n cliStorage -g clirg", 1)
    made = mooring("account create -n clistorage -g clirg --tag a=b")
    assert (made["name"], made["tags"]) == ("clistorage", {"a": "b"})
    assert [a["name"] for a in mooring("account list -g clirg")] == ["clistorage"]
    text = mooring("account show-connection-string -n clistorage")["connectionString"]
    assert "AccountName=clistorage" in text
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    assert mooring("container create -n input") == {"created": True}
    assert mooring("container create -n input") == {"created": False}
    (tmp_path / "small.json").write_bytes(b"{}")
    data = os.urandom(33 * 2**20)  # more than one block
    (tmp_path / "large").write_bytes(data)
    assert mooring("blob upload -c input -f small.json --content-type application/json")["etag"]
    assert "BlobAlreadyExists" in mooring("blob upload -c input -f small.json", 1)
    mooring("blob upload -c input -f small.json --overwrite --content-type application/json")
    mooring("blob upload -c input -n folder/large -f large")
    listed = mooring("blob list -c input")
    sizes = {row["name"]: row["properties"]["contentLength"] for row in listed}
    assert sizes == {"small.json": 2, "folder/large": len(data)}
    assert mooring("blob list -c input --prefix small")[0]["properties"]["contentSettings"][
        "contentType"
    ] == ("application/json")
    mooring("blob download -c input -n folder/large -f out")
    assert (tmp_path / "out").read_bytes() == data
    assert "BlobNotFound" in mooring("blob download -c input -n nobody -f out2", 1)
    assert not list(tmp_path.glob("out2*"))

    renewed = mooring("account keys renew -n clistorage --key primary")
    assert mooring("account keys list -n clistorage") == renewed
    assert "AuthenticationFailed" in mooring("blob list -c input", 1)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=x")
    assert "AccountKey" in mooring("blob list -c input", 1)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "clistorage")
    mooring("blob delete -c input -n small.json --yes")
    assert [row["name"] for row in mooring("blob list -c input")] == ["folder/large"]
    assert [row["name"] for row in mooring("container list")] == ["input"]
    assert mooring("container delete -n input --yes") == {"deleted": True}
    mooring("account delete -n clistorage --yes")
    assert "StorageAccountNotFound" in mooring("account show -n clistorage", 1)
