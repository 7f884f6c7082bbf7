"""What stands before the native API: the token, and a limit for bodies."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import mooring_server
from mooring_server.domain.errors import Denied
from mooring_server.edges.native.common import API
from mooring_server.edges.native.errors import MAX_BODY, error_response, too_large

_PREFIX = "/mooring/"
_VERSION_HEADERS = (
    (b"mooring-api", API.encode()),
    (b"mooring-version", mooring_server.__version__.encode()),
)


class Guard:
    """ASGI middleware. Only blob uploads may be larger than `MAX_BODY`; they are streamed."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it; every answer says by which version."""
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self._app(scope, receive, send)
            return

        async def versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_VERSION_HEADERS]
            await send(message)

        await self._pass(scope, receive, versioned)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self._signed(scope):
            await self._app(scope, receive, send)
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            denied = Denied(
                "Unauthorized",
                "The request has no token, or not this server's." if token else "The request has no token.",
                hint="On this machine the SDK reads it from server.json; elsewhere set MOORING_TOKEN.",
            )
            await error_response(denied)(scope, receive, send)
            return
        if scope["method"] == "PUT" and "/blobs/" in scope["path"]:
            await self._app(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
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
        return hmac.compare_digest(given.encode(), signature(self._token, scope["path"]).encode())


def signature(token: bytes, path: str) -> str:
    """Opens ``path`` and nothing else, as long as the server keeps its token."""
    return hmac.new(token, path.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
