"""A text is kept with all that was said of it: the rows of a revision, and the one way in which they are written."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, insert, select

from pollsvc.comments.check_requests import request_rows
from pollsvc.comments.judging import Judgement
from pollsvc.comments.models import CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import CheckRequest
from pollsvc.given import GivenRows

Row = dict[str, Any]

# Made once, and of tables: the ORM would cost more than the database.
_REVISION, _VERDICT, _REQUEST = (
    cast(Table, model.__table__) for model in (CommentRevision, CommentVerdict, CheckRequest)
)
_VERDICTS = GivenRows.of_table("verdict", CommentVerdict, *_VERDICT.c.keys())
# A text has a dozen verdicts: as one parameter they cost a fraction of what a dozen rows do.
_INSERT_VERDICTS = {
    dialect: insert(_VERDICT).from_select(_VERDICT.c.keys(), select(_VERDICTS.source(dialect)))
    for dialect in ("sqlite", "postgresql")
}


@dataclass(frozen=True)
class RevisionRows:
    """A revision, what each check said of it, and what is still to be asked."""

    revision: Row
    verdicts: Sequence[Row]
    requests: Sequence[Row]


def revision_rows(comment_id: uuid.UUID, number: int, judgement: Judgement, now: datetime) -> RevisionRows:
    """The rows of a text that was judged."""
    found = judgement.text.fingerprint
    bands: Sequence[int | None] = found.bands if found else [None] * 4
    revision = {
        "comment_id": comment_id,
        "number": number,
        "body": judgement.text.body,
        "text_hash": found.text_hash if found else None,
        **{f"band_{place}": band for place, band in enumerate(bands)},
        "policy_version": judgement.policy.version,
        "outcome": judgement.ruling.outcome,
        "because": list(judgement.ruling.because),
        "created_at": now,
    }
    verdicts = [
        {
            "comment_id": comment_id,
            "revision": number,
            "name": verdict.name,
            "version": verdict.version,
            "state": verdict.state,
            "score": verdict.score,
            "spans": verdict.spans,
            "reason": verdict.reason,
            "milliseconds": verdict.milliseconds,
        }
        for verdict in judgement.verdicts
    ]
    return RevisionRows(revision, verdicts, request_rows(comment_id, number, judgement.verdicts, now))


def write_revisions(connection: Connection, revisions: Sequence[RevisionRows]) -> None:
    """Keep texts; their comments are there already."""
    connection.execute(insert(_REVISION), [each.revision for each in revisions])
    verdicts = [row for each in revisions for row in each.verdicts]
    connection.execute(
        _INSERT_VERDICTS[connection.dialect.name], _VERDICTS.parameter(connection.dialect, verdicts)
    )
    if requests := [row for each in revisions for row in each.requests]:
        connection.execute(insert(_REQUEST), requests)
