"""Errors as the native API shows them: one mapping for everything that can be raised."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mooring_server.domain.errors import MooringError
from mooring_server.store.content import FULL, full_disk, nothing_free

log = logging.getLogger(__name__)

MAX_BODY = 32 * 1024 * 1024


def error_response(error: MooringError) -> JSONResponse:
    """The response for an error (docs/protocols.md, section 1)."""
    headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else None
    return JSONResponse({"error": error.to_json()}, status_code=error.http_status, headers=headers)


def install_error_handlers(app: FastAPI, data: Path) -> None:
    """Map every exception to one shape.

    Args:
        app: the application.
        data: the data directory, on the disk that may be full.
    """
    app.add_exception_handler(MooringError, _mooring)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _database(data))
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _mooring(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MooringError)  # noqa: S101 - by registration
    return error_response(error)


async def _validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - by registration
    problems = [f"{'.'.join(str(x) for x in p['loc'][1:]) or 'body'}: {p['msg']}" for p in error.errors()]
    return error_response(
        MooringError(
            "InvalidRequest",
            "The request does not fit its description: " + "; ".join(problems[:5]),
            hint="GET /mooring/v1/openapi.json describes every request.",
            evidence={"problems": "\n".join(problems[:100])},
            status_code=400,
        )
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - by registration
    if error.status_code == 413:
        return error_response(too_large())
    if error.status_code == 408:
        # The rest of the body would be read before the connection could serve another request.
        response = error_response(too_slow())
        response.headers["Connection"] = "close"
        return response
    codes = {404: "NotFound", 405: "MethodNotAllowed"}
    response = error_response(
        MooringError(
            codes.get(error.status_code, "InvalidRequest"),
            str(error.detail),
            hint="GET /mooring/v1/openapi.json describes every request.",
            status_code=error.status_code,
        )
    )
    response.headers.update(error.headers or {})
    return response


def too_large() -> MooringError:
    """The error for a body above `MAX_BODY`."""
    return MooringError(
        "BodyTooLarge",
        f"The request body is larger than {MAX_BODY // 2**20} MiB.",
        hint="Upload files as blobs.",
        status_code=413,
    )


def too_slow() -> MooringError:
    """The error for a body that trickles."""
    return MooringError(
        "RequestTooSlow",
        "The request's body came too slowly.",
        hint="Try again on a better connection.",
        status_code=408,
    )


async def _gone(request: Request, _error: Exception) -> JSONResponse:
    """The caller went away in the middle of its body: nobody reads the answer."""
    log.info("%s %s: the caller went away", request.method, request.url.path)
    return JSONResponse({}, status_code=400)


def _database(data: Path) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        said = str(getattr(error, "orig", "")).lower()
        # SQLite calls a write-ahead log that cannot grow an I/O error.
        full = "full" in said or ("disk i/o" in said and nothing_free(data))
        log.error("database: %s", getattr(error, "orig", error))
        return error_response(
            MooringError(
                "DiskFull" if full else "DatabaseUnavailable",
                "The server's disk is full." if full else "The server's database did not answer.",
                hint="Free some space and try again."
                if full
                else "Try again; the server's log has the details.",
                status_code=507 if full else 503,
            )
        )

    return answer


async def _system(request: Request, error: Exception) -> JSONResponse:
    """Where writing was not expected to fail, a full disk still is not a defect."""
    assert isinstance(error, OSError)  # noqa: S101 - by registration
    if error.errno not in FULL:
        return await _unexpected(request, error)
    return error_response(full_disk(Path(str(error.filename or "/")).parent, 1, phase="Upload"))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return error_response(
        MooringError(
            "InternalError",
            f"The server failed unexpectedly: {type(error).__name__}.",
            hint="This is a defect in Mooring; the server's log has the traceback.",
            status_code=500,
        )
    )
