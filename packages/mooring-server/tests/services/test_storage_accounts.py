"""Storage accounts: names by Azure's rule, keys, connection strings."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.services.storage.accounts import AccountRef, StorageAccounts
from mooring_server.testing import make_context

REF = AccountRef("sub", "myrg", "triggerstorage")


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[StorageAccounts]:
    context = make_context(tmp_path)
    yield StorageAccounts(context)
    context.db.close()


def refused(code: str) -> "pytest.RaisesExc[MooringError]":
    return pytest.raises(MooringError, check=lambda error: error.code == code)


def test_an_account_has_arms_fields_two_keys_and_a_connection_string(accounts: StorageAccounts) -> None:
    view, created = accounts.create(REF, {"sku": "Premium_LRS", "tags": {"a": "b"}})
    assert created
    assert view["id"].endswith(
        "/resourceGroups/myrg/providers/Microsoft.Storage/storageAccounts/triggerstorage"
    )
    assert view["sku"] == {"name": "Premium_LRS", "tier": "Premium"}
    assert view["primaryEndpoints"] == {
        "blob": "http://127.0.0.1:5000/triggerstorage",
        "queue": "http://127.0.0.1:5000/triggerstorage-queue",
    }
    keys = accounts.list_keys(REF)
    assert [k["keyName"] for k in keys] == ["key1", "key2"]
    assert [len(base64.b64decode(k["value"])) for k in keys] == [64, 64]
    parts = dict(part.split("=", 1) for part in accounts.connection_string(REF).split(";"))
    assert parts["AccountKey"] == keys[0]["value"]
    assert parts["BlobEndpoint"] == view["primaryEndpoints"]["blob"]


def test_the_articles_name_gets_azures_error_and_one_that_would_do(accounts: StorageAccounts) -> None:
    with refused("AccountNameInvalid") as caught:
        accounts.create(AccountRef("sub", "myrg", "triggerStorage"), {})
    assert "between 3 and 24 characters in length and use numbers and lower-case letters only" in str(
        caught.value
    )
    assert "'triggerstorage'" in caught.value.hint
    answer = accounts.check_name("triggerStorage")
    assert (answer["nameAvailable"], answer["reason"]) == (False, "AccountNameInvalid")
    assert accounts.check_name("triggerstorage")["nameAvailable"]


@pytest.mark.parametrize("name", ["ab", "a" * 25, "a-b-c", "../../etc", "a.b.c", "", "ünï", "abc\n"])
def test_other_names_are_refused_too_and_what_is_proposed_is_allowed(
    accounts: StorageAccounts, name: str
) -> None:
    with refused("AccountNameInvalid") as caught:
        accounts.create(AccountRef("sub", "myrg", name), {})
    proposed = caught.value.hint.split("'")[1]
    assert accounts.check_name(proposed)["nameAvailable"]


def test_creating_again_changes_tags_only_and_another_group_is_refused(accounts: StorageAccounts) -> None:
    accounts.create(REF, {"tags": {"a": "b"}})
    keys = accounts.list_keys(REF)
    view, created = accounts.create(AccountRef("SUB", "MYRG", REF.name), {"tags": {"c": "d"}, "sku": "X_Y"})
    assert not created
    assert (view["tags"], view["sku"]["name"]) == ({"c": "d"}, "Standard_LRS")
    assert accounts.list_keys(REF) == keys
    with refused("StorageAccountAlreadyTaken"):
        accounts.create(AccountRef("sub", "other", REF.name), {})
    with refused("StorageAccountAlreadyTaken"):
        accounts.create(AccountRef("sub", "myrg", "mooring"), {})
    assert accounts.check_name(REF.name)["reason"] == "AlreadyExists"
    with refused("StorageAccountNotFound"):
        accounts.get(AccountRef("sub", "other", REF.name))


def test_a_renewed_key_is_another_one_and_is_told(accounts: StorageAccounts) -> None:
    told: list[str] = []
    accounts.changed = told.append
    accounts.create(REF, {})
    before, after = accounts.list_keys(REF), accounts.regenerate_key(REF, "key2")
    assert before[0] == after[0]
    assert before[1]["value"] != after[1]["value"]
    with refused("InvalidKeyName"):
        accounts.regenerate_key(REF, "key3")
    assert told == [REF.name]


def test_lists_are_of_a_subscription_or_group_and_deleted_ones_are_gone(accounts: StorageAccounts) -> None:
    accounts.create(REF, {})
    accounts.create(AccountRef("sub", "other", "second"), {})
    accounts.create(AccountRef("elsewhere", "myrg", "third"), {})
    assert [a["name"] for a in accounts.list("SUB")] == ["second", "triggerstorage"]
    assert [a["name"] for a in accounts.list("sub", "Other")] == ["second"]
    credentials = accounts.credentials(REF.name)
    assert credentials
    assert credentials in accounts.all_credentials()
    accounts.delete(REF)
    assert accounts.credentials(REF.name) is None
    with refused("StorageAccountNotFound"):
        accounts.delete(REF)
    accounts.create(REF, {})
    again = accounts.credentials(REF.name)
    assert again
    assert again.uid != credentials.uid
