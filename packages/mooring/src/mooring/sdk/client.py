"""The native API of one workspace (docs/protocols.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mooring.sdk.http import Http
from mooring.sdk.types import JSON, Params, Progress

ROOT = "/mooring/v1"


def part(text: str) -> str:
    """One part of a path; ``name:version`` keeps its colon."""
    return quote(str(text), safe=":")


def filter_text(items: Iterable[Any] | Mapping[str, Any] | None) -> str | None:
    """Azure's filters as the query writes them.

    Args:
        items: ``["key", ["key", "value"]]``, ``["key=value"]``, one such item, or a mapping.

    Returns:
        ``key,key=value``, or None for no filter.
    """
    if not items:
        return None
    if isinstance(items, Mapping):
        items = list(items.items())
    elif isinstance(items, str):
        items = [items]
    texts = [item if isinstance(item, str) else "=".join(str(p) for p in item) for item in items]
    return ",".join(texts)


class Client:
    """Calls below one workspace.

    Attributes:
        http: the server.
        base: path of the workspace.
    """

    def __init__(self, http: Http, subscription_id: str, resource_group: str, name: str) -> None:
        self.http = http
        self.base = (
            f"{ROOT}/subscriptions/{part(subscription_id)}/resourceGroups/{part(resource_group)}"
            f"/workspaces/{part(name)}"
        )

    def call(self, method: str, path: str = "", body: Any = None, params: Params | None = None) -> Any:
        """Call ``path`` below the workspace and decode the answer."""
        noun = path.strip("/").split("/", 1)[0]
        return self.http.json(method, self.base + path, body=body, params=params, noun=noun)[0]

    def start(self, method: str, path: str, body: Any = None) -> tuple[JSON, str | None]:
        """A call that begins an operation.

        Returns:
            The resource, and the operation's id or None.
        """
        noun = path.strip("/").split("/", 1)[0]
        data, headers = self.http.json(method, self.base + path, body=body, noun=noun)
        data = data or {}
        location = headers.get("Operation-Location") or ""
        operation_id = location.rstrip("/").rsplit("/", 1)[-1].split("?")[0] or data.get("operationId")
        return data, operation_id

    def pages(self, path: str, params: Params | None = None) -> Iterator[JSON]:
        """All items of a list, page by page."""
        noun = path.strip("/").split("/", 1)[0]
        url: str | None = self.base + path
        query: Params | None = params
        while url:
            data = self.http.json("GET", url, params=query, noun=noun)[0]
            yield from data.get("value", [])
            link = data.get("nextLink")
            url, query = (_path_of(link), None) if link else (None, None)

    def text(self, path: str, params: Params | None = None) -> str:
        """A text below the workspace."""
        return self.http.text(self.base + path, params=params, noun=path.strip("/").split("/", 1)[0])

    def missing(self, digests: list[str]) -> set[str]:
        """Those of the digests whose content the server does not have yet."""
        answer = self.call("POST", "/blobs/missing", {"digests": digests})
        return set(answer["missing"])

    def upload(self, digest: str, source: Path, size: int, progress: Progress | None = None) -> None:
        """Send one file's content."""
        self.http.upload(f"{self.base}/blobs/{part(digest)}", source, size, progress)

    def download(self, model_id: str, path: str, target: Path, progress: Progress | None = None) -> None:
        """Fetch one file of a model."""
        url = f"{self.base}/models/{part(model_id)}/files/{quote(path)}"
        self.http.download(url, target, progress, noun="models")

    def operation(self, operation_id: str, after: int = 0, wait: int = 0) -> JSON:
        """An operation's state, with the log entries after ``after``; waits up to ``wait`` s for news."""
        params = {"after": after, "wait": wait}
        answer: JSON = self.call("GET", f"/operations/{part(operation_id)}", params=params)
        return answer


def _path_of(link: str) -> str:
    split = urlsplit(link)
    return split.path + (f"?{split.query}" if split.query else "")
