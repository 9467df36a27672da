"""Comments that tests submit through the services' doors, and checks that say what a test wants."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.batching import Batcher
from pollsvc.comments import service
from pollsvc.comments.admission import Rules
from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.comment_box import CommentBox
from pollsvc.comments.entries import NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.status import Standing
from pollsvc.comments.writers import Writer, writer_of_token
from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.patience import PATIENCE
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


class AtOnce:
    """Brings comments to a box at the same moment, each in a thread of its own, so that all are of one batch."""

    def __init__(self, box: CommentBox, threads: ThreadPoolExecutor) -> None:
        self._box, self._threads = box, threads
        # Whoever leads the batch waits for all that are announced.
        self._batcher = box._batcher = Batcher(box._work_off, patience=PATIENCE, linger=PATIENCE)

    def submit(self, new: Sequence[NewComment]) -> list[tuple[Standing, bool] | PollsvcError]:
        """What the box says to each, in their order, or why it refuses it; no more than there are threads."""
        announced = Barrier(len(new))

        def bring(each: NewComment) -> tuple[Standing, bool] | PollsvcError:
            with self._batcher.announced():
                announced.wait(PATIENCE)
                try:
                    return self._box.submit(each)
                except PollsvcError as refusal:
                    return refusal

        return list(self._threads.map(bring, new))


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
