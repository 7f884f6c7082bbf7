"""Services as commands look at them: found by name, described, waited for, their logs followed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mooring.cli import output
from mooring.cli.failures import WaitStopped
from mooring.cli.progress import Phases

if TYPE_CHECKING:
    from mooring.cli.session import Session
    from mooring.sdk.http import Http
    from mooring.sdk.webservice import Webservice
    from mooring.sdk.workspace import Workspace

FIELDS = (
    ("Name", "name"),
    ("State", "state"),
    ("Type", "computeType"),
    ("URL", "scoringUri"),
    ("Swagger", "swaggerUri"),
    ("Keys", lambda row: "needed: mooring service get-keys" if row.get("authEnabled") else None),
    ("Models", lambda row: [model["id"] for model in row.get("models") or []]),
    ("Image", "imageId"),
    ("Revision", "revision"),
    ("Revisions", lambda row: "\n".join(revision_line(r) for r in row.get("revisions") or [])),
    ("Isolation", "isolation"),
    ("Resources", "containerResourceRequirements"),
    ("Description", "description"),
    ("Tags", "tags"),
    ("Properties", "properties"),
    ("Created", "createdTime"),
    ("Error", lambda row: error_text(row.get("error"))),
)


def find(workspace: Workspace, name: str) -> Webservice:
    """A service, or else the local web service of that name: those have a name space of their own."""
    from mooring.sdk.exceptions import WebserviceException
    from mooring.sdk.local import LocalWebservice
    from mooring.sdk.webservice import Webservice

    try:
        return Webservice(workspace, name)
    except WebserviceException as error:
        if error.code != "WebserviceNotFound":
            raise
        try:
            return LocalWebservice(workspace, name)
        except WebserviceException:
            raise error from None


def list_all(
    workspace: Workspace, compute_type: str | None, wanted: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Services and local web services; the latter know only some of the filters."""
    from mooring.sdk.local import LocalWebservice
    from mooring.sdk.webservice import Webservice

    rows: list[dict[str, Any]] = []
    kind = (compute_type or "").upper()
    given = {key: value for key, value in wanted.items() if value is not None}
    if kind != "LOCAL":
        found = Webservice.list(workspace, compute_type=compute_type, **given)
        rows += [service.serialize() for service in found]
    if kind in {"", "LOCAL"} and set(given) <= {"model_name", "model_id"}:
        rows += [service.serialize() for service in LocalWebservice.list(workspace, **given)]
    return rows


@contextmanager
def stoppable(workspace: Workspace, name: str, title: str) -> Iterator[None]:
    """Around all that asks for a service and waits for it: what Ctrl+C left behind is said.

    Raises:
        WaitStopped: Ctrl+C; the operation goes on.
        KeyboardInterrupt: Ctrl+C, and nothing goes on.
    """
    from mooring.sdk.exceptions import WebserviceException
    from mooring.sdk.operations import ENDED

    try:
        yield
    except KeyboardInterrupt as stop:
        # Between the request and its answer only the server knows whether it has begun.
        try:
            operation = find(workspace, name).operation_id
        except WebserviceException as error:
            if error.code != "WebserviceNotFound":
                raise
            raise stop from None
        if not operation or workspace.mooring.operation(operation, 0, 0)["state"] in ENDED:
            raise
        raise WaitStopped(title, f"mooring service show -n {name}") from None


def wait(session: Session, service: Webservice, title: str, *, no_wait: bool) -> None:
    """Show the phases until the operation has ended, then the service.

    Raises:
        WebserviceException: the deployment failed, with phase, reason and evidence.
    """
    from mooring.sdk.operations import ENDED

    client = service.workspace.mooring
    if no_wait:
        session.say(f"{title} goes on. Look at it with: mooring service show -n {service.name}")
        session.show(service.serialize(), FIELDS)
        return
    if service.operation_id:
        with Phases(title, quiet=session.quiet) as view:
            after = 0
            while True:
                operation = client.operation(service.operation_id, after, int(view.look_seconds))
                view.show(operation)
                after = max([after, *(entry["seq"] for entry in operation.get("log") or [])])
                if operation["state"] in ENDED:
                    break
    # The operation has ended: this only reads the result, or raises with the reason.
    service.wait_for_deployment()
    session.show(service.serialize(), FIELDS)


def logs(service: Webservice, lines: int, *, init: bool) -> str:
    """The last lines."""
    if service.compute_type == "LOCAL":
        return str(service.get_logs(lines))
    return str(service.get_logs(lines, init=init))


def follow_logs(service: Webservice, lines: int) -> None:
    """Print the log as it grows, until the service is gone or Ctrl+C."""
    from mooring.sdk.client import part

    client = service.workspace.mooring
    follow(client.http, f"{client.base}{service.collection}/{part(service.name)}/logs", lines)


def follow(http: Http, path: str, lines: int) -> None:
    """Print a log as it grows, until there is nothing more or Ctrl+C.

    Args:
        http: the server.
        path: of the log.
        lines: begin with the last so many.
    """
    from mooring.sdk.http import http_client

    request = http.build("GET", path, params={"tail": lines, "follow": "true"})
    # A quiet service writes nothing for hours: that is no reason to stop reading.
    request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "read": None}
    with http_client(http.connection.endpoint, http.connection) as connection:
        answer = connection.send(request, stream=True)
        try:
            answer.raise_for_status()
            for text in answer.iter_text():
                output.write(text)
        except KeyboardInterrupt:
            print(file=sys.stderr)  # noqa: T201 - leaves the ^C on a line of its own
        finally:
            answer.close()


def revision_line(revision: Mapping[str, Any]) -> str:
    """`3  Active     iris:7  models iris:2`."""
    models = ", ".join(revision.get("modelIds") or []) or "no models"
    return f"{revision['revision']}  {revision['state']:<9}  image {revision['imageId']}  {models}"


def error_text(error: Mapping[str, Any] | None) -> str | None:
    """A service's error as the lines of an error block."""
    from mooring.cli import failures

    if not error:
        return None
    whole = {
        "code": "Unknown",
        "message": "",
        "hint": "",
        **{k: v for k, v in error.items() if v is not None},
    }
    whole["evidence"] = whole.get("evidence") or {}
    return "\n".join(line.removeprefix("Error: ") for line, _ in failures.lines(whole))
