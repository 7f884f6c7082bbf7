from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from azureml.core.compute import AksCompute
from azureml.core.environment import Environment
from azureml.core.image import ContainerImage
from azureml.core.model import InferenceConfig
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.core.webservice import AciWebservice, AksEndpoint, AksWebservice, LocalWebservice
from azureml.exceptions import ComputeTargetException, UserErrorException, WebserviceException
from mooring.sdk.names import check_image_name, check_model_name, check_namespace, check_service_name

SCRIPT = "def init(): pass\ndef run(data): return data\n"


@pytest.mark.parametrize("name", ["Mymodel", "a", "A.b-c_d", "0" * 255])
def test_model_names(name: str) -> None:
    check_model_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "0" * 256, None])
def test_bad_model_names(name: Any) -> None:
    with pytest.raises(WebserviceException, match="model name"):
        check_model_name(name)


@pytest.mark.parametrize("name", ["abc", "aci-mnist-3", "a" * 32])
def test_service_names(name: str) -> None:
    check_service_name(name)


@pytest.mark.parametrize("name", ["ab", "Abc", "1ab", "ab-", "a_b", "a" * 33, "a.b"])
def test_bad_service_names(name: str) -> None:
    with pytest.raises(WebserviceException) as caught:
        check_service_name(name)
    assert caught.value.code == "InvalidServiceName"


def test_image_names_and_namespaces() -> None:
    check_image_name("my.image-1")
    check_namespace(None)
    check_namespace("prod-1")
    for bad in ("ab", "My", "a" * 33, "-ab"):
        with pytest.raises(WebserviceException):
            check_image_name(bad)
    with pytest.raises(WebserviceException):
        check_namespace("No_Good")


def test_aci_defaults_leave_everything_to_the_server() -> None:
    request = AciWebservice.deploy_configuration().to_request()
    assert request["computeType"] == "ACI"
    assert request["containerResourceRequirements"] == {"cpu": None, "memoryInGB": None}
    assert request["authEnabled"] is None
    assert "keys" not in request


@pytest.mark.parametrize(
    "settings",
    [
        {"cpu_cores": 0},
        {"memory_gb": -1},
        {"ssl_enabled": True},
        {"ssl_enabled": True, "ssl_cert_pem_file": "none.pem", "ssl_key_pem_file": "none", "ssl_cname": "x"},
        {"cmk_vault_base_url": "https://v"},
        {"vnet_name": "v"},
    ],
)
def test_aci_rules(settings: dict[str, Any]) -> None:
    with pytest.raises(WebserviceException):
        AciWebservice.deploy_configuration(**settings)


def test_certificates_are_read(here: Path) -> None:
    (here / "c.pem").write_text("CERT")
    (here / "k.pem").write_text("KEY")
    request = AciWebservice.deploy_configuration(
        ssl_enabled=True, ssl_cert_pem_file="c.pem", ssl_key_pem_file="k.pem", ssl_cname="h", primary_key="p"
    ).to_request()
    assert (request["sslCertificate"], request["sslKey"], request["cname"]) == ("CERT", "KEY", "h")
    assert request["keys"] == {"primaryKey": "p", "secondaryKey": None}


@pytest.mark.parametrize(
    "settings",
    [
        {"autoscale_enabled": True, "num_replicas": 2},
        {"autoscale_enabled": False},
        {"autoscale_min_replicas": 1},
        {"autoscale_enabled": True, "autoscale_min_replicas": 3, "autoscale_max_replicas": 2},
        {"auth_enabled": True, "token_auth_enabled": True},
        {"cpu_cores": 1, "cpu_cores_limit": 0.5},
        {"memory_gb": 2, "memory_gb_limit": 1},
        {"gpu_cores": -1},
        {"period_seconds": 0},
        {"scoring_timeout_ms": 0},
        {"namespace": "No_Good"},
    ],
)
def test_aks_rules(settings: dict[str, Any]) -> None:
    with pytest.raises(WebserviceException):
        AksWebservice.deploy_configuration(**settings)


def test_aks_sends_only_what_is_set() -> None:
    config = AksWebservice.deploy_configuration(
        autoscale_enabled=True,
        autoscale_max_replicas=4,
        cpu_cores=0.5,
        blobfuse_enabled=False,
        namespace="ml",
    )
    request = config.to_request()
    assert request["autoScaler"] == {"autoscaleEnabled": True, "maxReplicas": 4}
    assert request["containerResourceRequirements"] == {"cpu": 0.5}
    assert request["storageInitEnabled"] is True
    assert request["namespace"] == "ml"
    assert "livenessProbeRequirements" not in request


def test_endpoint_configurations() -> None:
    assert (
        AksEndpoint.deploy_configuration(version_name="v-1", traffic_percentile=20).traffic_percentile == 20
    )
    with pytest.raises(WebserviceException):
        AksEndpoint.deploy_configuration(traffic_percentile=101)
    with pytest.raises(WebserviceException):
        AksEndpoint.deploy_configuration(version_name="X")


@pytest.mark.parametrize("port", [0, 65536, -1, "8080", True])
def test_bad_ports(port: Any) -> None:
    with pytest.raises(WebserviceException, match="port"):
        LocalWebservice.deploy_configuration(port)


def test_good_ports() -> None:
    assert LocalWebservice.deploy_configuration(port=8890).to_request()["port"] == 8890
    assert LocalWebservice.deploy_configuration().port is None


def test_clusters() -> None:
    assert AksCompute.provisioning_configuration().to_request()["properties"]["computeType"] == "AKS"
    assert AksCompute.attach_configuration("rg", "c").cluster_name == "c"
    for bad in ({"agent_count": 0}, {"vnet_name": "v"}, {"ssl_cname": "x"}):
        with pytest.raises(ComputeTargetException):
            AksCompute.provisioning_configuration(**bad)  # type: ignore[arg-type]
    with pytest.raises(ComputeTargetException):
        AksCompute.attach_configuration(resource_group="rg")
    with pytest.raises(ComputeTargetException):
        AksCompute.attach_configuration("rg", "c").enable_ssl("n", "c", "k", leaf_domain_label="l")


def test_resources_round_trip() -> None:
    made = ResourceConfiguration(cpu=1, memory_in_gb=0.5)
    again = ResourceConfiguration.deserialize(made.serialize())
    assert again is not None
    assert (again.cpu, again.memory_in_gb, again.gpu) == (1, 0.5, None)
    with pytest.raises(WebserviceException):
        ResourceConfiguration(cpu=0)


class TestEntryScripts:
    def test_missing_says_what_is_there(self, here: Path) -> None:
        (here / "scroe.py").write_text(SCRIPT)
        with pytest.raises(WebserviceException) as caught:
            InferenceConfig("score.py")
        assert caught.value.code == "EntryScriptNotFound"
        assert "scroe.py" in str(caught.value)

    def test_syntax_says_where(self, here: Path) -> None:
        (here / "score.py").write_text("def run(data\n")
        with pytest.raises(WebserviceException, match="line 1") as caught:
            InferenceConfig("score.py")
        assert caught.value.code == "EntryScriptSyntax"
        assert "def run(data" in caught.value.evidence["source"]

    @pytest.mark.parametrize("name", ["my-score.py", "score.txt", "1score.py"])
    def test_names(self, here: Path, name: str) -> None:
        (here / name).write_text(SCRIPT)
        with pytest.raises(WebserviceException) as caught:
            InferenceConfig(name)
        assert caught.value.code == "EntryScriptNotImportable"

    def test_never_run(self, here: Path) -> None:
        (here / "score.py").write_text("raise SystemExit('ran')\n")
        InferenceConfig("score.py").validate_configuration()

    def test_source_directory(self, here: Path) -> None:
        (here / "src" / "pkg").mkdir(parents=True)
        (here / "src" / "pkg" / "score.py").write_text(SCRIPT)
        (here / "src" / "helper.py").write_text("")
        config = InferenceConfig("pkg/score.py", source_directory="src", environment=Environment("e"))
        source = config.source("svc")
        assert [f.path for f in source.files()] == ["src/helper.py", "src/pkg/score.py"]
        absolute = InferenceConfig(str(here / "src" / "pkg" / "score.py"), source_directory="src").source(
            "svc"
        )
        assert absolute.entry_script == "pkg/score.py"
        with pytest.raises(WebserviceException):
            InferenceConfig("score.py", source_directory="nowhere")

    def test_alone(self, here: Path) -> None:
        (here / "score.py").write_text(SCRIPT)
        source = InferenceConfig(entry_script="score.py").source("svc")
        assert source.environment["name"] == "svc-env"
        assert [f.path for f in source.files()] == ["score.py"]

    def test_runtime_and_conda_file(self, here: Path) -> None:
        (here / "score.py").write_text(SCRIPT)
        (here / "myenv.yml").write_text("name: e\ndependencies:\n- scikit-learn\n")
        (here / "steps").write_text("RUN true\n")
        config = InferenceConfig("score.py", "python", "myenv.yml", "steps", base_image="debian:12")
        environment = config.source("svc").environment
        assert environment["python"]["condaDependencies"]["dependencies"] == ["scikit-learn"]
        assert environment["docker"]["baseDockerfile"] == "FROM debian:12\nRUN true\n"
        for wrong in (
            {"runtime": "r"},
            {"cuda_version": "8"},
            {"conda_file": "none.yml"},
            {"environment": "e"},
        ):
            with pytest.raises((WebserviceException, UserErrorException)):
                InferenceConfig("score.py", **wrong)  # type: ignore[arg-type]
        with pytest.raises(WebserviceException, match="not both"):
            InferenceConfig("score.py", conda_file="myenv.yml", environment=Environment("e"))


class TestContainerImageConfig:
    def test_files_of_2018(self, here: Path) -> None:
        (here / "score.py").write_text(SCRIPT)
        (here / "myenv.yml").write_text("name: e\ndependencies:\n- numpy\n")
        (here / "schema.json").write_text("{}")
        (here / "lib").mkdir()
        (here / "lib" / "util.py").write_text("")
        config = ContainerImage.image_configuration(
            execution_script="score.py",
            runtime="python",
            conda_file="myenv.yml",
            schema_file="schema.json",
            dependencies=["lib", str(here / "lib" / "util.py")],
            tags={"a": "b"},
            description="d",
        )
        source = config.source("myimage")
        assert sorted(f.path for f in source.files()) == ["lib/util.py", "schema.json", "score.py", "util.py"]
        assert source.details["kvTags"] == {"a": "b"}
        assert source.details["imageFlavor"] == "WebApiContainer"
        again = type(source).from_json(source.to_json())
        assert sorted(f.path for f in again.files()) == ["lib/util.py", "schema.json", "score.py", "util.py"]

    @pytest.mark.parametrize(
        "settings",
        [
            {"runtime": "spark-py"},
            {"runtime": "ruby"},
            {"dependencies": "lib"},
            {"dependencies": ["nowhere"]},
            {"execution_script": "none.py"},
            {"cuda_version": "7"},
        ],
    )
    def test_rules(self, here: Path, settings: dict[str, Any]) -> None:
        (here / "score.py").write_text(SCRIPT)
        values = {"execution_script": "score.py", "runtime": "python", **settings}
        with pytest.raises(WebserviceException):
            ContainerImage.image_configuration(**values)
