"""`mooring storage`, by the verbs of `az storage`: accounts and their keys."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import storage_blobs
from mooring.cli import workspaces as places
from mooring.cli.calls import call
from mooring.cli.confirm import confirm
from mooring.cli.options import DryRun, Tags, Text, Yes, key_values
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group
from mooring.cli.storage_places import find, path_of

ACCOUNTS: Columns = (
    ("Name", "name"),
    ("Resource group", "resourceGroup"),
    ("Location", "location"),
    ("Created", "creationTime"),
    ("Blob endpoint", lambda row: row["primaryEndpoints"]["blob"]),
)
KEYS: Columns = (("Key name", "keyName"), ("Value", "value"), ("Created", "creationTime"))

app = group("Storage accounts, their containers and blobs, as `az storage` has them.")
accounts = group("Storage accounts.")
keys = group("Keys of a storage account.")
app.add_typer(accounts, name="account")
accounts.add_typer(keys, name="keys")
app.add_typer(storage_blobs.containers, name="container")
app.add_typer(storage_blobs.blobs, name="blob")

AccountName = Annotated[str, typer.Option("--name", "-n", help="Name of the storage account.")]
KeysOf = Annotated[str, typer.Option("--account-name", "-n", help="Name of the storage account.")]
ResourceGroup = Annotated[Text, typer.Option("--resource-group", "-g", help="Its resource group.")]
Subscription = Annotated[Text, typer.Option("--subscription", help="Its subscription.")]


@command(accounts, "create", workspace=False)
def create_account(
    session: Session,
    name: AccountName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    location: Annotated[Text, typer.Option("--location", "-l", help="Kept, without effect.")] = None,
    sku: Annotated[Text, typer.Option("--sku", help="Kept, without effect.")] = None,
    tag: Tags = None,
) -> None:
    """Create a storage account. Its name has 3 to 24 lower-case letters and digits, and is one for the whole server.

    Examples:
      mooring storage account create -n triggerstorage -g myresourcegroup
    """
    body = {"location": location, "sku": sku, "tags": key_values(tag, "--tag") or None}
    session.show(call("PUT", path_of(name, resource_group, subscription), body), ACCOUNTS)


@command(accounts, "list", workspace=False)
def list_accounts(
    session: Session, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """List the storage accounts of the subscription, or of one resource group.

    Examples:
      mooring storage account list -g myresourcegroup
    """
    from mooring.sdk.client import part

    meant, _, _ = places.scope(None, None, subscription)
    query = f"?resourceGroup={part(resource_group)}" if resource_group else ""
    rows = call("GET", f"/subscriptions/{part(meant)}/storageAccounts{query}")["value"]
    session.show_all(rows, ACCOUNTS, empty="There are no storage accounts.")


@command(accounts, "show", workspace=False)
def show_account(
    session: Session,
    name: AccountName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
) -> None:
    """Show a storage account.

    Examples:
      mooring storage account show -n triggerstorage
    """
    session.show(call("GET", find(name, resource_group, subscription)), ACCOUNTS)


@command(accounts, "delete", workspace=False)
def delete_account(
    session: Session,
    name: AccountName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a storage account with all that it holds.

    Examples:
      mooring storage account delete -n triggerstorage --yes
    """
    path = find(name, resource_group, subscription)
    if dry_run:
        session.say(f"Would delete the storage account {name} with all its containers and queues.")
        return
    confirm(f"delete the storage account {name} with all its containers and queues", yes=yes)
    call("DELETE", path)
    session.say(f"Deleted {name}.")


@command(accounts, "show-connection-string", workspace=False)
def show_connection_string(
    session: Session,
    name: AccountName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
) -> None:
    """Show what storage SDKs and `az storage --connection-string` connect by. It holds a key.

    Examples:
      mooring storage account show-connection-string -n triggerstorage
    """
    path = find(name, resource_group, subscription)
    session.show(call("POST", f"{path}/connectionString"), (("Connection string", "connectionString"),))


@command(keys, "list", workspace=False)
def list_keys(
    session: Session, name: KeysOf, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """Show both keys of a storage account.

    Examples:
      mooring storage account keys list -n triggerstorage
    """
    path = find(name, resource_group, subscription)
    session.show_all(call("POST", f"{path}/listKeys")["keys"], KEYS, empty="")


@command(keys, "renew", workspace=False)
def renew_key(
    session: Session,
    name: KeysOf,
    key: Annotated[str, typer.Option("--key", help="key1 or key2 (primary, secondary).")],
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
) -> None:
    """Make a key anew; what was signed by the old one is refused from then on.

    Examples:
      mooring storage account keys renew -n triggerstorage --key key2
    """
    path = find(name, resource_group, subscription)
    meant = {"primary": "key1", "secondary": "key2"}.get(key, key)
    session.show_all(call("POST", f"{path}/regenerateKey", {"keyName": meant})["keys"], KEYS, empty="")
