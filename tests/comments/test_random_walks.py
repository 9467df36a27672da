"""Whatever writers, readers and newsroom do, in whatever order: counts equal a recount, and nothing of what happened is lost."""

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from pollsvc.comments import bans, http_checks
from pollsvc.comments.asking import NoAnswer, Result
from pollsvc.comments.check_requests import claim
from pollsvc.comments.checks import all_checks
from pollsvc.comments.checks.check import Opinion
from pollsvc.comments.counts import find_differences
from pollsvc.comments.entries import NewComment
from pollsvc.comments.forgetting import Choice, forget_writer, forget_writer_of
from pollsvc.comments.judging import Judge
from pollsvc.comments.policies import BUILT_IN, Policy, read_policy
from pollsvc.comments.policy_models import Ban, CommentPolicy, WordList
from pollsvc.comments.rejudging import settle_request
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.comments.status import Standing, standing_of
from pollsvc.consent.service import email_hash
from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.moderation.service import ACTIONS
from pollsvc.outbox.outgoing import Outgoing
from tests.comments.books import Books
from tests.comments.submitting import AtOnce, make_box
from tests.databases import SuiteDatabase
from tests.factories import (
    ACTOR,
    MODERATOR,
    ORIGIN,
    RULES,
    THEN,
    decide_comment,
    edit_comment,
    make_site,
    make_writer,
    new_comment,
)
from tests.outbox.endpoints import LOOPBACK

TONE = "http:tone"
#: What the newsroom may have said that verdicts lead to: holding, nothing before the tone is known, and turning down.
POLICIES: list[dict[str, Any]] = [
    {
        "new_commenter": {"hold": 0.6},
        "approval_taken_back": {"hold": 1},
        TONE: {"reject": 0.9, "when_missing": None},
    },
    {TONE: {"hold": 0.5, "when_missing": None}},
    {"links": {"reject": 0.5}},
]
CHECKS = {*(check.name for check in all_checks()), TONE}
#: Refusals that a walk meets, beside those of new comments; any other error is one.
REFUSALS = {
    *("already_banned", "comment_erased", "comment_not_editable", "comment_not_found"),
    *("comment_not_published", "comment_removed", "edit_window_over", "invalid", "stale_version"),
    "writer_banned",
}
#: When a check is asked once more that did not answer.
LATER = THEN + timedelta(days=1)
WRITERS = st.integers(1, 3)
PLACES = st.integers(0, 12)
WORDS = st.sampled_from(
    ["Yes.", "No.", "See https://a.example", "*Well* said.", "A word of more than twenty letters."]
)
#: Who writes, below which article, or which comment, and what.
Sent = tuple[int, int, int | None, str]
SENT = st.tuples(WRITERS, st.integers(0, 1), st.none() | PLACES, WORDS)


class Walk(RuleBasedStateMachine):
    """Three writers on two articles; what the comments are to be is kept in a few lines beside the database."""

    database: SuiteDatabase
    engine: sa.Engine
    keys: Keys
    judge: Judge
    at_once: AtOnce

    def __init__(self) -> None:
        super().__init__()
        #: Status by comment, in the order in which they were written, and who wrote each.
        self.statuses: dict[UUID, str] = {}
        self.writers: dict[UUID, int] = {}
        #: Those whose writers were forgotten, and how often each writer was: they come back under another name.
        self.nobodys: set[UUID] = set()
        self.forgotten: Counter[int] = Counter()
        #: Whom each ban keeps out, by its id; an address and who was forgotten since, nobody.
        self.bans: dict[UUID, int | None] = {}
        self.policies: dict[int, Policy] = {0: BUILT_IN}
        #: The keys by which writers are found.
        self.found_by = {make_writer(self.keys, number=number).key for number in (1, 2, 3)}

    @initialize(document=st.sampled_from(POLICIES))
    def begin(self, document: dict[str, Any]) -> None:
        with self._act() as session:
            make_site(session)
            check: dict[str, Any] = {"name": "tone", "url": "http://127.0.0.1:1/", "timeout": 5}
            http_checks.make_check(session, Outgoing(private_hosts=LOOPBACK), **check, actor=ACTOR, now=THEN)
            values = {"version": 1, "exceptions": [], "updated_at": THEN, "updated_by": ACTOR}
            # What is in each name, so that a check tells of it.
            session.add(WordList(kind="suspect", language="en", words=["reader"], **values))
        self.let_another_policy_decide(document)
        # By itself, for it is the first of its article; the others together, some below what is published then.
        self._submit((1, 0, None, "Yes."))
        self.decide(0, "approve", has_note=False, is_late=False)
        self._submit((2, 0, None, "No."), (3, 0, 1, "Yes."))

    @rule(sent=SENT)
    def submit(self, sent: Sent) -> None:
        self._submit(sent)

    @rule(sent=st.lists(SENT, min_size=2, max_size=3), is_one_sent_twice=st.booleans())
    def submit_at_once(self, sent: list[Sent], is_one_sent_twice: bool) -> None:
        self._submit(*sent, *sent[:is_one_sent_twice])

    @rule(place=PLACES, body=WORDS)
    def edit(self, place: int, body: str) -> None:
        id_ = self._at(place)
        with self._act() as session:
            seen, number = standing_of(session, id_), self.writers[id_]
            self._is(edit_comment(session, seen, body, keys=self.keys, number=number, judge=self.judge))
            assert id_ not in self.nobodys
            assert number not in self.bans.values()

    @rule(place=PLACES, reader=st.integers(1, 4))
    def report(self, place: int, reader: int) -> None:
        id_ = self._at(place)
        reporter = make_writer(self.keys, number=reader)
        with self._act() as session:
            note = self._note(id_)
            report_comment(session, id_, reporter=reporter, reason="spam", note=note, now=THEN)

    @rule(
        place=PLACES,
        action=st.sampled_from(["approve", "approve", *ACTIONS]),
        has_note=st.booleans(),
        is_late=st.booleans(),
    )
    def decide(self, place: int, action: str, has_note: bool, is_late: bool) -> None:
        id_ = self._at(place)
        with self._act() as session:
            seen, note = standing_of(session, id_), self._note(id_) if has_note else None
            if is_late and seen.version > 1:
                decide_comment(session, replace(seen, version=seen.version - 1), action)
                raise AssertionError("an older version was decided about")
            self._is(decide_comment(session, seen, action, note=note))

    @rule(place=PLACES)
    def withdraw(self, place: int) -> None:
        id_ = self._at(place)
        with self._act() as session:
            writer = make_writer(self.keys, number=self.writers[id_])
            self._is(withdraw_comment(session, id_, writer=writer, now=THEN))
            assert id_ not in self.nobodys

    @rule(document=st.sampled_from(POLICIES))
    def let_another_policy_decide(self, document: dict[str, Any]) -> None:
        version, written = len(self.policies), {"checks": document}
        self.policies[version] = read_policy(version, written)
        with self._act() as session:
            session.execute(update(CommentPolicy).values(state="retired"))
            values = {"version": version, "state": "live", "created_by": ACTOR, "created_at": THEN}
            session.add(CommentPolicy(document=written, **values))

    @rule(score=st.sampled_from([None, 0, 0.6, 1]), is_final=st.booleans())
    def answer_for_a_check(self, score: float | None, is_final: bool) -> None:
        """What was asked first is answered, whatever became of the comment since."""
        opinion = None if score is None else Opinion(score, "So it sounds.")
        failure = NoAnswer("It answered HTTP 500.", is_final=is_final) if opinion is None else None
        with self._act() as session:
            claimed = claim(session, TONE, uuid.uuid4(), LATER)
            if claimed:
                before = standing_of(session, claimed.comment_id)
                result = Result(opinion, failure, "1", 1)
                assert settle_request(session, claimed, result, THEN, 0) != "superseded"
                after = standing_of(session, claimed.comment_id)
                is_open = before.revision == claimed.revision and before.decided_by.startswith("policy:")
                assert is_open or after == before
                self._is(after)

    @rule(place=PLACES, by=st.sampled_from(bans.WAYS), has_end=st.booleans())
    def ban(self, place: int, by: str, has_end: bool) -> None:
        id_, ends_at = self._at(place), LATER if has_end else None
        with self._act() as session:
            made, _ = bans.ban(
                session, id_, by=by, reason_code="abuse", ends_at=ends_at, actor=MODERATOR, now=THEN
            )
            self.bans[made.id] = self.writers[id_] if by == "writer" and id_ not in self.nobodys else None

    @rule(place=PLACES)
    def lift_a_ban(self, place: int) -> None:
        if self.bans:
            id_ = list(self.bans)[place % len(self.bans)]
            with self._act() as session:
                bans.lift_ban(session, id_, actor=MODERATOR, now=THEN)
            del self.bans[id_]

    # Not of nearly everybody, or little would be left to walk on.
    @precondition(lambda self: len(self.nobodys) * 3 <= len(self.statuses))
    @rule(place=PLACES, choice=st.sampled_from(Choice), is_by_address=st.booleans())
    def forget(self, place: int, choice: Choice, is_by_address: bool) -> None:
        id_ = self._at(place)
        is_somebody = is_by_address or id_ not in self.nobodys
        number = self.writers[id_]
        theirs = self._those_of(number) if is_somebody else {id_}
        with self._act() as session:
            if is_by_address:
                hashed = email_hash(self.keys, f"reader-{number}@reader.example")
                found, _ = forget_writer(session, hashed, choice, THEN)
            else:
                found, _ = forget_writer_of(session, id_, choice, THEN)
            assert found == len(theirs)
            assert not session.scalar(select(exists().where(Ban.comment_id.in_(theirs))))
            for each in theirs:
                stays = choice == Choice.REMOVE_IDENTITY and self.statuses[each] == "published"
                self.statuses[each] = "published" if stays else "removed"
            self.nobodys |= theirs
            self.forgotten[number] += is_somebody

    @invariant()
    def the_books_are_in_order(self) -> None:
        with Session(self.engine) as session:
            books = Books.of(session)
        assert {row.id: row.status for row in books.comments.values()} == self.statuses
        books.check(self.policies, CHECKS)
        names = {self._name(number, times) for number, n in self.forgotten.items() for times in range(n)}
        books.check_forgotten(self.nobodys, names, self.found_by)

    def teardown(self) -> None:
        with Session(self.engine) as session:
            differences = find_differences(session)
        self.database.reset()
        assert differences == []

    def _submit(self, *sent: Sent) -> None:
        with Session(self.engine) as session:
            above = [
                None if place is None else standing_of(session, self._answered(place))
                for _, _, place, _ in sent
            ]
        new = [self._new(each, parent) for each, parent in zip(sent, above, strict=True)]
        answers = self.at_once.submit(new)
        known, made = set(self.statuses), Counter[UUID]()
        for (number, *_), parent, answer in zip(sent, above, answers, strict=True):
            is_banned = number in self.bans.values()
            if isinstance(answer, PollsvcError):
                assert (answer.code == "writer_banned") == is_banned
                assert is_banned or answer.code == _why_not_below(parent)
                continue
            assert not is_banned
            assert _why_not_below(parent) is None
            standing, is_new = answer
            made[standing.id] += is_new
            assert self.statuses.get(standing.id, standing.status) == standing.status
            self._is(standing)
            self.writers[standing.id] = number
        # The same words are one comment, and one of those who sent them is told that it is new.
        assert made == {each: int(each not in known) for each in made}

    def _new(self, sent: Sent, parent: Standing | None) -> NewComment:
        number, article, _, body = sent
        url: dict[str, Any] = {} if parent else {"article_url": f"{ORIGIN}/story-{article}"}
        name = self._name(number, self.forgotten[number])
        return new_comment(self.keys, number=number, parent=parent, name=name, body=body, **url)

    @contextmanager
    def _act(self) -> Iterator[Session]:
        """A transaction as a request's: what is refused leaves nothing."""
        writing = self.engine.execution_options(sqlite_write=True)
        with Session(writing, expire_on_commit=False) as session:
            try:
                yield session
            except PollsvcError as error:
                if error.code not in REFUSALS:
                    raise
            else:
                session.commit()

    def _at(self, place: int) -> UUID:
        return list(self.statuses)[place % len(self.statuses)]

    def _answered(self, place: int) -> UUID:
        """Mostly one that takes replies, if there is one."""
        shown = [each for each, status in self.statuses.items() if status == "published"]
        return shown[place % len(shown)] if shown and place % 4 else self._at(place)

    def _is(self, standing: Standing) -> None:
        self.statuses[standing.id] = str(standing.status)

    def _those_of(self, number: int) -> set[UUID]:
        return {each for each, writer in self.writers.items() if writer == number} - self.nobodys

    def _note(self, comment_id: UUID) -> str:
        if comment_id in self.nobodys:
            return "Once more."
        number = self.writers[comment_id]
        return f"{self._name(number, self.forgotten[number])}!"

    @staticmethod
    def _name(number: int, times: int) -> str:
        return f"Reader {number}, who came back {times:02} times"


def _why_not_below(parent: Standing | None) -> str | None:
    """Why a reply is refused; None if it is not."""
    if parent is None:
        return None
    if parent.status in ("published", "held"):
        is_open = parent.status == "published" and len(parent.ancestors) < RULES.depth
        return None if is_open else "invalid"
    return "parent_closed"


class TestWalk:
    def test_keeps_counts_equal_to_a_recount_and_the_log_complete(
        self, database: SuiteDatabase, engine: sa.Engine, keys: Keys
    ) -> None:
        quick = settings(
            max_examples=8,
            stateful_step_count=24,
            deadline=None,
            # Making a walk shorter that failed would take minutes on a database, and it is not long.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )

        judge = Judge(keys)
        with ThreadPoolExecutor(4) as threads:
            at_once = AtOnce(make_box(engine, keys, judge), threads)
            members = {
                "database": database,
                "engine": engine,
                "keys": keys,
                "judge": judge,
                "at_once": at_once,
            }
            run_state_machine_as_test(type("WalkHere", (Walk,), members), settings=quick)
