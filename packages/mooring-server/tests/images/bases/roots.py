"""Small root directories that look like a base image, in the forms in which images come."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mooring_server.images.bases.base import own_architecture
from mooring_server.images.documents import CONFIG_TYPE, MANIFEST_TYPE

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
GLIBC = b"\x7fELF ... GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n"
FILES: Mapping[str, bytes] = {
    f"usr/bin/python{PYTHON}": b"\x7fELF",
    "lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    "etc/ssl/certs/ca-certificates.crt": b"-----BEGIN CERTIFICATE-----",
}


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def image(files: Mapping[str, bytes] = FILES, **config: Any) -> dict[str, bytes]:
    """The blobs of an image by digest; the manifest is the last."""
    plain = tar(files)
    layer = gzip.compress(plain, mtime=0)
    document = {
        "architecture": own_architecture(),
        "os": "linux",
        "config": {"Env": ["PATH=/base/bin", "FROM_BASE=yes"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(plain)]},
        **config,
    }
    configuration = json.dumps(document).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest(configuration), "size": len(configuration)},
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "digest": digest(layer),
                    "size": len(layer),
                }
            ],
        }
    ).encode()
    return {digest(each): each for each in (layer, configuration, manifest)}


def layout(blobs: Mapping[str, bytes]) -> bytes:
    """An OCI image layout."""
    *_, manifest = blobs
    files = {f"blobs/{name.replace(':', '/')}": data for name, data in blobs.items()}
    described = {"mediaType": MANIFEST_TYPE, "digest": manifest, "size": len(blobs[manifest])}
    index = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    return tar({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **files})


def saved(blobs: Mapping[str, bytes], pack: Callable[[bytes], bytes] = bytes) -> bytes:
    """As ``docker save`` writes it; others pack the layers."""
    layer, configuration, _ = blobs.values()
    listing = [{"Config": "config.json", "RepoTags": None, "Layers": ["1/layer.tar"]}]
    files = {"config.json": configuration, "1/layer.tar": pack(gzip.decompress(layer))}
    return tar({**files, "manifest.json": json.dumps(listing).encode()})


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
