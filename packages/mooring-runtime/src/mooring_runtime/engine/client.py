"""The Docker API over a Unix socket, as far as Mooring uses it; standard library only, as the supervisor needs it.

Paths without a version: engines answer in the newest they know, and what is used here is the same in all of them
(tested with Docker Engine 20.10 and Podman 4.3). API: https://docs.docker.com/reference/api/engine/.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

ANSWER_SECONDS = 60.0
READ = 1 << 20
_UNKNOWN = "image not known"
_FRAME_HEAD = 8  # of the log stream: kind, three zeros, length


class EngineError(Exception):
    """The engine did not do what was asked."""


class EngineUnavailable(EngineError):
    """Nobody answers at the socket, or the connection broke.

    Attributes:
        socket: where.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"no container engine answers at {path}: {why}")
        self.socket = path


class EngineRefused(EngineError):
    """The engine's own error.

    Attributes:
        status: of HTTP; 404: there is no such thing.
        said: its message.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """To the socket, however long its path is (an address holds 108 bytes)."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


class Engine:
    """One container engine.

    All methods raise `EngineUnavailable` and `EngineRefused`.

    Args:
        path: of its socket.
        timeout: seconds for one answer; None for as long as it takes.
    """

    def __init__(self, path: Path, timeout: float | None = ANSWER_SECONDS) -> None:
        self.path = path
        self._timeout = timeout

    def version(self) -> dict[str, Any]:
        """What it is: ``Version``, ``Os``, ``Arch`` (Go's names), ``Components``."""
        return dict(self._json("GET", "/version"))

    def name(self) -> str:
        """For people: ``Podman 4.3.1``, ``Docker 20.10.24``."""
        about = self.version()
        engines = [part for part in about.get("Components") or () if "Engine" in str(part.get("Name"))]
        podman = any("Podman" in str(part["Name"]) for part in engines)
        return f"{'Podman' if podman else 'Docker'} {about.get('Version', '')}".strip()

    def image(self, reference: str) -> dict[str, Any] | None:
        """An image's description by name, id or digest; None if there is none."""
        try:
            return dict(self._json("GET", f"/images/{quote(reference, safe='/:@')}/json"))
        except EngineRefused as error:
            # Podman's answer is 500 for one that goes while it is described.
            if error.status == http.client.NOT_FOUND or _UNKNOWN in error.said:
                return None
            raise

    def images(self, repository: str) -> list[str]:
        """The names (``repository:tag``) of the images of a repository."""
        found = self._json("GET", "/images/json", {"filters": json.dumps({"reference": [repository]})})
        names = {name for image in found for name in image.get("RepoTags") or ()}
        return sorted(name for name in names if name.rpartition(":")[0] == repository)

    def load(self, archive: Iterable[bytes]) -> None:
        """Takes images from a tar archive as ``docker save`` makes them.

        Raises:
            EngineRefused: also for what the engine says in a successful answer's body.
        """
        headers = {"Content-Type": "application/x-tar"}
        with self._request("POST", "/images/load", {"quiet": "1"}, archive, headers, None) as answer:
            _check_said(answer)

    def pull(self, repository: str, digest: str, credentials: tuple[str, str] | None) -> None:
        """Brings an image from a registry, as the engine reaches and trusts it.

        Args:
            repository: ``host/repository``.
            digest: of its manifest.
            credentials: user and password; None for those that the engine's registry asks nobody for.

        Raises:
            EngineRefused: also for what the engine says in a successful answer's body.
        """
        user, password = credentials or ("", "")
        shown = {"username": user, "password": password, "serveraddress": repository.partition("/")[0]}
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(shown).encode()).decode()}
        query = {"fromImage": repository, "tag": digest}
        with self._request("POST", "/images/create", query, None, headers, None) as answer:
            _check_said(answer)

    def tag(self, image: str, name: str) -> None:
        """Gives an image one more name (``repository:tag``)."""
        repository, _, tag = name.rpartition(":")
        self._json("POST", f"/images/{quote(image, safe='/:@')}/tag", {"repo": repository, "tag": tag})

    def build(self, context: Iterable[bytes], query: Mapping[str, str], said: Callable[[str], None]) -> None:
        """Carries out a Dockerfile with the engine's own builder.

        Args:
            context: a tar archive.
            query: of the API's ``/build``: ``dockerfile``, ``t``, ...
            said: gets each line of what it says.

        Raises:
            EngineRefused: also for a step that failed.
        """
        headers = {"Content-Type": "application/x-tar"}
        with self._request("POST", "/build", query, context, headers, None) as answer:
            rest = ""
            ended = False
            for raw in answer:
                event = _object(raw.decode("utf-8", "replace"))
                if event.get("error"):
                    raise EngineRefused(answer.status, str(event["error"]).strip())
                ended = ended or "aux" in event or str(event.get("stream", "")).startswith("Successfully")
                *lines, rest = (rest + str(event.get("stream") or "")).split("\n")
                for line in lines:
                    said(line.rstrip())
            if not ended:
                raise EngineUnavailable(self.path, "it went away in the middle of the build")

    def save(self, name: str) -> Iterator[bytes]:
        """An image as ``docker save`` writes it, piece by piece."""
        path = f"/images/{quote(name, safe='/:@')}/get"
        with self._request("GET", path, {}, None, {}, None) as answer:
            while piece := answer.read(READ):
                yield piece

    def labelled_images(self, label: str) -> list[str]:
        """The ids of the images with a label (``name=value``), those between the steps of a build among them."""
        filters = json.dumps({"label": [label]})
        return [
            str(image["Id"])
            for image in self._json("GET", "/images/json", {"all": "true", "filters": filters})
        ]

    def remove_image(self, name: str, *, force: bool = False) -> None:
        """Takes a name from an image, and the image away with its last one; one that is gone is as good.

        Args:
            name: or id.
            force: also one with several names, or that a stopped container is of.
        """
        self._gone("DELETE", f"/images/{quote(name, safe='/:@')}", {"force": "true"} if force else {})

    def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers with a label (``name=value``), running or not: ``Id``, ``Names``, ``Labels``, ``State``."""
        filters = json.dumps({"label": [label]})
        return list(self._json("GET", "/containers/json", {"all": "true", "filters": filters}))

    def create(self, name: str, container: Mapping[str, Any]) -> str:
        """Makes a container; its id."""
        return str(self._json("POST", "/containers/create", {"name": name}, container)["Id"])

    def start(self, container: str) -> None:
        """Starts it."""
        self._json("POST", f"/containers/{container}/start")

    def kill(self, container: str) -> None:
        """Sends SIGKILL to all of it; one that has ended is as good."""
        try:
            self._json("POST", f"/containers/{container}/kill")
        except EngineRefused as error:
            # Docker: 409 for one that does not run; Podman also 500.
            if error.status not in {404, 409} and self.inspect(container)["State"]["Running"]:
                raise

    def wait(self, container: str) -> None:
        """Until it has ended, however long that takes."""
        with self._request("POST", f"/containers/{container}/wait", {}, None, {}, None) as answer:
            answer.read()

    def inspect(self, container: str) -> dict[str, Any]:
        """All about a container; ``State`` has ``Running``, ``ExitCode``, ``OOMKilled``, ``Error``."""
        return dict(self._json("GET", f"/containers/{container}/json"))

    def stats(self, container: str) -> dict[str, Any]:
        """What it uses now: ``cpu_stats``, ``memory_stats``, ..."""
        query = {"stream": "false", "one-shot": "true"}
        return dict(self._json("GET", f"/containers/{container}/stats", query))

    def logs(self, container: str, tail: int) -> str:
        """The last lines that its first process has printed."""
        query = {"stdout": "true", "stderr": "true", "tail": str(tail)}
        with self._request("GET", f"/containers/{container}/logs", query, None, {}, self._timeout) as answer:
            return b"".join(_frames(answer.read())).decode("utf-8", "replace")

    def remove(self, container: str) -> None:
        """Ends and removes it with its volumes; one that is gone is as good."""
        self._gone("DELETE", f"/containers/{container}", {"force": "true", "v": "true"})

    def _gone(self, method: str, path: str, query: Mapping[str, str]) -> None:
        try:
            self._json(method, path, query)
        except EngineRefused as error:
            if error.status != http.client.NOT_FOUND:
                raise

    def _json(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        data = None if body is None else [json.dumps(body).encode()]
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._request(method, path, query or {}, data, headers, self._timeout) as answer:
            text = answer.read()
            return json.loads(text) if text.strip() else None

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Iterable[bytes] | None,
        headers: Mapping[str, str],
        timeout: float | None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(self.path, timeout)
        target = f"{path}?{urlencode(query)}" if query else path
        sent = dict(headers)
        if body is None and method == "POST":
            sent["Content-Length"] = "0"
        elif body is not None:
            sent["Transfer-Encoding"] = "chunked"
        try:
            try:
                connection.request(method, target, body, sent, encode_chunked=body is not None)
            except (BrokenPipeError, ConnectionResetError):
                if body is None or connection.sock is None:
                    raise
                # It has refused what was being sent, and says why.
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise EngineRefused(answer.status, _message(answer))
            yield answer
        except http.client.HTTPException as error:
            raise EngineUnavailable(self.path, f"{type(error).__name__} {error}".strip()) from error
        except OSError as error:
            if connection.sock is None and not isinstance(error, (FileNotFoundError, ConnectionError)):
                raise
            raise EngineUnavailable(self.path, error.strerror or str(error)) from error
        finally:
            connection.close()


def _check_said(answer: http.client.HTTPResponse) -> None:
    """Reads a body of JSON lines; an engine that fails late says so in there."""
    for line in answer.read().decode("utf-8", "replace").splitlines():
        said = _object(line)
        if said.get("error"):
            raise EngineRefused(answer.status, str(said["error"]))


def _message(answer: http.client.HTTPResponse) -> str:
    text = answer.read().decode("utf-8", "replace").strip()
    said = _object(text)
    return str(said.get("message") or said.get("cause") or text or answer.reason)


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _frames(data: bytes) -> Iterator[bytes]:
    """The texts in a log stream of a container without a terminal."""
    while len(data) >= _FRAME_HEAD:
        length = int.from_bytes(data[4:_FRAME_HEAD], "big")
        yield data[_FRAME_HEAD : _FRAME_HEAD + length]
        data = data[_FRAME_HEAD + length :]
