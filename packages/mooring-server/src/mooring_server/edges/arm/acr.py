"""Routes: what `az acr` asks of a registry itself: tokens, repositories and tags. Images are pulled below ``/v2/``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from mooring_server.domain.access import Need, Principal, Role
from mooring_server.domain.errors import Denied, MooringError
from mooring_server.edges.arm.common import arm_router, base_url
from mooring_server.edges.arm.sign_in import Form, oauth_error, read_form
from mooring_server.edges.native.access import needs
from mooring_server.edges.registry import RegistryIndex
from mooring_server.services.registries import Registries
from mooring_server.services.sign_ins import SignIns

_READ = Need(Role.READER)
Authenticate = Callable[[str, str], "str | None"]


def routes(
    registries: Registries, index: RegistryIndex, sign_ins: SignIns, authenticate: Authenticate
) -> APIRouter:
    """The routes.

    Args:
        registries: know to which workspace a registry belongs.
        index: knows repositories and tags.
        sign_ins: verify tokens, and make those for a registry.
        authenticate: gives the registry that a user and password open, or None.
    """
    router = arm_router()
    room = _Registry(registries, index, sign_ins, authenticate)

    @router.get("/{registry}/v2")
    @needs(None)
    def challenge(registry: str, request: Request) -> Response:
        """Say where tokens are; whoever shows one learns that it is good."""
        return room.challenge(registry, request)

    @router.post("/oauth2/exchange")
    @needs(None)
    async def exchange(request: Request) -> Response:
        """A refresh token of the registry for an access token of the sign-in."""
        form = await read_form(request)
        return await run_in_threadpool(room.exchange, form, base_url(request))

    @router.post("/oauth2/token")
    @needs(None)
    async def token(request: Request) -> Response:
        """An access token for the refresh token."""
        form = await read_form(request)
        return await run_in_threadpool(room.token, form, base_url(request))

    @router.get("/{registry}/v2/_catalog")
    @router.get("/{registry}/acr/v1/_catalog")
    @needs(None)
    def catalog(registry: str, request: Request) -> Response:
        """Names of the repositories."""
        return room.guarded(registry, request, lambda: {"repositories": room.repositories(registry)})

    @router.get("/{registry}/acr/v1/{repository:path}/_tags")
    @needs(None)
    def tags(registry: str, repository: str, request: Request) -> Response:
        """The tags of a repository."""
        newest = request.query_params.get("orderby") == "timedesc"
        return room.guarded(registry, request, lambda: room.tags(registry, repository, newest=newest))

    return router


def registry_of_token(sign_ins: SignIns, registries: Registries, token: str) -> str | None:
    """The registry that Docker may read with this token as the password; it takes a contributor, as passwords do."""
    found = sign_ins.registry_principal(token)
    view = None if found is None else registries.named(found[0])
    if found is None or view is None:
        return None
    allowed = found[1].role >= Role.CONTRIBUTOR and found[1].may_enter(view["workspace"])
    return view["name"] if allowed else None


class _Registry:
    def __init__(
        self, registries: Registries, index: RegistryIndex, sign_ins: SignIns, authenticate: Authenticate
    ) -> None:
        self._registries = registries
        self._index = index
        self._sign_ins = sign_ins
        self._authenticate = authenticate

    def challenge(self, registry: str, request: Request) -> Response:
        return self.guarded(registry, request, dict)

    def exchange(self, form: Form, issuer: str) -> Response:
        # az sends back the service of the challenge, then the login server.
        registry = form.get("service", "").rpartition("/")[2]
        principal = self._sign_ins.authenticate(form.get("access_token", ""))
        return self._grant(principal, registry, issuer, "refresh_token", {})

    def token(self, form: Form, issuer: str) -> Response:
        registry = form.get("service", "").rpartition("/")[2]
        kind, name, actions = [*form.get("scope", "").split(":", 2), "", "", ""][:3]
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        if form.get("grant_type") == "password":
            user, password = form.get("username", ""), form.get("password", "")
            return self._by_password(user, password, registry)
        found = self._sign_ins.registry_principal(form.get("refresh_token", ""))
        principal = found[1] if found and found[0] == registry else None
        return self._grant(principal, registry, issuer, "access_token", {"access": access})

    def _grant(
        self, principal: Principal | None, registry: str, issuer: str, name: str, more: dict[str, Any]
    ) -> Response:
        view = self._registries.named(registry)
        try:
            if principal is None or view is None:
                raise Denied("Unauthorized", "The token is not good, or not for this registry.")
            principal.check(_READ, view["workspace"])
        except MooringError as error:
            return oauth_error(error, "invalid_grant", error.http_status)
        return JSONResponse({name: self._sign_ins.registry_token(principal, issuer, view["name"], **more)})

    def _by_password(self, user: str, password: str, registry: str) -> Response:
        if self._authenticate(user, password) != registry:
            return oauth_error(
                Denied("Unauthorized", "User name or password are wrong."), "invalid_grant", 401
            )
        # The password itself is what the registry takes; nobody's token stands behind it.
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        return JSONResponse({"access_token": basic})

    def guarded(self, registry: str, request: Request, answer: Callable[[], dict[str, Any]]) -> Response:
        """The answer for those who may read the registry; for others, where they get a token."""
        registry = registry.lower()
        if self._admitted(registry, request):
            try:
                return JSONResponse(answer())
            except MooringError as error:
                return _refused(error.http_status, error.code, error.message)
        realm = f'Bearer realm="{base_url(request)}/oauth2/token",service="{request.url.netloc}/{registry}"'
        answered = _refused(
            401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization"
        )
        answered.headers["WWW-Authenticate"] = realm
        return answered

    def _admitted(self, registry: str, request: Request) -> bool:
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            view = self._registries.named(registry)
            found = self._sign_ins.registry_principal(credential.strip())
            if view is not None and found is not None:
                return found[0] == registry and found[1].may_enter(view["workspace"])
        try:
            user, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self._authenticate(user, password) == registry

    def repositories(self, registry: str) -> list[str]:
        return [name.partition("/")[2] for name in self._index.repositories(registry.lower())]

    def tags(self, registry: str, repository: str, *, newest: bool) -> dict[str, Any]:
        whole = f"{registry.lower()}/{repository.removeprefix(registry.lower() + '/')}"
        found = self._index.tags(whole)
        if not found:
            raise _unknown(repository)
        if newest:
            found = found[::-1]
        return {
            "registry": registry,
            "imageName": repository,
            "tags": [self._tag(whole, tag) for tag in found],
        }

    def _tag(self, repository: str, tag: str) -> dict[str, Any]:
        manifest = self._index.manifest(repository, tag)
        attributes = {"deleteEnabled": False, "writeEnabled": False, "readEnabled": True, "listEnabled": True}
        digest = None if manifest is None else manifest[0]
        return {"name": tag, "digest": digest, "signed": False, "changeableAttributes": attributes}


def _unknown(repository: str) -> MooringError:
    return MooringError(
        "NAME_UNKNOWN", f"repository name not known to registry: {repository}", status_code=404
    )


def _refused(status: int, code: str, message: str) -> JSONResponse:
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    return JSONResponse(body, status_code=status)
