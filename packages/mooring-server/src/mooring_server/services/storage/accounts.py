"""Storage accounts: create, read, delete, keys. What they hold is `services.storage.open_accounts`' business."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.names import check_name, storage_account_id
from mooring_server.domain.storage.names import check_account_name
from mooring_server.services.context import Context, GroupRef
from mooring_server.store.tables import StorageAccount, now

KEY_NAMES = ("key1", "key2")
_DEFAULTS = {"location": "local", "kind": "StorageV2", "sku": "Standard_LRS"}


class AccountView(TypedDict):
    """A storage account: the fields of ARM's ``Microsoft.Storage/storageAccounts``, flat as ``az`` prints them."""

    id: str
    name: str
    type: str
    location: str
    kind: str
    sku: dict[str, str]
    tags: dict[str, str]
    subscription: str
    resourceGroup: str
    creationTime: str
    primaryEndpoints: dict[str, str]
    primaryLocation: str
    statusOfPrimary: str
    provisioningState: str


class KeyView(TypedDict):
    """One of the two keys, as ARM's ``listKeys`` shows it."""

    keyName: str
    value: str
    permissions: str
    creationTime: str


class Availability(TypedDict):
    """ARM's answer of ``checkNameAvailability``."""

    nameAvailable: bool
    reason: str | None
    message: str | None


@dataclass(frozen=True)
class AccountRef:
    """The names by which a caller speaks of an account. Groups are compared without regard to case."""

    subscription: str
    resource_group: str
    name: str


@dataclass(frozen=True)
class Credentials:
    """What the data plane has to know of an account.

    Attributes:
        uid: names the directory of its data.
        keys: the two keys, decoded.
    """

    name: str
    uid: str
    keys: tuple[bytes, bytes]


def _nothing(_name: str) -> None:
    """Where nobody serves the accounts' data, nobody needs to hear of changes."""


class StorageAccounts:
    """The accounts of a server. Names are one for all subscriptions and groups, as in Azure.

    Args:
        changed: is told the name of an account that was deleted or whose keys were renewed, after the commit.
    """

    def __init__(self, context: Context, changed: Callable[[str], None] = _nothing) -> None:
        self._context = context
        self.changed = changed

    def create(self, ref: AccountRef, settings: dict[str, Any]) -> tuple[AccountView, bool]:
        """Create an account, or change the tags of one that the group has; returns it and whether it is new.

        Args:
            ref: its names.
            settings: ``location``, ``kind``, ``sku`` (a name such as ``Standard_LRS``), ``tags``; all may be missing.

        Raises:
            InvalidRequest: ``AccountNameInvalid``, with the name that would do; ``InvalidName``.
            Conflict: ``StorageAccountAlreadyTaken`` when another group has the name.
        """
        check_name("subscription", ref.subscription)
        check_name("resource group", ref.resource_group)
        check_account_name(ref.name)
        with self._context.db.write() as session:
            account = session.scalar(select(StorageAccount).where(StorageAccount.name == ref.name))
            if account is not None:
                if not _in_group(account, ref):
                    raise Conflict(
                        "StorageAccountAlreadyTaken",
                        f"The storage account named {ref.name} is already taken.",
                        hint="Names are one for all resource groups of a server; choose another.",
                        target=ref.name,
                    )
                if settings.get("tags") is not None:
                    account.tags = settings["tags"]
                return self._view(account), False
            at = now()
            account = StorageAccount(
                uid=uuid.uuid4().hex,
                name=ref.name,
                subscription=ref.subscription,
                resource_group=ref.resource_group,
                **{field: settings.get(field) or default for field, default in _DEFAULTS.items()},
                tags=settings.get("tags") or {},
                key1=_new_key(),
                key2=_new_key(),
                key1_created=at,
                key2_created=at,
                created=at,
            )
            session.add(account)
            session.flush()
            return self._view(account), True

    def get(self, ref: AccountRef) -> AccountView:
        """One account.

        Raises:
            NotFound: ``StorageAccountNotFound``.
        """
        with self._context.db.read() as session:
            return self._view(_find(session, ref))

    def find(self, name: str) -> AccountRef:
        """The account of that name, in whichever group it is.

        Raises:
            NotFound: ``StorageAccountNotFound``.
        """
        with self._context.db.read() as session:
            account = session.scalar(select(StorageAccount).where(StorageAccount.name == name))
        if account is None:
            raise _not_found(name)
        return AccountRef(account.subscription, account.resource_group, account.name)

    def check_name(self, name: str) -> Availability:
        """Whether a new account may have the name, in the shape of ARM's ``checkNameAvailability``."""
        try:
            check_account_name(name)
        except InvalidRequest as error:
            return {
                "nameAvailable": False,
                "reason": "AccountNameInvalid",
                "message": f"{error.message} {error.hint}",
            }
        except Conflict as error:
            return {"nameAvailable": False, "reason": "AlreadyExists", "message": error.message}
        with self._context.db.read() as session:
            taken = session.scalar(select(StorageAccount.id).where(StorageAccount.name == name)) is not None
        message = f"The storage account named {name} is already taken." if taken else None
        return {
            "nameAvailable": not taken,
            "reason": "AlreadyExists" if taken else None,
            "message": message,
        }

    def delete(self, ref: AccountRef) -> None:
        """Delete an account with all that it holds; its keys open nothing from here on.

        Raises:
            NotFound: ``StorageAccountNotFound``.
        """
        with self._context.db.write() as session:
            session.delete(_find(session, ref))
        self.changed(ref.name)

    def delete_group(self, group: GroupRef) -> None:
        """Delete all of a resource group."""
        for view in self.list(group.subscription, group.name):
            self.delete(AccountRef(view["subscription"], view["resourceGroup"], view["name"]))

    def list_keys(self, ref: AccountRef) -> list[KeyView]:
        """Both keys.

        Raises:
            NotFound: ``StorageAccountNotFound``.
        """
        with self._context.db.read() as session:
            return _keys(_find(session, ref))

    def regenerate_key(self, ref: AccountRef, key_name: str) -> list[KeyView]:
        """Make one of the keys anew; signatures by the old one are refused from here on.

        Raises:
            NotFound: ``StorageAccountNotFound``.
            InvalidRequest: ``InvalidKeyName``.
        """
        if key_name not in KEY_NAMES:
            raise InvalidRequest(
                "InvalidKeyName",
                f"{key_name[:100]!r} is no key of a storage account.",
                hint="The keys are key1 and key2.",
                target=key_name[:100],
            )
        with self._context.db.write() as session:
            account = _find(session, ref)
            setattr(account, key_name, _new_key())
            setattr(account, f"{key_name}_created", now())
            keys = _keys(account)
        self.changed(ref.name)
        return keys

    def connection_string(self, ref: AccountRef) -> str:
        """What the storage SDKs and ``az storage --connection-string`` take, with the first key.

        Raises:
            NotFound: ``StorageAccountNotFound``.
        """
        with self._context.db.read() as session:
            account = _find(session, ref)
            endpoints = self._endpoints(account.name)
            return (
                f"DefaultEndpointsProtocol={self._context.scheme};AccountName={account.name};"
                f"AccountKey={account.key1};BlobEndpoint={endpoints['blob']};QueueEndpoint={endpoints['queue']}"
            )

    def complete(self, text: str) -> str:
        """A connection string for one of ours that does not say where it is, as ``az`` writes them, with its endpoints.

        Any other text is given back as it is.
        """
        parts = dict(part.partition("=")[::2] for part in text.split(";") if part)
        name = parts.get("AccountName")
        if not name or "AccountKey" not in parts or "BlobEndpoint" in parts or self.credentials(name) is None:
            return text
        endpoints = self._endpoints(name)
        return (
            f"DefaultEndpointsProtocol={self._context.scheme};AccountName={name};AccountKey={parts['AccountKey']};"
            f"BlobEndpoint={endpoints['blob']};QueueEndpoint={endpoints['queue']}"
        )

    def credentials(self, name: str) -> Credentials | None:
        """What the data plane needs, or None when there is no account of that name."""
        with self._context.db.read() as session:
            account = session.scalar(select(StorageAccount).where(StorageAccount.name == name))
        return None if account is None else _credentials(account)

    def all_credentials(self) -> Sequence[Credentials]:
        """What the data plane needs of every account."""
        with self._context.db.read() as session:
            return [_credentials(account) for account in session.scalars(select(StorageAccount))]

    def list(self, subscription: str, resource_group: str | None = None) -> list[AccountView]:
        """The accounts of a subscription, or of one of its groups, by name."""
        query = select(StorageAccount).where(func.lower(StorageAccount.subscription) == subscription.lower())
        if resource_group is not None:
            query = query.where(func.lower(StorageAccount.resource_group) == resource_group.lower())
        with self._context.db.read() as session:
            return [self._view(a) for a in session.scalars(query.order_by(StorageAccount.name))]

    def _view(self, account: StorageAccount) -> AccountView:
        return {
            "id": storage_account_id(account.subscription, account.resource_group, account.name),
            "name": account.name,
            "type": "Microsoft.Storage/storageAccounts",
            "location": account.location,
            "kind": account.kind,
            "sku": {"name": account.sku, "tier": account.sku.partition("_")[0]},
            "tags": account.tags,
            "subscription": account.subscription,
            "resourceGroup": account.resource_group,
            "creationTime": account.created,
            "primaryEndpoints": self._endpoints(account.name),
            "primaryLocation": account.location,
            "statusOfPrimary": "available",
            "provisioningState": "Succeeded",
        }

    def _endpoints(self, name: str) -> dict[str, str]:
        base = f"{self._context.scheme}://{self._context.address}/{name}"
        # Paths of both services are alike; no account's name has a hyphen, so that this is no other account.
        return {"blob": base, "queue": f"{base}-queue"}


def _find(session: Session, ref: AccountRef) -> StorageAccount:
    account = session.scalar(select(StorageAccount).where(StorageAccount.name == ref.name))
    if account is None or not _in_group(account, ref):
        raise _not_found(ref.name)
    return account


def _not_found(name: str) -> NotFound:
    return NotFound(
        "StorageAccountNotFound",
        f"There is no storage account {name!r} here.",
        hint="Create it with `mooring storage account create` or `az storage account create`.",
        target=name,
    )


def _credentials(account: StorageAccount) -> Credentials:
    first, second = (base64.b64decode(key) for key in (account.key1, account.key2))
    return Credentials(account.name, account.uid, (first, second))


def _in_group(account: StorageAccount, ref: AccountRef) -> bool:
    return (account.subscription.lower(), account.resource_group.lower()) == (
        ref.subscription.lower(),
        ref.resource_group.lower(),
    )


def _keys(account: StorageAccount) -> list[KeyView]:
    return [
        {
            "keyName": name,
            "value": getattr(account, name),
            "permissions": "FULL",
            "creationTime": getattr(account, f"{name}_created"),
        }
        for name in KEY_NAMES
    ]


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()
