"""A web service as callers see it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from mooring_server.domain.credentials import without_credentials
from mooring_server.services.context import Context
from mooring_server.services.image_view import image_location, models_of_images
from mooring_server.services.models import model_view
from mooring_server.services.revisions import revision_views
from mooring_server.services.views import RevisionView, ServiceView
from mooring_server.store.tables import Model, Service


def service_view(context: Context, session: Session, service: Service) -> ServiceView:
    """Request, outcome and what was last observed; never keys."""
    return service_views(context, session, [service])[0]


def service_views(context: Context, session: Session, services: Sequence[Service]) -> list[ServiceView]:
    """Several services with as many queries as for one."""
    models = models_of_images(session, [service.image for service in services])
    revisions = revision_views(session, services)
    return [
        _view(context, service, models[service.image_id], revisions.get(service.id, []))
        for service in services
    ]


def _view(
    context: Context, service: Service, models: list[Model], revisions: list[RevisionView]
) -> ServiceView:
    config, image, observed = service.config, service.image, service.observed
    url = observed.get("url")
    ready = observed.get("phase") == "Ready"
    workers = observed.get("workers") or []
    return {
        "id": service.uid,
        "name": service.name,
        "computeType": service.compute_type,
        "state": service.state,
        "error": service.error,
        "createdTime": service.created,
        "updatedTime": service.modified,
        "createdBy": {"userName": service.created_by},
        "description": service.description,
        "kvTags": service.tags,
        "properties": service.properties,
        "location": config["location"],
        "authEnabled": config["authEnabled"],
        "sslEnabled": False,
        "sslCertificate": None,
        "sslKey": None,
        "cname": config.get("cname"),
        "dnsNameLabel": config.get("dnsNameLabel"),
        "appInsightsEnabled": bool(config.get("appInsightsEnabled")),
        "containerResourceRequirements": config["containerResourceRequirements"],
        "publicIp": url.split("//")[1].rpartition(":")[0] if url else None,
        "scoringUri": f"{url}/score" if url else None,
        "swaggerUri": f"{url}/swagger.json" if url else None,
        "port": int(url.rpartition(":")[2]) if url else None,
        "imageId": f"{image.name}:{image.version}",
        "imageDigest": image.digest,
        "imageLocation": image_location(context, image),
        "models": [model_view(m) for m in models],
        "modelIds": image.model_ids,
        "deploymentStatus": {
            "desiredReplicas": 1,
            "updatedReplicas": int(ready),
            "availableReplicas": int(service.active_revision is not None),
            "phase": observed.get("phase"),
            "workers": workers,
            "error": service.error,
        },
        "revision": service.revision,
        "activeRevision": service.active_revision,
        "revisions": revisions,
        "isolation": observed.get("isolation"),
        "localSource": config.get("localSource"),
        "environmentImageRequest": {
            "driverProgram": image.request.get("entryScript"),
            "modelIds": image.model_ids,
            "environment": without_credentials(image.request.get("environment") or {}),
        },
        "operationId": service.operation_id,
    }
