"""Who and what is not taken: each with its own error, and nothing stored."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.admission import (
    CommentRaced,
    CommentsClosed,
    CommentsOff,
    ParentClosed,
    Rules,
    WriterBanned,
)
from pollsvc.comments.entries import Judged, NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Status
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.service import submit_comment, withdraw_comment
from pollsvc.consent.service import email_hash
from pollsvc.keys import Keys
from tests.comments.evidence import comment_of, field_refused, held_rows, revisions_of
from tests.factories import (
    ARTICLE_URL,
    MODERATOR,
    ORIGIN,
    RULES,
    THEN,
    decide_comment,
    edit_comment,
    judge_comment,
    make_article,
    make_comment,
    make_writer,
)


def ban(session: Session, **changes: Any) -> None:
    defaults = {"reason_code": "abuse", "created_by": MODERATOR, "created_at": THEN - timedelta(days=2)}
    session.add(Ban(**(defaults | changes)))
    session.flush()


class TestArticle:
    @pytest.mark.parametrize(
        ("mode", "error"), [("closed", CommentsClosed), ("off", CommentsOff)], ids=["closed", "off"]
    )
    def test_that_takes_none_refuses(
        self, session: Session, keys: Keys, site: Site, mode: str, error: type[Exception]
    ) -> None:
        make_article(session).comments = mode
        session.commit()
        before = held_rows(session)

        with pytest.raises(error):
            make_comment(session, keys=keys)

        assert held_rows(session) == before

    def test_premoderated_one_holds_even_those_who_are_trusted(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        make_article(session).comments = "premoderated"

        made = make_comment(session, keys=keys, body="Another word.")

        assert made.status == "held"
        assert revisions_of(session, made.id)[0].because == ["premoderation"]


class TestParent:
    @pytest.mark.parametrize("action", ["reject", "spam", "remove"])
    def test_that_the_newsroom_took_away_takes_no_replies(
        self, session: Session, keys: Keys, site: Site, action: str
    ) -> None:
        top = decide_comment(session, make_comment(session, keys=keys), action)
        session.commit()
        before = held_rows(session)

        with pytest.raises(ParentClosed):
            make_comment(session, keys=keys, number=2, parent=top)

        assert held_rows(session) == before

    def test_that_its_writer_took_back_takes_no_replies(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        gone = withdraw_comment(session, top.id, writer=make_writer(keys), now=THEN)

        with pytest.raises(ParentClosed):
            make_comment(session, keys=keys, number=2, parent=gone)

    def test_whose_place_is_shown_while_it_is_looked_at_again_takes_no_replies(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        held = edit_comment(session, top, "Better said.", keys=keys)
        session.commit()
        before = held_rows(session)

        with pytest.raises(ParentClosed, match="looked at again"):
            make_comment(session, keys=keys, number=3, parent=held)

        assert (held.status, held_rows(session)) == ("held", before)

    def test_that_nobody_sees_is_not_told_of(self, session: Session, keys: Keys, site: Site) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)
        held = make_comment(session, keys=keys, number=2)
        # Looks held to all but its writer.
        rejected = comment_of(session, make_comment(session, keys=keys, number=3).id)
        rejected.status, rejected.decided_by = Status.REJECTED, "policy:3"
        session.commit()
        before = held_rows(session)
        cases: list[dict[str, Any]] = [
            {"parent_id": held.id},
            {"parent_id": rejected.id},
            {"parent_id": uuid.uuid4()},
            {"parent_id": shown.id, "article_url": f"{ORIGIN}/another"},
        ]

        for case in cases:
            assert field_refused(lambda case=case: make_comment(session, keys=keys, **case)) == "parent_id"  # type: ignore[misc]

        assert held_rows(session) == before

    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_replies_go_as_deep_as_was_set(
        self, session: Session, keys: Keys, site: Site, depth: int
    ) -> None:
        rules = Rules(depth, timedelta(minutes=15))
        parent = make_comment(session, keys=keys, is_approved=True)
        for number in range(depth):
            parent = make_comment(
                session, keys=keys, number=2 + number, parent=parent, rules=rules, is_approved=True
            )

        refused = field_refused(lambda: make_comment(session, keys=keys, parent=parent, rules=rules))

        assert (refused, comment_of(session, parent.id).depth) == ("parent_id", depth)


class TestMeanwhile:
    """Between the look at a comment and its being written."""

    def judged(self, session: Session, keys: Keys) -> tuple[Judge, Judged]:
        make_comment(session, keys=keys, is_approved=True)
        session.commit()
        judge = Judge(keys)
        new = NewComment(
            article_url=ARTICLE_URL,
            parent_id=None,
            writer=make_writer(keys),
            name="Ada",
            email="ada@reader.example",
            body="Another word.",
            is_suspect=False,
        )
        session.flush()
        return judge, judge_comment(session.connection(), judge, new, RULES, THEN)

    def test_an_article_whose_comments_are_all_read_by_now_shows_none_unread(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        judge, judged = self.judged(session, keys)
        make_article(session).comments = "premoderated"
        session.flush()

        with pytest.raises(CommentRaced):
            submit_comment(session, judge, judged, RULES, THEN)

    def test_a_writer_who_was_banned_is_refused(self, session: Session, keys: Keys, site: Site) -> None:
        judge, judged = self.judged(session, keys)
        ban(session, writer_key=make_writer(keys).key)

        with pytest.raises(WriterBanned):
            submit_comment(session, judge, judged, RULES, THEN)


class TestBan:
    def test_refuses_a_writer_for_its_time(self, session: Session, keys: Keys, site: Site) -> None:
        mine = make_comment(session, keys=keys)
        ban(session, writer_key=make_writer(keys).key, ends_at=THEN + timedelta(minutes=5))
        session.commit()
        before = held_rows(session)

        with pytest.raises(WriterBanned):
            make_comment(session, keys=keys, body="Another word.")
        with pytest.raises(WriterBanned):
            edit_comment(session, mine, "Another word.", keys=keys)

        assert held_rows(session) == before
        # Somebody else writes, and so do they when it is over; what they wrote they may take back meanwhile.
        make_comment(session, keys=keys, number=2)
        make_comment(session, keys=keys, body="Another word.", now=THEN + timedelta(minutes=5))
        assert withdraw_comment(session, mine.id, writer=make_writer(keys), now=THEN).status == "removed"

    def test_that_was_lifted_refuses_nobody(self, session: Session, keys: Keys, site: Site) -> None:
        ban(session, writer_key=make_writer(keys).key, lifted_at=THEN)

        assert make_comment(session, keys=keys).status == "held"

    def test_of_an_address_only_holds(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys, is_approved=True)
        ban(session, email_hash=email_hash(keys, "troll@reader.example"))

        made = make_comment(session, keys=keys, body="Another word.", email="Troll@Reader.example")

        assert made.status == "held"
        assert revisions_of(session, made.id)[0].because == ["banned_address"]
        # An address is only typed: their identity is trusted as before.
        assert make_comment(session, keys=keys, body="A third word.").status == "published"

    def test_of_an_address_does_not_reach_accounts(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys, is_approved=True, email=None)
        ban(session, email_hash=email_hash(keys, "troll@reader.example"))
        ban(session, writer_key=make_writer(keys, number=9).key)

        assert make_comment(session, keys=keys, body="Another word.", email=None).status == "published"

    def test_keeps_nobody_from_reading_what_is_there(self, session: Session, keys: Keys, site: Site) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)

        ban(session, writer_key=make_writer(keys).key)

        assert comment_of(session, shown.id).status == "published"
        assert shown.article_url == ARTICLE_URL
