"""A blob trigger on a storage account that is not the server's: Azurite stands for Azure's."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from functions_support import GROUP, App, Storage, StorageAt, make_package, until
from storage_support import Account
from support import RunningServer
from test_functions_blob import front_of

from azureml.contrib.functions import BLOB_TRIGGER
from azureml.core import Workspace

pytestmark = pytest.mark.full


@pytest.fixture(params=["its own storage", "everything there"])
def app(
    request: pytest.FixtureRequest, sdk_home: Path, server: RunningServer, tmp_path: Path, azurite: Account
) -> Iterator[App]:
    """A running app whose trigger looks at Azurite; its own state is here or there."""
    server.client.put(GROUP, json={"location": "West Europe"})
    here = request.param == "its own storage"
    name = "here" if here else "there"
    made = make_package(
        Workspace("sub", "rg", "functions"),
        tmp_path,
        trigger=BLOB_TRIGGER,
        input_path=f"input-{name}/{{blobname}}.json",
        output_path=f"output-{name}/{{blobname}}_out.json",
    )
    app = App(server, f"elsewhere{name}")
    jobs = Storage(server, "elsewherejobs").connection if here else azurite.connection_string
    app.set(AzureWebJobsStorage=jobs, TriggerConnectionString=azurite.connection_string)
    app.jobs = StorageAt(jobs)  # type: ignore[attr-defined]
    app.storage = StorageAt(azurite.connection_string)  # type: ignore[attr-defined]
    app.storage.containers(f"input-{name}", f"output-{name}")  # type: ignore[attr-defined]
    app.contain(made)
    yield app
    app.client.delete(app.path)
    app.status("Gone")


def done(app: App) -> int:
    """How many versions of blobs need nothing more, by their receipts."""
    jobs: StorageAt = app.jobs  # type: ignore[attr-defined]
    place = f"blobreceipts/{app.path.rpartition('/')[2]}/"
    receipts = [name for name in jobs.names("azure-webjobs-hosts") if name.startswith(place)]
    found = [jobs.call(lambda blobs, n=n: blobs.metadata("azure-webjobs-hosts", n)) for n in receipts]  # type: ignore[misc]
    return sum((metadata or {}).get("completed") == "true" for metadata in found)


def test_blobs_are_found_by_asking(app: App, server: RunningServer, azurite: Account) -> None:
    storage: StorageAt = app.storage  # type: ignore[attr-defined]
    name = app.path.rpartition("elsewhere")[2]
    source, target = f"input-{name}", f"output-{name}"
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    with service, service.get_container_client(source) as container:
        for number in range(20):
            container.upload_blob(f"before/{number}.json", json.dumps({"x": number}))
        container.upload_blob("bad.json", b'"bad"')
        app.status("Running")
        until(lambda: len(storage.names(target)), lambda count: count == 20, "what was there before")

        def poison() -> list[str]:
            """Both runs of this test share the queue."""
            return [message for message in storage.poison() if f'"{source}"' in message]

        (message,) = until(poison, len, "a poison message")
        assert json.loads(message)["BlobName"] == "bad.json"
        container.upload_blob("before/0.json", b'{"x": 21}', overwrite=True)
        until(
            lambda: storage.read(target, "before/0_out.json"),
            lambda body: body == b'{"double": 42}',
            "the changed blob",
        )

        until(lambda: done(app), lambda count: count == 22, "the receipts")
        # What is done is not done again, and what comes while nobody looks is not lost.
        etags = {blob.name: blob.etag for blob in service.get_container_client(target).list_blobs()}
        os.kill(front_of(server.home, app.path.rpartition("/")[2]), signal.SIGKILL)
        for number in range(10):
            container.upload_blob(f"killed/{number}.json", b'{"x": 1}')
        until(lambda: len(storage.names(target)), lambda count: count == 30, "what came meanwhile")
        after = {blob.name: blob.etag for blob in service.get_container_client(target).list_blobs()}
    assert {blob: after[blob] for blob in etags} == etags
    assert len(poison()) == 1
