"""Comments that tests submit through the services' doors, and checks that say what a test wants."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.comments import service
from pollsvc.comments.admission import Rules
from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.comment_box import CommentBox
from pollsvc.comments.entries import NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.status import Standing
from pollsvc.comments.writers import Writer, writer_of_token
from pollsvc.keys import Keys
from tests.factories import ARTICLE_URL, THEN, judge_comment, make_voter_token

RULES = Rules(depth=3, edit_window=timedelta(minutes=15))


class Told:
    """A check that says what stands in the text: ``mood=0.7``, or fails at ``mood=fails``; 0 where it is not named."""

    version = "1"

    def __init__(self, name: str) -> None:
        self.name = name

    def look(self, submission: Submission) -> Opinion:
        found = re.search(rf"\b{self.name}=(\S+)", submission.body)
        return Opinion(float(found[1]) if found else 0)


def told_judge(keys: Keys, names: Sequence[str] = ("mood", "taste")) -> Judge:
    return Judge(keys, checks=[Told(name) for name in names])


def writer(keys: Keys, number: int = 1) -> Writer:
    return writer_of_token(keys, make_voter_token(keys, number=number, now=THEN), THEN)


def make_box(engine: sa.Engine, keys: Keys, judge: Judge | None = None) -> CommentBox:
    """The comment box of an application that works on this engine, as of the tests' time."""
    alone: dict[str, Any] = {} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    return CommentBox(
        judge or Judge(keys),
        reading=engine.execution_options(**alone),
        together=engine.execution_options(sqlite_write=True, **alone),
        alone=engine.execution_options(sqlite_write=True),
        rules=RULES,
        clock=lambda: THEN,
    )


def submit(
    session: Session,
    *,
    keys: Keys,
    number: int = 1,
    judge: Judge | None = None,
    now: datetime = THEN,
    **changes: Any,
) -> Standing:
    """Write a comment of the reader of this number on an article of a site that exists."""
    defaults: dict[str, Any] = {
        "article_url": ARTICLE_URL,
        "parent_id": None,
        "writer": writer(keys, number),
        "name": f"Reader {number}",
        "email": f"reader-{number}@reader.example",
        "body": f"Well said, {number}.",
        "is_suspect": False,
    }
    judge = judge or Judge(keys)
    session.flush()
    judged = judge_comment(session.connection(), judge, NewComment(**(defaults | changes)), RULES, now)
    return service.submit_comment(session, judge, judged, RULES, now)[0]
