"""Connection strings of storage accounts."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Azurite's account, which `UseDevelopmentStorage=true` means; its key is public (Microsoft's documentation).
_DEVELOPMENT = (
    "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
    "KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)


class ConnectionInvalid(Exception):
    """A text that is no connection string of a storage account."""


@dataclass(frozen=True)
class StorageAccount:
    """Where an account is, and what opens it.

    Attributes:
        name: of the account.
        blob: URL of its Blob service, without a slash at the end.
        queue: of its Queue service; empty if nothing says where that is.
        key: for SharedKey; empty with a SAS.
        sas: a shared access signature without its question mark; empty with a key.
    """

    name: str
    blob: str
    queue: str
    key: bytes = field(repr=False)
    sas: str = field(repr=False)


def parse_connection(text: str) -> StorageAccount:
    """The account that a connection string names.

    Raises:
        ConnectionInvalid: with what is wrong; the text itself, which holds a secret, is not repeated.
    """
    parts: dict[str, str] = {}
    for part in text.strip().split(";"):
        name, equals, value = part.partition("=")
        if part.strip():
            if not equals:
                raise ConnectionInvalid(f"after {', '.join(parts) or 'its beginning'} comes no name=value")
            parts[name.strip().lower()] = value.strip()
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return parse_connection(_DEVELOPMENT)
    account, sas = parts.get("accountname", ""), parts.get("sharedaccesssignature", "").lstrip("?")
    blob, queue = (_endpoint(parts, kind, account) for kind in ("blob", "queue"))
    key = b""
    if not sas:
        if not account:
            raise ConnectionInvalid("AccountName is missing")
        try:
            key = base64.b64decode(parts.get("accountkey", ""), validate=True)
        except binascii.Error as error:
            raise ConnectionInvalid(f"AccountKey is not Base64: {error}") from error
        if not key:
            raise ConnectionInvalid("AccountKey is missing")
    if not blob:
        raise ConnectionInvalid("neither BlobEndpoint nor AccountName says where the account is")
    return StorageAccount(account or blob.rpartition("/")[2], blob, queue, key, sas)


def _endpoint(parts: dict[str, str], kind: str, account: str) -> str:
    url = parts.get(f"{kind}endpoint", "")
    if not url and account:
        scheme = parts.get("defaultendpointsprotocol", "https")
        url = f"{scheme}://{account}.{kind}.{parts.get('endpointsuffix', 'core.windows.net')}"
    if not url:
        return ""
    split = urlsplit(url)
    if split.scheme not in {"http", "https"} or not split.hostname:
        raise ConnectionInvalid(f"{kind.capitalize()}Endpoint is no http(s) address: {url[:200]!r}")
    return url.rstrip("/")
