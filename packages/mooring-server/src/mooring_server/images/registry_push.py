"""Pushes images to registries elsewhere, by the OCI distribution API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.fetch import Log
from mooring_server.images.documents import INDEX_TYPE, MANIFEST_TYPE, canonical_json, load_manifest
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_http import OK, Denied, RegistryHttp, Unreachable, said
from mooring_server.images.registry_settings import Credentials, RegistrySettings
from mooring_server.store.content import CHUNK, ContentStore, digest_of

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

_CREATED, _ACCEPTED, _ABSENT = 201, 202, 404
_CHANGED_ON_ITS_WAY = ("DIGEST_INVALID", "SIZE_INVALID")


def check_access(
    reference: ImageReference, credentials: Credentials | None, settings: RegistrySettings
) -> None:
    """See whether a registry answers, and takes these credentials.

    Raises:
        PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``; phase ``Push``.
    """
    with _Pusher(reference, credentials, settings) as pusher:
        pusher.find()


def push(
    store: ContentStore,
    digest: str,
    reference: ImageReference,
    credentials: Credentials | None,
    settings: RegistrySettings,
    log: Log,
    *,
    tags: Sequence[str] = (),
    attached: str = "",
) -> None:
    """Push an image, under its reference's tag and others.

    Blobs that the registry has are not sent again, so that what was cut short is soon where it stopped.

    Args:
        store: has it.
        digest: of its manifest.
        reference: what it will be called.
        credentials: else those that Docker or Podman keep.
        settings: how registries are reached.
        log: takes lines that tell how it goes.
        tags: more of them.
        attached: the digest of a manifest whose subject it is; empty for none.

    Raises:
        PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``, ``RegistryRefused``, ``PushDigestMismatch``;
            phase ``Push``.
    """
    with _Pusher(reference, credentials, settings) as pusher:
        pusher.find()
        pusher.blobs(store, digest, log)
        for tag in (reference.tag, *tags):
            pusher.manifest(store.read(digest), tag, log)
        if attached:
            pusher.blobs(store, attached, log)
            pusher.attach(store.read(attached), digest)


class _Pusher:
    def __init__(
        self, reference: ImageReference, credentials: Credentials | None, settings: RegistrySettings
    ) -> None:
        self._reference = reference
        self._http = RegistryHttp(reference, credentials, settings, pushing=True)
        self._place = self._http.own[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.__exit__(*error)

    def find(self) -> None:
        """Find the address at which the registry answers."""
        failures = []
        for place in self._http.own:
            if not (failure := self._failure(place)):
                self._place = place
                return
            failures.append(failure)
        raise self._unreachable(failures)

    def _failure(self, place: str) -> str:
        """Why a place is none where the registry answers; empty if it is one."""
        try:
            with self._http.ask(place, "/v2/") as response:
                return "" if response.status_code == OK else f"{place}: {said(response)}"
        except Unreachable as error:
            return str(error)
        except Denied as error:
            raise self._denied(error) from error

    def blobs(self, store: ContentStore, digest: str, log: Log) -> None:
        """Send what a manifest needs and the registry does not have."""
        manifest = load_manifest(store, digest)
        needed = {each["digest"]: each for each in (manifest["config"], *manifest["layers"])}
        for number, (blob, each) in enumerate(needed.items(), 1):
            told = f"{number} of {len(needed)}: {each['size']:,} bytes"
            with self._asked(f"blobs/{blob}", method="HEAD") as response:
                there = response.status_code == OK
            if there:
                log(f"Part {told}, there already.")
                continue
            self._blob(store, blob)
            log(f"Part {told}, sent.")

    def _blob(self, store: ContentStore, digest: str) -> None:
        with self._asked("blobs/uploads/", {"Content-Length": "0"}, method="POST") as response:
            where = response.headers.get("location", "")
            if response.status_code != _ACCEPTED or not where:
                raise self._refused(response, f"an upload of {digest}")
        where = urljoin(f"{self._place}/", where)
        where += ("&" if "?" in where else "?") + urlencode({"digest": digest})
        headers = {"Content-Length": str(store.size(digest)), "Content-Type": "application/octet-stream"}

        def pieces() -> Iterator[bytes]:
            with store.path(digest).open("rb") as file:
                while piece := file.read(CHUNK):
                    yield piece

        with self._asked(where, headers, method="PUT", body=pieces) as response:
            if response.status_code != _CREATED:
                raise self._refused(response, f"the part {digest}")

    def manifest(self, data: bytes, tag: str, log: Log) -> None:
        """Send a manifest and move a tag to it."""
        with self._asked(f"manifests/{tag}", {"Accept": MANIFEST_TYPE}, method="HEAD") as response:
            before = response.headers.get("docker-content-digest", "")
        self._document(data, tag, MANIFEST_TYPE)
        name = f"{self._reference.host}/{self._reference.repository}:{tag}"
        replaced = f"; it was {before} before" if before and before != digest_of(data) else ""
        log(f"Pushed {name}{replaced}.")

    def attach(self, data: bytes, subject: str) -> None:
        """Send a manifest that belongs to another one.

        Registries of before the specification 1.1 do not list such manifests; there the client keeps the list, under
        a tag made of the subject's digest ("Referrers Tag Schema").
        """
        digest = digest_of(data)
        if self._document(data, digest, MANIFEST_TYPE):
            return
        tag = subject.replace(":", "-")
        listed: list[dict[str, Any]] = []
        with self._asked(f"manifests/{tag}", {"Accept": INDEX_TYPE}) as response:
            if response.status_code == OK:
                with contextlib.suppress(
                    ValueError, AttributeError
                ):  # somebody's tag that is no list: not read
                    listed = json.loads(response.read()).get("manifests") or []
            elif response.status_code != _ABSENT:
                raise self._refused(response, f"its list of what is attached to {subject}")
        if any(each.get("digest") == digest for each in listed):
            return
        manifest = json.loads(data)
        descriptor = {
            "mediaType": MANIFEST_TYPE,
            "digest": digest,
            "size": len(data),
            "artifactType": manifest["artifactType"],
        }
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*listed, descriptor]}
        self._document(canonical_json(index), tag, INDEX_TYPE)

    def _document(self, data: bytes, reference: str, media_type: str) -> bool:
        """Send it; whether the registry will list it with its subject."""
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        path = f"manifests/{reference}"
        with self._asked(path, headers, method="PUT", body=lambda: iter((data,))) as response:
            if response.status_code != _CREATED:
                raise self._refused(response, f"the manifest {reference}")
            found = response.headers.get("docker-content-digest") or digest_of(data)
            if found != digest_of(data):
                raise self._changed(f"the manifest {reference}", f"it says that it got {found}")
            return bool(response.headers.get("oci-subject"))

    @contextlib.contextmanager
    def _asked(self, path: str, headers: Any = None, **more: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.ask(self._place, path, headers, **more) as response:
                yield response
        except Unreachable as error:
            raise self._unreachable([str(error)]) from error
        except Denied as error:
            raise self._denied(error) from error

    def _refused(self, response: httpx.Response, what: str) -> PhaseFailed:
        why = said(response)
        if any(code in why for code in _CHANGED_ON_ITS_WAY):
            return self._changed(what, why)
        return PhaseFailed(
            "RegistryRefused",
            f"{self._place} did not take {what} of {self._reference}: {why}",
            hint="Ask whoever runs the registry; its log has the reason. `mooring registry reset` keeps images in this "
            "server's own registry.",
            phase="Push",
            target=str(self._reference),
        )

    def _changed(self, what: str, why: str) -> PhaseFailed:
        return PhaseFailed(
            "PushDigestMismatch",
            f"{self._place} got {what} of {self._reference} with another digest: {why}",
            hint="It was changed on its way or on the server's disk. `mooring doctor` looks at the disk; "
            "if that is good, look for a proxy between here and the registry, and build the image again.",
            phase="Push",
            target=str(self._reference),
        )

    def _unreachable(self, tried: list[str]) -> PhaseFailed:
        return PhaseFailed(
            "RegistryUnreachable",
            f"{self._reference} could not be pushed to {self._reference.host}. Tried: {'; '.join(tried)}",
            hint="Check the address and the network of the server's machine, then build the image again; what was "
            "built is kept. A registry with a certificate of its own: put its CA into "
            f"~/.config/containers/certs.d/{self._reference.host}/ca.crt of the server's user.",
            phase="Push",
            target=str(self._reference),
            evidence={"tried": "\n".join(tried)},
        )

    def _denied(self, error: Denied) -> PhaseFailed:
        shown = self._http.credentials
        user = f" from {shown.username}" if shown else " without credentials"
        return PhaseFailed(
            "RegistryDenied",
            f"{error.place} does not take {self._reference}{user}: {error.why}",
            hint="Check the user name and password: mooring registry use, or docker login / podman login on the "
            "server's machine.",
            phase="Push",
            target=str(self._reference),
        )
