"""Profiles: measurements of a model with its script and environment. The controller makes them."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.init_timeout import INIT_SLACK_SECONDS, init_seconds
from mooring_server.domain.names import check_name
from mooring_server.domain.trees import check_digest
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.images import add_image, prepare_request
from mooring_server.services.operations import start_operation, supersede
from mooring_server.store.content import ContentStore
from mooring_server.store.profile_tables import Profile
from mooring_server.store.tables import Image, Workspace, now

# Azure's bounds (reference: azureml-core 1.61); what is asked for by default is as much of them as there is.
CPU = (0.1, 3.5)
MEMORY_GB = (0.1, 15.0)
MOST_INPUT = 64 << 20


class ProfileView(TypedDict):
    """A profile; ``result`` has the members of Azure's once it has succeeded."""

    name: str
    description: str | None
    state: str
    createdTime: str
    operationId: str
    requestedCpu: float
    requestedMemoryInGB: float
    result: dict[str, float]
    error: dict[str, Any] | None


class Profiles:
    """Ask for, find and delete profiles."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, ref: WorkspaceRef, request: dict[str, Any]) -> ProfileView:
        """Record a profile to be made; one of the same name that has ended is replaced.

        Args:
            ref: where.
            request: ``name``, ``description``, ``inputs`` (digest of a JSON array of texts), ``imageRequest`` and
                ``containerResourceRequirements``.

        Raises:
            InvalidRequest: ``InvalidName``, ``InvalidProfile``, and those of `prepare_request`.
            Conflict: ``ProfileExists``: one of that name is being made.
        """
        name = check_name("image", request["name"])
        resources = request.get("containerResourceRequirements") or {}
        asked = {
            "cpu": _bounded("cpu", resources.get("cpu"), CPU, float(os.cpu_count() or 1)),
            "memoryInGB": _bounded("memory_in_gb", resources.get("memoryInGB"), MEMORY_GB, _memory_gb()),
            "inputs": request["inputs"],
        }
        inputs_of(self._context.store, request["inputs"])
        with self._context.db.read() as session:
            prepared = prepare_request(
                self._context, session, find_workspace(session, ref), request["imageRequest"]
            )
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            earlier = _lookup(session, workspace, name)
            if earlier is not None:
                if earlier.state == "Running":
                    raise Conflict(
                        "ProfileExists",
                        f"A profile named {name!r} is being made.",
                        hint="Wait for it: ModelProfile(ws, name).wait_for_completion(), or choose another name.",
                        target=name,
                    )
                session.delete(earlier)
                session.flush()
            image = add_image(session, workspace, f"profile-{name}", prepared, implicit=True)
            allowed = init_seconds(image.request.get("environment"), self._context.init_seconds)
            operation = start_operation(
                session,
                workspace,
                "CreateProfile",
                "Profile",
                resource="profiles",
                resource_id=name,
                deadlines={"Init": allowed + INIT_SLACK_SECONDS},
            )
            image.operation_id = operation.id
            profile = Profile(
                uid=uuid.uuid4().hex,
                workspace_id=workspace.id,
                workspace=workspace,
                name=name,
                description=request.get("description"),
                request=asked,
                image_id=image.id,
                operation_id=operation.id,
                state="Running",
                result={},
                error=None,
                created=now(),
            )
            session.add(profile)
            session.flush()
            view, row, built = _view(profile), profile.id, image.id
        self._context.wake_image(built)
        self._context.wake_profile(row)
        return view

    def get(self, ref: WorkspaceRef, name: str) -> ProfileView:
        """One of them.

        Raises:
            NotFound: ``ProfileNotFound``.
        """
        with self._context.db.read() as session:
            return _view(_find(session, find_workspace(session, ref), name))

    def list(self, ref: WorkspaceRef) -> list[ProfileView]:
        """All, newest first."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            query = select(Profile).where(Profile.workspace_id == workspace.id).order_by(Profile.id.desc())
            return [_view(profile) for profile in session.scalars(query)]

    def delete(self, ref: WorkspaceRef, name: str) -> None:
        """Forget it; one that is being made is given up.

        Raises:
            NotFound: ``ProfileNotFound``.
        """
        with self._context.db.write() as session:
            profile = _find(session, find_workspace(session, ref), name)
            supersede(session, profile.operation_id, f"Profile {name!r} was deleted.")
            image = None if profile.image_id is None else session.get(Image, profile.image_id)
            if image is not None:
                session.delete(image)
            session.delete(profile)


def inputs_of(store: ContentStore, digest: str) -> list[str]:
    """The requests to send.

    Raises:
        InvalidRequest: ``InvalidDigest``, ``BlobMissing``, ``InvalidProfile``.
    """
    check_digest(digest)
    if not store.touch(digest):
        raise InvalidRequest(
            "BlobMissing",
            "The requests of the profile were not uploaded.",
            hint="Upload them with PUT .../blobs/{digest} first.",
            phase="Upload",
            target=digest,
        )
    try:
        texts = json.loads(store.read(digest)) if store.size(digest) <= MOST_INPUT else None
    except ValueError:
        texts = None
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(
            "InvalidProfile",
            "The requests of a profile are a JSON array of at least one text, of at most 64 MB.",
            target="inputs",
        )
    return texts


def _bounded(name: str, value: float | None, bounds: tuple[float, float], here: float) -> float:
    least, most = bounds
    if value is None:
        return max(least, min(most, here))
    if not least <= value <= most:
        raise InvalidRequest(
            "InvalidProfile", f"{name} is {value:g}; it must be between {least:g} and {most:g}.", target=name
        )
    return value


def _memory_gb() -> float:
    """What the machine has, without a fifth for everything else, in steps of 0.1."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(total * 8 / 1024**3) / 10


def _lookup(session: Session, workspace: Workspace, name: str) -> Profile | None:
    return session.scalar(select(Profile).where(Profile.workspace_id == workspace.id, Profile.name == name))


def _find(session: Session, workspace: Workspace, name: str) -> Profile:
    profile = _lookup(session, workspace, name)
    if profile is None:
        raise NotFound(
            "ProfileNotFound",
            f"There is no profile {name!r} in workspace {workspace.name!r}.",
            hint="Make it: Model.profile(ws, name, models, inference_config, input_dataset).",
            target=name,
        )
    return profile


def _view(profile: Profile) -> ProfileView:
    return {
        "name": profile.name,
        "description": profile.description,
        "state": profile.state,
        "createdTime": profile.created,
        "operationId": profile.operation_id,
        "requestedCpu": profile.request["cpu"],
        "requestedMemoryInGB": profile.request["memoryInGB"],
        "result": profile.result,
        "error": profile.error,
    }
