"""App Service plans. Everything runs on this server, so that a plan is no more than a name and a price tier."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.domain.names import check_name
from mooring_server.services.context import Context, GroupRef
from mooring_server.services.resource_groups import require_group
from mooring_server.store.arm_tables import AppServicePlan, ResourceGroup
from mooring_server.store.tables import now


class PlanView(TypedDict):
    """A plan, with ARM's names of fields on one level."""

    id: str
    name: str
    type: str
    kind: str
    location: str
    sku: dict[str, Any]
    tags: dict[str, str]
    reserved: bool
    status: str
    provisioningState: str
    resourceGroup: str
    numberOfWorkers: int


class Plans:
    """The use cases."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, group: GroupRef, name: str, settings: dict[str, Any]) -> PlanView:
        """Make a plan, or change one.

        Args:
            group: where.
            name: of the plan.
            settings: ``location``, ``sku`` (an object with ``name``), ``tags``, ``reserved`` (false: for Windows).

        Raises:
            NotFound: ``ResourceGroupNotFound``.
            InvalidRequest: ``InvalidName``, ``LinuxOnly``.
        """
        check_name("App Service plan", name)
        if settings.get("reserved") is False:
            raise InvalidRequest(
                "LinuxOnly",
                f"The plan {name!r} would be for Windows, which this server has not.",
                hint="Add --is-linux.",
                target=name,
            )
        with self._context.db.write() as session:
            found = require_group(session, group)
            row = session.get(AppServicePlan, (group.key, name.lower()))
            if row is None:
                row = AppServicePlan(
                    group_key=group.key,
                    key=name.lower(),
                    name=name,
                    location=settings.get("location") or found["location"],
                    sku={"name": "B1"},
                    kind="linux",
                    tags={},
                    created=now(),
                )
                session.add(row)
            for field in ("sku", "tags"):
                if settings.get(field):
                    setattr(row, field, settings[field])
            return _view(session, group, row)

    def get(self, group: GroupRef, name: str) -> PlanView:
        """One.

        Raises:
            NotFound: ``ResourceNotFound``.
        """
        with self._context.db.read() as session:
            return _view(session, group, _find(session, group, name))

    def list(self, group: GroupRef) -> list[PlanView]:
        """Those of a group, by name."""
        query = select(AppServicePlan).where(AppServicePlan.group_key == group.key)
        with self._context.db.read() as session:
            rows = session.scalars(query.order_by(AppServicePlan.key)).all()
            return [_view(session, group, row) for row in rows]

    def delete(self, group: GroupRef, name: str) -> None:
        """Delete one.

        Raises:
            NotFound: ``ResourceNotFound``.
        """
        with self._context.db.write() as session:
            session.delete(_find(session, group, name))

    def delete_group(self, group: GroupRef) -> None:
        """Delete all of a group."""
        with self._context.db.write() as session:
            session.execute(delete(AppServicePlan).where(AppServicePlan.group_key == group.key))


def _find(session: Session, group: GroupRef, name: str) -> AppServicePlan:
    row = session.get(AppServicePlan, (group.key, name.lower()))
    if row is None:
        raise NotFound(
            "ResourceNotFound",
            f"The Resource 'Microsoft.Web/serverFarms/{name}' under resource group {group.name!r} was not found.",
            hint=f"Make it first: az appservice plan create --name {name} -g {group.name} --sku B1 --is-linux.",
            target=name,
        )
    return row


def _view(session: Session, group: GroupRef, row: AppServicePlan) -> PlanView:
    known = session.get(ResourceGroup, group.key)
    subscription, name = (known.subscription, known.name) if known else (group.subscription, group.name)
    size = str(row.sku.get("name") or "B1")
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{name}/providers/Microsoft.Web/serverfarms/{row.name}",
        "name": row.name,
        "type": "Microsoft.Web/serverfarms",
        "kind": row.kind,
        "location": row.location,
        "sku": {
            "name": size,
            "tier": row.sku.get("tier") or "Basic",
            "size": size,
            "family": size[0],
            "capacity": row.sku.get("capacity") or 1,
        },
        "tags": row.tags,
        "reserved": True,
        "status": "Ready",
        "provisioningState": "Succeeded",
        "resourceGroup": name,
        "numberOfWorkers": 1,
    }
