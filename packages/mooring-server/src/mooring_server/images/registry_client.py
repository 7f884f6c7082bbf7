"""What is fetched from registries: by the OCI distribution API, mirrors first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.fetch import INDEX_TYPES, MANIFEST_TYPES
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_http import OK, Denied, RegistryHttp, Unreachable, said
from mooring_server.images.registry_settings import Credentials, RegistrySettings

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK = 1 << 20
_ABSENT = 404


class RegistryClient:
    """One repository of a registry, an `Origin` of images; a context manager.

    The registry's mirrors are asked first; what the first one that has the manifest says is taken from it.
    """

    def __init__(
        self, reference: ImageReference, credentials: Credentials | None, settings: RegistrySettings
    ) -> None:
        self._reference = reference
        self._http = RegistryHttp(reference, credentials, settings)
        self._places = [*settings.mirrors.get(reference.host, ()), *self._http.own]
        self._place: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.__exit__()

    def manifest(self, reference: str) -> bytes:
        """A manifest or an index, by tag or digest.

        Raises:
            PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``, ``BaseUnknown``.
        """
        headers = {"Accept": ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))}
        failures: list[str] = []
        absent = False
        for place in [self._place] if self._place else self._places:
            status, answer = self._ask(place, f"manifests/{reference}", headers)
            if status == OK:
                self._place = place
                return answer
            absent = absent or status == _ABSENT
            failures.append(answer.decode())
        raise (self._unknown if absent else self._unreachable)(failures)

    def _ask(self, place: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and content, or in words why there is none."""
        try:
            with self._http.ask(place, path, headers) as response:
                if response.status_code == OK:
                    return OK, response.read()
                return response.status_code, f"{place}: {said(response)}".encode()
        except Unreachable as error:
            return 0, str(error).encode()
        except Denied as error:
            raise self._denied(error) from error

    def blob(self, digest: str) -> Iterator[bytes]:
        """The pieces of a blob.

        Raises:
            PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``.
        """
        place = self._place or self._places[-1]
        try:
            with self._http.ask(place, f"blobs/{digest}") as response:
                if response.status_code != OK:
                    raise self._unreachable([f"{place}: {said(response)} for {digest}"])
                yield from response.iter_raw(_CHUNK)
        except Unreachable as error:
            raise self._unreachable([str(error)]) from error
        except Denied as error:
            raise self._denied(error) from error

    def _unknown(self, tried: list[str]) -> PhaseFailed:
        return PhaseFailed(
            "BaseUnknown",
            f"The registry {self._reference.host} has no image {self._reference}.",
            hint="Check name and tag. Registries also answer so to those who may not see it: give "
            "base_image_registry, or log in on the server's machine with docker login or podman login.",
            phase="Resolve",
            target=str(self._reference),
            evidence={"tried": "\n".join(tried)},
        )

    def _unreachable(self, tried: list[str]) -> PhaseFailed:
        return PhaseFailed(
            "RegistryUnreachable",
            f"{self._reference} could not be fetched from {self._reference.host}. Tried: {'; '.join(tried)}",
            hint="Check the address and the network of the server's machine. Without a network bring the image in a "
            "file (mooring base import), name a mirror (MOORING_REGISTRY_MIRRORS), or build one: mooring base build",
            phase="Resolve",
            target=str(self._reference),
            evidence={"tried": "\n".join(tried)},
        )

    def _denied(self, error: Denied) -> PhaseFailed:
        shown = self._http.credentials
        user = f" as {shown.username}" if shown else " without credentials"
        return PhaseFailed(
            "RegistryDenied",
            f"{error.place} does not give {self._reference}{user}: {error.why}",
            hint="Check the user name and password: Environment.docker.base_image_registry, or docker login / "
            "podman login on the server's machine.",
            phase="Resolve",
            target=str(self._reference),
        )
