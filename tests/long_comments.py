"""A discussion that went on for years, for :mod:`tests.long_tables`."""

import uuid
from collections.abc import Sequence

from uuid_utils.compat import uuid7

from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentCount,
    CommentReport,
    CommentRevision,
    CommentVerdict,
)
from pollsvc.comments.policy_models import Ban, CommentPolicy, WordList
from pollsvc.db import Model
from pollsvc.keys import Keys
from tests.factories import THEN

Rows = dict[type[Model], list[dict[str, object]]]
#: Of so many comments one waits, one is reported, and one was turned down in each way.
RARE = 500
_UNSHOWN = {1: "held", 5: "rejected", 7: "spam"}


def comment_rows(
    comment: uuid.UUID, held: uuid.UUID, articles: Sequence[uuid.UUID], *, rows: int, keys: Keys
) -> Rows:
    """Make comments, one of twenty-five on the first article: `comment` with replies, and `held` among few."""
    numbers = range(rows)
    ids = [comment, held, *(uuid7() for _ in range(rows - 2))]
    sealed = keys.cipher.encrypt(b"what a reader wrote")
    statuses = [_UNSHOWN.get(number % RARE, "published") for number in numbers]
    # Every other one there answers the first one, all others stand by themselves.
    is_reply = [number > 1 and number % 50 == 0 for number in numbers]
    article = [articles[0] if number % 25 == 0 else articles[number] for number in numbers]
    return {
        Comment: [
            {
                "id": ids[number],
                "article_id": article[number],
                "parent_id": comment if is_reply[number] else None,
                "below_id": comment if is_reply[number] else article[number],
                "ancestors": [str(comment)] if is_reply[number] else [],
                "depth": int(is_reply[number]),
                "writer_key": (number // 20).to_bytes(32),
                "is_account": False,
                "name": sealed,
                "email": sealed,
                "email_hash": (number // 20).to_bytes(32),
                "status": statuses[number],
                "version": 1,
                "revision": 1,
                "decided_by": "policy:0",
                "is_featured": False,
                **dict.fromkeys(
                    ("shown_name", "shown_text", "shown_html"),
                    "Yes." if statuses[number] == "published" else None,
                ),
                "replies": rows // 50 if number == 0 else 0,
                "open_reports": int(number % RARE == 3),
                "submission_key": number.to_bytes(32),
                "created_at": THEN,
                "decided_at": THEN,
            }
            for number in numbers
        ],
        CommentRevision: [
            {
                "comment_id": ids[number],
                "number": 1,
                "body": sealed,
                "text_hash": number.to_bytes(32),
                **{f"band_{band}": number for band in range(4)},
                "policy_version": 0,
                "outcome": {"published": "publish", "rejected": "reject"}.get(statuses[number], "hold"),
                "because": [],
                "created_at": THEN,
            }
            for number in numbers
        ],
        CommentVerdict: [
            {
                "comment_id": ids[number],
                "revision": 1,
                "name": name,
                "version": "1",
                "state": "done",
                "score": 0,
                "spans": [],
                "reason": "",
                "milliseconds": 0.1,
            }
            for number in numbers
            for name in ("links", "repeats")
        ],
        CommentChange: [
            {
                "comment_id": ids[number],
                "version": 1,
                "action": "submit",
                "after": statuses[number],
                "revision": 1,
                "actor": "policy:0",
                "occurred_at": THEN,
            }
            for number in numbers
        ],
        CommentReport: [
            {
                "id": uuid7(),
                "comment_id": ids[number],
                "revision": 1,
                "reporter_key": number.to_bytes(32),
                "reason": "spam",
                "created_at": THEN,
                "settled_at": None if number % RARE == 3 else THEN,
            }
            for number in numbers
        ],
        CommentCount: [
            {"article_id": article, "status": status, "n": 1}
            for article in articles
            for status in ("held", "published")
        ],
        Ban: [
            {
                "id": uuid7(),
                "email_hash": number.to_bytes(32),
                "reason_code": "spam",
                "created_by": "test",
                "created_at": THEN,
            }
            for number in range(rows // 5)
        ],
        WordList: [
            {
                "kind": "banned",
                "language": "en",
                "version": 1,
                "words": ["bell"],
                "exceptions": [],
                "updated_at": THEN,
                "updated_by": "test",
            }
        ],
        CommentPolicy: [
            {
                "version": 1,
                "state": "draft",
                "document": {"checks": {}},
                "created_by": "test",
                "created_at": THEN,
            }
        ],
    }
