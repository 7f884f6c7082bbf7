"""App Service plans: kept so that apps can name them; nothing is reserved by one here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from mooring_server.domain.errors import Conflict, NotFound
from mooring_server.domain.names import check_name, web_id
from mooring_server.services.context import Context, GroupRef
from mooring_server.services.resource_groups import require_group
from mooring_server.store.function_tables import FunctionApp, Plan
from mooring_server.store.tables import now


@dataclass(frozen=True)
class WebRef:
    """The names by which a caller speaks of a plan or a function app."""

    group: GroupRef
    name: str

    @property
    def key(self) -> str:
        """Identity of a plan; Azure compares these names without regard to case."""
        return f"{self.group.key}/{self.name}".lower()


class PlanView(TypedDict):
    """A plan: the fields of ARM's ``Microsoft.Web/serverfarms``, flat as ``az`` prints them."""

    id: str
    name: str
    type: str
    kind: str
    location: str
    resourceGroup: str
    subscription: str
    sku: dict[str, str]
    tags: dict[str, str]
    reserved: bool
    numberOfSites: int
    status: str
    provisioningState: str
    creationTime: str


class Plans:
    """The use cases."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, ref: WebRef, settings: dict[str, Any]) -> tuple[PlanView, bool]:
        """Make a plan, or change one; returns it and whether it is new.

        Args:
            ref: its names.
            settings: ``location``, ``sku`` (a name such as ``EP1``) and ``tags``, as far as they are given.

        Raises:
            NotFound: ``ResourceGroupNotFound``.
            InvalidRequest: ``InvalidName``.
        """
        check_name("App Service plan", ref.name)
        with self._context.db.write() as session:
            group = require_group(session, ref.group)
            plan = session.get(Plan, ref.key)
            new = plan is None
            if plan is None:
                plan = Plan(
                    key=ref.key,
                    group=ref.group.key,
                    subscription=group["subscription"],
                    resource_group=group["name"],
                    name=ref.name,
                    location=group["location"],
                    sku="B1",
                    tags={},
                    created=now(),
                )
                session.add(plan)
            for name in ("location", "sku", "tags"):
                if settings.get(name) is not None:
                    setattr(plan, name, settings[name])
            session.flush()
            return _view(session, plan), new

    def get(self, ref: WebRef) -> PlanView:
        """One plan.

        Raises:
            NotFound: ``PlanNotFound``.
        """
        with self._context.db.read() as session:
            return _view(session, find_plan(session, ref))

    def list(self, subscription: str, group: GroupRef | None = None) -> list[PlanView]:
        """The plans of a subscription, or of one of its groups, by name."""
        query = select(Plan).where(func.lower(Plan.subscription) == subscription.lower())
        if group is not None:
            query = query.where(Plan.group == group.key)
        with self._context.db.read() as session:
            return [_view(session, plan) for plan in session.scalars(query.order_by(Plan.key))]

    def delete(self, ref: WebRef) -> None:
        """Delete a plan that no app names.

        Raises:
            NotFound: ``PlanNotFound``.
            Conflict: ``PlanInUse``.
        """
        with self._context.db.write() as session:
            plan = find_plan(session, ref)
            apps = session.scalars(select(FunctionApp.name).where(FunctionApp.plan == plan.key)).all()
            if apps:
                raise Conflict(
                    "PlanInUse",
                    f"The plan {plan.name!r} has apps: {', '.join(apps)}.",
                    hint="Delete them first: mooring functionapp delete.",
                    target=ref.name,
                )
            session.delete(plan)

    def delete_group(self, group: GroupRef) -> None:
        """See `Contents.delete_group`."""
        with self._context.db.write() as session:
            for plan in session.scalars(select(Plan).where(Plan.group == group.key)):
                session.delete(plan)


def find_plan(session: Session, ref: WebRef) -> Plan:
    """The plan a caller named.

    Raises:
        NotFound: ``PlanNotFound``.
    """
    plan = session.get(Plan, ref.key)
    if plan is None:
        raise NotFound(
            "PlanNotFound",
            f"There is no App Service plan {ref.name!r} in resource group {ref.group.name!r}.",
            hint=f"Make it: mooring appservice plan create --name {ref.name} --resource-group {ref.group.name}.",
            target=ref.name,
        )
    return plan


def _view(session: Session, plan: Plan) -> PlanView:
    apps = select(func.count()).select_from(FunctionApp).where(FunctionApp.plan == plan.key)
    return {
        "id": web_id(plan.subscription, plan.resource_group, "serverfarms", plan.name),
        "name": plan.name,
        "type": "Microsoft.Web/serverfarms",
        "kind": "linux",
        "location": plan.location,
        "resourceGroup": plan.resource_group,
        "subscription": plan.subscription,
        "sku": {"name": plan.sku},
        "tags": plan.tags,
        "reserved": True,
        "numberOfSites": session.scalar(apps) or 0,
        "status": "Ready",
        "provisioningState": "Succeeded",
        "creationTime": plan.created,
    }
