"""Routes: signing in (OAuth 2.0) with a token of this server as the secret or the password."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response

from mooring_server.domain.access import Principal
from mooring_server.domain.errors import Denied, InvalidRequest, MooringError
from mooring_server.edges.arm.common import arm_router, base_url
from mooring_server.edges.arm.discovery import LOGIN
from mooring_server.edges.native.access import needs
from mooring_server.services.sign_ins import ACCESS_SECONDS, CODE_SECONDS, POLL_SECONDS, SignIns

_SECRET_PATHS = (LOGIN + "/oauth2/token", LOGIN + "/oauth2/devicelogin", "/oauth2/exchange", "/oauth2/token")
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mooring: sign in a device</title>
<body style="font-family: sans-serif; max-width: 32em; margin: 4em auto"><h1>Sign in a device</h1><p>{said}</p>
<form method="post"><p><label>Code <input name="user_code" autocomplete="off" value="{code}"></label></p>
<p><label>Token <input name="token" type="password" autocomplete="off" size="50"></label></p>
<p>The device gets the rights of the token (<code>mooring token create</code>).</p>
<button>Sign in</button></form></body></html>"""

Form = dict[str, str]


def routes(sign_ins: SignIns) -> APIRouter:
    """The routes; none of them needs a token, all but the first page ask for one in a form."""
    router = arm_router()

    @router.post(LOGIN + "/oauth2/token")
    @needs(None)
    async def token(request: Request) -> Response:
        """Exchange a secret, a password, a device code or a refresh token for tokens."""
        form = await read_form(request)
        return await run_in_threadpool(_token, sign_ins, form, base_url(request) + LOGIN)

    @router.post(LOGIN + "/oauth2/devicecode")
    @needs(None)
    def device_code(request: Request) -> dict[str, Any]:
        """Begin a sign-in that is completed in a browser, maybe on another machine."""
        secret, code = sign_ins.begin_device()
        page = f"{base_url(request)}{LOGIN}/oauth2/devicelogin"
        return {
            "device_code": secret,
            "user_code": code,
            "verification_uri": page,
            "verification_url": page,
            "expires_in": CODE_SECONDS,
            "interval": POLL_SECONDS,
            "message": f"To sign in, use a web browser to open the page {page} and enter the code {code}.",
        }

    @router.get(LOGIN + "/oauth2/devicelogin")
    @needs(None)
    def device_page() -> Response:
        """The page where the code is entered."""
        return _page("Enter the code that the device shows.")

    @router.post(LOGIN + "/oauth2/devicelogin")
    @needs(None)
    async def approve(request: Request) -> Response:
        """Let the device in."""
        form = await read_form(request)
        code = form.get("user_code", "")
        try:
            principal = await run_in_threadpool(sign_ins.approve_device, code, form.get("token", "").strip())
        except Denied as error:
            return _page(f"{error.message} {error.hint}", code, status=401)
        return _page(
            f"The device is signed in as {principal.name} ({principal.text}). This page can be closed."
        )

    return router


def takes_secrets(path: str) -> bool:
    """Whether secrets come to a path in forms: failures there count as failed proofs of identity."""
    return "/" + path.strip("/").lower() in _SECRET_PATHS


async def read_form(request: Request) -> Form:
    """The fields of ``application/x-www-form-urlencoded``; of those given twice, the first."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


def _token(sign_ins: SignIns, form: Form, issuer: str) -> Response:
    grant = form.get("grant_type", "")
    handle = _GRANTS.get(grant)
    if handle is None:
        known = ", ".join(sorted(_GRANTS))
        error = InvalidRequest(
            "AADSTS70003", f"The grant type {grant!r} is not supported; known are {known}."
        )
        return oauth_error(error, "unsupported_grant_type", 400)
    try:
        principal = handle(sign_ins, form)
    except Denied as error:
        kind = "invalid_client" if grant == "client_credentials" else "invalid_grant"
        return oauth_error(error, kind, 401 if grant == "client_credentials" else 400)
    if principal is None:
        return JSONResponse({"error": "authorization_pending"}, status_code=400)
    answer: dict[str, Any] = {
        "access_token": sign_ins.access_token(principal, issuer),
        "token_type": "bearer",
        "expires_in": ACCESS_SECONDS,
    }
    if grant != "client_credentials":
        answer["refresh_token"] = sign_ins.refresh_token(principal, issuer)
        answer["id_token"] = sign_ins.identity_token(principal, issuer, form.get("client_id", ""))
        answer["scope"] = "openid user_impersonation"
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def oauth_error(error: MooringError, kind: str, status: int) -> JSONResponse:
    """An error as OAuth 2 has it (RFC 6749, section 5.2)."""
    text = f"{error.code}: {error.message} {error.hint}".strip()
    return JSONResponse({"error": kind, "error_description": text}, status_code=status)


def _page(said: str, code: str = "", *, status: int = 200) -> Response:
    text = _PAGE.format(said=html.escape(said), code=html.escape(code, quote=True))
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, status, headers=headers)


def _by_client_secret(sign_ins: SignIns, form: Form) -> Principal | None:
    return sign_ins.by_secret(form.get("client_id", ""), form.get("client_secret", ""))


def _by_password(sign_ins: SignIns, form: Form) -> Principal | None:
    return sign_ins.by_secret(form.get("username", ""), form.get("password", ""))


def _by_refresh_token(sign_ins: SignIns, form: Form) -> Principal | None:
    return sign_ins.refreshed(form.get("refresh_token", ""))


def _by_device_code(sign_ins: SignIns, form: Form) -> Principal | None:
    # AD FS calls it `code`, RFC 8628 `device_code`.
    return sign_ins.device_principal(form.get("device_code") or form.get("code", ""))


_GRANTS: dict[str, Callable[[SignIns, Form], Principal | None]] = {
    "client_credentials": _by_client_secret,
    "password": _by_password,
    "refresh_token": _by_refresh_token,
    "device_code": _by_device_code,
    _DEVICE: _by_device_code,
}
