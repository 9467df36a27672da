"""A worker that is killed while a check is asked over HTTP loses no verdict, and none is counted twice."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sized
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import Comment, CommentChange, CommentVerdict
from pollsvc.comments.policy_models import CheckRequest
from pollsvc.keys import Keys
from pollsvc.worker import Worker
from tests.comments.checking import Scene, answering
from tests.outbox.endpoints import Clock
from tests.outbox.hasty_worker import hasty_now
from tests.outbox.hasty_workers import starting
from tests.outbox.receiver import Received
from tests.processes import wait_until

COMMENTS, KILLED = 24, 4


def answer_slowly(_: Received) -> int:
    time.sleep(random.uniform(0.02, 0.2))
    return 200


def grows(received: Sized) -> Callable[[], bool]:
    before = len(received)
    return lambda: len(received) > before


class TestKilledCheckers:
    @pytest.mark.slow
    def test_every_comment_is_judged_once_whoever_dies(
        self, session: Session, database_url: str, keys: Keys, site: Site, tmp_path: Path
    ) -> None:
        began = time.time()
        # The workers are processes of their own.
        scene = Scene(session, keys, cast(Clock, lambda: hasty_now(began)), cast(Worker, None))
        scene.set_policy(1, tone={"hold": 0.5, "when_missing": "hold"})

        with answering(score=0) as check, starting(database_url, tmp_path, 1, began) as start:
            check.answer = answer_slowly
            scene.make_check(check.url)
            made = [scene.write(f"This is comment number {number}.").id for number in range(COMMENTS)]
            running, killed = [start(), start()], 0
            while killed < KILLED:
                wait_until(grows(check.received), 30)
                victim = random.randrange(2)
                os.kill(running[victim].pid, signal.SIGKILL)
                running[victim].wait()
                killed += 1
                running[victim] = start()

            def is_done() -> bool:
                session.rollback()
                return session.scalars(sa.select(sa.func.count()).select_from(CheckRequest)).one() == 0

            wait_until(is_done, 60)

        session.rollback()
        states = session.scalars(sa.select(Comment.status).where(Comment.id.in_(made))).all()
        assert Counter(states) == {"published": COMMENTS}
        verdicts = sa.select(CommentVerdict.state).where(CommentVerdict.name == "http:tone")
        assert Counter(session.scalars(verdicts).all()) == {"done": COMMENTS}
        # Asked again was at most what somebody held who was killed; moved was each once.
        assert set(Counter(each.id for each in check.received)) == {f"{each}-1-tone" for each in made}
        judged = sa.select(CommentChange.comment_id).where(CommentChange.action == "judge")
        assert Counter(Counter(session.scalars(judged).all()).values()) == {1: COMMENTS}
        assert find_differences(session) == []
