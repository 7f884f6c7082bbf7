"""Azure's authentication classes.

Mooring's per-user server asks for its own token, which the SDK reads by itself, so none of these needs to
log in
anywhere: scripts may go on constructing them. With a server elsewhere (``MOORING_ENDPOINT``) the token comes
from ``MOORING_TOKEN``; without it, from the classes here that carry one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from mooring.sdk import local_server


class Audience(Enum):
    """For whom a token is."""

    ARM = "ARM"
    AZUREML = "AZUREML"


class AccessToken(NamedTuple):
    """A token and when it ends, in seconds since the epoch."""

    token: str
    expires_on: int


class AbstractAuthentication:
    """What every class here can do."""

    def __init__(self, cloud: str | None = None) -> None:
        self._cloud_type = cloud

    def bearer(self) -> str:
        """The token this object carries itself; empty for those that would ask Azure."""
        return ""

    def get_authentication_header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer ..."}`` for calls to the Mooring server."""
        return {"Authorization": f"Bearer {self.get_token().token}"}

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:  # noqa: ARG002 - Azure's signature
        """A token for the Mooring server; it does not end while the server keeps its data."""
        secret = os.environ.get("MOORING_TOKEN") or self.bearer() or local_server.ensure_server().token
        return AccessToken(secret, int(time.time()) + 3600)

    def signed_session(self, session: Any = None) -> Any:
        """An HTTP session that sends the token.

        Args:
            session: an object with ``headers`` (requests' Session); a new httpx client if None.
        """
        if session is None:
            import httpx

            session = httpx.Client()
        session.headers.update(self.get_authentication_header())
        return session


class InteractiveLoginAuthentication(AbstractAuthentication):
    """Would open a browser; here it needs nothing."""

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None:
        super().__init__(cloud)
        self._force = force
        self._tenant_id = tenant_id


class AzureCliAuthentication(AbstractAuthentication):
    """Would use the login of ``az``; here it needs nothing."""


class MsiAuthentication(AbstractAuthentication):
    """Would use a managed identity; here it needs nothing."""

    def __init__(self, cloud: str | None = None, **kwargs: Any) -> None:
        super().__init__(cloud)
        self._identity_config = kwargs.get("identity_config")


class ServicePrincipalAuthentication(AbstractAuthentication):
    """Would log in as an application; here the values are kept and not sent anywhere.

    The names of 2018, ``username`` and ``password``, are taken as well.
    """

    def __init__(
        self,
        tenant_id: str,
        service_principal_id: str | None = None,
        service_principal_password: str | None = None,
        cloud: str = "AzureCloud",
        _enable_caching: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(cloud)
        self._tenant_id = tenant_id
        self._service_principal_id = service_principal_id or kwargs.get("username")
        self._service_principal_password = service_principal_password or kwargs.get("password")


class ArmTokenAuthentication(AbstractAuthentication):
    """Carries a token."""

    def __init__(self, arm_access_token: str, cloud: str = "None") -> None:
        super().__init__(cloud)
        self._arm_access_token = arm_access_token

    def bearer(self) -> str:
        """The token given."""
        return self._arm_access_token

    def update_arm_access_token(self, new_arm_access_token: str) -> None:
        """Carry another token from now on."""
        self._arm_access_token = new_arm_access_token


class TokenAuthentication(AbstractAuthentication):
    """Asks a function for a token."""

    def __init__(self, get_token_for_audience: Callable[[Any], str], cloud: str | None = None) -> None:
        super().__init__(cloud)
        self._get_token_for_audience = get_token_for_audience

    def bearer(self) -> str:
        """What the function gives for ARM."""
        return self._get_token_for_audience(Audience.ARM)

    def get_token(self, audience: Any = Audience.ARM) -> Any:  # type: ignore[override]
        """What the function gives."""
        return self._get_token_for_audience(audience)

    def get_authentication_header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer ..."}``."""
        return {"Authorization": f"Bearer {self.bearer()}"}


class AzureMLTokenAuthentication(AbstractAuthentication):
    """Carries a run's token."""

    def __init__(
        self,
        azureml_access_token: str,
        expiry_time: Any = None,
        host: str | None = None,
        subscription_id: str | None = None,
        resource_group_name: str | None = None,
        workspace_name: str | None = None,
        experiment_name: str | None = None,
        run_id: str | None = None,
        user_email: str | None = None,
        experiment_id: str | None = None,
        cloud: str = "AzureCloud",
    ) -> None:
        super().__init__(cloud)
        self._token = azureml_access_token
        self._expiry_time = expiry_time
        self.run = {
            "host": host,
            "subscription_id": subscription_id,
            "resource_group_name": resource_group_name,
            "workspace_name": workspace_name,
            "experiment_name": experiment_name,
            "run_id": run_id,
            "user_email": user_email,
            "experiment_id": experiment_id,
        }

    @classmethod
    def create(
        cls,
        azureml_access_token: str,
        expiry_time: Any,
        host: str,
        subscription_id: str,
        resource_group_name: str,
        workspace_name: str,
        experiment_name: str,
        run_id: str,
        user_email: str | None = None,
        experiment_id: str | None = None,
    ) -> AzureMLTokenAuthentication:
        """The same as the constructor."""
        return cls(
            azureml_access_token,
            expiry_time,
            host,
            subscription_id,
            resource_group_name,
            workspace_name,
            experiment_name,
            run_id,
            user_email,
            experiment_id,
        )

    @property
    def token(self) -> str:
        """The token."""
        return self._token

    @property
    def expiry_time(self) -> Any:
        """When it ends."""
        return self._expiry_time

    def bearer(self) -> str:
        """The token."""
        return self._token

    def get_authentication_header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer ..."}``."""
        return {"Authorization": f"Bearer {self._token}"}

    def set_token(self, token: str, expiry_time: Any) -> None:
        """Carry another token from now on."""
        self._token = token
        self._expiry_time = expiry_time
