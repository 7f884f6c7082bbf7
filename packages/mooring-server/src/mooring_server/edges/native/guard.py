"""What stands before the APIs: who calls, limits for bodies and for failures, and the audit log."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import mooring_server
from mooring_server.domain.access import Need, Principal, Role
from mooring_server.domain.errors import Denied, MooringError
from mooring_server.edges.arm.common import arm_error, is_arm
from mooring_server.edges.arm.sign_in import takes_secrets
from mooring_server.edges.attempts import Attempts
from mooring_server.edges.audit import AuditLog
from mooring_server.edges.mlflow.errors import is_mlflow, mlflow_error
from mooring_server.edges.native.access import NEED, PRINCIPAL, TEMPLATE
from mooring_server.edges.native.common import API
from mooring_server.edges.native.errors import MAX_BODY, error_response, too_large
from mooring_server.edges.slow import Patience

_NATIVE, _REGISTRY = "/mooring/", "/v2"
_WORKSPACE_PARTS = 8  # mooring, v1, subscriptions, S, resourceGroups, G, workspaces, W
_STREAMED = ("/blobs/", "/mooring/v1/bases/", "/mlflow/api/2.0/mlflow-artifacts/")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL = Principal("local", "local", Role.OWNER)
# A link to a build log opens that one path and nothing else, so that no workspace needs to be named.
_LINK = Principal("link", "signed link", Role.READER)

Authenticate = Callable[[str], "Principal | None"]


@dataclass(frozen=True)
class Gate:
    """What the guard needs.

    Attributes:
        token: the server's own, which may do everything.
        authenticate: who shows another token, or None.
        attempts: counts failures.
        audit: is told of changes and refusals.
    """

    token: str
    authenticate: Authenticate
    attempts: Attempts
    audit: AuditLog


_VERSION_HEADERS = (
    (b"mooring-api", API.encode()),
    (b"mooring-version", mooring_server.__version__.encode()),
)


class Guard:
    """ASGI middleware. Only uploads of blobs, bases and artifacts may be larger than `MAX_BODY`; they are streamed."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self._token = gate.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it; every answer of the native API says by which version."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        native, arm = scope["path"].startswith(_NATIVE), is_arm(scope["path"])
        if native:
            send = _versioned(send)
        watch = _Watch(scope, send, self._gate)
        receive = Patience(receive)
        if not native and not arm:
            await self._app(scope, receive, watch)
        elif (principal := await self._principal(scope)) is None:
            answer = mlflow_error if is_mlflow(scope["path"]) else arm_error if arm else error_response
            await answer(_unauthorized(watch.offered, arm=arm))(scope, receive, watch)
        else:
            scope[PRINCIPAL] = principal
            await self._limited(scope, receive, watch)

    async def _principal(self, scope: Scope) -> Principal | None:
        if self._signed(scope):
            return _LINK
        scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            return None
        if hmac.compare_digest(token, self._token):
            return LOCAL
        return await run_in_threadpool(self._gate.authenticate, token.decode("latin-1"))

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "PUT" and any(streamed in scope["path"] for streamed in _STREAMED):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and (len(length) > 18 or int(length) > MAX_BODY):
            await error_response(too_large())(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise HTTPException(413)  # what FastAPI passes on while it reads a body
            return message

        await self._app(scope, limited, send)

    def _signed(self, scope: Scope) -> bool:
        """Whether this is a link that was handed out to be opened in a browser: a build log."""
        if scope["method"] != "GET" or not scope["path"].endswith("/log"):
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("sig", [""])[0]
        expected = signature(self._token, scope["path"]).encode()
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected)


class _Watch:
    """Sees the answer go by: counts a failed proof of identity, and writes the audit log."""

    def __init__(self, scope: Scope, send: Send, gate: Gate) -> None:
        self._scope, self._send, self._gate = scope, send, gate
        self._address = (scope.get("client") or ("", 0))[0]
        self._replaced = False
        # A link's signature is a credential as well, and so is what a form holds.
        self.offered = (
            any(n == b"authorization" for n, _ in scope["headers"])
            or b"sig=" in scope["query_string"]
            or takes_secrets(scope["path"])
        )

    async def __call__(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            status = message["status"]
            if status == 401 and self.offered:
                pause, first = self._gate.attempts.failed(self._address)
                if pause:
                    self._replaced = True
                    await self._refuse(pause, first)
                    return
            self._record(status, message)
        await self._send(message)

    async def _refuse(self, pause: int, first: bool) -> None:
        # One line for all of an address's refusals in a minute: a flood must not push older lines out.
        if first:
            self._record(429, {})
        response = error_response(too_many_attempts(pause))

        async def nothing() -> Message:
            return {"type": "http.disconnect"}

        response.headers["Retry-After"] = str(pause)
        await response(self._scope, nothing, self._send)

    def _record(self, status: int, message: Message) -> None:
        scope = self._scope
        path = scope["path"]
        api = path.startswith(_NATIVE) or is_arm(path)
        if not api and not path.startswith(_REGISTRY) and not takes_secrets(path):
            return
        need: Need | None = scope.get(NEED)
        changing = api and scope["method"] not in _READING and not (need and need.quiet)
        # Registry clients ask without credentials first, by the protocol: that is no refusal.
        refused = status in {403, 429} or (status == 401 and (api or self.offered))
        if not changing and not refused:
            return
        principal: Principal | None = scope.get(PRINCIPAL)
        parts = scope["path"].strip("/").split("/")
        inside = len(parts) >= _WORKSPACE_PARTS and parts[2] == "subscriptions" and parts[6] == "workspaces"
        headers = dict(message.get("headers", ()))
        operation = headers.get(b"operation-location", b"").decode("latin-1").rpartition("/")[2]
        self._gate.audit.write(
            token=None if principal is None else {"id": principal.id, "name": principal.name},
            address=self._address,
            method=scope["method"],
            route=scope.get(TEMPLATE),
            workspace="/".join(parts[i] for i in (3, 5, 7)) if inside else None,
            resource="/".join(parts[_WORKSPACE_PARTS:] if inside else parts),
            status=status,
            operationId=operation or None,
        )


def _unauthorized(offered: bool, *, arm: bool) -> Denied:
    return Denied(
        "Unauthorized",
        "The request's token is not one of this server's, or is good no more."
        if offered
        else "The request has no token.",
        hint="`mooring az-setup` signs az in again."
        if arm
        else "On this machine the SDK reads it from server.json; elsewhere set MOORING_TOKEN.",
    )


def too_many_attempts(seconds: int) -> MooringError:
    """What an address hears that failed too often."""
    return MooringError(
        "TooManyAttempts",
        "Too many requests with wrong credentials came from this address.",
        hint=f"Correct the token or password, and try again in {seconds} s. Good credentials work at once.",
        status_code=429,
    )


def signature(token: bytes, path: str) -> str:
    """Opens ``path`` and nothing else, as long as the server keeps its token."""
    return hmac.new(token, path.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _versioned(send: Send) -> Send:
    async def versioned(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_VERSION_HEADERS]
        await send(message)

    return versioned
