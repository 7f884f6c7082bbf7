"""Writes OCI layers: reproducible tar archives, compressed and hashed in one pass into the content store."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mooring_server.images.compression import GZIP, LIMITS, compressor, opened
from mooring_server.images.locks import key_of, read_json, write_json
from mooring_server.images.types import TreeFile
from mooring_server.store.content import CHUNK, BlobWriter, ContentStore

EPOCH = 315532800  # 1980-01-01, the oldest time a zip archive knows


@dataclass(frozen=True)
class Symlink:
    """What an entry is that leads elsewhere: to ``target``."""

    target: str


@dataclass(frozen=True)
class Directory:
    """What an entry is that others are in, or may be one day."""

    mode: int = 0o755


@dataclass(frozen=True)
class Entry:
    """A file of a layer: where it goes, and where its bytes are or what it is else."""

    path: str
    source: Path | bytes | Symlink | Directory
    executable: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer in the content store.

    Attributes:
        kind: ``base``, ``front``, ``runtime``, ``interpreter``, ``wheel``, ``wheels``, ``app`` or ``model``.
        name: for the build log and the manifest's annotations.
        digest: of the compressed archive.
        diff_id: of the archive itself.
        size: bytes of the compressed archive.
        facts: what was learnt when it was made and must not be looked up again (a wheel's licence).
        media_type: how it is packed.
        cached: whether it was there already.
    """

    kind: str
    name: str
    digest: str
    diff_id: str
    size: int
    facts: dict[str, str] = field(default_factory=dict)
    media_type: str = GZIP
    cached: bool = field(default=False, compare=False)


class LayerCache:
    """Remembers which layer was made from which inputs.

    An entry counts only while its blob is in the store, so that either may be deleted at any time.
    """

    def __init__(self, store: ContentStore, directory: Path, media_type: str = GZIP) -> None:
        self.store = store
        self.media_type = media_type
        # Packed otherwise it is another layer.
        self._directory = directory if media_type == GZIP else directory / media_type.rpartition("+")[2]

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

    def __init__(self, blob: BlobWriter, media_type: str) -> None:
        self._blob = blob
        self._hash = hashlib.sha256()
        self._media_type = media_type
        self._zip = compressor(media_type)
        self._directories: set[str] = set()

    def file(self, path: str, size: int, executable: bool, chunks: Iterable[bytes]) -> None:
        """Add a file and the directories above it."""
        self._above(path)
        self._header(path, tarfile.REGTYPE, size, 0o755 if executable else 0o644)
        written = 0
        for chunk in chunks:
            self._write(chunk)
            written += len(chunk)
        if written != size:
            raise OSError(f"{path} changed while it was packed: {size} bytes expected, {written} read")
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link and the directories above it."""
        self._above(path)
        self._header(path, tarfile.SYMTYPE, 0, 0o777, target)

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory and those above it."""
        self._above(path)
        if path not in self._directories:
            self._directories.add(path)
            self._header(path + "/", tarfile.DIRTYPE, 0, mode)

    def _above(self, path: str) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above not in self._directories:
                self.directory(above)

    def _header(self, path: str, kind: bytes, size: int, mode: int, target: str = "") -> None:
        info = tarfile.TarInfo(path)
        info.type, info.size, info.mode, info.mtime, info.linkname = kind, size, mode, EPOCH, target
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
        diff_id = "sha256:" + self._hash.hexdigest()
        return Layer(kind, name, blob.digest, diff_id, blob.size, facts or {}, self._media_type)


def write_layer(
    store: ContentStore,
    entries: Iterable[Entry],
    kind: str,
    name: str,
    facts: dict[str, str] | None = None,
    *,
    media_type: str = GZIP,
) -> Layer:
    """Pack files into a layer; equal entries give an equal layer."""
    with store.writer() as blob:
        writer = LayerWriter(blob, media_type)
        for entry in sorted(entries, key=lambda entry: entry.path.split("/")):
            if isinstance(entry.source, Symlink):
                writer.link(entry.path, entry.source.target)
            elif isinstance(entry.source, Directory):
                writer.directory(entry.path, entry.source.mode)
            elif isinstance(entry.source, bytes):
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
        return write_layer(cache.store, entries, kind, name, media_type=cache.media_type)

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
    return [cache.get_or_make(key, lambda: _join(cache, joined, name)), *rest]


def _join(cache: LayerCache, layers: list[Layer], name: str) -> Layer:
    files: dict[str, Entry] = {}
    for layer in layers:
        path = cache.store.path(layer.digest)
        size = LIMITS.size(path.stat().st_size)
        with opened(path, size) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[member.name] = Entry(member.name, content.read(), bool(member.mode & 0o100))
    return write_layer(cache.store, files.values(), "wheels", name, media_type=cache.media_type)


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
