"""Filters and pages, as Azure's list calls have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from mooring_server.domain.errors import InvalidRequest
from mooring_server.services.views import Page

Row = TypeVar("Row")
View = TypeVar("View")
MAX_PAGE = 255


@dataclass(frozen=True)
class Paging:
    """Which page: at most ``count`` items after ``skip_token``; ``path`` and ``query`` make the next link."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    count: int = MAX_PAGE
    skip_token: str | None = None

    def next_link(self, token: object) -> str:
        """The link to what follows ``token``."""
        kept = [(k, v) for k, v in self.query if k != "$skipToken"]
        return f"{self.path}?{urlencode([*kept, ('$skipToken', str(token))])}"


def tag_conditions(
    column: InstrumentedAttribute[dict[str, Any]], text: str | None
) -> list[ColumnElement[bool]]:
    """Conditions for Azure's filter syntax: ``key=value,key2`` (the key is there, whatever its value)."""
    conditions: list[ColumnElement[bool]] = []
    for part in (text or "").split(","):
        key, equals, value = part.partition("=")
        if not key:
            continue
        if '"' in key or "\\" in key:  # databases disagree on how to quote these in a JSON path
            raise InvalidRequest(
                "InvalidFilter", f"Tag or property {key!r} cannot be filtered by.", target=key
            )
        member = column[key].as_string()
        conditions.append(member == value if equals else member.is_not(None))
    return conditions


def page(
    session: Session,
    query: Select[Row],
    identity: InstrumentedAttribute[int],
    paging: Paging,
    views: Callable[[Sequence[Row]], list[View]],
) -> Page[View]:
    """Run ``query`` newest first and cut it to a page; ``views`` shows all its rows at once."""
    if paging.skip_token is not None:
        if not (paging.skip_token.isascii() and paging.skip_token.isdigit()) or len(paging.skip_token) > 18:
            raise InvalidRequest(
                "InvalidSkipToken",
                f"{paging.skip_token!r} is not a continuation token.",
                hint="Follow nextLink as it was given.",
            )
        query = query.where(identity < int(paging.skip_token))
    rows: Sequence[Any] = session.scalars(query.order_by(identity.desc()).limit(paging.count + 1)).all()
    shown = rows[: paging.count]
    more = len(rows) > paging.count
    return {
        "value": views(shown),
        "nextLink": paging.next_link(shown[-1].id) if more else None,
    }
