"""Tracking and registry store: MLflow's own REST clients, shown the way and given the token."""

from __future__ import annotations

from functools import partial
from typing import Any

from mooring.mlflow.address import external, workspace
from mooring.mlflow.certificates import ca_file
from mooring.mlflow.problems import as_mlflow
from mooring.mlflow.required import check_mlflow


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:  # noqa: ARG001 - MLflow passes it
    """MLflow's store for a tracking URI of ours."""
    check_mlflow("Tracking")
    from mlflow.store.tracking.rest_store import RestStore

    return RestStore(partial(credentials, store_uri))


def registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ARG001 - MLflow passes it
    """MLflow's registry for a tracking URI of ours."""
    check_mlflow("Registering models")
    from mlflow.store.model_registry.rest_store import RestStore

    return RestStore(partial(credentials, store_uri))


def credentials(uri: str) -> Any:
    """``MlflowHostCreds`` of the tracking server that ``uri`` stands for; MLflow asks for them at every request.

    Another tracking server is given what MLflow's own variables say, and never Mooring's token.

    Raises:
        MlflowException: the server has no tracking server, does not answer, or shows a certificate that MLflow's
            client cannot check.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import MlflowHostCreds

    with as_mlflow():
        elsewhere = external(uri)
        if elsewhere is not None:
            return get_default_host_creds(elsewhere)
        mooring = workspace(uri).mooring
        connection = mooring.http.connection
        certificates = ca_file(connection)
    return MlflowHostCreds(
        host=f"{connection.endpoint}{mooring.base}/mlflow",
        token=connection.token,
        server_cert_path=certificates,
    )
