"""Conditional headers of blobs and containers.

Source: "Specifying conditional headers for Blob service operations" of Azure's REST reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from mooring_server.domain.storage.errors import StorageError


@dataclass(frozen=True)
class Conditions:
    """What must be true of a resource; ETags without quotes, ``*`` for any, times in seconds since the epoch."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: float | None = None
    if_unmodified_since: float | None = None

    def check_write(self, etag: str | None, modified: float) -> None:
        """Refuse a change.

        Args:
            etag: of the resource, None if there is none.
            modified: when it last changed.

        Raises:
            StorageError: ``ConditionNotMet``; ``BlobAlreadyExists`` for ``If-None-Match: *``.
        """
        if etag is not None and self.if_none_match == "*":
            raise StorageError("BlobAlreadyExists")
        if self._fails(etag, modified) or self._unchanged(etag, modified):
            raise StorageError("ConditionNotMet")

    def check_read(self, etag: str, modified: float) -> None:
        """Refuse to show.

        Raises:
            StorageError: ``ConditionNotMet``, with 304 where the caller has what there is.
        """
        if self._fails(etag, modified):
            raise StorageError("ConditionNotMet")
        if self._unchanged(etag, modified):
            raise StorageError("ConditionNotMet", status=304)

    def _fails(self, etag: str | None, modified: float) -> bool:
        if self.if_match is not None and (etag is None or self.if_match not in {"*", etag}):
            return True
        return (
            etag is not None
            and self.if_unmodified_since is not None
            and int(modified) > self.if_unmodified_since
        )

    def _unchanged(self, etag: str | None, modified: float) -> bool:
        if etag is None:
            return False
        if self.if_none_match is not None:
            return self.if_none_match in {"*", etag}
        return self.if_modified_since is not None and int(modified) <= self.if_modified_since


NONE = Conditions()


def parse(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The conditions in a request's headers; ``prefix`` is ``x-ms-source-`` for those of a copy's source.

    Raises:
        StorageError: ``InvalidHeaderValue``.
    """
    names = [
        prefix + name for name in ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    ]
    match, none_match, since, unmodified = (headers.get(name) for name in names)
    if match is None and none_match is None and since is None and unmodified is None:
        return NONE
    return Conditions(_etag(match), _etag(none_match), _date(names[2], since), _date(names[3], unmodified))


def _etag(text: str | None) -> str | None:
    return None if text is None else text.strip().removeprefix("W/").strip('"')


def _date(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        raise StorageError("InvalidHeaderValue", HeaderName=name, HeaderValue=text[:100]) from None
