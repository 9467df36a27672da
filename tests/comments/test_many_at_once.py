"""Everybody at once on PostgreSQL, at the same few comments: nobody meets an error that is none of the rules'."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.comment_box import CommentBox
from pollsvc.comments.counts import find_differences, recount
from pollsvc.comments.editing import edit_comment, judge_edit
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Comment
from pollsvc.comments.service import (
    report_comment,
    submit_comment,
    withdraw_comment,
)
from pollsvc.comments.status import Standing, lock_newest_first, standing_of
from pollsvc.db import engine_options, prepare_engine
from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.moderation.items import claim
from tests.comments.submitting import make_box
from tests.databases import wait_for_a_waiter
from tests.factories import (
    MODERATOR,
    RULES,
    THEN,
    decide_comment,
    judge_comment,
    make_comment,
    make_writer,
    new_comment,
)

THREADS = 12
TURNS = 45


@pytest.fixture
def crowded(database_url: str, keys: Keys) -> Iterator[sa.Engine]:
    """An engine on which all threads work, each on a connection of its own."""
    engine = sa.create_engine(**engine_options(database_url, THREADS))
    prepare_engine(engine, keys)
    yield engine
    engine.dispose()


class Turn:
    """What one thread does, by the luck of its number: each act is a transaction of its own, as a request is."""

    def __init__(
        self, engine: sa.Engine, box: CommentBox, keys: Keys, chain: list[UUID], number: int
    ) -> None:
        self._engine, self._box, self._keys, self._chain = engine, box, keys, chain
        self._judge = Judge(keys)
        self._number = number
        self._luck = Random(number)

    def play(self) -> list[str]:
        acts = (
            self._decide,
            self._decide,
            self._answer,
            self._answer,
            self._report,
            self._edit,
            self._withdraw,
            self._claim,
        )
        return [self._try(self._luck.choice(acts)) for _ in range(TURNS)]

    def _try(self, act: Callable[[Session], object]) -> str:
        with Session(self._engine, expire_on_commit=False) as session:
            try:
                act(session)
            except PollsvcError as refusal:
                return refusal.code
            session.commit()
            return "done"

    def _seen(self, session: Session) -> Standing:
        # One of the chain above all: there they meet.
        return standing_of(session, self._luck.choice(self._chain))

    def _decide(self, session: Session) -> None:
        action = self._luck.choice(["approve", "approve", "reject", "spam", "feature"])
        decide_comment(session, self._seen(session), action)

    def _answer(self, session: Session) -> None:
        # Few words and few writers: the same are sent by several at once.
        new = new_comment(
            self._keys,
            number=self._luck.randrange(3),
            parent_id=self._luck.choice([None, *self._chain]),
            body=f"Word {self._luck.randrange(4)}.",
        )
        if self._luck.random() < 0.7:
            standing, _ = self._box.submit(new)
        else:
            judged = judge_comment(session.connection(), self._judge, new, RULES, THEN)
            session.commit()
            standing, _ = submit_comment(session, self._judge, judged, RULES, THEN)
        self._chain.append(standing.id)

    def _report(self, session: Session) -> None:
        reporter = make_writer(self._keys, number=self._luck.randrange(20))
        seen = self._seen(session)
        report_comment(session, seen.id, reporter=reporter, reason="spam", note=None, now=THEN)

    def _edit(self, session: Session) -> None:
        seen, writer = self._seen(session), make_writer(self._keys, number=self._luck.randrange(3))
        edit = judge_edit(
            session,
            self._judge,
            seen.id,
            writer=writer,
            body=f"Word {self._luck.randrange(4)} by {self._number}.",
            version=seen.version,
            rules=RULES,
            now=THEN,
        )
        session.commit()
        edit_comment(session, edit, THEN)

    def _withdraw(self, session: Session) -> None:
        writer = make_writer(self._keys, number=self._luck.randrange(3))
        withdraw_comment(session, self._luck.choice(self._chain[4:] or self._chain), writer=writer, now=THEN)

    def _claim(self, session: Session) -> None:
        if self._luck.random() < 0.2:
            recount(session)
        claim(session, limit=3, article_url=None, actor=MODERATOR, now=THEN)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestManyAtOnce:
    def test_nobody_waits_in_a_circle_and_counts_are_right(
        self, crowded: sa.Engine, session: Session, keys: Keys, site: Site
    ) -> None:
        parent = None
        chain: list[UUID] = []
        for number in range(3):
            parent = make_comment(session, keys=keys, number=number, parent=parent, is_approved=True)
            chain.append(parent.id)
        session.commit()

        with ThreadPoolExecutor(THREADS) as pool:
            box = make_box(crowded, keys)
            turns = [Turn(crowded, box, keys, list(chain), number) for number in range(THREADS)]
            outcomes = Counter(code for codes in pool.map(Turn.play, turns) for code in codes)

        assert outcomes["done"] > THREADS * TURNS / 4
        assert set(outcomes) <= {
            *(
                "done",
                "stale_version",
                "parent_closed",
                "invalid",
                "comment_not_found",
                "comment_not_published",
            ),
            *("comment_removed", "comment_not_editable"),
        }
        assert find_differences(session) == []
        assert session.scalar(sa.select(sa.func.max(Comment.replies))) is not None

    def test_same_words_at_the_same_moment_are_one_comment(
        self, crowded: sa.Engine, session: Session, keys: Keys, site: Site
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        session.commit()

        def send(number: int) -> UUID:
            with Session(crowded, expire_on_commit=False) as own:
                parent = top if number % 2 else None
                made = make_comment(own, keys=keys, number=2 + number % 4, parent=parent)
                own.commit()
                return made.id

        with ThreadPoolExecutor(THREADS) as pool:
            ids = list(pool.map(send, range(48)))

        assert len(set(ids)) == 4
        assert find_differences(session) == []

    def test_same_words_again_wait_for_nobody_who_decides_about_them(
        self, crowded: sa.Engine, session: Session, keys: Keys, site: Site
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=top)
        session.commit()
        lock_newest_first(session, [top.id])

        with ThreadPoolExecutor(1) as pool:
            # It has the reply, and waits for the comment above; whoever has that must not wait for the reply.
            deciding = pool.submit(self.do, crowded, lambda own: decide_comment(own, reply))
            wait_for_a_waiter(crowded)
            again = make_comment(session, keys=keys, number=2, parent=top)
            session.commit()

            assert deciding.result(10) == "done"
        assert again.id == reply.id
        assert find_differences(session) == []

    def test_recount_waits_for_those_who_hold_a_comment(
        self, crowded: sa.Engine, session: Session, keys: Keys, site: Site
    ) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)
        session.execute(sa.update(Comment).values(replies=7))
        session.commit()
        lock_newest_first(session, [shown.id])

        with ThreadPoolExecutor(1) as pool:
            recounting = pool.submit(self.do, crowded, recount)
            wait_for_a_waiter(crowded)
            reporter = make_writer(keys, number=2)
            report_comment(session, shown.id, reporter=reporter, reason="spam", note=None, now=THEN)
            session.commit()

            assert recounting.result(10) == "done"
        assert find_differences(session) == []

    @staticmethod
    def do(engine: sa.Engine, act: Callable[[Session], object]) -> str:
        with Session(engine, expire_on_commit=False) as own:
            act(own)
            own.commit()
        return "done"
