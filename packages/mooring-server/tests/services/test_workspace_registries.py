"""Which registry a workspace uses, and what is known of the images that were pushed there."""

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.pulling import Puller
from mooring_server.services.repositories import Repositories
from mooring_server.services.workspace_registries import WorkspaceRegistries
from mooring_server.services.workspaces import Workspaces
from mooring_server.store.tables import Image, Workspace

USER, PASSWORD = "DOCKER_REGISTRY_SERVER_USERNAME", "DOCKER_REGISTRY_SERVER_PASSWORD"
GOOD = {USER: "me", PASSWORD: "secret"}
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def pushed(context: Context, ref: WorkspaceRef) -> WorkspaceRef:
    """A workspace with an image that lies at ``elsewhere:5000/team/app:1``."""
    with context.db.write() as session:
        workspace = session.query(Workspace).one()
        workspace.external_registry = {
            "address": "elsewhere:5000/team",
            "username": "me",
            "password": "secret",
        }
        fields = {
            "name": "app", "version": 1, "label": "mylabel", "implicit": False, "flavor": "", "description": None,
            "tags": {}, "properties": {}, "request": {"files": []}, "model_ids": [], "error": None,
            "built": {"pushed": "elsewhere:5000/team/app:1"}, "operation_id": "", "created": "", "modified": "",
        }  # fmt: skip
        session.add(Image(workspace_id=workspace.id, state="Succeeded", digest=DIGEST, **fields))
    return ref


@pytest.fixture
def puller(context: Context) -> Puller:
    return Puller(context, Repositories(context), Workspaces(context).authenticate_registry)


@pytest.mark.parametrize("name", ["app:1", "app:mylabel", f"app@{DIGEST}"])
def test_a_function_app_takes_what_was_pushed(puller: Puller, pushed: WorkspaceRef, name: str) -> None:
    assert puller.resolve(f"elsewhere:5000/team/{name}", GOOD) == DIGEST
    for wrong in ({}, {USER: "me"}, {**GOOD, PASSWORD: "wrong"}, {**GOOD, USER: "you"}):
        with pytest.raises(MooringError) as caught:
            puller.resolve(f"elsewhere:5000/team/{name}", wrong)
        assert caught.value.code == "RegistryCredentialsWrong"


@pytest.mark.parametrize(
    "name", ["elsewhere:5000/team/app:2", "elsewhere:5000/app:1", "other:5000/team/app:1"]
)
def test_what_was_not_pushed_is_not_reached(puller: Puller, pushed: WorkspaceRef, name: str) -> None:
    with pytest.raises(MooringError) as caught:
        puller.resolve(name, GOOD)
    assert caught.value.code == "RegistryNotReachable"


def test_the_credentials_are_those_of_the_registry_that_is_used(
    context: Context, pushed: WorkspaceRef
) -> None:
    registries, workspaces = WorkspaceRegistries(context), Workspaces(context)
    assert registries.get(pushed) == {"address": "elsewhere:5000/team", "username": "me", "external": True}
    keys = workspaces.list_keys(pushed)["containerRegistryCredentials"]
    assert (keys["location"], keys["username"]) == ("elsewhere:5000", "me")
    assert keys["passwords"] == [{"name": "password", "value": "secret"}]
    assert registries.reset(pushed)["external"] is False
    keys = workspaces.list_keys(pushed)["containerRegistryCredentials"]
    assert [each["name"] for each in keys["passwords"]] == ["password", "password2"]


def test_an_address_that_is_none(context: Context, ref: WorkspaceRef) -> None:
    for address in ("", "a b", "registry.example.com/Team", "x" * 300 + ":99999999"):
        with pytest.raises(MooringError) as caught:
            WorkspaceRegistries(context).use(ref, address, "", "")
        assert caught.value.code == "RegistryAddressInvalid"


def test_passwords_are_renewed_one_by_one(context: Context, ref: WorkspaceRef) -> None:
    def values() -> list[str]:
        keys = Workspaces(context).list_keys(ref)["containerRegistryCredentials"]
        return [each["value"] for each in keys["passwords"]]

    before = values()
    WorkspaceRegistries(context).regenerate(ref, "password2")
    assert values()[0] == before[0]
    assert values()[1] != before[1]
    with pytest.raises(MooringError) as caught:
        WorkspaceRegistries(context).regenerate(ref, "password3")
    assert caught.value.code == "InvalidPasswordName"
