"""Writes OCI layers: reproducible tar archives, compressed and hashed in one pass into the content store."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from isal import isal_zlib

from mooring_server.images.locks import key_of, read_json, write_json
from mooring_server.images.types import TreeFile
from mooring_server.store.content import CHUNK, BlobWriter, ContentStore

EPOCH = 315532800  # 1980-01-01, the oldest time a zip archive knows
MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# Levels above save a tenth of the size for twice the time (measured, docs/decisions/layers.md).
_LEVEL = 1
_GZIP = 31  # zlib's window bits for a gzip header without name and time


@dataclass(frozen=True)
class Entry:
    """A file of a layer: where it goes and where its bytes are."""

    path: str
    source: Path | bytes
    executable: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer in the content store.

    Attributes:
        kind: ``runtime``, ``wheel``, ``wheels``, ``app`` or ``model``.
        name: for the build log and the manifest's annotations.
        digest: of the compressed archive.
        diff_id: of the archive itself.
        size: bytes of the compressed archive.
        facts: what was learnt when it was made and must not be looked up again (a wheel's licence).
        cached: whether it was there already.
    """

    kind: str
    name: str
    digest: str
    diff_id: str
    size: int
    facts: dict[str, str] = field(default_factory=dict)
    cached: bool = field(default=False, compare=False)


class LayerCache:
    """Remembers which layer was made from which inputs.

    An entry counts only while its blob is in the store, so that either may be deleted at any time.
    """

    def __init__(self, store: ContentStore, directory: Path) -> None:
        self.store = store
        self._directory = directory

    def get(self, key: str) -> Layer | None:
        """The layer made from these inputs, if it is still there."""
        data = read_json(self._directory / f"{key}.json")
        if data is None or not self.store.touch(data["digest"]):
            return None
        return Layer(**{**data, "cached": True})

    def put(self, key: str, layer: Layer) -> None:
        """Remember a layer."""
        data = asdict(layer)
        del data["cached"]
        write_json(self._directory / f"{key}.json", data)

    def get_or_make(self, key: str, make: Callable[[], Layer]) -> Layer:
        """The remembered layer, or a new one."""
        layer = self.get(key)
        if layer is None:
            layer = make()
            self.put(key, layer)
        return layer


class LayerWriter:
    """One layer being written, entry after entry in sorted order."""

    def __init__(self, blob: BlobWriter) -> None:
        self._blob = blob
        self._hash = hashlib.sha256()
        self._zip = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
        self._directories: set[str] = set()

    def file(self, path: str, size: int, executable: bool, chunks: Iterable[bytes]) -> None:
        """Add a file and the directories above it."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self._directory("/".join(parts[:depth]))
        self._header(path, tarfile.REGTYPE, size, 0o755 if executable else 0o644)
        written = 0
        for chunk in chunks:
            self._write(chunk)
            written += len(chunk)
        if written != size:
            raise OSError(f"{path} changed while it was packed: {size} bytes expected, {written} read")
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def _directory(self, path: str) -> None:
        if path not in self._directories:
            self._directories.add(path)
            self._header(path + "/", tarfile.DIRTYPE, 0, 0o755)

    def _header(self, path: str, kind: bytes, size: int, mode: int) -> None:
        info = tarfile.TarInfo(path)
        info.type, info.size, info.mode, info.mtime = kind, size, mode, EPOCH
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        if packed := self._zip.compress(data):
            self._blob.write(packed)

    def finish(self, kind: str, name: str, facts: dict[str, str] | None = None) -> Layer:
        """End the archive and store it."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._blob.write(self._zip.flush())
        blob = self._blob.commit()
        return Layer(kind, name, blob.digest, "sha256:" + self._hash.hexdigest(), blob.size, facts or {})


def write_layer(
    store: ContentStore, entries: Iterable[Entry], kind: str, name: str, facts: dict[str, str] | None = None
) -> Layer:
    """Pack files into a layer; equal entries give an equal layer."""
    with store.writer() as blob:
        writer = LayerWriter(blob)
        for entry in sorted(entries, key=lambda entry: entry.path.split("/")):
            if isinstance(entry.source, bytes):
                writer.file(entry.path, len(entry.source), entry.executable, [entry.source])
            else:
                size = entry.source.stat().st_size
                writer.file(entry.path, size, entry.executable, _chunks(entry.source))
        return writer.finish(kind, name, facts)


def tree_layer(cache: LayerCache, prefix: str, files: Iterable[TreeFile], kind: str, name: str) -> Layer:
    """The layer with a tree of blobs below ``prefix``.

    Raises:
        NotFound: code ``BlobNotFound``: the tree names a file that is not in the store.
    """
    ordered = sorted(files, key=lambda file: file.path)
    key = key_of("tree-1", prefix, kind, [(file.path, file.digest, file.executable) for file in ordered])

    def make() -> Layer:
        entries = [
            Entry(f"{prefix}/{file.path}", cache.store.path(file.digest), file.executable) for file in ordered
        ]
        return write_layer(cache.store, entries, kind, name)

    return cache.get_or_make(key, make)


def join_layers(cache: LayerCache, layers: Iterable[Layer], limit: int) -> list[Layer]:
    """Join the smallest layers into one until at most ``limit`` are left; the joined one comes first.

    Engines stop at 127 layers. Of two files with the same path the one of the later layer is kept, as it
    would be if the layers lay above each other.
    """
    all_layers = list(layers)
    if len(all_layers) <= limit:
        return all_layers
    by_size = sorted(all_layers, key=lambda layer: (layer.size, layer.diff_id))
    small = {layer.diff_id for layer in by_size[: len(all_layers) - limit + 1]}
    joined = [layer for layer in all_layers if layer.diff_id in small]
    rest = [layer for layer in all_layers if layer.diff_id not in small]
    key = key_of("join-1", [layer.diff_id for layer in joined])
    name = f"{len(joined)} small packages"
    return [cache.get_or_make(key, lambda: _join(cache.store, joined, name)), *rest]


def _join(store: ContentStore, layers: list[Layer], name: str) -> Layer:
    files: dict[str, Entry] = {}
    for layer in layers:
        with tarfile.open(store.path(layer.digest), "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[member.name] = Entry(member.name, content.read(), bool(member.mode & 0o100))
    return write_layer(store, files.values(), "wheels", name)


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
