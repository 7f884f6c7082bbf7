"""Authorization rules of Service Bus namespaces and queues, and their keys."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Conflict, InvalidRequest, MooringError, NotFound
from mooring_server.domain.names import check_name
from mooring_server.domain.servicebus import ROOT_RULE, check_rights
from mooring_server.services.bus_entities import Broker, NamespaceRef, find_namespace, find_queue
from mooring_server.services.bus_views import RuleKeysView, RuleView, keys_view, rule_view
from mooring_server.services.context import Context
from mooring_server.store.bus_tables import BusNamespace, BusQueue, BusRule

# Azure's keys are 256 bits in base64.
_KEY_BYTES = 32
_KEY_TYPES = ("PrimaryKey", "SecondaryKey")


@dataclass(frozen=True)
class Scope:
    """What a rule is for: a namespace, or one of its queues."""

    namespace: NamespaceRef
    queue: str | None = None


class BusRules:
    """Create, read and delete rules; read and renew keys."""

    def __init__(self, context: Context, broker: Broker) -> None:
        self._context = context
        self._broker = broker

    def create(self, scope: Scope, name: str, rights: list[str]) -> tuple[RuleView, bool]:
        """Create a rule, or change one's rights; returns it and whether it is new.

        Raises:
            NotFound: ``NamespaceNotFound``, ``QueueNotFound``.
            InvalidRequest: ``InvalidName``, ``RightsInvalid``.
        """
        check_name("authorization rule", name)
        meant = check_rights(rights)
        with self._context.db.write() as session:
            namespace, queue = _find(session, scope)
            row = _select(session, namespace, queue, name)
            created = row is None
            if row is None:
                row = new_rule(namespace, "" if queue is None else queue.key, name, meant)
                session.add(row)
            row.rights = meant
            session.flush()
            view = rule_view(namespace, row, queue)
        self._broker.refresh()
        return view, created

    def get(self, scope: Scope, name: str) -> RuleView:
        """One rule."""
        with self._context.db.read() as session:
            namespace, queue = _find(session, scope)
            return rule_view(namespace, _rule(session, namespace, queue, name), queue)

    def list(self, scope: Scope) -> list[RuleView]:
        """The rules of a namespace, without those of its queues; or those of one queue."""
        with self._context.db.read() as session:
            namespace, queue = _find(session, scope)
            key = "" if queue is None else queue.key
            rows = session.scalars(
                select(BusRule)
                .where(BusRule.namespace_id == namespace.id, BusRule.queue == key)
                .order_by(BusRule.key)
            ).all()
            return [rule_view(namespace, row, queue) for row in rows]

    def keys(self, scope: Scope, name: str) -> RuleKeysView:
        """The keys of a rule.

        Raises:
            MooringError: what `Broker.ensure` raises where it never ran, so that there is no address to name.
        """
        with self._context.db.read() as session:
            namespace, queue = _find(session, scope)
            row = _rule(session, namespace, queue, name)
        return self._keys(row, queue)

    def renew_key(self, scope: Scope, name: str, key_type: str) -> RuleKeysView:
        """Replace one key by a new one; the old one opens nothing any more, also on open connections.

        Raises:
            InvalidRequest: ``KeyTypeInvalid`` unless it is ``PrimaryKey`` or ``SecondaryKey``.
        """
        if key_type not in _KEY_TYPES:
            raise InvalidRequest(
                "KeyTypeInvalid",
                f"A rule has the keys {' and '.join(_KEY_TYPES)}, not {key_type!r}.",
                target="keyType",
            )
        with self._context.db.write() as session:
            namespace, queue = _find(session, scope)
            row = _rule(session, namespace, queue, name)
            if key_type == "PrimaryKey":
                row.primary = _new_key()
            else:
                row.secondary = _new_key()
        self._broker.refresh()
        return self._keys(row, queue)

    def delete(self, scope: Scope, name: str) -> None:
        """Delete a rule.

        Raises:
            Conflict: ``RuleNeeded`` (412) for a namespace's root rule.
        """
        with self._context.db.write() as session:
            namespace, queue = _find(session, scope)
            row = _rule(session, namespace, queue, name)
            if queue is None and row.name == ROOT_RULE:
                raise Conflict(
                    "RuleNeeded",
                    f"{ROOT_RULE} cannot be deleted: a namespace always has it.",
                    hint="Renew its keys instead.",
                    target=name,
                    status_code=412,
                )
            session.delete(row)
        self._broker.refresh()

    def _keys(self, row: BusRule, queue: BusQueue | None) -> RuleKeysView:
        if self._broker.endpoint is None:
            self._broker.ensure()
        endpoint = self._broker.endpoint
        if endpoint is None:
            raise MooringError(
                "ServiceBusNotStarted",
                "The Service Bus broker has no address.",
                phase="Start",
                status_code=503,
            )
        return keys_view(row, endpoint, queue, tls=self._broker.tls)


def new_rule(namespace: BusNamespace, queue: str, name: str, rights: list[str]) -> BusRule:
    """A rule with new keys; ``queue`` is a queue's key, or empty."""
    return BusRule(
        namespace_id=namespace.id,
        queue=queue,
        key=name.lower(),
        name=name,
        rights=rights,
        primary=_new_key(),
        secondary=_new_key(),
    )


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _find(session: Session, scope: Scope) -> tuple[BusNamespace, BusQueue | None]:
    namespace = find_namespace(session, scope.namespace)
    return namespace, None if scope.queue is None else find_queue(session, namespace, scope.queue)


def _select(session: Session, namespace: BusNamespace, queue: BusQueue | None, name: str) -> BusRule | None:
    return session.scalar(
        select(BusRule).where(
            BusRule.namespace_id == namespace.id,
            BusRule.queue == ("" if queue is None else queue.key),
            BusRule.key == name.lower(),
        )
    )


def _rule(session: Session, namespace: BusNamespace, queue: BusQueue | None, name: str) -> BusRule:
    found = _select(session, namespace, queue, name)
    if found is None:
        where = namespace.name if queue is None else f"{namespace.name}/{queue.name}"
        raise NotFound(
            "RuleNotFound",
            f"{where!r} has no authorization rule {name!r}.",
            hint=f"Every namespace has {ROOT_RULE}.",
            target=name,
        )
    return found
