"""Mooring's native API over httpx: tokens, timeouts, retries, streams, and errors that say what to do."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import mooring
from mooring.sdk.connection import Connection
from mooring.sdk.errors import Problem, user_error
from mooring.sdk.exceptions import AzureMLException
from mooring.sdk.types import JSON, Params, Progress
from mooring.sdk.versions import API, API_HEADER, VERSION_HEADER, other_version

if TYPE_CHECKING:
    import httpx

CHUNK = 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Seconds. Reading is generous because a server that builds on two cores may answer late, never because it
# hangs:
# what takes long is an operation, and those are followed by calls of at most 30 s.
CONNECT, READ, WRITE = 5.0, 90.0, 90.0


def http_client(endpoint: str, connection: Connection | None = None, **settings: Any) -> httpx.Client:
    """An httpx client that leaves proxies aside for this machine's own addresses.

    Args:
        endpoint: what it is for.
        connection: the server there, which may say what certificates to accept.
        settings: httpx's own.
    """
    import httpx

    from mooring.sdk import trust

    checked = trust.context(endpoint, connection)
    if checked is not None:
        settings["verify"] = checked

    timeout = httpx.Timeout(READ, connect=CONNECT, write=WRITE)
    proxied = urlsplit(endpoint).hostname not in LOOPBACK
    return httpx.Client(timeout=timeout, trust_env=proxied, **settings)


class Http:
    """One server.

    Args:
        connection: where it is.
        reconnect: called once when nothing listens there any more; starts or finds the per-user server again.
    """

    def __init__(self, connection: Connection, reconnect: Callable[[], Connection] | None = None) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._client: httpx.Client | None = None

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        noun: str = "",
    ) -> tuple[Any, Mapping[str, str]]:
        """Call and decode.

        Returns:
            The decoded body (None if there is none) and the answer's headers.

        Raises:
            AzureMLException: of the class that `Problem.exception` chooses for the answer.
        """
        extra: JSON = {} if body is None else {"json": body}
        response = self._send(method, path, params=params, **extra)
        self._raise_for(response, noun)
        if not response.content:
            return None, response.headers
        return self._decode(response), response.headers

    def text(self, path: str, *, params: Params | None = None, noun: str = "") -> str:
        """GET a text."""
        response = self._send("GET", path, params=params)
        self._raise_for(response, noun)
        return response.text

    def upload(self, path: str, source: Path, size: int, progress: Progress | None = None) -> None:
        """PUT a file in constant memory.

        Args:
            path: of the resource.
            source: the file.
            size: its length in bytes.
            progress: called with the number of bytes of every piece sent.
        """
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        response = self._send("PUT", path, content=lambda: _pieces(source, progress), headers=headers)
        self._raise_for(response, "models")

    def download(self, path: str, target: Path, progress: Progress | None = None, noun: str = "") -> None:
        """GET into a file in constant memory; the file appears under its name only when it is complete."""
        part = target.with_name(target.name + ".part")
        with self.stream(path, noun=noun) as pieces, part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                if progress:
                    progress(len(piece))
        part.replace(target)

    def follow(self, method: str, path: str, *, said: Callable[[str], None], key: str, **extra: Any) -> JSON:
        """Call what answers with lines of JSON while it works.

        Args:
            method: of the request.
            path: of the resource.
            said: takes what is logged.
            key: of the line with the result.
            extra: ``json``, or ``content``: a function that gives the body's pieces.

        Returns:
            The result.

        Raises:
            AzureMLException: as of `json`; also for an answer that ends before its result.
        """
        response = self._send(method, path, stream=True, **extra)
        try:
            if not response.is_success:
                response.read()
                self._raise_for(response, "")
            for line in filter(None, response.iter_lines()):  # an empty one only says that it goes on
                event = json.loads(line)
                if "error" in event:
                    raise Problem.from_json(event, int(event["error"]["statusCode"])).exception("")
                if key in event:
                    result: JSON = event[key]
                    return result
                said(event["log"])
        finally:
            response.close()
        raise self._unreachable(EOFError("the answer ended before its result"))

    def stream(self, path: str, *, params: Params | None = None, noun: str = "") -> _Stream:
        """GET as a context manager that gives the pieces of the body as they come."""
        return _Stream(self, path, params, noun)

    def _open(self) -> httpx.Client:
        if self._client is None:
            agent = {"User-Agent": f"mooring/{mooring.__version__}"}
            self._client = http_client(self.connection.endpoint, self.connection, headers=agent)
            # Nobody closes a Workspace; its sockets go with it.
            weakref.finalize(self, self._client.close)
        return self._client

    def build(self, method: str, path: str, **extra: Any) -> httpx.Request:
        """A request to the server as it is connected now."""
        content = extra.pop("content", None)
        headers = dict(extra.pop("headers", None) or {})
        if self.connection.token:
            headers["Authorization"] = f"Bearer {self.connection.token}"
        if content is not None:
            extra["content"] = content()
        params = {k: v for k, v in (extra.pop("params", None) or {}).items() if v is not None}
        if params:
            extra["params"] = params
        return self._open().build_request(method, self.connection.endpoint + path, headers=headers, **extra)

    def _send(self, method: str, path: str, *, stream: bool = False, **extra: Any) -> httpx.Response:
        import httpx

        reconnected = replayed = False
        while True:
            request = self.build(method, path, **extra)
            try:
                return self._understood(self._open().send(request, stream=stream))
            except httpx.ConnectError as error:
                # Nothing was sent, so every method may be repeated.
                if reconnected or self._reconnect is None:
                    raise self._unreachable(error) from error
                self.close()
                self.connection = self._reconnect()
                reconnected = True
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # The server ended while it answered, or had closed a kept connection; only harmless to repeat
                # when nothing changes.
                if replayed or method not in {"GET", "PUT"}:
                    raise self._unreachable(error) from error
                self.close()
                replayed = True
            except httpx.TimeoutException as error:
                raise self._unreachable(error) from error

    def _understood(self, response: httpx.Response) -> httpx.Response:
        """The answer, unless it comes from a server of another API."""
        api = response.headers.get(API_HEADER, API)
        if api == API:
            return response
        response.close()
        version = response.headers.get(VERSION_HEADER, "unknown")
        raise other_version(self.connection.endpoint, version, api, local=self.connection.local)

    def _unreachable(self, error: Exception) -> AzureMLException:
        where = self.connection.endpoint
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return user_error(
                f"The certificate that {where} shows is not trusted: {error}.",
                code="CertificateNotTrusted",
                hint="Name the CA that signed it: MOORING_CA_BUNDLE, or 'ca_bundle' in config.json; and use the "
                "name that is in the certificate.",
            )
        hint = (
            "Look at it with: mooring status; start it with: mooring up"
            if self.connection.local
            else "Check MOORING_ENDPOINT or 'endpoint' in config.json, and that the server runs there."
        )
        return user_error(
            f"The Mooring server at {where} does not answer ({type(error).__name__}: {error}).",
            code="ServerUnreachable",
            hint=hint,
        )

    def _decode(self, response: httpx.Response) -> Any:
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise self._stranger(response) from error

    def _stranger(self, response: httpx.Response) -> AzureMLException:
        return user_error(
            f"{self.connection.endpoint} answered {response.request.method} {response.request.url.path} with "
            f"status {response.status_code} in a way this client ({mooring.__version__}) does not know.",
            code="ServerVersion",
            hint="Check the address, and that client and server are of the same version "
            "(after an upgrade: mooring down, then run again).",
            evidence={"answer": response.text[:2000]},
        )

    def _raise_for(self, response: httpx.Response, noun: str) -> None:
        if response.is_success:
            return
        try:
            data = json.loads(response.content)
        except ValueError:
            data = None
        if isinstance(data, dict) and "error_code" in data and "error" not in data:
            # Of the tracking server, passed on as it came.
            data = {"error": {"code": data["error_code"], "message": data.get("message", ""), "phase": "Run"}}
        if not isinstance(data, dict) or not isinstance(data.get("error"), dict):
            raise self._stranger(response)
        problem = Problem.from_json(data, response.status_code)
        if response.status_code == 401 and not problem.hint:
            hint = "Set MOORING_TOKEN, or 'token' in config.json."
            problem = Problem(problem.code, problem.message, problem.phase, hint, status=401)
        raise problem.exception(noun)


class _Stream:
    """An answer that is read while it comes."""

    def __init__(self, http: Http, path: str, params: Params | None, noun: str) -> None:
        self._http, self._path, self._params, self._noun = http, path, params, noun
        self._response: httpx.Response | None = None

    def __enter__(self) -> Iterator[bytes]:
        response = self._http._send("GET", self._path, stream=True, params=self._params)  # noqa: SLF001
        self._response = response
        if not response.is_success:
            response.read()
            response.close()
            self._http._raise_for(response, self._noun)  # noqa: SLF001
        return response.iter_bytes(CHUNK)

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; inside of the context."""
        return self._response.headers if self._response is not None else {}

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()


def _pieces(source: Path, progress: Progress | None) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece
            if progress:
                progress(len(piece))
