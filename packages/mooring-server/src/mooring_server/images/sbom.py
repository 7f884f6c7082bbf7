"""The bill of materials: CycloneDX 1.6 as JSON."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mooring_server.images.documents import canonical_json
from mooring_server.images.layers import Layer
from mooring_server.images.locks import Lock, Pin
from mooring_server.store.content import digest_of

_NAMESPACE = uuid.UUID("6f4f3c0e-7f0e-5b0a-9d0e-4d6f6f72696e")
_ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_SPDX_EXPRESSION = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def sbom_json(lock: Lock, layers: Mapping[str, Layer]) -> bytes:
    """The packages of a lock.

    Deterministic: the serial number is derived from the lock and there is no time. A component's hashes are
    all that the lock admits: of the wheels for every platform and of the source distribution.

    Args:
        lock: what is installed.
        layers: by normalised package name, for versions and licences.
    """
    serial = uuid.uuid5(_NAMESPACE, digest_of(lock.text().encode()))
    return canonical_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            "metadata": {
                "component": {"type": "container", "name": "environment", "bom-ref": "environment"},
                "properties": [{"name": "dev.mooring.python", "value": lock.python}],
            },
            "components": [_component(pin, layers[pin.name].facts) for pin in lock.pins],
        }
    )


def _component(pin: Pin, facts: Mapping[str, str]) -> dict[str, Any]:
    version = pin.version or facts.get("version", "")
    purl = f"pkg:pypi/{quote(pin.name)}@{quote(version)}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": version,
        "purl": purl,
        "hashes": [
            {"alg": _ALGORITHMS[algorithm], "content": content}
            for algorithm, _, content in (digest.partition(":") for digest in pin.hashes)
            if algorithm in _ALGORITHMS
        ],
    }
    licence = facts.get("licence", "")
    if licence:
        # Most texts are no SPDX identifiers; the specification wants those below another key.
        spdx = " " in licence and _SPDX_EXPRESSION.fullmatch(licence)
        component["licenses"] = [{"expression": licence}] if spdx else [{"license": {"name": licence}}]
    return component
