"""The Queue service, as far as the function host needs it."""

from __future__ import annotations

import base64
from xml.sax.saxutils import escape

from mooring_runtime.storage.client import StorageClient, StorageError
from mooring_runtime.storage.connection import StorageAccount


class Queues:
    """Queues of an account. All calls raise `StorageError` and `Unreachable`."""

    def __init__(self, account: StorageAccount) -> None:
        self._client = StorageClient(account, account.queue)

    async def put(self, queue: str, text: str) -> None:
        """Add a message in Base64, as Azure's host does; the queue is made if it is not there."""
        encoded = base64.b64encode(text.encode()).decode()
        body = f"<QueueMessage><MessageText>{escape(encoded)}</MessageText></QueueMessage>".encode()
        headers = {"content-type": "application/xml"}
        try:
            await self._client.call("POST", f"/{queue}/messages", headers=headers, body=body)
        except StorageError as error:
            if error.code != "QueueNotFound":
                raise
            await self._client.call("PUT", f"/{queue}", expect=(409,))
            await self._client.call("POST", f"/{queue}/messages", headers=headers, body=body)

    def close(self) -> None:
        """End its connections."""
        self._client.close()
