"""Bans: whom they mean, until when they hold, and that a typed address is never refused for."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments import editing
from pollsvc.comments.admission import WriterBanned
from pollsvc.comments.bans import (
    AlreadyBanned,
    BanNotFound,
    CommentErased,
    ban,
    describe_ban,
    lift_ban,
    list_bans,
)
from pollsvc.comments.forgetting import Choice, forget_writer
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Comment, CommentVerdict, Status
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.status import CommentNotFound, Standing
from pollsvc.consent.service import email_hash
from pollsvc.errors import Invalid
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.comments.submitting import RULES, submit, writer
from tests.factories import ACTOR, THEN, make_site

LATER = THEN + timedelta(days=7)
MakeBan = Callable[..., Ban]


@pytest.fixture
def comment(session: Session, keys: Keys) -> Standing:
    """A comment of the first reader's."""
    make_site(session)
    return submit(session, keys=keys, number=1)


@pytest.fixture
def make_ban(session: Session, comment: Standing) -> MakeBan:
    """Ban for that comment: its writer for abuse, without an end, where nothing else is said."""

    def make(**changes: Any) -> Ban:
        terms: dict[str, Any] = {"by": "writer", "reason_code": "abuse", "ends_at": None, "now": THEN}
        return ban(session, comment.id, actor=ACTOR, **(terms | changes))[0]

    return make


def audit(session: Session) -> list[str]:
    session.flush()
    return list(session.scalars(select(AuditEntry.action).where(AuditEntry.object_type == "ban")))


class TestByWriter:
    def test_what_they_send_is_refused_with_the_end(
        self, make_ban: MakeBan, session: Session, keys: Keys
    ) -> None:
        make_ban(ends_at=LATER)

        with pytest.raises(WriterBanned, match="until 2026-03-08 08:00 UTC") as refusal:
            submit(session, keys=keys, number=1, body="Once more.")

        assert refusal.value.extra == {"ends_at": LATER}

    def test_what_they_edit_is_refused(
        self, make_ban: MakeBan, session: Session, keys: Keys, comment: Standing
    ) -> None:
        make_ban()

        with pytest.raises(WriterBanned) as refusal:
            editing.judge_edit(
                session,
                Judge(keys),
                comment.id,
                writer=writer(keys),
                body="Better so.",
                version=1,
                rules=RULES,
                now=THEN,
            )

        assert refusal.value.extra == {"ends_at": None}

    def test_of_several_the_longest_holds(self, make_ban: MakeBan, session: Session, keys: Keys) -> None:
        other = submit(session, keys=keys, number=1, body="Another one.")
        make_ban(ends_at=LATER)
        ban(
            session,
            other.id,
            by="writer",
            reason_code="spam",
            ends_at=LATER + timedelta(days=1),
            actor=ACTOR,
            now=THEN,
        )

        with pytest.raises(WriterBanned) as refusal:
            submit(session, keys=keys, number=1, body="Once more.")

        assert refusal.value.extra == {"ends_at": LATER + timedelta(days=1)}

    @pytest.mark.parametrize(
        ("number", "after"),
        [(2, timedelta(0)), (1, timedelta(days=7))],
        ids=["somebody else", "when it is over"],
    )
    def test_others_and_later_ones_are_taken(
        self, make_ban: MakeBan, session: Session, keys: Keys, number: int, after: timedelta
    ) -> None:
        make_ban(ends_at=LATER)

        taken = submit(session, keys=keys, number=number, body="Once more.", now=THEN + after)

        assert taken.status == Status.HELD

    def test_the_same_address_of_another_writer_is_let_be(
        self, make_ban: MakeBan, session: Session, keys: Keys
    ) -> None:
        make_ban()

        submit(session, keys=keys, number=2, email="reader-1@reader.example")

        assert said(session, "banned_address") == [0, 0]


class TestByEmail:
    def test_what_comes_with_it_is_held_and_never_refused(
        self, make_ban: MakeBan, session: Session, keys: Keys
    ) -> None:
        make_ban(by="email")

        taken = submit(session, keys=keys, number=2, email="reader-1@reader.example")

        assert taken.status == Status.HELD
        assert said(session, "banned_address") == [0, 1]

    def test_a_comment_without_an_address_has_none_to_ban(self, make_ban: MakeBan, session: Session) -> None:
        session.execute(update(Comment).values(email=None, email_hash=None))

        with pytest.raises(Invalid) as refusal:
            make_ban(by="email")

        assert list(refusal.value.fields) == ["by"]


class TestBan:
    def test_it_leaves_one_row_in_the_log(
        self, make_ban: MakeBan, session: Session, comment: Standing
    ) -> None:
        made = make_ban(ends_at=LATER)
        session.flush()

        (row,) = session.scalars(select(AuditEntry).where(AuditEntry.object_id == str(made.id)))

        assert (row.action, row.detail) == (
            "ban.created",
            {
                "comment_id": str(comment.id),
                "by": "writer",
                "reason_code": "abuse",
                "ends_at": "2026-03-08T08:00:00+00:00",
            },
        )

    def test_the_same_again_is_the_one_that_is_there(self, make_ban: MakeBan, session: Session) -> None:
        assert make_ban().id == make_ban().id

        assert audit(session) == ["ban.created"]

    def test_other_terms_are_refused_with_those_that_hold(self, make_ban: MakeBan) -> None:
        made = make_ban()

        with pytest.raises(AlreadyBanned) as refusal:
            make_ban(ends_at=LATER)

        assert refusal.value.extra == {"current": {"id": made.id, "ends_at": None}}

    def test_one_by_writer_and_one_by_address_stand_side_by_side(self, make_ban: MakeBan) -> None:
        assert make_ban().id != make_ban(by="email").id

    @pytest.mark.parametrize("before", [timedelta(0), timedelta(seconds=1)])
    def test_an_end_that_is_past_is_refused(self, make_ban: MakeBan, before: timedelta) -> None:
        with pytest.raises(Invalid) as refusal:
            make_ban(ends_at=THEN - before)

        assert list(refusal.value.fields) == ["ends_at"]

    def test_a_comment_that_is_none_is_refused(self, session: Session) -> None:
        with pytest.raises(CommentNotFound):
            ban(
                session,
                uuid.UUID(int=1),
                by="writer",
                reason_code="spam",
                ends_at=None,
                actor=ACTOR,
                now=THEN,
            )

    def test_whoever_was_forgotten_is_known_by_nothing(
        self, make_ban: MakeBan, session: Session, keys: Keys
    ) -> None:
        forget_writer(session, email_hash(keys, "reader-1@reader.example"), Choice.REMOVE_TEXT, THEN)

        with pytest.raises(CommentErased):
            make_ban()

    def test_a_ban_outlives_what_it_was_made_for_and_leads_there_no_more(
        self, make_ban: MakeBan, session: Session, keys: Keys
    ) -> None:
        made = make_ban()

        forget_writer(session, email_hash(keys, "reader-1@reader.example"), Choice.REMOVE_TEXT, THEN)

        assert session.scalars(select(Ban.comment_id).where(Ban.id == made.id)).one() is None
        with pytest.raises(WriterBanned):
            submit(session, keys=keys, number=1, body="Once more.")


class TestLiftBan:
    def test_they_are_taken_again(self, make_ban: MakeBan, session: Session, keys: Keys) -> None:
        made = make_ban()

        lift_ban(session, made.id, actor=ACTOR, now=THEN)
        session.flush()

        assert submit(session, keys=keys, number=1, body="Once more.").status == Status.HELD

    def test_twice_changes_nothing(self, make_ban: MakeBan, session: Session) -> None:
        made = make_ban()
        lift_ban(session, made.id, actor=ACTOR, now=THEN)

        again = lift_ban(session, made.id, actor=ACTOR, now=LATER)

        assert again.lifted_at == THEN
        assert audit(session) == ["ban.created", "ban.lifted"]

    def test_none_is_refused(self, session: Session) -> None:
        with pytest.raises(BanNotFound):
            lift_ban(session, uuid.UUID(int=1), actor=ACTOR, now=THEN)


class TestListBans:
    @pytest.mark.parametrize(
        ("in_force", "now", "found"),
        [
            (None, THEN, ["writer", "email"]),
            (True, THEN, ["email"]),
            (False, THEN, ["writer"]),
            (True, LATER, []),
            (False, LATER, ["writer", "email"]),
        ],
    )
    def test_those_that_hold_and_those_that_do_not(
        self, make_ban: MakeBan, session: Session, in_force: bool | None, now: datetime, found: list[str]
    ) -> None:
        lift_ban(session, make_ban().id, actor=ACTOR, now=THEN)
        make_ban(by="email", ends_at=LATER)
        session.flush()

        rows = session.scalars(list_bans(now, in_force=in_force).order_by(Ban.id))

        assert [describe_ban(row)["by"] for row in rows] == found


class TestDescribeBan:
    def test_no_hash_is_told(self, make_ban: MakeBan, keys: Keys, comment: Standing) -> None:
        by_writer, by_email = describe_ban(make_ban()), describe_ban(make_ban(by="email"))

        assert (by_writer["writer"], by_email["writer"]) == (writer(keys).key[:8].hex(), None)
        assert by_email["comment_id"] == comment.id
        assert [value for value in {**by_writer, **by_email}.values() if isinstance(value, bytes)] == []


def said(session: Session, name: str) -> list[float]:
    rows = select(CommentVerdict.score).where(CommentVerdict.name == name).order_by(CommentVerdict.comment_id)
    return list(session.scalars(rows))
