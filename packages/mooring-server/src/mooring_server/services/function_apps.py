"""Function apps: what users ask for. The controller makes it so."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Conflict, NotFound
from mooring_server.domain.functions import (
    APP_SERVICE_STORAGE,
    REGISTRY_PASSWORD,
    REGISTRY_URL,
    REGISTRY_USER,
    STORAGE,
    check_settings,
    parse_image,
)
from mooring_server.domain.names import check_name
from mooring_server.services.context import Context, GroupRef
from mooring_server.services.function_app_view import FunctionAppView, function_app_view
from mooring_server.services.plans import WebRef, find_plan
from mooring_server.services.resource_groups import require_group
from mooring_server.services.storage.accounts import StorageAccounts
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.tables import now

MASTER = "_master"
HOST_KEY = "default"


class FunctionApps:
    """The use cases. Names of apps are one for all groups of a server, as they are for all of Azure."""

    def __init__(self, context: Context, accounts: StorageAccounts) -> None:
        self._context = context
        self._accounts = accounts

    def create(self, ref: WebRef, request: Mapping[str, Any]) -> tuple[FunctionAppView, bool]:
        """Make an app, or change one that the group has; returns it and whether it is new.

        Args:
            ref: its names.
            request: as far as they are given: ``location``, ``tags``, ``plan`` (a `WebRef`), ``image``
                (``linuxFxVersion`` will do), ``settings`` (all of them), ``storageAccount`` (the name of one of ours;
                ``AzureWebJobsStorage`` becomes its connection string), ``enabled``.

        Raises:
            NotFound: ``ResourceGroupNotFound``, ``PlanNotFound``, ``StorageAccountNotFound``.
            Conflict: ``FunctionAppNameTaken``, ``FunctionAppDeleting``.
            InvalidRequest: ``InvalidName``, ``ImageReferenceInvalid``, ``AppSettingInvalid``.
        """
        check_name("function app", ref.name)
        account = request.get("storageAccount")
        storage = self._accounts.connection_string(self._accounts.find(account)) if account else None
        with self._context.db.write() as session:
            group = require_group(session, ref.group)
            plan = request.get("plan")
            plan_key = find_plan(session, plan).key if plan else None
            app = session.scalar(select(FunctionApp).where(FunctionApp.key == ref.name.lower()))
            if app is not None and app.group != ref.group.key:
                raise Conflict(
                    "FunctionAppNameTaken",
                    f"The name {ref.name!r} is taken by an app of another resource group.",
                    hint="Names are one for all resource groups of a server; choose another.",
                    target=ref.name,
                )
            new = app is None
            if app is None:
                app = _new(ref, group["subscription"], group["name"], group["location"])
                session.add(app)
            _assert_not_deleting(app)
            for name in ("location", "tags"):
                if request.get(name) is not None:
                    setattr(app, name, request[name])
            app.plan = plan_key or app.plan
            if request.get("settings") is not None:
                app.settings = check_settings(request["settings"])
            if storage is not None:
                app.settings = {**app.settings, STORAGE: storage}
            if request.get("image"):
                _set_image(app, request["image"])
            if request.get("enabled") is not None:
                app.enabled = bool(request["enabled"])
            _begin(app)
            session.flush()
        self._context.wake_function_app(app.id)
        return function_app_view(app), new

    def get(self, ref: WebRef) -> FunctionAppView:
        """One app.

        Raises:
            NotFound: ``FunctionAppNotFound``.
        """
        with self._context.db.read() as session:
            return function_app_view(_find(session, ref))

    def find(self, name: str) -> WebRef | None:
        """The names of the app called ``name``, in whichever group it is."""
        with self._context.db.read() as session:
            app = session.scalar(select(FunctionApp).where(FunctionApp.key == name.lower()))
        return WebRef(GroupRef(app.subscription, app.resource_group), app.name) if app is not None else None

    def list(self, subscription: str, group: GroupRef | None = None) -> list[FunctionAppView]:
        """The apps of a subscription, or of one of its groups, by name."""
        query = select(FunctionApp).where(func.lower(FunctionApp.subscription) == subscription.lower())
        if group is not None:
            query = query.where(FunctionApp.group == group.key)
        with self._context.db.read() as session:
            return [function_app_view(app) for app in session.scalars(query.order_by(FunctionApp.key))]

    def delete(self, ref: WebRef) -> FunctionAppView:
        """Ask for an app's end; it is gone when `get` does not find it any more."""
        with self._context.db.write() as session:
            app = _find(session, ref)
            app.deleting, app.status, app.phase = True, "Deleting", "Delete"
            view, row = function_app_view(app), app.id
        self._context.wake_function_app(row)
        return view

    def delete_group(self, group: GroupRef) -> None:
        """See `Contents.delete_group`."""
        with self._context.db.read() as session:
            names = session.scalars(select(FunctionApp.name).where(FunctionApp.group == group.key)).all()
        for name in names:
            self.delete(WebRef(group, name))

    def settings(self, ref: WebRef) -> dict[str, str]:
        """The app settings, credentials included."""
        with self._context.db.read() as session:
            return dict(_find(session, ref).settings)

    def replace_settings(self, ref: WebRef, settings: Mapping[str, Any]) -> dict[str, str]:
        """Make these all of the app's settings; the app restarts with them.

        Raises:
            InvalidRequest: ``AppSettingInvalid``.
        """
        checked = check_settings(settings)
        return self._change(ref, lambda app: setattr(app, "settings", checked)).settings

    def change_settings(
        self, ref: WebRef, changes: Mapping[str, Any], removed: Iterable[str] = ()
    ) -> dict[str, str]:
        """Set some settings and remove others, by names that are compared without regard to case.

        Raises:
            InvalidRequest: ``AppSettingInvalid``.
        """
        checked = check_settings(changes)
        gone = {name.lower() for name in (*removed, *checked)}

        def change(app: FunctionApp) -> None:
            kept = {name: value for name, value in app.settings.items() if name.lower() not in gone}
            app.settings = check_settings({**kept, **checked})

        return self._change(ref, change).settings

    def set_container(self, ref: WebRef, container: Mapping[str, str | None]) -> dict[str, str]:
        """Name the image and its registry; returns the settings.

        Args:
            ref: the app.
            container: ``image``, ``registryUrl``, ``registryUsername``, ``registryPassword``, as far as given.

        Raises:
            InvalidRequest: ``ImageReferenceInvalid``.
        """
        names = {"registryUrl": REGISTRY_URL, "registryUsername": REGISTRY_USER}
        names["registryPassword"] = REGISTRY_PASSWORD

        def change(app: FunctionApp) -> None:
            if container.get("image"):
                _set_image(app, str(container["image"]))
            given = {setting: container[name] for name, setting in names.items() if container.get(name)}
            app.settings = check_settings({APP_SERVICE_STORAGE: "false", **app.settings, **given})

        return self._change(ref, change).settings

    def set_enabled(self, ref: WebRef, *, enabled: bool) -> FunctionAppView:
        """Start or stop the app."""
        return function_app_view(self._change(ref, lambda app: setattr(app, "enabled", enabled)))

    def restart(self, ref: WebRef) -> FunctionAppView:
        """Start it anew: with new workers, from the image that its reference names now."""
        return function_app_view(self._change(ref, lambda _app: None))

    def keys(self, ref: WebRef) -> dict[str, Any]:
        """The keys, in the shape of ARM's ``host/default/listkeys``."""
        with self._context.db.read() as session:
            keys = dict(_find(session, ref).keys)
        return {"masterKey": keys.pop(MASTER), "functionKeys": keys, "systemKeys": {}}

    def uid(self, ref: WebRef) -> str:
        """The identity by which targets know the app."""
        with self._context.db.read() as session:
            return _find(session, ref).uid

    def _change(self, ref: WebRef, change: Callable[[FunctionApp], None]) -> FunctionApp:
        with self._context.db.write() as session:
            app = _find(session, ref)
            _assert_not_deleting(app)
            change(app)
            _begin(app)
        self._context.wake_function_app(app.id)
        return app


def _begin(app: FunctionApp) -> None:
    """A new generation: every change makes a revision, whose workers have the new environment."""
    app.generation += 1
    app.modified = now()
    app.status, app.phase, app.error = "Starting", "Pull", None


def _new(ref: WebRef, subscription: str, resource_group: str, location: str) -> FunctionApp:
    created = now()
    return FunctionApp(
        uid=uuid.uuid4().hex,
        key=ref.name.lower(),
        group=ref.group.key,
        subscription=subscription,
        resource_group=resource_group,
        name=ref.name,
        location=location,
        plan=None,
        tags={},
        image="",
        settings={},
        enabled=True,
        keys={MASTER: secrets.token_urlsafe(40), HOST_KEY: secrets.token_urlsafe(40)},
        generation=0,
        settled=0,
        resolved=0,
        image_digest=None,
        active_digest=None,
        status="Starting",
        phase="Pull",
        missing=[],
        error=None,
        observed={},
        deleting=False,
        created=created,
        modified=created,
    )


def _set_image(app: FunctionApp, text: str) -> None:
    parsed = parse_image(text)
    separator = "@" if parsed.reference.startswith("sha256:") else ":"
    app.image = f"{parsed.host}/{parsed.repository}{separator}{parsed.reference}"


def _find(session: Session, ref: WebRef) -> FunctionApp:
    app = session.scalar(select(FunctionApp).where(FunctionApp.key == ref.name.lower()))
    if app is None or app.group != ref.group.key:
        raise NotFound(
            "FunctionAppNotFound",
            f"There is no function app {ref.name!r} in resource group {ref.group.name!r}.",
            hint="`mooring functionapp list` shows those there are.",
            target=ref.name,
        )
    return app


def _assert_not_deleting(app: FunctionApp) -> None:
    if app.deleting:
        raise Conflict(
            "FunctionAppDeleting",
            f"The function app {app.name!r} is being deleted.",
            hint="Wait until it is gone, then create it again.",
            target=app.name,
        )
