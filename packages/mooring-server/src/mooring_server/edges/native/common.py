"""What the routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from mooring_server.services.context import WorkspaceRef
from mooring_server.services.paging import MAX_PAGE, Paging

ROOT = "/mooring/v1"
# Grows when clients of before would misunderstand an answer, or their requests are understood no more.
API = "1"
WORKSPACE = ROOT + "/subscriptions/{subscription}/resourceGroups/{resource_group}/workspaces/{workspace}"


def _workspace(subscription: str, resource_group: str, workspace: str) -> WorkspaceRef:
    return WorkspaceRef(subscription, resource_group, workspace)


def _paging(
    request: Request,
    count: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    skip_token: Annotated[str | None, Query(alias="$skipToken", max_length=64)] = None,
) -> Paging:
    query = tuple((k, v) for k, v in request.query_params.multi_items() if k != "$skipToken")
    return Paging(request.url.path, query, count, skip_token)


Ref = Annotated[WorkspaceRef, Depends(_workspace)]
PageOf = Annotated[Paging, Depends(_paging)]
Filter = Annotated[str | None, Query(max_length=2048)]


def accepted(response: Response, ref: WorkspaceRef, operation_id: str) -> None:
    """Say where the operation can be followed."""
    base = WORKSPACE.format(
        subscription=ref.subscription, resource_group=ref.resource_group, workspace=ref.name
    )
    response.headers["Operation-Location"] = f"{base}/operations/{operation_id}"


ERRORS: dict[int | str, dict[str, Any]] = {
    code: {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for code, text in {
        400: "The request cannot be right; nothing was changed.",
        401: "No token, or not this server's.",
        403: "The token does not suffice.",
        404: "It does not exist.",
        409: "It exists already.",
        408: "The body came too slowly.",
        412: "It is in use.",
        413: "The body is too large.",
        429: "Too many wrong tokens came from this address.",
        507: "The server's disk is full.",
    }.items()
}
