"""How registries are reached: mirrors, kept credentials, certificates."""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mooring_server.domain.errors import MooringError


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
        certificates: folders as Docker and Podman have them: ``<host:port>/*.crt`` are trusted for that host.
    """

    mirrors: Mapping[str, tuple[str, ...]]
    docker_config: Path
    certificates: tuple[Path, ...] = ()

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
        home = Path.home()
        folder = variables.get("DOCKER_CONFIG") or str(home / ".docker")
        own = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
        return cls(
            mirrors,
            Path(variables.get("REGISTRY_AUTH_FILE") or f"{folder}/config.json"),
            (own / "containers/certs.d", Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d")),
        )

    def credentials(self, host: str) -> Credentials | None:
        """Those that ``docker login`` or ``podman login`` has kept, if any."""
        try:
            data = json.loads(self.docker_config.read_text(encoding="utf-8"))
            stored = data["auths"].get(host) or data["auths"][f"https://index.{host}/v1/"]
            name, _, password = base64.b64decode(stored["auth"]).decode().partition(":")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # none is kept there, or by a helper program that only Docker can ask
        return Credentials(name, password)

    def trust(self, host: str) -> ssl.SSLContext:
        """Whose certificates to believe: the system's authorities', and those named for the host or its mirrors.

        Raises:
            MooringError: code ``SettingInvalid``.
        """
        context = ssl.create_default_context()  # reads SSL_CERT_FILE as well
        hosts = [host, *(urlsplit(mirror).netloc for mirror in self.mirrors.get(host, ()))]
        for each in hosts:
            for file in self._named_for(each):
                _load(context, file)
        return context

    def _named_for(self, host: str) -> Iterator[Path]:
        for folder in self.certificates:
            yield from sorted((folder / host).glob("*.crt"))


def _load(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(file))
    except OSError as error:  # ssl.SSLError is one, too
        raise MooringError(
            "SettingInvalid",
            f"The certificates in {file} cannot be used: {error.strerror or error}.",
            hint="Put a PEM file there, or take it away.",
            phase="Resolve",
        ) from error


def of_environment() -> RegistrySettings:
    """The settings of this process."""
    return RegistrySettings.from_environment(os.environ)
