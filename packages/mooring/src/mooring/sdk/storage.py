"""A client of Blob storage by connection string: what the command line needs, in constant memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from mooring.sdk.errors import Problem, user_error
from mooring.sdk.exceptions import AzureMLException
from mooring.sdk.http import CHUNK, http_client
from mooring.sdk.types import JSON

if TYPE_CHECKING:
    import httpx

VERSION = "2021-12-02"
# Larger files go in blocks of this size, so that a connection that breaks off loses one of them.
BLOCK = 32 * 1024 * 1024
# What is signed of the headers, in Azure's order.
SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


@dataclass(frozen=True)
class ConnectionString:
    """``DefaultEndpointsProtocol=...;AccountName=...;AccountKey=...`` as the Azure portal and `az` give it."""

    account: str
    key: bytes
    endpoint: str

    @classmethod
    def parse(cls, text: str) -> ConnectionString:
        """Read one.

        Raises:
            UserErrorException: ``ConnectionStringInvalid``, with what is missing; the key is not in the message.
        """
        parts = dict(p.split("=", 1) for p in text.strip().split(";") if "=" in p)
        missing = [name for name in ("AccountName", "AccountKey") if not parts.get(name)]
        if missing:
            raise _invalid(f"it has no {' and no '.join(missing)}")
        try:
            key = base64.b64decode(parts["AccountKey"], validate=True)
        except ValueError:
            raise _invalid("its AccountKey is not base64") from None
        protocol, suffix = (
            parts.get("DefaultEndpointsProtocol", "https"),
            parts.get("EndpointSuffix", "core.windows.net"),
        )
        usual = f"{protocol}://{parts['AccountName']}.blob.{suffix}"
        return cls(parts["AccountName"], key, parts.get("BlobEndpoint", usual).rstrip("/"))


class BlobStorage:
    """The containers and blobs of one account."""

    def __init__(self, connection_string: str) -> None:
        self._at = ConnectionString.parse(connection_string)
        self._client = http_client(self._at.endpoint)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create_container(self, name: str) -> bool:
        """Make a container; False when it is there already."""
        try:
            self._call("PUT", [name], {"restype": "container"})
        except AzureMLException as error:
            if getattr(error, "code", "") == "ContainerAlreadyExists":
                return False
            raise
        return True

    def delete_container(self, name: str) -> bool:
        """Delete a container with all that it holds; False when there was none."""
        try:
            self._call("DELETE", [name], {"restype": "container"})
        except AzureMLException as error:
            if getattr(error, "code", "") == "ContainerNotFound":
                return False
            raise
        return True

    def containers(self, prefix: str = "") -> Iterator[JSON]:
        """All containers, as ``az storage container list`` shows them."""
        for entry in self._pages([], {"comp": "list", "prefix": prefix}, "Containers/Container"):
            found = {child.tag: child.text for child in entry.iterfind("Properties/*")}
            yield {
                "name": entry.findtext("Name"),
                "properties": {
                    "etag": found.get("Etag"),
                    "lastModified": _iso(found.get("Last-Modified")),
                    "lease": {"state": found.get("LeaseState"), "status": found.get("LeaseStatus")},
                },
            }

    def blobs(self, container: str, prefix: str = "") -> Iterator[JSON]:
        """All blobs of a container, as ``az storage blob list`` shows them."""
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        for entry in self._pages([container], query, "Blobs/Blob"):
            found = {child.tag: child.text for child in entry.iterfind("Properties/*")}
            yield {
                "name": entry.findtext("Name"),
                "container": container,
                "properties": {
                    "blobType": found.get("BlobType"),
                    "contentLength": int(found.get("Content-Length") or 0),
                    "contentSettings": {
                        "contentType": found.get("Content-Type"),
                        "contentMd5": found.get("Content-MD5"),
                    },
                    "etag": found.get("Etag"),
                    "lastModified": _iso(found.get("Last-Modified")),
                },
            }

    def upload(
        self, container: str, name: str, path: Path, *, overwrite: bool, content_type: str | None
    ) -> JSON:
        """Upload a file; ``{etag, lastModified}``.

        Raises:
            AzureMLException: ``BlobAlreadyExists`` without ``overwrite``.
        """
        headers = {"x-ms-blob-content-type": content_type or "application/octet-stream"}
        if not overwrite:
            headers["if-none-match"] = "*"
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= BLOCK:
                headers.update({"x-ms-blob-type": "BlockBlob", "content-length": str(size)})
                answer = self._call("PUT", [container, name], {}, headers, _read(file, size))
            else:
                answer = self._upload_blocks(container, name, file, size, headers)
        return {"etag": answer.headers["etag"], "lastModified": _iso(answer.headers["last-modified"])}

    def download(self, container: str, name: str, target: Path) -> JSON:
        """Download into a file, which appears under its name when it is complete; the blob as lists show it."""
        part = target.with_name(target.name + ".part")
        request = self._request("GET", [container, name], {}, {})
        answer = self._client.send(request, stream=True)
        try:
            if answer.is_error:
                answer.read()
                self._raise(answer)
            with part.open("wb") as file:
                for piece in answer.iter_bytes(CHUNK):
                    file.write(piece)
            part.replace(target)
        finally:
            answer.close()
            part.unlink(missing_ok=True)
        return {
            "name": name,
            "container": container,
            "properties": {
                "contentLength": int(answer.headers["content-length"]),
                "contentSettings": {"contentType": answer.headers.get("content-type")},
                "etag": answer.headers["etag"],
                "lastModified": _iso(answer.headers["last-modified"]),
            },
        }

    def delete(self, container: str, name: str) -> None:
        """Delete a blob."""
        self._call("DELETE", [container, name], {})

    def _upload_blocks(
        self, container: str, name: str, file: BinaryIO, size: int, headers: dict[str, str]
    ) -> httpx.Response:
        ids = [base64.b64encode(b"%08d" % n).decode() for n in range(-(-size // BLOCK))]
        for place, block in enumerate(ids):
            length = min(BLOCK, size - place * BLOCK)
            query = {"comp": "block", "blockid": block}
            self._call("PUT", [container, name], query, {"content-length": str(length)}, _read(file, length))
        body = "".join(f"<Latest>{escape(block)}</Latest>" for block in ids)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{body}</BlockList>'.encode()
        sent = {**headers, "content-length": str(len(document))}
        return self._call("PUT", [container, name], {"comp": "blocklist"}, sent, iter([document]))

    def _pages(self, path: list[str], query: dict[str, str], entries: str) -> Iterator[ET.Element]:
        marker: str | None = ""
        while marker is not None:
            page = {**query, "marker": marker} if marker else query
            document = ET.fromstring(self._call("GET", path, page).content)  # noqa: S314 - of the user's own account
            yield from document.iterfind(entries)
            marker = document.findtext("NextMarker") or None

    def _call(
        self,
        method: str,
        path: list[str],
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        content: Iterator[bytes] | None = None,
    ) -> httpx.Response:
        answer = self._client.send(self._request(method, path, query, headers or {}, content))
        if answer.is_error:
            self._raise(answer)
        return answer

    def _request(
        self,
        method: str,
        path: list[str],
        query: dict[str, str],
        headers: dict[str, str],
        content: Iterator[bytes] | None = None,
    ) -> httpx.Request:
        """A signed request. Source: "Authorize with Shared Key" of Azure's REST reference."""
        import httpx

        url = (
            self._at.endpoint + "/" + "/".join(quote(p, safe="/~" if n else "~") for n, p in enumerate(path))
        )
        given = {name: value for name, value in query.items() if value}
        text = "&".join(f"{name}={quote(value, safe='~')}" for name, value in given.items())
        address = httpx.URL(url + (f"?{text}" if text else ""))
        headers = {
            **headers,
            "x-ms-version": VERSION,
            "x-ms-date": format_datetime(datetime.now(timezone.utc), usegmt=True),
        }
        if method == "PUT":
            headers.setdefault("content-length", "0")
        signed = [headers.get(name, "") if headers.get(name) != "0" else "" for name in SIGNED]
        extra = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        raw = address.raw_path.decode().partition("?")[0]
        resource = [f"/{self._at.account}{raw}", *(f"{name}:{given[name]}" for name in sorted(given))]
        lines = "\n".join([method, *signed, *extra, *resource])
        digest = hmac.new(self._at.key, lines.encode(), hashlib.sha256).digest()
        headers["authorization"] = f"SharedKey {self._at.account}:{base64.b64encode(digest).decode()}"
        return self._client.build_request(method, address, headers=headers, content=content)

    def _raise(self, answer: httpx.Response) -> None:
        """The service's error as one of ours."""
        code, message = answer.headers.get("x-ms-error-code", "Unknown"), ""
        try:
            document = ET.fromstring(answer.content)  # noqa: S314 - of the user's own account
            code = document.findtext("Code") or code
            message = (document.findtext("Message") or "").partition("\n")[0]
        except ET.ParseError:
            message = f"{answer.status_code} {answer.reason_phrase}"
        raise Problem(code, message, phase="Run", status=answer.status_code).exception("")


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        data = file.read(min(CHUNK, size))
        if not data:
            raise user_error(
                "The file became shorter while it was read.", code="FileUnreadable", phase="Upload"
            )
        size -= len(data)
        yield data


def _iso(text: str | None) -> str | None:
    return parsedate_to_datetime(text).isoformat() if text else None


def _invalid(why: str) -> AzureMLException:
    return user_error(
        f"The connection string cannot be used: {why}.",
        code="ConnectionStringInvalid",
        hint="Take it as `mooring storage account show-connection-string` prints it.",
    )
