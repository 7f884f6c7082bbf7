"""How `az cloud register` finds everything, and where sign-ins are.

The login endpoint ends in ``/adfs``: for such a one MSAL asks nobody outside whether the authority is known.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from mooring_server.edges.arm.common import arm_router, base_url
from mooring_server.edges.native.access import needs

LOGIN = "/adfs"


def routes() -> APIRouter:
    """The routes; they tell nothing that is secret."""
    router = arm_router()

    @router.get("/metadata/endpoints")
    @needs(None)
    def endpoints(request: Request) -> dict[str, Any]:
        """Names and addresses of the cloud that this server is."""
        base = base_url(request)
        # Names of services that this cloud has not lead back here, where the answer is a clear one.
        absent = (
            "portal",
            "gallery",
            "batch",
            "media",
            "sqlManagement",
            "vmImageAliasDoc",
            "graphAudience",
            "microsoftGraphResourceId",
            "appInsightsResourceId",
            "logAnalyticsResourceId",
            # az asks for a token for it where it reads the logs of an app.
            "appServiceResourceId",
        )
        return {
            "name": "Mooring",
            "resourceManager": base,
            **dict.fromkeys(absent, base),
            "authentication": {
                "loginEndpoint": base + LOGIN,
                "audiences": [base + "/"],
                "tenant": "adfs",
                "identityProvider": "ADFS",
            },
            "suffixes": {
                "storage": "localhost",
                "acrLoginServer": "localhost",
                "keyVaultDns": "vault.localhost",
                "sqlServerHostname": "database.localhost",
            },
        }

    @router.get(LOGIN + "/.well-known/openid-configuration")
    @needs(None)
    def configuration(request: Request) -> dict[str, str]:
        """OpenID Connect's discovery document."""
        authority = base_url(request) + LOGIN
        return {
            "issuer": authority,
            "authorization_endpoint": f"{authority}/oauth2/devicelogin",
            "token_endpoint": f"{authority}/oauth2/token",
            "device_authorization_endpoint": f"{authority}/oauth2/devicecode",
        }

    return router
