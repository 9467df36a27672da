"""What all comments are looked at by at a moment: the live policy, and which lists and checks stand. One query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Text, cast, select
from sqlalchemy.orm import InstrumentedAttribute

from pollsvc.comments.policies import BUILT_IN, Policy, read_policy
from pollsvc.comments.policy_models import CommentPolicy, HttpCheck, WordList
from pollsvc.given import spaced


@dataclass(frozen=True)
class InForce:
    """What stands.

    :param lists: kind, language and version of each list of words.
    :param asked: name and version of each check over HTTP that is switched on.
    """

    policy: Policy
    lists: Sequence[tuple[str, str, int]]
    asked: Sequence[tuple[str, str]]


def _lines(rows: Select[Any], *columns: InstrumentedAttribute[Any]) -> ColumnElement[str | None]:
    """Rows of words without colon and space, as one text."""
    line: ColumnElement[str] = cast(columns[0], Text)
    for column in columns[1:]:
        line = line + ":" + cast(column, Text)
    return rows.with_only_columns(spaced(line)).scalar_subquery()


_LIVE = select(CommentPolicy.version).where(CommentPolicy.state == "live")
# Made once: with each comment, making it would cost more than asking it.
_IN_FORCE = select(
    _LIVE.scalar_subquery(),
    # As text, by which it is known again: versions count from one in each database.
    _LIVE.with_only_columns(cast(CommentPolicy.document, Text)).scalar_subquery(),
    _lines(select(WordList), WordList.kind, WordList.language, WordList.version),
    _lines(select(HttpCheck).where(HttpCheck.is_active.is_(True)), HttpCheck.name, HttpCheck.version),
)


def find_in_force(connection: Connection) -> InForce:
    """What stands now."""
    version, document, lists, asked = connection.execute(_IN_FORCE).one()
    return InForce(
        _policy(version, document) if version else BUILT_IN,
        [(kind, language, int(number)) for kind, language, number in _read(lists)],
        sorted((name, number) for name, number in _read(asked)),
    )


@lru_cache(maxsize=8)
def _policy(version: int, document: str) -> Policy:
    return read_policy(version, orjson.loads(document))


def _read(lines: str | None) -> list[list[str]]:
    return [line.split(":") for line in lines.split(" ")] if lines else []
