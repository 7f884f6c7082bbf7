"""The ARM edge over HTTP, with requests of the shapes that azure-cli 2.91 sends."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support import RunningServer

SUB = "/subscriptions/11111111-1111-1111-1111-111111111111"
GROUP = SUB + "/resourcegroups/myrg"
LOGIN = "/adfs/oauth2/token"
API = {"api-version": "2024-01-01"}


class Az:
    """A client that has signed in as `az` does."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self.http = http
        self.token = token

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.request(method, path, json=body, headers=headers, params={**API, **query})
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    def refused(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, str, str]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.request(method, path, json=body, headers=headers, params={**API, **query})
        error = answer.json()["error"]
        assert set(error) <= {"code", "message", "target"}
        return answer.status_code, error["code"], error["message"]


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def owner(server: RunningServer) -> dict[str, str]:
    """The header of the server's owner."""
    return {"Authorization": f"Bearer {server.token}"}


@pytest.fixture(scope="module")
def host(server: RunningServer) -> str:
    return urlsplit(server.url).netloc


def new_token(http: httpx.Client, owner: dict[str, str], name: str, **more: Any) -> str:
    body = {"name": name, "role": "owner", "workspaces": None, "expiresInDays": None, **more}
    answer = http.post("/mooring/v1/tokens", json=body, headers=owner)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def sign_in(http: httpx.Client, name: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    answer = http.post(LOGIN, data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def secret(http: httpx.Client, owner: dict[str, str]) -> str:
    return new_token(http, owner, "az")


@pytest.fixture(scope="module")
def az(http: httpx.Client, secret: str) -> Az:
    made = Az(http, sign_in(http, "az", secret))
    made("PUT", GROUP, {"location": "West Europe"}, status=201)
    return made


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_the_cloud_is_found(http: httpx.Client) -> None:
    found = http.get("/metadata/endpoints", params=API).json()
    assert found["resourceManager"] == str(http.base_url).rstrip("/")
    # This ending is what keeps MSAL from asking Microsoft whether it knows the authority.
    assert found["authentication"]["loginEndpoint"].endswith("/adfs")
    discovery = http.get("/adfs/.well-known/openid-configuration").json()
    assert discovery["token_endpoint"] == found["resourceManager"] + LOGIN


def test_a_token_of_ours_signs_in(http: httpx.Client, az: Az, secret: str) -> None:
    assert claims(az.token)["exp"] - claims(az.token)["iat"] == 3600
    found = next(one for one in az("GET", "/subscriptions")["value"] if one["id"] == SUB)
    assert found["state"] == "Enabled"
    assert found["tenantId"] == claims(az.token)["tid"] == az("GET", "/tenants")["value"][0]["tenantId"]
    form = {"grant_type": "password", "username": "az", "password": secret, "client_id": "cli"}
    answer = http.post(LOGIN, data=form).json()
    assert claims(answer["id_token"])["upn"] == "az"
    again = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"], "client_id": "cli"}
    renewed = http.post(LOGIN, data=again).json()["access_token"]
    assert Az(http, renewed)("GET", "/subscriptions")["value"]
    # The one kind is not good for the other.
    assert http.post(LOGIN, data={**again, "refresh_token": renewed}).status_code == 400
    wrong = Az(http, answer["refresh_token"]).refused("GET", "/subscriptions")
    assert wrong[:2] == (401, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"grant_type": "client_credentials", "client_id": "az", "client_secret": "x"}, 401, "AADSTS7000215"),
        ({"grant_type": "password", "username": "az", "password": "x"}, 400, "AADSTS7000215"),
        ({"grant_type": "refresh_token", "refresh_token": "x.y.z"}, 400, "AADSTS700082"),
        ({"grant_type": "device_code", "code": "x"}, 400, "AADSTS70020"),
        ({"grant_type": "telepathy"}, 400, "AADSTS70003"),
        ({}, 400, "AADSTS70003"),
    ],
)
def test_what_does_not_sign_in(http: httpx.Client, form: dict[str, str], status: int, code: str) -> None:
    answer = http.post(LOGIN, data=form)
    assert answer.status_code == status
    assert answer.json()["error_description"].startswith(code + ": ")


def test_a_token_signs_in_under_its_own_name_only(http: httpx.Client, secret: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": "other", "client_secret": secret}
    assert "AADSTS700016" in http.post(LOGIN, data=form).json()["error_description"]


def test_a_revoked_token_ends_what_it_signed_in(http: httpx.Client, owner: dict[str, str]) -> None:
    az = Az(http, sign_in(http, "short", new_token(http, owner, "short")))
    assert az("GET", "/subscriptions")["value"]
    assert http.delete("/mooring/v1/tokens/short", headers=owner).status_code == 204
    assert az.refused("GET", "/subscriptions")[0] == 401


def test_a_device_is_let_in_by_its_code(http: httpx.Client, secret: str) -> None:
    begun = http.post("/adfs/oauth2/devicecode", data={"client_id": "cli"}).json()
    assert begun["user_code"] in begun["message"]
    ask = {"grant_type": "device_code", "client_id": "cli", "code": begun["device_code"]}
    assert http.post(LOGIN, data=ask).json() == {"error": "authorization_pending"}
    page = "/adfs/oauth2/devicelogin"
    assert "<form" in http.get(page).text
    refused = http.post(page, data={"user_code": begun["user_code"], "token": "wrong"})
    assert refused.status_code == 401
    assert http.post(page, data={"user_code": "<x>", "token": secret}).text.count("<x>") == 0
    assert http.post(page, data={"user_code": begun["user_code"], "token": secret}).status_code == 200
    assert Az(http, http.post(LOGIN, data=ask).json()["access_token"])("GET", "/subscriptions")
    assert "AADSTS70020" in http.post(LOGIN, data=ask).text


def test_arm_says_what_it_needs(http: httpx.Client, az: Az) -> None:
    headers = {"Authorization": f"Bearer {az.token}"}
    answer = http.get("/subscriptions", headers=headers)
    assert answer.json()["error"]["code"] == "MissingApiVersionParameter"
    assert http.get("/subscriptions", params=API).json()["error"]["code"] == "AuthenticationFailed"
    status, code, message = az.refused("GET", GROUP + "/providers/Microsoft.Network/virtualNetworks")
    assert (status, code) == (404, "InvalidResourceType")
    assert "docs/guide/az.md" in message
    assert az.refused("PUT", GROUP, ["no", "object"])[1] == "InvalidRequestContent"


def test_groups(az: Az) -> None:
    found = az("GET", GROUP.replace("resourcegroups", "RESOURCEGROUPS").replace("myrg", "MyRG"))
    assert (found["name"], found["location"]) == ("myrg", "West Europe")
    assert az("PUT", GROUP, {"location": "westeurope", "tags": {"a": "b"}})["tags"] == {"a": "b"}
    assert az.refused("PUT", GROUP, {"location": "eastus"})[:2] == (409, "InvalidResourceGroupLocation")
    assert az.refused("PUT", SUB + "/resourceGroups/other", {})[1] == "LocationRequired"
    az("HEAD", GROUP, status=204)
    az("HEAD", GROUP + "x", status=404)
    base = str(az.http.base_url).rstrip("/")
    assert found["id"] in str(
        az("GET", f"{base}/{SUB}/resourcegroups")
    )  # two slashes, as az has them at times
    assert az.refused("GET", GROUP + "x")[:2] == (404, "ResourceGroupNotFound")
    assert az.refused("PUT", SUB + "/resourcegroups/ends.", {"location": "l"})[1] == "InvalidResourceName"


def test_a_group_goes_with_what_is_in_it(az: Az) -> None:
    group = SUB + "/resourcegroups/going"
    az("PUT", group, {"location": "local"}, status=201)
    account = group + "/providers/Microsoft.Storage/storageAccounts/goingaccount"
    az("PUT", account, {"location": "local", "sku": {"name": "Standard_LRS"}})
    az(
        "PUT",
        group + "/providers/Microsoft.Web/serverfarms/plan",
        {"location": "local", "sku": {"name": "B1"}},
    )
    az("DELETE", group)
    assert az.refused("GET", group)[0] == 404
    assert az.refused("GET", account)[0] == 404


def test_a_group_with_a_workspace_stays(http: httpx.Client, owner: dict[str, str], az: Az) -> None:
    path = f"/mooring/v1{SUB}/resourceGroups/held/workspaces/held"
    assert http.put(path, json={}, headers=owner).status_code == 201
    held = SUB + "/resourceGroups/held"
    assert az("GET", held)["name"] == "held"
    assert az.refused("DELETE", held)[:2] == (409, "ResourceGroupDeletionBlocked")
    assert http.get(path, headers=owner).status_code == 200


@pytest.fixture(scope="module")
def registry(http: httpx.Client, owner: dict[str, str], az: Az) -> str:
    path = f"/mooring/v1{SUB}/resourceGroups/ml/workspaces/ml"
    answer = http.put(path, json={}, headers=owner)
    assert answer.status_code == 201
    return str(answer.json()["containerRegistry"])


def test_a_registry_is_found_by_its_name_and_opened(
    http: httpx.Client, host: str, az: Az, registry: str
) -> None:
    name = registry.rpartition("/")[2]
    query = {"$filter": f"resourceType eq 'Microsoft.ContainerRegistry/registries' and name eq '{name}'"}
    [found] = az("GET", SUB + "/resources", **query)["value"]
    assert found["id"] == registry
    server = az("GET", registry)["properties"]["loginServer"]
    assert server == f"{host}/{name}"
    credentials = az("POST", registry + "/listCredentials")
    assert credentials["username"] == name
    changed = az("POST", registry + "/regenerateCredential", {"name": "password2"})
    assert changed["passwords"][0] == credentials["passwords"][0]
    assert changed["passwords"][1] != credentials["passwords"][1]
    assert az.refused("POST", registry + "/regenerateCredential", {"name": "x"})[1] == "InvalidPasswordName"
    assert az.refused("GET", registry + "x")[:2] == (404, "ResourceNotFound")
    assert az.refused("GET", SUB + "/resources", **{"$filter": "x lt 1"})[1] == "InvalidFilterInQueryString"

    # az asks for the way first, exchanges its token there, and takes the answer to the registry.
    challenge = http.get(f"/{name}/v2/")
    assert challenge.status_code == 401
    assert f'service="{server}"' in challenge.headers["www-authenticate"]
    form = {"grant_type": "access_token", "service": server, "access_token": az.token}
    refresh = http.post("/oauth2/exchange", data=form).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": server, "refresh_token": refresh}
    form["scope"] = "repository:package:metadata_read"
    token = http.post("/oauth2/token", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert http.get(f"/{name}/acr/v1/_catalog", headers=headers).json() == {"repositories": []}
    unknown = http.get(f"/{name}/acr/v1/package/_tags", headers=headers)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    assert http.get("/otherregistry/acr/v1/_catalog", headers=headers).status_code == 401
    # Docker shows the same token as a password, under the user that Azure has for that.
    user = "00000000-0000-0000-0000-000000000000"
    assert http.get("/v2/", auth=(user, refresh)).status_code == 200
    assert http.get("/v2/", auth=(user, az.token)).status_code == 401
    assert http.get("/v2/", auth=(name, credentials["passwords"][1]["value"])).status_code == 401
    bad = {"grant_type": "access_token", "service": server, "access_token": "x.y.z"}
    assert http.post("/oauth2/exchange", data=bad).status_code == 401


def test_storage_accounts(az: Az) -> None:
    path = GROUP + "/providers/Microsoft.Storage/storageAccounts/webjobstorage1"
    check = SUB + "/providers/Microsoft.Storage/checkNameAvailability"
    asked = {"name": "webjobstorage1", "type": "Microsoft.Storage/storageAccounts"}
    assert az("POST", check, asked)["nameAvailable"]
    body = {"sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "location": "westeurope", "properties": {}}
    made = az("PUT", path, body)
    # az makes function apps of accounts with all three only.
    assert set(made["properties"]["primaryEndpoints"]) >= {"blob", "queue", "table"}
    assert not az("POST", check, asked)["nameAvailable"]
    keys = az("POST", path + "/listKeys")["keys"]
    renewed = az("POST", path + "/regenerateKey", {"keyName": "key1"})["keys"]
    assert (renewed[0]["value"] != keys[0]["value"], renewed[1]) == (True, keys[1])
    upper = path.replace("webjobstorage1", "triggerStorage")
    status, code, message = az.refused("PUT", upper, body)
    assert (status, code) == (400, "AccountNameInvalid")
    assert "'triggerstorage'" in message
    assert az.refused("PUT", path.replace("myrg", "absent"), body)[1] == "ResourceGroupNotFound"
    assert [
        one["name"] for one in az("GET", SUB + "/providers/Microsoft.Storage/storageAccounts")["value"]
    ] == ["webjobstorage1"]
    az("DELETE", path)
    assert az.refused("GET", path)[:2] == (404, "ResourceNotFound")


def test_a_function_app(host: str, az: Az) -> None:
    web = GROUP + "/providers/Microsoft.Web"
    plan = web + "/serverfarms/myplan"
    body = {
        "location": "westeurope",
        "sku": {"name": "B1", "tier": "BASIC"},
        "properties": {"reserved": True},
    }
    assert az("PUT", plan, body)["sku"]["tier"] == "Basic"
    windows = {**body, "properties": {"reserved": False}}
    assert az.refused("PUT", plan, windows)[1] == "LinuxOnly"
    stacks = az("GET", "/providers/Microsoft.Web/functionAppStacks")["value"]
    assert {stack["name"] for stack in stacks} == {"dotnet", "docker"}
    site = web + "/sites/myapp"
    image = f"DOCKER|{host}/reg/package:20190827195524"
    settings = [{"name": "FUNCTIONS_EXTENSION_VERSION", "value": "~4"}]
    config = {"appSettings": settings, "linuxFxVersion": image}
    wanted = {"serverFarmId": "myplan", "reserved": True, "siteConfig": config}
    request = {"kind": "functionapp,linux,container", "location": "westeurope", "properties": wanted}
    made = az("PUT", site, request)["properties"]
    assert made["serverFarmId"].lower() == plan.lower()
    assert made["state"] == "Running"
    hosts = {host["hostType"]: host["name"] for host in made["hostNameSslStates"]}
    assert hosts["Repository"] == f"{host}/scm/myapp"
    missing = {lack["name"] for lack in az("GET", site)["properties"]["missing"]}
    assert missing <= {
        "AzureWebJobsStorage",
        "DOCKER_REGISTRY_SERVER_USERNAME",
        "DOCKER_REGISTRY_SERVER_PASSWORD",
    }
    digits = re.sub(r"[^\d.]", "", image)
    stacks = az("GET", "/providers/Microsoft.Web/functionAppStacks")["value"]
    docker = next(stack for stack in stacks if stack["name"] == "docker")["properties"]["majorVersions"][0]
    assert digits in {minor["value"] for minor in docker["minorVersions"]}

    listed = az("POST", site + "/config/appsettings/list")["properties"]
    assert listed["FUNCTIONS_EXTENSION_VERSION"] == "~4"
    az("PUT", site + "/config/appsettings", {"properties": {**listed, "A": "1"}})
    assert az("POST", site + "/config/appsettings/list")["properties"]["A"] == "1"
    assert (
        az.refused("PUT", site + "/config/appsettings", {"properties": {"a b": "1"}})[1]
        == "AppSettingInvalid"
    )
    assert az("GET", site + "/config/slotConfigNames")["properties"]["appSettingNames"] == []
    other = image[:-1] + "5"
    body = {"properties": {"linuxFxVersion": other}}
    assert az("PATCH", site + "/config/web", body)["properties"]["linuxFxVersion"] == other
    assert az("GET", site + "/config/web")["properties"]["linuxFxVersion"] == other
    python = {"properties": {"linuxFxVersion": "Python|3.11"}}
    assert az.refused("PATCH", site + "/config/web", python)[1] == "ImageReferenceInvalid"
    assert "<publishData>" in az("POST", site + "/publishxml", {"format": "WebDeploy"})
    assert az("POST", site + "/host/default/listkeys")["functionKeys"]["default"]
    for action in ("stop", "start", "restart"):
        az("POST", f"{site}/{action}")
    assert az.refused("POST", site + "x/restart")[:2] == (404, "ResourceNotFound")
    assert az.refused("PUT", site, {**request, "kind": "app"})[1] == "KindNotSupported"
    absent = {**request, "properties": {**wanted, "serverFarmId": "absent"}}
    assert az.refused("PUT", site, absent)[:2] == (404, "ResourceNotFound")
    az("DELETE", site)


def test_logs_are_for_those_with_a_token(http: httpx.Client, az: Az) -> None:
    assert http.get("/scm/absent/logstream").json()["error"]["code"] == "AuthenticationFailed"
    headers = {"Authorization": f"Bearer {az.token}"}
    assert http.get("/scm/absent/logstream", headers=headers).json()["error"]["code"] == "ResourceNotFound"


def test_roles_hold_here_as_well(http: httpx.Client, owner: dict[str, str], az: Az) -> None:
    reader = Az(http, sign_in(http, "reader", new_token(http, owner, "reader", role="reader")))
    assert reader("GET", GROUP)["name"] == "myrg"
    assert reader.refused("PUT", GROUP, {"location": "westeurope"})[:2] == (403, "AuthorizationFailed")
    path = f"/mooring/v1{SUB}/resourceGroups/one/workspaces/one"
    registry = http.put(path, json={}, headers=owner).json()["containerRegistry"]
    scope = {"subscription": SUB.split("/")[2], "resourceGroup": "one", "name": "one"}
    limited = new_token(http, owner, "limited", role="contributor", workspaces=[scope])
    one = Az(http, sign_in(http, "limited", limited))
    assert one("GET", registry)["id"] == registry
    assert one("POST", registry + "/listCredentials")["passwords"]
    assert one.refused("GET", GROUP)[:2] == (403, "AuthorizationFailed")
    found = one("GET", SUB + "/resources")["value"]
    assert [resource["id"] for resource in found] == [registry]
