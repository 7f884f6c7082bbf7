"""One request to a storage service, as the rules see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from mooring_server.domain.storage.errors import StorageError


@dataclass(frozen=True)
class StorageRequest:
    """A request without its body.

    Attributes:
        raw_path: percent-encoded, as it was sent: signatures are made over it.
        account: name of the account.
        service: ``blob`` or ``queue``.
        resource: the decoded path behind the account: ``""``, ``container`` or ``container/blob/name``.
        query: decoded values by lower-case name, a name's values in the order sent.
        headers: values by lower-case name.
        address: where the caller is.
        scheme: ``http`` or ``https``.
    """

    method: str
    raw_path: str
    account: str
    service: str
    resource: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    address: str = ""
    scheme: str = "http"

    def arg(self, name: str) -> str | None:
        """A query parameter."""
        values = self.query.get(name)
        return values[0] if values else None

    def header(self, name: str) -> str | None:
        """A header."""
        return self.headers.get(name)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A query parameter that is a number.

        Raises:
            StorageError: ``InvalidQueryParameterValue``, ``OutOfRangeQueryParameterValue``.
        """
        text = self.arg(name)
        if text is None or text == "":
            return default
        negative = text.startswith("-")
        if not text[negative:].isdecimal() or not text.isascii() or len(text) > 18:
            raise StorageError(
                "InvalidQueryParameterValue", QueryParameterName=name, QueryParameterValue=text[:100]
            )
        value = int(text)
        if not least <= value <= most:
            raise StorageError(
                "OutOfRangeQueryParameterValue",
                QueryParameterName=name,
                QueryParameterValue=text,
                MinimumAllowed=str(least),
                MaximumAllowed=str(most),
            )
        return value


def parse_query(text: str) -> dict[str, tuple[str, ...]]:
    """A query string, decoded as Azure does: ``+`` is a plus sign."""
    query: dict[str, tuple[str, ...]] = {}
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            name = unquote(name).lower()
            query[name] = (*query.get(name, ()), unquote(value))
    return query
