"""A client of registries: the OCI distribution API with basic and token authentication, and mirrors."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.bases.fetch import INDEX_TYPES, MANIFEST_TYPES
from mooring_server.images.references import DOCKER_HUB, ImageReference

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

# Docker Hub's API is not at the name that people write.
_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_CHUNK = 1 << 20
_OK, _DENIED, _ABSENT = 200, 403, 404


@dataclass(frozen=True)
class Credentials:
    """Of a registry."""

    username: str
    password: str


@dataclass(frozen=True)
class RegistrySettings:
    """How registries are reached.

    Attributes:
        mirrors: addresses (``https://mirror/prefix``) that are asked before a registry, by its host.
        docker_config: Docker's file with credentials.
    """

    mirrors: Mapping[str, tuple[str, ...]]
    docker_config: Path

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> RegistrySettings:
        """``MOORING_REGISTRY_MIRRORS`` (``docker.io=https://mirror ...``), ``REGISTRY_AUTH_FILE``, ``DOCKER_CONFIG``.

        Raises:
            MooringError: code ``SettingInvalid``.
        """
        mirrors: dict[str, tuple[str, ...]] = {}
        for pair in variables.get("MOORING_REGISTRY_MIRRORS", "").split():
            host, _, address = pair.partition("=")
            if urlsplit(address).scheme not in {"http", "https"} or not urlsplit(address).hostname:
                raise MooringError(
                    "SettingInvalid",
                    f"MOORING_REGISTRY_MIRRORS has {pair!r}; expected HOST=https://ADDRESS, separated by blanks.",
                    hint="Correct it or unset it.",
                    phase="Resolve",
                )
            mirrors[host] = (*mirrors.get(host, ()), address.rstrip("/"))
        folder = variables.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
        return cls(mirrors, Path(variables.get("REGISTRY_AUTH_FILE") or f"{folder}/config.json"))

    def credentials(self, host: str) -> Credentials | None:
        """Those that ``docker login`` or ``podman login`` has kept, if any."""
        try:
            data = json.loads(self.docker_config.read_text(encoding="utf-8"))
            stored = data["auths"].get(host) or data["auths"][f"https://index.{host}/v1/"]
            name, _, password = base64.b64decode(stored["auth"]).decode().partition(":")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # none is kept there, or by a helper program that only Docker can ask
        return Credentials(name, password)


class RegistryClient:
    """One repository of a registry, an `Origin` of images; a context manager.

    The registry's mirrors are asked first; what the first one that has the manifest says is taken from it.
    """

    def __init__(
        self, reference: ImageReference, credentials: Credentials | None, settings: RegistrySettings
    ) -> None:
        import httpx

        self._reference = reference
        self._credentials = credentials or settings.credentials(reference.host)
        host = _API_HOSTS.get(reference.host, reference.host)
        own = [f"https://{host}"]
        if urlsplit(own[0]).hostname in {"localhost", "127.0.0.1", "::1"}:
            own.append(f"http://{host}")
        self._places = [*settings.mirrors.get(reference.host, ()), *own]
        self._own = set(own)
        self._place: str | None = None
        self._authorization: dict[str, str] = {}
        self._http = httpx.Client(
            timeout=httpx.Timeout(60.0, connect=10.0),
            follow_redirects=True,
            trust_env=len(own) == 1,  # no proxy for this machine's own registry
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def manifest(self, reference: str) -> bytes:
        """A manifest or an index, by tag or digest.

        Raises:
            PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``, ``BaseUnknown``.
        """
        headers = {"Accept": ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))}
        failures: list[str] = []
        absent = False
        for place in [self._place] if self._place else self._places:
            status, said = self._ask(place, f"manifests/{reference}", headers)
            if status == _OK:
                self._place = place
                return said
            absent = absent or status == _ABSENT
            failures.append(f"{place}: {said.decode()}")
        raise (self._unknown if absent else self._unreachable)(failures)

    def _ask(self, place: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and content, or in words why there is none."""
        try:
            with self._get(place, path, headers) as response:
                if response.status_code == _OK:
                    return _OK, response.read()
                return response.status_code, _said(response).encode()
        except _Unreachable as error:
            return 0, str(error).encode()

    def blob(self, digest: str) -> Iterator[bytes]:
        """The pieces of a blob.

        Raises:
            PhaseFailed: codes ``RegistryUnreachable``, ``RegistryDenied``.
        """
        place = self._place or self._places[-1]
        try:
            with self._get(place, f"blobs/{digest}", {}) as response:
                if response.status_code != _OK:
                    raise self._unreachable([f"{place}: {_said(response)} for {digest}"])
                yield from response.iter_raw(_CHUNK)
        except _Unreachable as error:
            raise self._unreachable([f"{place}: {error}"]) from error

    @contextmanager
    def _get(self, place: str, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        import httpx

        url = f"{place}/v2/{self._reference.repository}/{path}"
        try:
            for attempt in (1, 2):
                authorization = self._authorization.get(place)
                sent = {**headers, **({"Authorization": authorization} if authorization else {})}
                with self._http.stream("GET", url, headers=sent) as response:
                    challenge = response.headers.get("www-authenticate", "")
                    if response.status_code != 401:
                        if response.status_code == _DENIED:
                            raise self._denied(place, _said(response))
                        yield response
                        return
                    if attempt == 2 or not challenge:
                        raise self._denied(place, _said(response))
                    self._authorization[place] = self._answer(place, challenge)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Unreachable(f"{type(error).__name__}: {error}") from error

    def _answer(self, place: str, challenge: str) -> str:
        """What to show a registry that has asked for it."""
        scheme, _, rest = challenge.partition(" ")
        credentials = self._credentials if place in self._own else None
        basic = ""
        if credentials is not None:
            pair = f"{credentials.username}:{credentials.password}".encode()
            basic = f"Basic {base64.b64encode(pair).decode()}"
        if scheme.lower() == "basic":
            if not basic:
                raise self._denied(place, "it asks for a user name and a password")
            return basic
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.pop("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in {"http", "https"}:
            raise self._denied(place, f"it asks for authentication in a way not known here: {scheme}")
        parameters.setdefault("scope", f"repository:{self._reference.repository}:pull")
        headers = {"Authorization": basic} if basic else {}
        response = self._http.get(realm, params=parameters, headers=headers)
        if response.status_code != _OK:
            response.read()
            raise self._denied(place, f"{realm}: {_said(response)}")
        try:
            answer = response.json()
            return f"Bearer {answer.get('token') or answer['access_token']}"
        except (ValueError, KeyError, AttributeError) as error:
            raise self._denied(place, f"{realm} gave no token") from error

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

    def _denied(self, place: str, why: str) -> PhaseFailed:
        user = f" as {self._credentials.username}" if self._credentials else " without credentials"
        return PhaseFailed(
            "RegistryDenied",
            f"{place} does not give {self._reference}{user}: {why}",
            hint="Check the user name and password: Environment.docker.base_image_registry, or docker login / "
            "podman login on the server's machine.",
            phase="Resolve",
            target=str(self._reference),
        )


class _Unreachable(Exception):
    """A place does not answer as a registry would."""


def _said(response: httpx.Response) -> str:
    """What a refusal says, in one line."""
    text = response.read()[:2000].decode("utf-8", "replace")
    try:
        text = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in json.loads(text)["errors"])
    except (ValueError, KeyError, TypeError):
        text = " ".join(text.split())[:200]
    return f"status {response.status_code} {text}".strip()


def of_environment() -> RegistrySettings:
    """The settings of this process."""
    return RegistrySettings.from_environment(os.environ)
