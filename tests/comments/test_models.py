"""Each named constraint of comments refuses what it should, and what is not published stands nowhere in the clear."""

import re
import uuid
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentCount,
    CommentReport,
    CommentRevision,
    CommentVerdict,
)
from pollsvc.comments.policy_models import Ban, CommentPolicy, WordList
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.db import Model
from pollsvc.keys import Keys
from tests.consent.stored import tables_with
from tests.factories import (
    ACTOR,
    ARTICLE_URL,
    MODERATOR,
    THEN,
    decide_comment,
    edit_comment,
    make_article,
    make_comment,
    make_site,
    make_writer,
)

FOREIGN_KEY = r"FOREIGN KEY constraint failed|violates foreign key constraint"
NOBODY = uuid.UUID("018f0000-0000-7000-8000-000000000000")
HASH = b"h" * 32

#: What is changed in all rows of a table, and which constraint refuses it.
Cases = list[tuple[type[Model], dict[str, Any], str]]
OF_HELD: Cases = [
    (Comment, {"status": "deleted"}, "ck_comment_known_status"),
    (Comment, {"version": 0}, "ck_comment_numbers_from_one"),
    (Comment, {"revision": 0}, "ck_comment_numbers_from_one"),
    (Comment, {"replies": -1}, "ck_comment_counts_not_negative"),
    (Comment, {"open_reports": -1}, "ck_comment_counts_not_negative"),
    (Comment, {"shown_html": "<p>seen</p>"}, "ck_comment_shown_if_published"),
    (Comment, {"shown_text": "seen"}, "ck_comment_shown_if_published"),
    (Comment, {"shown_name": "Ada"}, "ck_comment_shown_if_published"),
    (Comment, {"status": "published"}, "ck_comment_shown_if_published"),
    (Comment, {"depth": 1}, "ck_comment_replies_have_a_depth"),
    (Comment, {"submission_key": HASH}, r"uq_comment_submission_key|comment\.submission_key"),
    (Comment, {"below_id": NOBODY}, "ck_comment_below_parent_or_article"),
    (Comment, {"article_id": NOBODY, "below_id": NOBODY}, FOREIGN_KEY),
    (Comment, {"parent_id": NOBODY, "below_id": NOBODY, "depth": 1}, FOREIGN_KEY),
    (CommentRevision, {"outcome": "perhaps"}, "ck_comment_revision_known_outcome"),
    (CommentRevision, {"number": 2}, FOREIGN_KEY),
    (CommentVerdict, {"state": "asleep"}, "ck_comment_verdict_known_state"),
    (CommentVerdict, {"score": 1.01}, "ck_comment_verdict_score_from_nought_to_one"),
    (CommentVerdict, {"score": -0.01}, "ck_comment_verdict_score_from_nought_to_one"),
    (CommentVerdict, {"revision": 2}, FOREIGN_KEY),
    (CommentChange, {"after": "deleted"}, "ck_comment_change_known_after"),
    (CommentChange, {"comment_id": NOBODY}, r"pk_comment_change|comment_change\.comment_id"),
    (CommentCount, {"status": "deleted"}, "ck_comment_count_known_status"),
    (CommentCount, {"n": -1}, "ck_comment_count_not_negative"),
    (Site, {"comments": "ajar"}, "ck_site_known_comments"),
    (Site, {"comments_close_days": 0}, "ck_site_days_from_one"),
    (Article, {"comments": "ajar"}, "ck_article_known_comments"),
    (Article, {"comments_close_days": 0}, "ck_article_days_from_one"),
]
OF_NEWSROOM: list[tuple[list[tuple[str, dict[str, Any]]], str]] = [
    ([("word_list", {"kind": "odd"})], "ck_word_list_known_kind"),
    ([("word_list", {"version": 0})], "ck_word_list_version_from_one"),
    ([("word_list", {}), ("word_list", {})], r"pk_word_list|word_list\.kind"),
    ([("policy", {"state": "tried"})], "ck_comment_policy_known_state"),
    ([("policy", {"version": 0})], "ck_comment_policy_version_from_one"),
    (
        [("policy", {"state": "live"}), ("policy", {"state": "live", "version": 2})],
        r"uq_comment_policy_live|comment_policy\.state",
    ),
    ([("ban", {"email_hash": HASH})], "ck_ban_one_of_both"),
    ([("ban", {"writer_key": None})], "ck_ban_one_of_both"),
    ([("ban", {"ends_at": THEN})], "ck_ban_ends_after_it_begins"),
]
OF_PUBLISHED: Cases = [
    (Comment, {"status": "held"}, "ck_comment_shown_if_published"),
    (Comment, {"shown_html": None}, "ck_comment_shown_if_published"),
    (Comment, {"shown_text": None}, "ck_comment_shown_if_published"),
    (Comment, {"shown_name": None}, "ck_comment_shown_if_published"),
    (CommentReport, {"reason": "other"}, "ck_comment_report_known_reason"),
    (CommentReport, {"reporter_key": HASH}, r"uq_comment_report|comment_report\.reporter_key"),
    (CommentReport, {"comment_id": NOBODY}, FOREIGN_KEY),
    (CommentChange, {"version": 2}, r"pk_comment_change|comment_change\.version"),
]


@pytest.fixture
def held(session: Session, keys: Keys) -> None:
    """Two held comments."""
    make_site(session)
    for number in (1, 2):
        make_comment(session, keys=keys, number=number)


@pytest.fixture
def published(session: Session, keys: Keys) -> None:
    """A published comment that two readers reported."""
    make_site(session)
    comment = make_comment(session, keys=keys, is_approved=True)
    for number in (2, 3):
        reporter = make_writer(keys, number=number)
        report_comment(session, comment.id, reporter=reporter, reason="abuse", note=None, now=THEN)


class TestConstraints:
    """One test for many rows: each refusal is undone by itself, and the rows need not be written again for the next."""

    @pytest.mark.usefixtures("held")
    def test_rows_of_held_comments_stay_within(self, session: Session) -> None:
        assert not_refused(session, OF_HELD) == []

    @pytest.mark.usefixtures("published")
    def test_rows_of_published_comments_stay_within(self, session: Session) -> None:
        assert not_refused(session, OF_PUBLISHED) == []


class TestNewsroomRows:
    def test_rows_stay_within(self, session: Session) -> None:
        for rows, constraint in OF_NEWSROOM:
            with pytest.raises(IntegrityError, match=constraint), session.begin_nested():
                _add(session, rows)


class TestEncryption:
    def test_nothing_of_what_is_not_published_stands_in_the_clear(self, session: Session, keys: Keys) -> None:
        make_site(session)
        held = make_comment(
            session, keys=keys, name="canary-name", email="canary@reader.example", body="canary-body"
        )
        approved = decide_comment(session, held, note="canary-note")
        reporter = make_writer(keys, number=2)
        report_comment(session, held.id, reporter=reporter, reason="abuse", note="canary-report", now=THEN)
        edited = edit_comment(session, approved, "canary-edit", keys=keys)
        session.commit()
        assert tables_with(session, b"canary") == set()

        decide_comment(session, edited)
        session.commit()
        assert tables_with(session, b"canary") == {"comment"}

        withdraw_comment(session, held.id, writer=make_writer(keys), now=THEN)
        session.commit()
        assert tables_with(session, b"canary") == set()

    def test_equal_comments_do_not_look_equal(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for number in (1, 2):
            make_comment(session, keys=keys, number=number, name="Ada", body="Yes", email="a@b.example")

        for column in ("name", "email"):
            stored = session.connection().exec_driver_sql(f"SELECT {column} FROM comment").scalars().all()
            assert len(set(map(bytes, stored))) == 2

    def test_a_writer_is_known_by_no_identity(self, session: Session, keys: Keys) -> None:
        make_site(session)
        make_article(session, url=ARTICLE_URL)
        make_comment(session, keys=keys, number=7)

        identity = (7).to_bytes(16, "big")
        assert tables_with(session, identity) == set()
        assert session.scalars(select(func.count()).select_from(Comment)).one() == 1


def _add(session: Session, rows: list[tuple[str, dict[str, Any]]]) -> None:
    for kind, values in rows:
        session.execute(row_of(kind, values))


def row_of(kind: str, values: dict[str, Any]) -> Any:
    """Give the INSERT of a good row with some values changed."""
    made: dict[str, tuple[type[Model], dict[str, Any]]] = {
        "word_list": (
            WordList,
            {
                "kind": "banned",
                "language": "en",
                "version": 1,
                "words": [],
                "exceptions": [],
                "updated_at": THEN,
                "updated_by": ACTOR,
            },
        ),
        "policy": (
            CommentPolicy,
            {"version": 1, "state": "draft", "document": {}, "created_by": ACTOR, "created_at": THEN},
        ),
        "ban": (
            Ban,
            {"writer_key": HASH, "reason_code": "abuse", "created_by": MODERATOR, "created_at": THEN},
        ),
    }
    model, defaults = made[kind]
    return model.__table__.insert().values(**(defaults | values))  # type: ignore[attr-defined]


def not_refused(session: Session, cases: Cases) -> list[tuple[str, dict[str, Any], str]]:
    """Try each change, and give those that its constraint did not refuse, with what happened in its place."""
    wrong = []
    for model, values, constraint in cases:
        try:
            with session.begin_nested():
                session.execute(update(model).values(**values))
            found = "nothing"
        except IntegrityError as error:
            found = str(error.orig)
        if not re.search(constraint, found):
            wrong.append((constraint, values, found))
    return wrong
