"""What the routes share: ids and paths without regard to case, needs of a role, errors in ARM's shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from mooring_server.domain.errors import InvalidRequest, MooringError
from mooring_server.edges.native.access import GuardedRoute
from mooring_server.services.context import GroupRef

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{resource_group}"
# Where the guard asks for a token. Its answers to other paths, such as sign-ins, are for everybody.
_ROOTS = ("subscriptions", "tenants", "providers")
# The codes that ARM uses for what every kind of resource can run into; codes that are Azure's own stay.
_CODES: Mapping[str, str] = {
    "Forbidden": "AuthorizationFailed",
    "Unauthorized": "AuthenticationFailed",
    "InvalidRequest": "InvalidRequestContent",
    "WorkspaceNotFound": "ResourceNotFound",
}


def is_arm(path: str) -> bool:
    """Whether a path is one of ARM's, where every call shows a token."""
    return path.lstrip("/").partition("/")[0].lower() in _ROOTS


def arm_error(error: MooringError) -> JSONResponse:
    """The response for an error, in ARM's shape; the hint is part of the message, since `az` shows nothing else."""
    message = f"{error.message} {error.hint}".strip()
    body = {"code": _CODES.get(error.code, error.code), "message": message}
    if error.target:
        body["target"] = error.target
    headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else None
    return JSONResponse({"error": body}, status_code=error.http_status, headers=headers)


class ArmRoute(GuardedRoute):
    """A route whose path is compared without regard to case, and whose errors have ARM's shape."""

    checks_query: ClassVar[bool] = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        # Some of az's calls begin with two slashes.
        pattern = self.path_regex.pattern.removeprefix("^/")
        self.path_regex = re.compile(f"^/+{pattern.removesuffix('$')}/?$", re.IGNORECASE)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the checks."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                if is_arm(request.url.path) and not request.query_params.get("api-version"):
                    raise InvalidRequest(
                        "MissingApiVersionParameter",
                        "The api-version query parameter (?api-version=) is required for all requests.",
                    )
                return await handler(request)
            except RequestValidationError as error:
                problem = error.errors()[0]
                where = ".".join(str(part) for part in problem["loc"][1:]) or "body"
                return arm_error(InvalidRequest("InvalidRequestContent", f"{where}: {problem['msg']}."))
            except MooringError as error:
                return arm_error(error)

        return answered


def arm_router() -> APIRouter:
    """A router of `ArmRoute`."""
    return APIRouter(route_class=ArmRoute, include_in_schema=False)


def base_url(request: Request) -> str:
    """The address under which the caller reached us: links and endpoints lead there again."""
    return f"{request.url.scheme}://{request.url.netloc}"


def object_body(body: Annotated[Any, Body()] = None) -> dict[str, Any]:
    """A body that is a JSON object; an absent one is empty.

    Raises:
        InvalidRequest: ``InvalidRequestContent``.
    """
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise InvalidRequest("InvalidRequestContent", "The request's body must be a JSON object.")
    return body


def section(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object within a body; an absent one is empty.

    Raises:
        InvalidRequest: ``InvalidRequestContent``.
    """
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("InvalidRequestContent", f"{name!r} must be an object.")
    return value


# Fields of a resource that stand beside `properties`; those that say where it is are in its id.
_OUTER = ("id", "name", "type", "kind", "location", "sku", "tags")
_LEFT_OUT = ("subscription", "resourceGroup")


def resource_view(flat: Mapping[str, Any]) -> dict[str, Any]:
    """ARM's JSON of a resource whose fields are all on one level."""
    inner = {k: v for k, v in flat.items() if k not in _OUTER and k not in _LEFT_OUT}
    return {**{k: flat[k] for k in _OUTER if k in flat}, "properties": inner}


def _group(subscription: str, resource_group: str) -> GroupRef:
    return GroupRef(subscription, resource_group)


JsonObject = Annotated[dict[str, Any], Depends(object_body)]
Group = Annotated[GroupRef, Depends(_group)]
