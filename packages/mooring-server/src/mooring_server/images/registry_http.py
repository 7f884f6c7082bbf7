"""HTTP with registries: basic and token authentication, at the addresses that a registry may have."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from mooring_server.images.references import DOCKER_HUB, ImageReference
from mooring_server.images.registry_settings import Credentials, RegistrySettings

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

# Docker Hub's API is not at the name that people write.
_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
OK, DENIED = 200, 403
_ANONYMOUS = 401


class Unreachable(Exception):
    """A place does not answer as a registry would."""


class Denied(Exception):
    """A place does not let us do what we want."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place, self.why = place, why


class RegistryHttp:
    """Requests to one repository of a registry; a context manager.

    Args:
        reference: of an image in the repository.
        credentials: else those that Docker or Podman keep.
        settings: how registries are reached.
        pushing: whether it is written to.

    Attributes:
        credentials: those that are shown.
        own: the addresses of the registry itself: https, and for this machine also http.
    """

    def __init__(
        self,
        reference: ImageReference,
        credentials: Credentials | None,
        settings: RegistrySettings,
        *,
        pushing: bool = False,
    ) -> None:
        import httpx

        self.credentials = credentials or settings.credentials(reference.host)
        self._repository = reference.repository
        self._pushing = pushing
        self._scope = f"repository:{reference.repository}:{'pull,push' if pushing else 'pull'}"
        host = _API_HOSTS.get(reference.host, reference.host)
        self.own = [f"https://{host}"]
        if urlsplit(self.own[0]).hostname in {"localhost", "127.0.0.1", "::1"}:
            self.own.append(f"http://{host}")
        self._authorization: dict[str, str] = {}
        self._http = httpx.Client(
            timeout=httpx.Timeout(60.0, connect=10.0),
            follow_redirects=True,
            verify=settings.trust(reference.host),
            trust_env=len(self.own) == 1,  # no proxy for this machine's own registry
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @contextmanager
    def ask(
        self,
        place: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: Callable[[], Iterable[bytes]] | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request; whatever the registry asks for is shown to it.

        Args:
            place: an address of the registry.
            path: below the repository; one that begins with ``/``, or a whole address, is taken as it is.
            headers: beside those of authentication.
            method: of the request.
            body: gives the pieces of the body, possibly twice.

        Raises:
            Unreachable: nobody answers, or not to the end.
            Denied: statuses 401 and 403.
        """
        import httpx

        url = urljoin(f"{place}/v2/{self._repository}/", path)
        home = urlsplit(url).netloc == urlsplit(place).netloc
        try:
            for attempt in (1, 2):
                # Not shown to others: uploads may be led to a storage that has its own signature in the address.
                shown = self._authorization.get(place) if home else None
                sent = {**(headers or {}), **({"Authorization": shown} if shown else {})}
                content = body() if body else None
                with self._http.stream(method, url, headers=sent, content=content) as response:
                    challenge = response.headers.get("www-authenticate", "")
                    if response.status_code != _ANONYMOUS:
                        if response.status_code == DENIED:
                            raise Denied(place, said(response))
                        yield response
                        return
                    if attempt == 2 or not challenge:
                        raise Denied(place, said(response))
                    self._authorization[place] = self._answer(place, challenge)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{place}: {type(error).__name__}: {error}") from error

    def _answer(self, place: str, challenge: str) -> str:
        """What to show a registry that has asked for it."""
        scheme, _, rest = challenge.partition(" ")
        credentials = self.credentials if place in self.own else None
        basic = ""
        if credentials is not None:
            pair = f"{credentials.username}:{credentials.password}".encode()
            basic = f"Basic {base64.b64encode(pair).decode()}"
        if scheme.lower() == "basic":
            if not basic:
                raise Denied(place, "it asks for a user name and a password")
            return basic
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.pop("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in {"http", "https"}:
            raise Denied(place, f"it asks for authentication in a way not known here: {scheme}")
        # A mirror may call the repository otherwise; but no challenge to a question asks for the right to push.
        if self._pushing or "scope" not in parameters:
            parameters["scope"] = self._scope
        headers = {"Authorization": basic} if basic else {}
        response = self._http.get(realm, params=parameters, headers=headers)
        if response.status_code != OK:
            response.read()
            raise Denied(place, f"{realm}: {said(response)}")
        try:
            answer = response.json()
            return f"Bearer {answer.get('token') or answer['access_token']}"
        except (ValueError, KeyError, AttributeError) as error:
            raise Denied(place, f"{realm} gave no token") from error


def said(response: httpx.Response) -> str:
    """What a refusal says, in one line."""
    text = response.read()[:2000].decode("utf-8", "replace")
    try:
        text = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in json.loads(text)["errors"])
    except (ValueError, KeyError, TypeError):
        text = " ".join(text.split())[:200]
    return f"status {response.status_code} {text}".strip()
