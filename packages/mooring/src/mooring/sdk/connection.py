"""Which server a client talks to: environment, config.json, or the per-user server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Connection:
    """An address and how to prove who asks.

    Attributes:
        endpoint: ``http://host:port`` or ``https://host:port``, without a trailing slash.
        token: the bearer token, or an empty string.
        local: whether this is the per-user server, which the SDK may start and in which it makes workspaces.
        version: the server's version if it is known already.
        ca_bundle: a file with PEM certificates of CAs to trust beside the system's.
        certificate: the file with the very certificate that the server has to show.
    """

    endpoint: str
    token: str = ""
    local: bool = False
    version: str = ""
    ca_bundle: str = ""
    certificate: str = ""


def configured(config: Mapping[str, Any] | None = None, token: str = "") -> Connection | None:
    """The server that the user named, or None.

    Args:
        config: a parsed config.json; its ``endpoint``, ``token`` and ``ca_bundle`` count after the
            environment variables.
        token: what an authentication object supplies, when nothing else does.
    """
    settings = config or {}
    endpoint = os.environ.get("MOORING_ENDPOINT") or str(settings.get("endpoint") or "")
    if not endpoint:
        return None
    secret = os.environ.get("MOORING_TOKEN") or str(settings.get("token") or "") or token
    bundle = os.environ.get("MOORING_CA_BUNDLE") or str(settings.get("ca_bundle") or "")
    return Connection(endpoint.rstrip("/"), secret, ca_bundle=bundle)
