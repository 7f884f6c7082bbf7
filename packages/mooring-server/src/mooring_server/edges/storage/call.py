"""One call of a storage service: the request, what its caller may do, and the way to its body."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from mooring_server.domain.storage.access import Access, Need
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.names import check_metadata
from mooring_server.domain.storage.request import StorageRequest
from mooring_server.edges.storage.answer import Answer
from mooring_server.services.signals import Signals
from mooring_server.services.storage.open_account import OpenAccount, Received

_META = "x-ms-meta-"
# Requests in XML: a block list of 50,000 ids is the largest.
_MAX_XML = 8 * 1024 * 1024


@dataclass
class Call:
    """What a handler gets."""

    request: StorageRequest
    access: Access
    account: OpenAccount
    signals: Signals
    receive: Receive

    @property
    def container(self) -> str:
        """The container or queue in the path."""
        return self.request.resource.partition("/")[0]

    @property
    def blob(self) -> str:
        """What follows it."""
        return self.request.resource.partition("/")[2]

    def metadata(self) -> dict[str, str]:
        """The ``x-ms-meta-`` headers; names are in lower case, as HTTP has them.

        Raises:
            StorageError: ``InvalidMetadata``, ``EmptyMetadataKey``, ``MetadataTooLarge``.
        """
        headers = self.request.headers
        return check_metadata({n[len(_META) :]: v for n, v in headers.items() if n.startswith(_META)})

    async def body(self) -> AsyncIterator[bytes]:
        """The body in pieces.

        Raises:
            ClientDisconnect: it ended before its announced length.
        """
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            data = message.get("body", b"")
            if data:
                yield data
            if not message.get("more_body", False):
                return

    async def text(self, limit: int = _MAX_XML) -> bytes:
        """The whole of a small body.

        Raises:
            StorageError: ``RequestBodyTooLarge``.
        """
        parts = bytearray()
        async for data in self.body():
            parts += data
            if len(parts) > limit:
                raise StorageError("RequestBodyTooLarge", MaxLimit=str(limit))
        return bytes(parts)

    async def upload(self, limit: int) -> Received:
        """The body of a blob or block, as long as it says and with the MD5 that it says.

        Raises:
            StorageError: ``MissingContentLengthHeader``, ``RequestBodyTooLarge``, ``InvalidMd5``, ``Md5Mismatch``.
        """
        length = self.request.header("content-length")
        if length is None:
            raise StorageError("MissingContentLengthHeader")
        if int(length) > limit:
            raise StorageError("RequestBodyTooLarge", MaxLimit=str(limit))
        announced = self.request.header("content-md5")
        if announced is not None:
            check_md5(announced)
        received = await self.account.receive(self.body(), limit)
        if announced is not None and announced != received.md5:
            received.abort()
            raise StorageError("Md5Mismatch", UserSpecifiedMd5=announced, ServerCalculatedMd5=received.md5)
        return received


def check_md5(text: str) -> str:
    """Return what is 128 bits in base64.

    Raises:
        StorageError: ``InvalidMd5``.
    """
    try:
        right = len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        right = False
    if not right:
        raise StorageError("InvalidMd5")
    return text


def json_answer(data: Any) -> Answer:
    """What Azure has no XML for."""
    return Answer(200, [("content-type", "application/json")], json.dumps(data).encode())


Handler = Callable[[Call], Awaitable[Answer]]
# Level (account, container or queue, blob or messages), method and ``comp`` or ``restype`` -> need and handler.
Routes = dict[tuple[str, str, str], tuple[Need, Handler]]
