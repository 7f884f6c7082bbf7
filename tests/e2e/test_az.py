"""Azure's own command line against a server, from `mooring az-setup` to a model's answer in a blob."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from az_support import Shell, az_shell
from sdk_support import write_app
from support import RunningServer, eventually
from test_docs import ROOT, blocks

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

DEFAULT = "00000000-0000-0000-0000-000000000000"
PACKAGE = """
import sys
from azureml.contrib.functions import BLOB_TRIGGER, package
from azureml.core import Environment, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import InferenceConfig, Model

ws = Workspace.create("ws", subscription_id=sys.argv[1], resource_group="default", exist_ok=True)
env = Environment("bare")
env.python.conda_dependencies = CondaDependencies(_underlying_structure={"dependencies": []})
model = Model.register(ws, "model.txt", "weights")
config = InferenceConfig("score.py", source_directory="app", environment=env)
made = package(
    ws, [model], config, functions_enabled=True, trigger=BLOB_TRIGGER,
    input_path="input/{blobname}.json", output_path="output/{blobname}_out.json",
)
made.wait_for_creation(show_output=False)
print(made.location)
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A server, and a shell that is set up for it."""
    folder = tmp_path_factory.mktemp("az")
    with az_shell(folder, RunningServer(folder / "home")) as made:
        yield made


@pytest.fixture(scope="module")
def group(shell: Shell) -> str:
    made = shell.az("group create --name myresourcegroup --location", "West Europe")
    assert made == {
        "id": f"/subscriptions/{DEFAULT}/resourceGroups/myresourcegroup",
        "location": made["location"],
        "managedBy": None,
        "name": "myresourcegroup",
        "properties": {"provisioningState": "Succeeded"},
        "tags": made["tags"],
        "type": "Microsoft.Resources/resourceGroups",
    }
    return "myresourcegroup"


def test_a_model_answers_blobs(shell: Shell, group: str) -> None:
    """The sequence of Azure's article on Azure ML models as functions, step by step."""
    write_app(shell.folder)
    done = subprocess.run(
        [sys.executable, "-c", PACKAGE, DEFAULT],
        cwd=shell.folder,
        env=shell.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    location = done.stdout.split()[-1]
    registry, digest = location.split("/")[-2], location.partition("@")[2]
    assert digest.startswith("sha256:")

    credentials = shell.az(f"acr credential show --name {registry}")
    assert credentials["username"] == registry
    assert [password["name"] for password in credentials["passwords"]] == ["password", "password2"]
    password = credentials["passwords"][0]["value"]
    renewed = shell.az(f"acr credential renew --name {registry} --password-name password2")
    assert renewed["passwords"][0]["value"] == password
    assert renewed["passwords"][1]["value"] != credentials["passwords"][1]["value"]
    server = shell.az(f"acr show --name {registry}")["loginServer"]
    tags = shell.az(f"acr repository show-tags --repository package --name {registry}")
    tag = next(tag for tag in tags if len(tag) == 14)  # 20190827195524

    plan = shell.az(f"appservice plan create --name myplan --resource-group {group} --sku B1 --is-linux")
    assert plan["provisioningState"] == "Succeeded"
    assert plan["sku"]["name"] == "B1"
    elastic = shell.az(
        f"functionapp plan create --name elastic --resource-group {group} --sku EP1 --is-linux"
    )
    assert elastic["sku"]["name"] == "EP1"
    for account in ("webjobstorage1", "triggerstorage1"):
        stored = shell.az(
            f"storage account create --name {account} --location westeurope --resource-group {group} "
            "--sku Standard_LRS"
        )
        assert stored["provisioningState"] == "Succeeded"
        assert set(stored["primaryEndpoints"]) >= {"blob", "queue"}
    created = shell.az(
        f"functionapp create --resource-group {group} --plan myplan --name myapp "
        f"--deployment-container-image-name {server}/package:{tag} --storage-account webjobstorage1"
    )
    assert created["name"] == "myapp"
    assert created["kind"] == "functionapp,linux,container"
    keys = shell.az(f"storage account keys list -g {group} -n triggerstorage1")
    assert [key["keyName"] for key in keys] == ["key1", "key2"]
    connection = shell.az(
        f"storage account show-connection-string --resource-group {group} --name triggerstorage1"
    )["connectionString"]
    assert keys[0]["value"] in connection
    for container in ("input", "output"):
        made = shell.az(f"storage container create -n {container} --connection-string", connection)
        assert made == {"created": True}
    changed = shell.az(
        f"functionapp config appsettings set --name myapp --resource-group {group} --settings",
        f"TriggerConnectionString={connection}",
        "Unneeded=1",
    )
    assert {setting["name"] for setting in changed} >= {"TriggerConnectionString", "AzureWebJobsStorage"}
    shell.az(
        f"functionapp config appsettings delete --name myapp --resource-group {group} --setting-names Unneeded"
    )
    contained = shell.az(
        f"functionapp config container set --name myapp --resource-group {group} "
        f"--docker-custom-image-name {server}/package:{tag} "
        f"--docker-registry-server-url https://{server} --docker-registry-server-user {registry} "
        f"--docker-registry-server-password {password}"
    )
    assert contained == [
        {"name": "WEBSITES_ENABLE_APP_SERVICE_STORAGE", "slotSetting": False, "value": "false"},
        {"name": "DOCKER_REGISTRY_SERVER_URL", "slotSetting": False, "value": f"https://{server}"},
        {"name": "DOCKER_REGISTRY_SERVER_USERNAME", "slotSetting": False, "value": registry},
        {"name": "DOCKER_REGISTRY_SERVER_PASSWORD", "slotSetting": False, "value": None},
        {"name": "DOCKER_CUSTOM_IMAGE_NAME", "value": f"DOCKER|{server}/package:{tag}"},
    ]

    (shell.folder / "in.json").write_text('{"data": [1, 2]}')
    uploaded = shell.az("storage blob upload -c input -f in.json -n one.json --connection-string", connection)
    assert uploaded["etag"]

    def answered() -> bool:
        asked = shell.az("storage blob exists -c output -n one_out.json --connection-string", connection)
        return bool(asked["exists"])

    eventually(answered, "the model's answer is there", 240)
    names = shell.az("storage blob list -c output --connection-string", connection)
    assert [blob["name"] for blob in names] == ["one_out.json"]
    shell.az(
        "storage blob download -c output -n one_out.json -f out.json --no-progress --connection-string",
        connection,
    )
    assert json.loads((shell.folder / "out.json").read_text()) == [2.0, 4.0]

    shown = shell.az(f"functionapp show --name myapp --resource-group {group}")
    assert shown["state"] == "Running"
    listed = shell.az(f"functionapp config appsettings list --name myapp --resource-group {group}")
    assert "Unneeded" not in {setting["name"] for setting in listed}
    assert shell.az(f"functionapp keys list --name myapp --resource-group {group}")["masterKey"]
    logged(shell, f"webapp log tail --name myapp --resource-group {group}", "loaded weight")
    for action in ("restart", "stop", "start"):
        shell.az(f"functionapp {action} --name myapp --resource-group {group}")
    shell.az(f"functionapp delete --name myapp --resource-group {group}")

    def gone() -> bool:
        return not shell.az(f"functionapp list --resource-group {group}")

    eventually(gone, "the app is gone", 240)


def logged(shell: Shell, line: str, text: str) -> None:
    """What a command that never ends says."""
    path = shell.folder / "log.txt"
    with path.open("w") as output:
        process = subprocess.Popen(
            ["az", *line.split()], cwd=shell.folder, env=shell.variables, stdout=output, stderr=output
        )
    try:
        eventually(lambda: text in path.read_text() or process.poll() is not None, "the log is followed", 120)
        assert text in path.read_text(), path.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("storage account create -g {group} -n triggerStorage", "AccountNameInvalid", "'triggerstorage'"),
        (
            "storage account create -g nowhere -n someaccount -l local",
            "ResourceGroupNotFound",
            "az group create",
        ),
        ("storage account keys list -g {group} -n absentaccount", "ResourceNotFound", "absentaccount"),
        ("functionapp show -g {group} -n absent", "ResourceNotFound", "absent"),
        (
            "functionapp config appsettings set -g {group} -n absent --settings A=1",
            "ResourceNotFound",
            "absent",
        ),
        ("appservice plan create -g nowhere -n plan --sku B1 --is-linux", "ResourceGroupNotFound", "nowhere"),
        ("appservice plan create -g {group} -n p! --sku B1 --is-linux", "InvalidResourceName", "letters"),
        ("acr credential show -n absentregistry", "absentregistry", "could not be found"),
        ("network vnet list", "InvalidResourceType", "virtualNetworks"),
    ],
)
def test_wrong_steps_have_azures_code_and_a_sentence(
    shell: Shell, group: str, command: str, code: str, sentence: str
) -> None:
    said = shell.refused(command.format(group=group))
    assert code in said
    assert sentence in said


def test_a_wrong_password_is_refused(shell: Shell) -> None:
    tenant = shell.az("account show")["tenantId"]
    said = shell.refused(f"login --service-principal --username someone --password wrong --tenant {tenant}")
    assert "AADSTS7000215" in said
    assert "no token of this server" in said


def test_the_example(shell: Shell) -> None:
    """Azure's article as examples/functions/deploy.sh has it."""
    folder = shell.folder / "example"
    shutil.copytree(ROOT / "examples" / "functions", folder)
    inside = Shell(folder, shell.variables)
    inside.run(sys.executable, "train.py")
    location = inside.run(sys.executable, "package_blob.py").stdout.split()[-1]
    said = inside.run("./deploy.sh", location, seconds=900).stdout
    answer = json.loads((folder / "sample_input_out.json").read_text())
    assert len(answer) == 2
    assert json.dumps(answer) in said
    inside.az("functionapp delete --name diabetesapp --resource-group myresourcegroup")


def test_the_guide(shell: Shell) -> None:
    script = []
    for block in blocks(ROOT / "docs" / "guide" / "az.md"):
        if block.note.startswith("file: "):
            (shell.folder / block.note.removeprefix("file: ")).write_text(block.code)
        elif block.note == "az":
            script.append(block.code)
    assert len(script) == 4
    shell.run("bash", "-euo", "pipefail", "-c", "\n".join(script), seconds=900)
    assert json.loads((shell.folder / "answer.json").read_text()) == [2, 4]
