"""Requests to one storage account, signed, with Azure's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from mooring_runtime.storage.connection import StorageAccount
from mooring_runtime.storage.http import Answer, HttpClient
from mooring_runtime.storage.shared_key import authorization

VERSION = "2021-12-02"
SECONDS = 60.0
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<\n]*)")
_OK = range(200, 300)

Query = Sequence[tuple[str, str]]


class StorageError(Exception):
    """The service refused a request.

    Attributes:
        status: of the answer.
        code: Azure's (``ContainerNotFound``); empty if there is none.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StorageClient:
    """The Blob or the Queue service of an account.

    Args:
        account: what opens it.
        endpoint: the URL of the service.
    """

    def __init__(self, account: StorageAccount, endpoint: str) -> None:
        self._account = account
        self._http = HttpClient(endpoint)
        self._base = urlsplit(endpoint).path.rstrip("/")
        self._sas = parse_qsl(account.sas, keep_blank_values=True)

    async def call(
        self,
        method: str,
        path: str,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        expect: Sequence[int] = (),
        seconds: float = SECONDS,
    ) -> Answer:
        """The answer to a request.

        Args:
            method: in capitals.
            path: below the service, not encoded, beginning with a slash.
            query: names and values, not encoded.
            headers: names in lower case.
            body: may be empty.
            expect: statuses besides 2xx that are no errors.
            seconds: for all of it.

        Raises:
            StorageError: any other status.
            Unreachable: no answer came.
        """
        target = self._base + quote(path, safe="/!$'()*,:;=@&+~")
        sent = {
            "content-length": str(len(body)),
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": VERSION,
            **(headers or {}),
        }
        pairs = [*query, *self._sas]
        if not self._sas:
            key = self._account.key
            sent["authorization"] = authorization(self._account.name, key, method, target, query, sent)
        if pairs:
            target += f"?{urlencode(pairs, quote_via=quote)}"
        answer = await self._http.send(method, target, sent, body, seconds)
        if answer.status in _OK or answer.status in expect:
            return answer
        code = answer.headers.get("x-ms-error-code") or _first(_CODE, answer.body)
        raise StorageError(
            answer.status,
            code,
            _first(_MESSAGE, answer.body) or f"{method} {path}: status {answer.status} {code}",
        )

    def close(self) -> None:
        """End its connections."""
        self._http.close()


def _first(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return found[1].decode("utf-8", "replace").strip() if found else ""
