"""What storage says, in words for the people who run the app."""

from __future__ import annotations

from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.settings import AppSettings
from mooring_runtime.storage.client import StorageError
from mooring_runtime.storage.connection import ConnectionInvalid, StorageAccount, parse_connection
from mooring_runtime.storage.http import Unreachable

Trouble = StorageError | Unreachable | ValueError
_FORBIDDEN = 403


def explain(trouble: Trouble, container: str) -> FunctionInvalid:
    """The problem behind an answer of storage, or behind there being none.

    Args:
        trouble: what was raised.
        container: the trigger's.
    """
    if not isinstance(trouble, StorageError):
        return FunctionInvalid(
            "StorageNotReachable",
            str(trouble),
            "Start the storage service, or correct the connection string.",
        )
    if trouble.code == "ContainerNotFound":
        return FunctionInvalid(
            "TriggerContainerNotFound",
            str(trouble),
            f"Make it: az storage container create --name {container}.",
        )
    if trouble.status == _FORBIDDEN:
        return FunctionInvalid(
            "StorageAuthenticationFailed",
            str(trouble),
            "The account key in the connection string is not this account's: set the app setting again.",
        )
    return FunctionInvalid(
        "StorageRefused", str(trouble), f"See Azure's documentation of the error code {trouble.code}."
    )


def missing_container(container: str) -> StorageError:
    """What Azure answers where there is no such container."""
    return StorageError(404, "ContainerNotFound", f"The container {container!r} does not exist.")


def account_of(settings: AppSettings, name: str) -> StorageAccount:
    """The storage account that a binding's ``connection`` names.

    Raises:
        FunctionInvalid: ``SettingMissing``, ``ConnectionStringInvalid``.
    """
    text = settings.connection(name)
    try:
        return parse_connection(text)
    except ConnectionInvalid as error:
        raise FunctionInvalid(
            "ConnectionStringInvalid",
            f"The connection string in the app setting {name} cannot be used: {error}.",
            "Set it to what `az storage account show-connection-string` prints.",
        ) from error
