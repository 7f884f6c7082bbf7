"""Target ``mooring`` of ``mlflow.deployments``: Azure's calls, with MLflow's exceptions.

MLflow wants exactly one client class here, and the functions `run_local` and `target_help`.
"""

# ruff: noqa: ARG002 - the signatures are MLflow's
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import mlflow
from mlflow.deployments import PredictionsResponse
from mlflow.deployments.base import BaseDeploymentClient

from mooring.cli.failures import CliError
from mooring.mlflow import config as configs
from mooring.mlflow.address import is_ours, workspace
from mooring.mlflow.models import registered
from mooring.mlflow.payload import body_of
from mooring.mlflow.problems import as_mlflow, exception
from mooring.mlflow.required import check_mlflow
from mooring.sdk.errors import invalid
from mooring.sdk.exceptions import WebserviceException
from mooring.sdk.model import Model
from mooring.sdk.webservice import Webservice

FLAVOR = "python_function"
HELP = """\
Target mooring: web services on a Mooring server.

  mooring                        the workspace of config.json
  ws.get_mlflow_tracking_uri()   a workspace by its address: mooring+http(s)://host:port/...
  azureml://...                  addresses of existing scripts, with the package mooring-azureml

  mlflow deployments create -t mooring --name myservice -m runs:/<run id>/model -C deploy-config-file=deploy.json

Config:
  deploy-config-file   JSON or YAML: {"computeType": "aci",
                       "containerResourceRequirements": {"cpu": 1, "memoryInGB": 1}};
                       without one a service on one machine (ACI) with its defaults.
  async                true: return at once; get_deployment(name)["state"] tells how it goes.

The server is MOORING_ENDPOINT and MOORING_TOKEN, "endpoint" in config.json, or the one of this machine.
"""


class MooringDeploymentClient(BaseDeploymentClient):  # type: ignore[misc]  # MLflow has no types
    """Deployments of one workspace; a deployment is a web service with a model of MLflow's.

    Args:
        target_uri: ``mooring``, a tracking URI of a workspace, or ``azureml://...``.

    Raises:
        MlflowException: from every method, with one of MLflow's error codes and Mooring's cause code in the text.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        with _errors():
            check_mlflow("Deploying")
            self._workspace = workspace(target_uri)

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: dict[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Register the model and deploy it; returns when the service answers.

        Args:
            name: of the service; its model is registered as ``<name>-model``.
            model_uri: ``runs:/<id>/<path>``, ``models:/<name>/<version>``, ``models:/<name>@<alias>``, or a folder.
            flavor: ``python_function``.
            config: ``deploy-config-file`` (none: ACI), ``async``.
            endpoint: this target has none.

        Returns:
            What `get_deployment` does.
        """
        with _errors():
            _check(flavor, endpoint)
            asked = configs.parse(config)
            deployment_config = asked.build()
            self._check_compute(deployment_config)
            if asked.kind != "LocalWebservice":
                Webservice.check_for_existing_webservice(self._workspace, name)
            model = registered(self._workspace, name, model_uri, self.target_uri)
            service = Model.deploy(self._workspace, name, [model], None, deployment_config)
            if asked.wait:
                service.wait_for_deployment()
            return _described(service)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: dict[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Change the model or the configuration; the service answers all the time.

        Args:
            name: of the service.
            model_uri: the new model, or None.
            flavor: ``python_function``.
            config: ``deploy-config-file``: tags, properties, description, keys on or off, TLS; and ``async``.
            endpoint: this target has none.
        """
        with _errors():
            _check(flavor, endpoint)
            asked = configs.parse(config)
            service = Webservice(self._workspace, name)
            changes = _changes(service, asked)
            if model_uri is not None:
                changes["models"] = [registered(self._workspace, name, model_uri, self.target_uri)]
            service.update(**changes)
            if asked.wait:
                service.wait_for_deployment()
            return _described(service)

    def delete_deployment(
        self,
        name: str,
        config: dict[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Delete it; does nothing when there is none, as MLflow wants it."""
        with _errors():
            _check(None, endpoint)
            configs.parse(config)
            try:
                service = Webservice(self._workspace, name)
            except WebserviceException as error:
                if error.code != "WebserviceNotFound":
                    raise
                return
            service.delete()

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """All services of the workspace."""
        with _errors():
            _check(None, endpoint)
            return [_described(service) for service in Webservice.list(self._workspace)]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """``{name, flavor, state, scoringUri, swaggerUri, error, ...}``: the service with Azure's keys."""
        with _errors():
            _check(None, endpoint)
            return _described(Webservice(self._workspace, name))

    def predict(
        self,
        deployment_name: str | None = None,
        inputs: Any = None,
        endpoint: str | None = None,
        df: Any = None,
    ) -> PredictionsResponse:
        """Score.

        Args:
            deployment_name: the service.
            inputs: a DataFrame, Series, array, list, dictionary (a request of MLflow's, or columns), or JSON text.
            endpoint: this target has none.
            df: the older name of ``inputs``.

        Returns:
            ``{"predictions": ...}``; ``get_predictions()`` makes a DataFrame of it.
        """
        with _errors():
            _check(None, endpoint)
            if not deployment_name:
                raise invalid("predict needs the name of a deployment.", code="NameMissing")
            try:
                body = body_of(df if inputs is None else inputs)
            except (TypeError, ValueError) as error:
                raise invalid(str(error), code="InvalidInput") from error
            answer = Webservice(self._workspace, deployment_name).run(body)
            if not (isinstance(answer, dict) and "predictions" in answer):
                answer = {"predictions": answer}  # of an entry script, which answers as it likes
            return PredictionsResponse.from_json(json.dumps(answer))

    def explain(
        self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None
    ) -> NoReturn:
        """Not available."""
        raise exception("explain: this target explains no predictions.", "FEATURE_DISABLED")

    def create_endpoint(self, name: str, config: dict[str, Any] | None = None) -> NoReturn:
        """This target has none."""
        _no_endpoints("create_endpoint")

    def update_endpoint(self, endpoint: str, config: dict[str, Any] | None = None) -> NoReturn:
        """This target has none."""
        _no_endpoints("update_endpoint")

    def delete_endpoint(self, endpoint: str) -> NoReturn:
        """This target has none."""
        _no_endpoints("delete_endpoint")

    def list_endpoints(self) -> NoReturn:
        """This target has none."""
        _no_endpoints("list_endpoints")

    def get_endpoint(self, endpoint: str) -> NoReturn:
        """This target has none."""
        _no_endpoints("get_endpoint")

    def _check_compute(self, deployment_config: Any) -> None:
        """A compute target is looked for before a model is fetched for it."""
        name = getattr(deployment_config, "compute_target_name", None)
        if name:
            from mooring.sdk.compute import ComputeTarget

            ComputeTarget(self._workspace, name)


def run_local(
    name: str, model_uri: str, flavor: str | None = None, config: dict[str, Any] | None = None
) -> None:
    """Deploy as a local web service in the workspace of the tracking URI, else of config.json; print its address."""
    target = mlflow.get_tracking_uri() if is_ours(mlflow.get_tracking_uri()) else "mooring"
    with _errors():
        _check(flavor, None)
        asked = configs.parse(config)
        if asked.kind not in {"LocalWebservice", "AciWebservice"}:
            raise invalid("run_local takes a file with computeType local, or none.", code="InvalidRequest")
        port = asked.arguments.get("port")
        local = configs.DeploymentConfig("LocalWebservice", {"port": port})
        place = workspace(target)
        model = registered(place, name, model_uri, target)
        service = Model.deploy(place, name, [model], None, local.build())
        service.wait_for_deployment(show_output=True)
        print(f"{name} answers at {service.scoring_uri}")  # noqa: T201 - its one result, on the command line


def target_help() -> str:
    """What ``mlflow deployments help -t mooring`` prints."""
    return HELP


def _check(flavor: str | None, endpoint: str | None) -> None:
    if endpoint is not None:
        raise configs.endpoints_missing(f"endpoint {endpoint!r}")
    if flavor not in {None, FLAVOR}:
        raise invalid(f"The flavor {flavor!r} is not {FLAVOR}.", code="InvalidRequest", hint="Leave it out.")


def _changes(service: Webservice, asked: configs.DeploymentConfig) -> dict[str, Any]:
    """What `update` can change; a file may repeat the rest as it is."""
    changes = dict(asked.arguments)
    changes.pop("location", None)
    now = (service.serialize().get("containerResourceRequirements")) or {}
    for argument, key in (("cpu_cores", "cpu"), ("memory_gb", "memoryInGB")):
        wanted = changes.pop(argument, None)
        if wanted is not None and wanted != now.get(key):
            raise invalid(
                f"{key} is {now.get(key)} and cannot be updated to {wanted}.",
                code="NotUpdatable",
                hint="Delete the deployment and create it anew.",
            )
    for argument in ("primary_key", "secondary_key", "dns_name_label", "vnet_name", "subnet_name"):
        if changes.pop(argument, None) is not None:
            raise invalid(f"{argument} cannot be updated.", code="NotUpdatable", hint="Leave it out.")
    return changes


def _described(service: Webservice) -> dict[str, Any]:
    return {**service.serialize(), "name": service.name, "flavor": FLAVOR}


def _no_endpoints(call: str) -> NoReturn:
    with _errors():
        raise configs.endpoints_missing(call)
    raise AssertionError("it was raised")


@contextmanager
def _errors() -> Iterator[None]:
    """MLflow's exceptions for the SDK's and for those of the configuration files."""
    with as_mlflow():
        try:
            yield
        except CliError as error:
            what = invalid(error.message, code=error.code, hint=error.hint)
            what.evidence = error.evidence
            raise what from error
