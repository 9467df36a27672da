"""Consents as rows to take away, page by page, so that a million of them need no more memory than a thousand."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentText, Mode, Subscriber
from pollsvc.staff.service import record
from pollsvc.text import defuse_csv_cell

#: Rows that are read at once.
PAGE = 1_000
COLUMNS = (
    "id",
    "email",
    "site_id",
    "purpose",
    "state",
    "mode",
    "is_gdpr_consent",
    "text_id",
    "text_version",
    "text_hash",
    "locale",
    "article_url",
    "origin",
    "requested_at",
    "confirmed_at",
    "changed_at",
    "valid_until",
    "is_suspect",
    "unsubscribe_url",
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which consents; None stands for all."""

    site_id: uuid.UUID | None = None
    purpose: str | None = None
    state: str | None = None
    mode: str | None = None
    changed_since: datetime | None = None


def note_export(session: Session, wanted: Wanted, *, kind: str, actor: str, now: datetime) -> None:
    """Write the audit row of an export, before its first byte leaves."""
    given = {name: _plain(value) for name, value in asdict(wanted).items() if value is not None}
    subject = ("export", kind)
    record(session, actor=actor, action="consents.exported", subject=subject, now=now, detail=given)


def read_rows(
    session: Session, links: Links, wanted: Wanted, after: uuid.UUID | None
) -> Sequence[Mapping[str, Any]]:
    """The next rows in the order of their ids; none where all are read.

    Each page is as things stand when it is read. Ids never change: a consent is told once, however long the export takes.

    :param after: the id of the last row before, or None for the first.
    """
    return [
        {
            **row,
            "is_gdpr_consent": row["mode"] == Mode.EXPLICIT,
            "text_hash": row["text_hash"].hex(),
            "unsubscribe_url": links.leave(row["id"]),
        }
        for row in session.execute(page_of(wanted, after)).mappings()
    ]


def csv_head() -> bytes:
    """The line with the columns' names."""
    return _csv([COLUMNS])


def csv_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV, in which no cell runs as a formula."""
    return _csv([[_cell(row[name]) for name in COLUMNS] for row in rows])


def json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as JSON, one a line."""
    return b"".join(
        orjson.dumps({name: row[name] for name in COLUMNS}, option=orjson.OPT_APPEND_NEWLINE) for row in rows
    )


def page_of(wanted: Wanted, after: uuid.UUID | None) -> Select[Any]:
    """The statement of :func:`read_rows`."""
    rows = _select(wanted).order_by(Consent.id).limit(PAGE)
    return rows if after is None else rows.where(Consent.id > after)


def _select(wanted: Wanted) -> Select[Any]:
    columns: list[Any] = [
        Consent.id,
        Subscriber.email,
        Consent.site_id,
        Consent.purpose,
        Consent.state,
        ConsentText.mode,
        Consent.text_id,
        ConsentText.version.label("text_version"),
        ConsentText.body_hash.label("text_hash"),
        ConsentText.locale,
        Article.url.label("article_url"),
        Consent.origin,
        Consent.requested_at,
        Consent.confirmed_at,
        Consent.changed_at,
        Consent.valid_until,
        Consent.is_suspect,
    ]
    rows: Select[Any] = (
        select(*columns)
        .join(Subscriber, Subscriber.id == Consent.subscriber_id)
        .join(ConsentText, ConsentText.id == Consent.text_id)
        .outerjoin(Article, Article.id == Consent.article_id)
    )
    for column, value in (
        (Consent.site_id, wanted.site_id),
        (Consent.purpose, wanted.purpose),
        (Consent.state, wanted.state),
        (ConsentText.mode, wanted.mode),
    ):
        if value is not None:
            rows = rows.where(_scanned(column) == value)
    if wanted.changed_since is not None:
        rows = rows.where(_scanned(Consent.changed_at) >= wanted.changed_since)
    return rows


def _scanned(column: Any) -> Any:
    """A column that no index is looked into for. By one, each page would gather and sort everything that is wanted, to give
    a thousand rows of it; in the order of ids all pages together read the table once.
    """
    return func.coalesce(column, column)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    sheet = io.StringIO()
    # Quoted, so that a spreadsheet which splits at semicolons too finds no cell within a cell.
    csv.writer(sheet, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return sheet.getvalue().encode()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int) else defuse_csv_cell(str(_plain(value)))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
