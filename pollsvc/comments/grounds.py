"""What a text is judged on beside itself, in one query: its writer's record, the live policy, and which lists and checks stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Text, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from pollsvc.comments.checks.check import WriterFacts
from pollsvc.comments.facts import FACTS, asked_of
from pollsvc.comments.policies import BUILT_IN, Policy, read_policy
from pollsvc.comments.policy_models import CommentPolicy, HttpCheck, WordList
from pollsvc.comments.writers import Writer


@dataclass(frozen=True)
class Grounds:
    """What a text is judged on beside itself.

    :param is_banned: whether its writer may not comment now.
    :param lists: kind, language and version of each list of words.
    :param asked: name and version of each check over HTTP that is switched on.
    """

    writer: WriterFacts
    is_banned: bool
    policy: Policy
    lists: Sequence[tuple[str, str, int]]
    asked: Sequence[tuple[str, str]]


def _lines(rows: Select[Any], *columns: InstrumentedAttribute[Any]) -> ColumnElement[str | None]:
    """Rows of words without colon and space, as one text."""
    line: ColumnElement[str] = cast(columns[0], Text)
    for column in columns[1:]:
        line = line + ":" + cast(column, Text)
    return rows.with_only_columns(func.aggregate_strings(line, " ")).scalar_subquery()


_LIVE = select(CommentPolicy.version).where(CommentPolicy.state == "live")
# Made once: with each comment, making it would cost more than asking it.
_GROUNDS = select(
    *FACTS,
    _LIVE.scalar_subquery(),
    # As text, by which it is known again: versions count from one in each database.
    _LIVE.with_only_columns(cast(CommentPolicy.document, Text)).scalar_subquery(),
    _lines(select(WordList), WordList.kind, WordList.language, WordList.version),
    _lines(select(HttpCheck).where(HttpCheck.is_active.is_(True)), HttpCheck.name, HttpCheck.version),
)


def find_grounds(
    connection: Connection, writer: Writer, email_hash: bytes | None, now: datetime, comment_id: UUID | None
) -> Grounds:
    """What a text of a writer's is judged on.

    :param email_hash: of the address that was typed, if any.
    :param comment_id: the comment that is edited, which does not speak for or against itself.
    """
    row = connection.execute(_GROUNDS, asked_of(writer, email_hash, now, comment_id)).one()
    approved, rejected, lately, is_address_banned, is_banned, *rest = row
    version, document, lists, asked = rest
    return Grounds(
        WriterFacts(approved, rejected, lately, is_address_banned=bool(is_address_banned)),
        bool(is_banned),
        _policy(version, document) if version else BUILT_IN,
        [(kind, language, int(number)) for kind, language, number in _read(lists)],
        sorted((name, number) for name, number in _read(asked)),
    )


@lru_cache(maxsize=8)
def _policy(version: int, document: str) -> Policy:
    return read_policy(version, orjson.loads(document))


def _read(lines: str | None) -> list[list[str]]:
    return [line.split(":") for line in lines.split(" ")] if lines else []
