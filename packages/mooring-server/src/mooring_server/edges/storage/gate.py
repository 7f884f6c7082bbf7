"""Stands before the other APIs and takes what is for a storage account: who asks, and which service answers."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from mooring_server.domain.storage import sas, sharedkey
from mooring_server.domain.storage.access import FULL, Access
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.names import RESERVED, is_account_name
from mooring_server.domain.storage.request import StorageRequest, parse_query
from mooring_server.edges.slow import Patience
from mooring_server.edges.storage.answer import Answer, refusal, send_answer
from mooring_server.edges.storage.call import Call
from mooring_server.services.signals import Signals
from mooring_server.services.storage.open_account import OpenAccount
from mooring_server.services.storage.open_accounts import OpenAccounts
from mooring_server.store.storage.ledger import AccountClosed

log = logging.getLogger(__name__)

QUEUE = "-queue"
# A refused body of up to this size is read all the same: closing the connection before would lose the answer.
_DRAINED = 16 * 1024 * 1024
Service = Callable[[Call], Awaitable[Answer]]
_FULL = {errno.ENOSPC, errno.EDQUOT}


class RequestBody:
    """An ASGI ``receive`` that knows whether the body has been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._complete = False

    async def __call__(self) -> Message:
        """The next part."""
        message = await self._receive()
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read what nobody has read, within bounds."""
        left = _DRAINED
        try:
            while left > 0 and not self._complete:
                left -= len((await self()).get("body", b""))
        except HTTPException:  # it came too slowly: the connection ends with the answer
            return


class StorageGate:
    """The outermost ASGI application, so that a small blob does not pay for what stands before the other APIs.

    Args:
        app: gets all that is not for an account.
        accounts: the accounts.
        signals: tell of changes.
        services: ``blob`` and ``queue``.
    """

    def __init__(
        self, app: FastAPI, accounts: OpenAccounts, signals: Signals, services: Mapping[str, Service]
    ) -> None:
        self.app = app
        self._accounts = accounts
        self._signals = signals
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        first = scope["raw_path"].decode("latin-1")[1:].partition("/")[0]
        name = first.removesuffix(QUEUE)
        if name in RESERVED or not is_account_name(name):
            await self.app(scope, receive, send)
            return
        account = self._accounts.get(name) or await run_in_threadpool(self._accounts.open, name)
        request = _request(scope, name, "queue" if first != name else "blob", first)
        if account is None:
            if _meant(request):
                missing = StorageError(
                    "ResourceNotFound", f"There is no storage account {name} on this server."
                )
                await send_answer(refusal(missing), request, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        body = RequestBody(Patience(receive))
        answer = await self._answer(request, account, body)
        if answer.status >= 400 and "expect" not in request.headers:
            await body.drain()
        await send_answer(answer, request, receive, send)

    async def _answer(self, request: StorageRequest, account: OpenAccount, receive: Receive) -> Answer:
        try:
            access = authenticate(request, account)
            return await self._services[request.service](
                Call(request, access, account, self._signals, receive)
            )
        except StorageError as error:
            return refusal(error)
        except AccountClosed:
            return refusal(StorageError("ResourceNotFound"))
        except ClientDisconnect:
            log.info("%s %s: the caller went away", request.method, request.service)
            return refusal(StorageError("InvalidInput", "The body is shorter than it was announced."))
        except HTTPException as error:
            if error.status_code != 408:
                raise
            answer = refusal(StorageError("InvalidInput", "The request's body came too slowly.", status=408))
            answer.headers.append(("connection", "close"))
            return answer
        except Exception as error:  # noqa: BLE001 - nobody outside of this could answer in Azure's words
            return refusal(_failure(error))


def authenticate(request: StorageRequest, account: OpenAccount) -> Access:
    """What the caller has proved by the account's keys.

    Raises:
        StorageError: ``AuthenticationFailed``, ``NoAuthenticationInformation``, ``Authorization...Mismatch``.
    """
    keys, now = account.credentials.keys, datetime.now(timezone.utc)
    authorization = request.header("authorization")
    if authorization is not None:
        scheme = authorization.partition(" ")[0]
        if scheme != "SharedKey":
            raise StorageError(
                "AuthenticationFailed",
                AuthenticationErrorDetail=f"The scheme {scheme[:20]!r} is not served; use SharedKey or a SAS.",
            )
        sharedkey.check(request, keys, now)
        return FULL
    if request.arg("sig") is not None:
        return sas.check(request, keys, now)
    raise StorageError("NoAuthenticationInformation")


def _request(scope: Scope, account: str, service: str, first: str) -> StorageRequest:
    raw = scope["raw_path"].decode("latin-1")
    headers = {key.decode("latin-1"): _header(value) for key, value in scope["headers"]}
    return StorageRequest(
        method=scope["method"],
        raw_path=raw,
        account=account,
        service=service,
        # Anew from what was sent: an encoded slash is one of the name.
        resource=unquote(raw[len(first) + 2 :], errors="surrogateescape")
        if "%" in raw
        else raw[len(first) + 2 :],
        query=parse_query(scope["query_string"].decode("latin-1")),
        headers=headers,
        address=(scope.get("client") or ("", 0))[0],
        scheme=scope["scheme"],
    )


def _header(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _meant(request: StorageRequest) -> bool:
    """Whether a client of storage asks: others are told by the server that there is no such page."""
    signed = request.header("authorization") or ""
    return (
        signed.startswith("SharedKey ") or "x-ms-version" in request.headers or request.arg("sig") is not None
    )


def _failure(error: Exception) -> StorageError:
    """What went wrong below: a full disk is told apart. Azure has no code for it; ServerBusy is the nearest."""
    full = error.errno in _FULL if isinstance(error, OSError) else _database_full(error)
    log.error("storage: %s", error, exc_info=None if full else error)
    if full:
        return StorageError("ServerBusy", "The server is busy: its disk is full. Nothing was changed.")
    return StorageError("InternalError")


def _database_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and "full" in str(error)
