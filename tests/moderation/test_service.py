"""The newsroom decides by the version that it read; each decision leaves one row in each log, or nothing."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.models import Comment, CommentChange, CommentReport, CommentRevision, Status
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.comments.status import (
    Change,
    CommentNotFound,
    CommentRemoved,
    CommentUnreadable,
    change_status,
)
from pollsvc.errors import StaleVersion
from pollsvc.keys import Keys
from pollsvc.moderation.service import ACTIONS, NotPublished, decide
from tests.comments.evidence import (
    audited,
    changes_of,
    comment_of,
    counted,
    held_rows,
    told_of,
)
from tests.factories import MODERATOR, THEN, decide_comment, edit_comment, make_comment, make_writer


def report(session: Session, keys: Keys, comment_id: uuid.UUID) -> None:
    reporter = make_writer(keys, number=9)
    report_comment(session, comment_id, reporter=reporter, reason="abuse", note=None, now=THEN)


class TestDecide:
    @pytest.mark.parametrize(
        ("action", "status", "reason", "kind", "logged"),
        [
            ("approve", "published", None, "comment.published", "comment.approved"),
            ("reject", "rejected", "other", "comment.rejected", "comment.rejected"),
            ("spam", "spam", "spam", "comment.rejected", "comment.marked_as_spam"),
            ("remove", "removed", "other", "comment.removed", "comment.removed"),
        ],
    )
    def test_leads_where_it_should_and_leaves_one_row_in_each_log(  # noqa: PLR0917 (a table)
        self,
        session: Session,
        keys: Keys,
        site: Site,
        action: str,
        status: str,
        reason: str | None,
        kind: str,
        logged: str,
    ) -> None:
        made = make_comment(session, keys=keys)

        after = decide_comment(session, made, action, note="a note")

        change, [entry] = changes_of(session, made.id)[-1], audited(session, made.id)
        assert (after.status, after.version, after.decided_by) == (status, 2, MODERATOR)
        assert (change.action, change.before, change.after) == (action, "held", status)
        assert (change.actor, change.reason_code, change.note) == (MODERATOR, reason, "a note")
        assert (entry.action, entry.actor, entry.occurred_at) == (
            logged,
            MODERATOR,
            THEN,
        )
        assert entry.detail == {
            "before": "held",
            "after": status,
            "version": 2,
            "revision": 1,
            "reason_code": reason,
            "has_note": True,
        }
        assert told_of(session, made.id)[-1] == (kind, 2)
        assert counted(session) == {status: 1}

    def test_approval_shows_the_text_that_stands(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, name="Ada & Co")
        edited = edit_comment(session, made, "The *newer* text.", keys=keys)

        decide_comment(session, edited)

        stored = comment_of(session, made.id)
        assert (stored.shown_name, stored.shown_text) == ("Ada & Co", "The *newer* text.")
        assert stored.shown_html == "<p>The <em>newer</em> text.</p>"

    def test_every_decision_but_a_removal_can_be_turned_round(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        standing = make_comment(session, keys=keys)

        for action in ("approve", "reject", "spam", "approve", "spam", "reject", "approve", "remove"):
            standing = decide_comment(session, standing, action)
            assert standing.status == ACTIONS[action][0]
            assert counted(session) == {str(standing.status): 1}

        assert [each.version for each in changes_of(session, standing.id)] == list(range(1, 10))

    def test_stale_version_is_told_who_won(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)
        decide_comment(session, made, "remove")
        session.commit()
        before = held_rows(session)

        with pytest.raises(StaleVersion) as caught:
            decide_comment(session, made, actor="token:another")

        assert caught.value.extra == {"current": {"status": "removed", "version": 2, "decided_by": MODERATOR}}
        assert held_rows(session) == before

    def test_removed_comment_takes_no_decision(self, session: Session, keys: Keys, site: Site) -> None:
        by_staff = decide_comment(session, make_comment(session, keys=keys), "remove")
        made = make_comment(session, keys=keys, number=2)
        by_writer = withdraw_comment(session, made.id, writer=make_writer(keys, number=2), now=THEN)
        session.commit()
        before = held_rows(session)

        for standing in (by_staff, by_writer):
            for action in ACTIONS:
                with pytest.raises(CommentRemoved):
                    decide_comment(session, standing, action)

        assert held_rows(session) == before

    def test_unknown_comment_is_not_found(self, session: Session) -> None:
        with pytest.raises(CommentNotFound):
            decide(
                session,
                uuid.uuid4(),
                action="approve",
                version=1,
                reason_code=None,
                note=None,
                actor=MODERATOR,
                now=THEN,
            )

    def test_each_keeps_its_reason_and_the_comment_that_of_what_turns_it_down(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        standing = make_comment(session, keys=keys)
        kept = []

        for action in ("approve", "feature", "unfeature", "reject", "approve", "remove"):
            standing = decide_comment(session, standing, action, reason_code="wrong_fact")
            kept.append(comment_of(session, standing.id).reason_code)

        assert kept == [None, None, None, "wrong_fact", None, "wrong_fact"]
        assert [each.reason_code for each in changes_of(session, standing.id)[1:]] == ["wrong_fact"] * 6
        details = [each.detail for each in audited(session, standing.id)]
        assert [each and each["reason_code"] for each in details] == ["wrong_fact"] * 6

    def test_it_settles_reports(self, session: Session, keys: Keys, site: Site) -> None:
        for number, action in enumerate(["approve", "reject", "feature"]):
            made = make_comment(session, keys=keys, number=number, is_approved=True)
            report(session, keys, made.id)
            decide_comment(session, made, action)

        session.expire_all()
        settled = session.scalars(select(CommentReport.settled_at).order_by(CommentReport.id)).all()
        assert settled == [THEN, THEN, None]
        assert session.scalars(select(Comment.open_reports).order_by(Comment.id)).all() == [0, 0, 1]
        assert counted(session) == {"published": 2, "rejected": 1}


class TestWhatIsSoAlready:
    @pytest.mark.parametrize(
        ("first", "again"),
        [
            ({"action": "approve"}, {"action": "approve"}),
            ({"action": "reject"}, {"action": "reject"}),
            ({"action": "reject", "reason_code": "abuse"}, {"action": "reject", "reason_code": "abuse"}),
            ({"action": "spam"}, {"action": "spam"}),
            ({"action": "approve", "reason_code": "other"}, {"action": "approve", "reason_code": "other"}),
            ({"action": "approve", "reason_code": "other"}, {"action": "approve"}),
            ({"action": "approve"}, {"action": "unfeature"}),
        ],
        ids=str,
    )
    def test_changes_nothing(
        self, session: Session, keys: Keys, site: Site, first: dict[str, Any], again: dict[str, Any]
    ) -> None:
        decided = decide_comment(session, make_comment(session, keys=keys), **first)
        session.commit()
        before = held_rows(session)

        assert decide_comment(session, decided, **again, actor="token:another") == decided
        session.commit()
        assert held_rows(session) == before

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            ({"action": "reject"}, {"action": "reject", "reason_code": "abuse"}),
            ({"action": "approve"}, {"action": "approve", "reason_code": "other"}),
            ({"action": "approve"}, {"action": "approve", "note": "seen twice"}),
            ({"action": "approve"}, {"action": "unfeature", "note": "not this one"}),
        ],
        ids=["for another reason", "with a reason", "with a note", "with a note on what bears no label"],
    )
    def test_with_something_new_is_kept(
        self, session: Session, keys: Keys, site: Site, first: dict[str, Any], again: dict[str, Any]
    ) -> None:
        decided = decide_comment(session, make_comment(session, keys=keys), **first)

        after = decide_comment(session, decided, **again)

        assert after.version == decided.version + 1
        assert len(audited(session, decided.id)) == 2

    def test_by_a_policy_is_no_decision_of_the_newsroom(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        held = make_comment(session, keys=keys)
        change = Change(action="judge", after=Status.REJECTED, actor="policy:3", reason_code="other")
        rejected = change_status(session, held, change, THEN)

        after = decide_comment(session, rejected, "reject")

        assert (after.version, after.decided_by) == (3, MODERATOR)

    def test_with_open_reports_settles_them(self, session: Session, keys: Keys, site: Site) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)
        report(session, keys, shown.id)

        after = decide_comment(session, shown)

        assert (after.version, comment_of(session, shown.id).open_reports) == (3, 0)


class TestFeature:
    def test_published_comment_bears_the_label_until_it_is_taken_off(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)

        featured = decide_comment(session, shown, "feature")
        assert decide_comment(session, featured, "feature") == featured
        plain = decide_comment(session, featured, "unfeature")

        assert [featured.is_featured, plain.is_featured] == [True, False]
        assert [each.action for each in audited(session, shown.id)] == [
            "comment.approved",
            "comment.featured",
            "comment.unfeatured",
        ]
        assert comment_of(session, shown.id).shown_text == "Well said, 1."

    @pytest.mark.parametrize("action", ["feature", "unfeature"])
    def test_what_nobody_sees_does_not(self, session: Session, keys: Keys, site: Site, action: str) -> None:
        held = make_comment(session, keys=keys)

        with pytest.raises(NotPublished):
            decide_comment(session, held, action)


class TestLostKey:
    @pytest.mark.parametrize("column", [Comment.name, CommentRevision.body], ids=["name", "text"])
    def test_what_cannot_be_read_is_not_published_and_can_be_turned_down(
        self, session: Session, keys: Keys, site: Site, column: Any
    ) -> None:
        made = make_comment(session, keys=keys)
        session.execute(update(column.class_).values({column: None}))

        with pytest.raises(CommentUnreadable):
            decide_comment(session, made)

        assert decide_comment(session, made, "reject").status == "rejected"
        assert [each.action for each in session.scalars(select(CommentChange))] == ["submit", "reject"]
