"""The revisions of a service that came up, kept to return to.

Rolling back goes to the newest good revision below the one that was asked for last, and withdraws those above: rolling
back twice goes back twice, and an update after a rollback returns to what was good, not to what was rolled back
from. Naming a revision goes to it in either direction.

A revision is an image and what its workers are started with. Who may call the service, its address, tags and keys
belong to the service, and a rollback leaves them alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Conflict, NotFound
from mooring_server.services.views import RevisionView
from mooring_server.store.tables import Service, ServiceRevision, now

KEPT = 5
# What of a configuration belongs to the revision: what workers are started with, and where its source came from.
_FIELDS = ("containerResourceRequirements", "workers", "localSource")


def record_good(session: Session, service: Service, came_from: int | None) -> None:
    """Note that ``service.revision`` came up.

    Args:
        session: the transaction that settles the service.
        service: as settled.
        came_from: the revision that answered before.
    """
    rows = {row.number: row for row in _rows(session, [service.id])}
    row = rows.get(service.revision)
    if row is None:
        row = ServiceRevision(service_id=service.id, number=service.revision, created=now())
        rows[service.revision] = row
    row.image_id, row.config, row.withdrawn = service.image_id, service.config, False
    session.add(row)
    if came_from is not None and service.revision < came_from:
        for other in rows.values():
            other.withdrawn = other.withdrawn or service.revision < other.number <= came_from
    # Those withdrawn go first: the way back is worth more than the way forward.
    ranked = sorted(rows.values(), key=lambda r: (r.withdrawn, -r.number))
    for superfluous in ranked[KEPT:]:
        session.delete(superfluous)


def revision_to_return_to(session: Session, service: Service, number: int | None) -> ServiceRevision:
    """The revision ``number``, or the good one before the one asked for last.

    Raises:
        NotFound: ``RevisionNotFound``, with those there are.
        Conflict: ``NoPreviousRevision``.
    """
    rows = _rows(session, [service.id])
    if number is not None:
        found = next((row for row in rows if row.number == number), None)
        if found is None:
            there = ", ".join(str(row.number) for row in rows) or "none"
            raise NotFound(
                "RevisionNotFound",
                f"Service {service.name!r} has no revision {number} to return to.",
                hint=f"Those kept: {there}.",
                target=service.name,
            )
        return found
    earlier = [row for row in rows if not row.withdrawn and row.number < service.revision]
    if not earlier:
        raise Conflict(
            "NoPreviousRevision",
            f"Service {service.name!r} has no revision before {service.revision} that came up and was kept.",
            hint="`mooring service show` lists its revisions; name one with --revision.",
            target=service.name,
        )
    return max(earlier, key=lambda row: row.number)


def config_of(service: Service, row: ServiceRevision) -> dict[str, Any]:
    """The service's configuration with the parts that belong to the revision."""
    kept = {k: v for k, v in service.config.items() if k not in _FIELDS}
    return kept | {k: row.config[k] for k in _FIELDS if k in row.config}


def revision_views(session: Session, services: Iterable[Service]) -> dict[int, list[RevisionView]]:
    """Service id -> its revisions, newest first; one query for all of them."""
    by_id = {service.id: service for service in services}
    views: defaultdict[int, list[RevisionView]] = defaultdict(list)
    for row in _rows(session, list(by_id)):
        image, active = row.image, by_id[row.service_id].active_revision
        views[row.service_id].append(
            {
                "revision": row.number,
                "state": "Active" if row.number == active else "Withdrawn" if row.withdrawn else "Good",
                "imageId": f"{image.name}:{image.version}",
                "imageDigest": image.digest,
                "modelIds": image.model_ids,
                "containerResourceRequirements": row.config["containerResourceRequirements"],
                "createdTime": row.created,
            }
        )
    return views


def _rows(session: Session, service_ids: list[int]) -> list[ServiceRevision]:
    """Newest first."""
    query = select(ServiceRevision).where(ServiceRevision.service_id.in_(service_ids))
    return list(session.scalars(query.order_by(ServiceRevision.number.desc())))
