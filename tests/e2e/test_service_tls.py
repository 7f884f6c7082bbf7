"""Services that speak TLS: ``ssl_*`` of a deployment configuration, a certificate that is renewed by an update."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from sdk_support import inference_config, register, write_app
from support import eventually

from azureml.core import Workspace
from azureml.core.model import Model
from azureml.core.webservice import AciWebservice, Webservice
from azureml.exceptions import WebserviceException

pytestmark = pytest.mark.usefixtures("sdk_home")


def issue(ca: trustme.CA, folder: Path, name: str) -> dict[str, str]:
    issued = ca.issue_cert(name)
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return {"ssl_cert_pem_file": str(chain), "ssl_key_pem_file": str(key), "ssl_cname": name}


def serial(trust: ssl.SSLContext, port: int) -> str:
    """Of the certificate that a new connection gets."""
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        shown: dict[str, Any] = connection.getpeercert() or {}
    return str(shown["serialNumber"])


def test_a_service_with_a_certificate(server: Any, tmp_path: Path) -> None:
    workspace = Workspace.create("ws-tls", subscription_id="sub", resource_group="rg", exist_ok=True)
    ca = trustme.CA()
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    write_app(tmp_path, weight=1)
    model = register(workspace, tmp_path, "encrypted")
    files = issue(ca, tmp_path, "localhost")
    config = AciWebservice.deploy_configuration(ssl_enabled=True, **files)
    service = Model.deploy(
        workspace, "encrypted", [model], inference_config(tmp_path), config, overwrite=True
    )
    service.wait_for_deployment()
    assert service.ssl_enabled
    assert service.ssl_key is None
    address = urlsplit(service.scoring_uri)
    assert (address.scheme, address.hostname) == ("https", "localhost")
    port = int(address.port or 0)
    first = serial(trust, port)

    done = threading.Event()
    statuses: set[Any] = set()

    def call() -> None:
        while not done.is_set():
            try:
                answer = httpx.post(service.scoring_uri, json={"data": [1]}, verify=trust, timeout=60)
                statuses.add(answer.status_code)
            except httpx.TransportError as error:
                statuses.add(repr(error))

    caller = threading.Thread(target=call)
    caller.start()
    try:
        service.update(ssl_enabled=True, **issue(ca, tmp_path, "localhost"))
        service.wait_for_deployment()
        eventually(lambda: serial(trust, port) != first, "the new certificate is shown")
    finally:
        done.set()
        caller.join()
    assert statuses == {200}
    assert "PRIVATE KEY" not in str(Webservice(workspace, "encrypted").serialize())
    Path(files["ssl_key_pem_file"]).write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(WebserviceException) as refused:
        service.update(ssl_enabled=True, **files)
    assert refused.value.code == "InvalidSsl"
    assert serial(trust, port) != first
    service.delete()
