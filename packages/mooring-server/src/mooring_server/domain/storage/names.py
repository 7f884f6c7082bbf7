"""Names of accounts, containers, blobs and queues.

Source: "Naming and Referencing Containers, Blobs, and Metadata" and "Naming Queues and Metadata" of Azure's REST
reference; for accounts the rule and the error's wording of ARM's Microsoft.Storage.
"""

from __future__ import annotations

import re

from mooring_server.domain.errors import Conflict, InvalidRequest
from mooring_server.domain.storage.errors import StorageError

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:-?[a-z0-9])*")
_SPECIAL = frozenset({"$root", "$web", "$logs"})
_METADATA = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What XML, or UTF-8, cannot have.
_NEVER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
MAX_BLOB_NAME = 1024
# The first part of a path that the server answers itself, as it is, or through Azure's APIs.
RESERVED = frozenset(
    {
        "mooring",
        "livez",
        "metadata",
        "adfs",
        "common",
        "oauth2",
        "subscriptions",
        "tenants",
        "providers",
        "acr",
        "scm",
    }
)


def check_account_name(name: str) -> str:
    """Return ``name`` if an account may have it.

    Raises:
        InvalidRequest: ``AccountNameInvalid``, Azure's code; the hint has the nearest name that would do.
        Conflict: ``StorageAccountAlreadyTaken`` for a name that the server's own paths have.
    """
    if not _ACCOUNT.fullmatch(name):
        raise InvalidRequest(
            "AccountNameInvalid",
            f"{name[:100]} is not a valid storage account name. Storage account name must be between 3 and 24 "
            "characters in length and use numbers and lower-case letters only.",
            hint=_suggestion(name),
            target=name[:100],
        )
    if name in RESERVED:
        raise Conflict(
            "StorageAccountAlreadyTaken",
            f"The storage account named {name} is already taken.",
            hint="Choose another name; this one is a path of the server.",
            target=name,
        )
    return name


def is_account_name(name: str) -> bool:
    """Whether an account could have the name."""
    return _ACCOUNT.fullmatch(name) is not None


def _suggestion(name: str) -> str:
    near = re.sub(r"[^a-z0-9]", "", name.lower())[:24]
    if len(near) < 3:
        near = (near + "storage")[:24]
    return f"The name {near!r} would do."


def check_container_name(name: str) -> None:
    """Containers and queues share the rule, except for the few names with ``$``.

    Raises:
        StorageError: ``InvalidResourceName``.
    """
    if name not in _SPECIAL:
        check_queue_name(name)


def check_queue_name(name: str) -> None:
    """3 to 63 lower-case letters, digits and single hyphens, beginning and ending with a letter or digit.

    Raises:
        StorageError: ``InvalidResourceName``, or ``OutOfRangeInput`` for the length, as Azure does.
    """
    if not 3 <= len(name) <= 63:
        raise StorageError(
            "OutOfRangeInput", "The specified resource name length is not within the permissible limits."
        )
    if not _CONTAINER.fullmatch(name):
        raise StorageError("InvalidResourceName")


def check_blob_name(name: str) -> None:
    """1 to 1,024 characters. It is never a path on the disk, so that ``..`` in it is as harmless as any letter.

    Raises:
        StorageError: ``InvalidResourceName``, ``OutOfRangeInput``.
    """
    if not name or len(name) > MAX_BLOB_NAME:
        raise StorageError(
            "OutOfRangeInput", "The specified resource name length is not within the permissible limits."
        )
    if _NEVER.search(name):
        raise StorageError("InvalidResourceName")


def check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Return ``metadata`` if its names are identifiers and it has at most 8 KiB.

    Raises:
        StorageError: ``InvalidMetadata``, ``EmptyMetadataKey``, ``MetadataTooLarge``.
    """
    for name in metadata:
        if not name:
            raise StorageError("EmptyMetadataKey")
        if not _METADATA.fullmatch(name):
            raise StorageError("InvalidMetadata")
    if sum(len(name) + len(value) for name, value in metadata.items()) > 8192:
        raise StorageError("MetadataTooLarge")
    return metadata
