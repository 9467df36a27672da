"""A text is kept with all that was said of it: the rows of a revision, and the one way in which they are written."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pollsvc.comments.check_requests import request_rows
from pollsvc.comments.judging import Judgement
from pollsvc.comments.models import CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import CheckRequest
from pollsvc.given import GivenRows

Row = dict[str, Any]

REVISIONS = GivenRows.of_table(
    "r",
    CommentRevision,
    *("comment_id", "number", "body", "text_hash", "band_0", "band_1", "band_2", "band_3"),
    *("policy_version", "outcome", "because", "created_at"),
)
VERDICTS = GivenRows.of_table(
    "v",
    CommentVerdict,
    *("comment_id", "revision", "name", "version", "state", "score", "spans", "reason", "milliseconds"),
)
REQUESTS = GivenRows.of_table("q", CheckRequest, "comment_id", "revision", "name", "attempts", "due_at")


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
    REVISIONS.insert(connection, [each.revision for each in revisions])
    VERDICTS.insert(connection, [row for each in revisions for row in each.verdicts])
    REQUESTS.insert(connection, [row for each in revisions for row in each.requests])
