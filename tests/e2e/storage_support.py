"""Storage accounts for tests: one of ours, and Azurite as the reference."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from support import RunningServer, eventually

ACCOUNTS = "/mooring/v1/subscriptions/sub/resourceGroups/rg/storageAccounts"


@dataclass
class Account:
    """A storage account behind a connection string."""

    connection_string: str
    ours: bool = True

    def part(self, name: str) -> str:
        return dict(p.split("=", 1) for p in self.connection_string.split(";") if p)[name]

    @property
    def name(self) -> str:
        return self.part("AccountName")

    @property
    def key(self) -> str:
        return self.part("AccountKey")

    @property
    def endpoint(self) -> str:
        return self.part("BlobEndpoint")

    @property
    def refusal(self) -> tuple[int, str]:
        """For a signature that is wrong; Azurite has another code for it than Azure."""
        return 403, "AuthenticationFailed" if self.ours else "AuthorizationFailure"

    def blobs(self, **more: Any) -> BlobServiceClient:
        settings = {"retry_total": 0, **more}
        return BlobServiceClient.from_connection_string(self.connection_string, **settings)

    def queues(self) -> QueueServiceClient:
        return QueueServiceClient.from_connection_string(self.connection_string, retry_total=0)


def make_account(server: RunningServer, name: str) -> Account:
    """An account on a server of ours."""
    path = f"{ACCOUNTS}/{name}"
    assert server.client.put(path, json={}).status_code in {200, 201}
    return Account(server.client.post(f"{path}/connectionString").json()["connectionString"])


def signed(
    account: Account, method: str, target: str, *, at: datetime | None = None, **more: str
) -> tuple[str, dict[str, str]]:
    """Address and headers of a request, signed by hand: an independent reading of Azure's rules."""
    date = format_datetime(at or datetime.now(timezone.utc), usegmt=True)
    headers = {
        "x-ms-date": date,
        "x-ms-version": "2021-12-02",
        **{k.replace("_", "-"): v for k, v in more.items()},
    }
    path, _, query = target.partition("?")
    parts = sorted(part.split("=") for part in query.split("&") if part)
    resource = f"/{account.name}/{account.name}{path}" + "".join(f"\n{k}:{v}" for k, v in parts)
    lines = "".join(f"{k}:{headers[k]}\n" for k in sorted(headers) if k.startswith("x-ms-"))
    length = headers.pop("length", "")
    text = f"{method}\n\n\n{length}\n" + "\n" * 8 + lines + resource
    signature = hmac.new(base64.b64decode(account.key), text.encode(), hashlib.sha256).digest()
    headers["authorization"] = f"SharedKey {account.name}:{base64.b64encode(signature).decode()}"
    return account.endpoint + target, headers


def code_of(act: Callable[[], Any]) -> tuple[int, str]:
    """Status and Azure's code of the error that ``act`` raises."""
    with pytest.raises(HttpResponseError) as caught:
        act()
    response = caught.value.response
    assert response is not None
    assert response.headers["x-ms-request-id"]
    return response.status_code, response.headers.get("x-ms-error-code", "")


def install_azurite(directory: Path) -> Path:
    """Azurite from npm; the path of its program."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Azurite, the reference, needs npm and node")
    command = [npm, "install", "azurite@3", "--no-audit", "--no-fund", "--no-update-notifier"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=600)
    return directory / "node_modules" / ".bin" / "azurite"


@contextmanager
def running_azurite(program: Path, directory: Path) -> Iterator[Account]:
    """Azurite with one account, without telemetry."""
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    log = directory / "azurite.log"
    ports = [_free_port() for _ in range(3)]
    arguments = [f"--{name}Port={port}" for name, port in zip(("blob", "queue", "table"), ports, strict=True)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *arguments, f"--location={directory}", "--disableTelemetry", "--skipApiVersionCheck"],
            env={**os.environ, "AZURITE_ACCOUNTS": f"reference:{key}"},
            stdout=output,
            stderr=output,
        )
    try:
        eventually(
            lambda: len(re.findall("successfully listen", log.read_text())) >= 2, "Azurite listens", 120
        )
        blob, queue = (f"http://127.0.0.1:{port}/reference" for port in ports[:2])
        yield Account(
            f"DefaultEndpointsProtocol=http;AccountName=reference;AccountKey={key};"
            f"BlobEndpoint={blob};QueueEndpoint={queue}",
            ours=False,
        )
    finally:
        process.terminate()
        process.wait(120)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
