"""What the tests of function apps share: packages, storage, and waiting for what the host does."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sdk_support import inference_config, register, write_app
from support import RunningServer

from azureml.contrib.functions import package
from azureml.core import Workspace
from mooring_runtime.storage.blobs import Blobs
from mooring_runtime.storage.client import StorageClient
from mooring_runtime.storage.connection import parse_connection

GROUP = "/mooring/v1/subscriptions/sub/resourceGroups/fn"
T = TypeVar("T")
# A machine may be slow; what is waited for is a condition.
PATIENCE = 240.0

DOUBLE = """
import json


def init():
    pass


def run(data):
    value = json.loads(data)
    if value == "bad":
        raise ValueError("bad data")
    return {"double": value["x"] * 2}
"""


def until(look: Callable[[], T], wanted: Callable[[T], Any], what: str) -> T:
    """What ``look`` gives as soon as it is ``wanted``."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(seen := look()):
        assert time.monotonic() < deadline, f"{what}: {seen}"
        time.sleep(0.05)
    return seen


def make_package(ws: Workspace, directory: Path, score: str = DOUBLE, **options: Any) -> Any:
    """A package of a script that needs no packages."""
    directory.mkdir(exist_ok=True)
    write_app(directory, score=score)
    made = package(
        ws, [register(ws, directory)], inference_config(directory), functions_enabled=True, **options
    )
    made.wait_for_creation(show_output=True)
    return made


class Storage:
    """A storage account of a server."""

    def __init__(self, server: RunningServer, name: str) -> None:
        answer = server.client.put(f"{GROUP}/storageAccounts/{name}", json={})
        assert answer.status_code in {200, 201}, answer.text
        said = server.client.post(f"{GROUP}/storageAccounts/{name}/connectionString").json()
        self.connection: str = said["connectionString"]
        self.name = name

    def call(self, do: Callable[[Blobs], Awaitable[T]]) -> T:
        """What a call of the Blob service gives."""

        async def run() -> T:
            blobs = Blobs(parse_connection(self.connection))
            try:
                return await do(blobs)
            finally:
                blobs.close()

        return asyncio.run(run())

    def containers(self, *names: str) -> None:
        for name in names:
            self.call(lambda blobs, n=name: blobs.create_container(n))  # type: ignore[misc]

    def put(self, container: str, name: str, body: bytes) -> None:
        self.call(lambda blobs: blobs.put(container, name, body))

    def read(self, container: str, name: str) -> bytes | None:
        content = self.call(lambda blobs: blobs.get(container, name))
        return content.body if content is not None else None

    def names(self, container: str) -> set[str]:
        return {blob.name for blob in self.call(lambda blobs: blobs.list(container, "", ""))[0]}

    def poison(self) -> list[str]:
        """The messages of the poison queue, decoded; they stay in it."""
        account = parse_connection(self.connection)

        async def peek() -> list[str]:
            client = StorageClient(account, account.queue)
            path = "/webjobs-blobtrigger-poison/messages"
            query = [("peekonly", "true"), ("numofmessages", "32")]
            answer = await client.call("GET", path, query, expect=(404,))
            client.close()
            found = re.findall(r"<MessageText>([^<]*)</MessageText>", answer.body.decode())
            return [base64.b64decode(text).decode() for text in found]

        return asyncio.run(peek())


class App:
    """A function app of a server."""

    def __init__(self, server: RunningServer, name: str, **settings: Any) -> None:
        self.client: httpx.Client = server.client
        self.path = f"{GROUP}/functionApps/{name}"
        answer = self.client.put(self.path, json=settings)
        assert answer.status_code in {200, 201}, answer.text

    def show(self) -> dict[str, Any]:
        answer = self.client.get(self.path)
        return dict(answer.json()) if answer.status_code == 200 else {"status": "Gone", **answer.json()}

    def status(self, *wanted: str) -> dict[str, Any]:
        """The app once its status is one of these."""
        return until(self.show, lambda app: app["status"] in wanted, f"status {wanted}")

    def set(self, *removed: str, **settings: str) -> None:
        answer = self.client.patch(
            f"{self.path}/appsettings", json={"properties": settings, "removed": removed}
        )
        assert answer.status_code == 200, answer.text

    def contain(self, made: Any) -> None:
        """Set the package as its container, with the right credentials."""
        registry = made.get_container_registry()
        answer = self.client.put(
            f"{self.path}/container",
            json={
                "image": made.location,
                "registryUrl": f"http://{registry.address}",
                "registryUsername": registry.username,
                "registryPassword": registry.password,
            },
        )
        assert answer.status_code == 200, answer.text

    def logs(self) -> str:
        return str(self.client.get(f"{self.path}/logs").json()["content"])
