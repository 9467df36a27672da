"""Whatever writers, readers and newsroom do, in whatever order: counts equal a recount, and nothing of what happened is lost."""

from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments.checks import all_checks
from pollsvc.comments.counts import find_differences
from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import Comment, CommentChange, CommentReport, CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import CommentPolicy
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.comments.status import Standing, standing_of
from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.moderation.service import ACTIONS
from tests.factories import ORIGIN, THEN, decide_comment, edit_comment, make_comment, make_site, make_writer

#: What the newsroom may have said that verdicts lead to: holding, nothing at all, and turning down.
POLICIES: list[dict[str, Any]] = [
    {"new_commenter": {"hold": 0.6}, "approval_taken_back": {"hold": 1}},
    {},
    {"links": {"reject": 0.5}},
]
CHECKS = {check.name for check in all_checks()}
#: Refusals that a walk meets; any other error is one.
REFUSALS = {
    *(
        "comment_not_editable",
        "comment_not_found",
        "comment_not_published",
        "comment_removed",
        "edit_window_over",
    ),
    *("invalid", "parent_closed", "stale_version"),
}
PLACES = st.integers(0, 12)
WORDS = st.sampled_from(
    ["Yes.", "No.", "See https://a.example", "*Well* said.", "A word of more than twenty letters."]
)


class Walk(RuleBasedStateMachine):
    """Three writers on two articles; what the comments are to be is kept in a few lines beside the database."""

    session: Session
    keys: Keys

    def __init__(self) -> None:
        super().__init__()
        #: Status by comment, in the order in which they were written, and who wrote each.
        self.statuses: dict[UUID, str] = {}
        self.writers: dict[UUID, int] = {}
        self.policies = 0

    @initialize()
    def begin(self) -> None:
        make_site(self.session)

    @rule(writer=st.integers(1, 3), article=st.integers(0, 1), parent=st.none() | PLACES, body=WORDS)
    def submit(self, writer: int, article: int, parent: int | None, body: str) -> None:
        above = None if parent is None else self._at(parent)
        url: dict[str, Any] = {} if above else {"article_url": f"{ORIGIN}/story-{article}"}
        with suppress(Refused), self._saved():
            made = make_comment(self.session, keys=self.keys, number=writer, parent=above, body=body, **url)
            assert self.statuses.get(made.id, str(made.status)) == made.status
            self.statuses[made.id], self.writers[made.id] = str(made.status), writer

    @rule(place=PLACES, body=WORDS)
    def edit(self, place: int, body: str) -> None:
        if seen := self._at(place):
            with suppress(Refused), self._saved():
                number = self.writers[seen.id]
                self._is(edit_comment(self.session, seen, body, keys=self.keys, number=number))

    @rule(place=PLACES, reader=st.integers(1, 4))
    def report(self, place: int, reader: int) -> None:
        if seen := self._at(place):
            reporter = make_writer(self.keys, number=reader)
            with suppress(Refused), self._saved():
                report_comment(self.session, seen.id, reporter=reporter, reason="spam", note=None, now=THEN)

    @rule(place=PLACES, action=st.sampled_from(["approve", "approve", *ACTIONS]), is_late=st.booleans())
    def decide(self, place: int, action: str, is_late: bool) -> None:
        if seen := self._at(place):
            if is_late and seen.version > 1:
                seen = standing_of(self.session, seen.id)
                seen = Standing(**{**seen.__dict__, "version": seen.version - 1})
                with suppress(Refused), self._saved():
                    decide_comment(self.session, seen, action)
                    raise AssertionError("an older version was decided about")
                return
            with suppress(Refused), self._saved():
                self._is(decide_comment(self.session, seen, action))

    @rule(place=PLACES)
    def withdraw(self, place: int) -> None:
        if seen := self._at(place):
            writer = make_writer(self.keys, number=self.writers[seen.id])
            self._is(withdraw_comment(self.session, seen.id, writer=writer, now=THEN))

    @rule(document=st.sampled_from(POLICIES))
    def let_another_policy_decide(self, document: dict[str, Any]) -> None:
        self.policies += 1
        self.session.execute(update(CommentPolicy).values(state="retired"))
        values = {"version": self.policies, "state": "live", "created_by": "test", "created_at": THEN}
        self.session.add(CommentPolicy(document={"checks": document}, **values))
        self.session.flush()

    @invariant()
    def counts_equal_a_recount(self) -> None:
        assert find_differences(self.session) == []
        rows = self.session.execute(
            select(Comment.id, Comment.parent_id, Comment.status, Comment.replies)
        ).all()
        assert {row.id: row.status for row in rows} == self.statuses
        above = {row.id: row.parent_id for row in rows}
        replies: Counter[UUID] = Counter()
        for row in rows:
            parent = above[row.id]
            while parent and row.status == "published":
                replies[parent] += 1
                parent = above[parent]
        assert {row.id: row.replies for row in rows} == {each: replies[each] for each in above}

    @invariant()
    def log_and_revisions_are_complete(self) -> None:
        self.session.expire_all()
        comments = {each.id: each for each in self.session.scalars(select(Comment))}
        changes: dict[UUID, list[CommentChange]] = {each: [] for each in comments}
        for change in self.session.scalars(select(CommentChange).order_by(CommentChange.version)):
            changes[change.comment_id].append(change)
        revisions: dict[UUID, list[CommentRevision]] = {each: [] for each in comments}
        for revision in self.session.scalars(select(CommentRevision).order_by(CommentRevision.number)):
            revisions[revision.comment_id].append(revision)
        rows = select(CommentVerdict.comment_id, CommentVerdict.revision)
        verdicts = Counter((found, number) for found, number in self.session.execute(rows))
        names = self.session.scalars(select(CommentVerdict.name)).all()
        for comment in comments.values():
            log, texts = changes[comment.id], revisions[comment.id]
            assert [each.version for each in log] == list(range(1, comment.version + 1))
            assert [each.before for each in log] == [None, *(each.after for each in log[:-1])]
            assert (log[-1].after, log[-1].actor) == (comment.status, comment.decided_by)
            assert [each.number for each in texts] == list(range(1, comment.revision + 1))
            assert all(
                later.revision - sooner.revision == (later.action == "edit")
                for sooner, later in pairwise(log)
            )
            assert all(verdicts[comment.id, each.number] == len(CHECKS) for each in texts)
            text = texts[-1].body if comment.status == "published" else None
            assert (comment.shown_text, comment.shown_html) == (text, text and mark_up(text).html)
            assert comment.shown_name == (comment.name if text else None)
        assert set(names) == (CHECKS if comments else set())

    @invariant()
    def what_nobody_sees_has_no_open_report_and_no_feature(self) -> None:
        reported = select(Comment.status).join(CommentReport).where(CommentReport.settled_at.is_(None))
        assert set(self.session.scalars(reported)) <= {"published", "held"}
        featured = select(Comment.status).where(Comment.is_featured)
        assert set(self.session.scalars(featured)) <= {"published"}

    def teardown(self) -> None:
        self.session.rollback()

    def _at(self, place: int) -> Standing | None:
        ids = list(self.statuses)
        return standing_of(self.session, ids[place % len(ids)]) if ids else None

    def _is(self, standing: Standing) -> None:
        self.statuses[standing.id] = str(standing.status)

    def _saved(self) -> "Saved":
        return Saved(self.session)


class Refused(Exception):
    """An act was refused, and left nothing."""


class Saved:
    """An act that leaves nothing where it is refused, as a request's transaction."""

    def __init__(self, session: Session) -> None:
        self._nested = session.begin_nested()

    def __enter__(self) -> None:
        self._nested.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._nested.__exit__(kind, error, trace)
        if isinstance(error, PollsvcError):
            assert error.code in REFUSALS
            raise Refused from error


class TestWalk:
    def test_keeps_counts_equal_to_a_recount_and_the_log_complete(self, session: Session, keys: Keys) -> None:
        members: dict[str, Any] = {"session": session, "keys": keys}
        quick = settings(
            max_examples=8,
            stateful_step_count=24,
            deadline=None,
            # Making a walk shorter that failed would take minutes on a database, and it is not long.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )

        run_state_machine_as_test(type("WalkHere", (Walk,), members), settings=quick)
