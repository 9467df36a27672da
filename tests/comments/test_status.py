"""One door to a comment's status: log, counts, threads, reports and outbox change with it, or nothing does."""

import uuid
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.models import CommentReport, Status
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.comments.status import (
    Change,
    CommentNotFound,
    change_status,
    settle_reports,
    standing_of,
)
from pollsvc.errors import StaleVersion
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent
from tests.comments.evidence import changes_of, comment_of, counted, held_rows, told_of
from tests.factories import MODERATOR, THEN, decide_comment, edit_comment, make_comment, make_writer

LATER = THEN + timedelta(hours=1)
KINDS = {
    "published": "comment.published",
    "held": "comment.held",
    "rejected": "comment.rejected",
    "spam": "comment.rejected",
    "removed": "comment.removed",
}


class TestChangeStatus:
    @pytest.mark.parametrize("after", [each for each in Status if each != Status.PUBLISHED])
    def test_what_is_shown_no_more_stands_nowhere_in_the_open(
        self, session: Session, keys: Keys, site: Site, after: Status
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        made = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        seen = decide_comment(session, made, "feature")

        found = change_status(
            session, seen, Change(action="judge", after=after, actor="policy:7", reason_code="spam"), LATER
        )

        stored, change = comment_of(session, made.id), changes_of(session, made.id)[-1]
        assert (stored.shown_name, stored.shown_text, stored.shown_html) == (None, None, None)
        # Its writer is told of a reason only where it is turned down.
        told = "spam" if after in (Status.REJECTED, Status.SPAM) else None
        assert (stored.is_featured, stored.reason_code, stored.decided_at) == (False, told, LATER)
        assert change.reason_code == "spam"
        assert (found.status, found.version, found.decided_by) == (after, seen.version + 1, "policy:7")
        assert (change.action, change.before, change.after) == ("judge", "published", after)
        assert (change.version, change.actor, change.occurred_at) == (found.version, "policy:7", LATER)
        assert told_of(session, made.id)[-1] == (KINDS[after], found.version)
        assert comment_of(session, top.id).replies == 0
        assert counted(session) == {"published": 1, str(after): 1}

    def test_older_version_loses_and_changes_nothing(self, session: Session, keys: Keys, site: Site) -> None:
        seen = make_comment(session, keys=keys)
        decide_comment(session, seen, "spam")
        session.commit()
        before = held_rows(session)

        with pytest.raises(StaleVersion) as caught:
            change_status(session, seen, Change(action="judge", after=Status.HELD, actor="policy:7"), LATER)

        assert caught.value.extra["current"] == {"status": "spam", "version": 2, "decided_by": MODERATOR}
        assert held_rows(session) == before

    def test_claim_ends_with_it(self, session: Session, keys: Keys, site: Site) -> None:
        seen = make_comment(session, keys=keys)
        comment = comment_of(session, seen.id)
        comment.claimed_by, comment.claimed_until = MODERATOR, LATER
        session.flush()

        decide_comment(session, seen)

        stored = comment_of(session, seen.id)
        assert (stored.claimed_by, stored.claimed_until) == (None, None)

    def test_publisher_hears_of_statuses_and_texts_and_of_nothing_else(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, name="canary", body="canary", parent=made)
        featured = decide_comment(session, made, "feature")

        assert [kind for kind, _ in told_of(session, made.id)] == ["comment.held", "comment.published"]
        assert featured.version == 3
        rows = session.scalars(select(OutboxEvent.data).where(OutboxEvent.kind.like("comment.%")))
        data = [each or "" for each in rows]
        assert not any("canary" in each or "Well said" in each for each in data)
        assert f'"parent_id":"{made.id}"' in next(each for each in data if str(reply.id) in each)

    def test_publisher_hears_who_decided_and_why(self, session: Session, keys: Keys, site: Site) -> None:
        standing = make_comment(session, keys=keys)
        standing = decide_comment(session, standing, reason_code="other")
        standing = edit_comment(session, standing, "Better said.", keys=keys)
        standing = decide_comment(session, standing, "reject", reason_code="abuse")
        standing = decide_comment(session, standing)
        judged = Change(action="judge", after=Status.REJECTED, actor="policy:7")
        standing = change_status(session, standing, judged, LATER)
        withdraw_comment(session, standing.id, writer=make_writer(keys), now=LATER)

        rows = session.scalars(select(OutboxEvent.data).order_by(OutboxEvent.key))
        told = [orjson.loads(each or "{}") for each in rows]

        assert [(each["status"], each["decided_by"], each["reason_code"]) for each in told] == [
            ("held", "policy:0", None),
            ("published", MODERATOR, "other"),
            ("held", "policy:0", None),
            ("rejected", MODERATOR, "abuse"),
            ("published", MODERATOR, None),
            ("rejected", "policy:7", None),
            ("removed", "writer", None),
        ]


class TestStandingOf:
    def test_unknown_comment_is_not_found(self, session: Session) -> None:
        with pytest.raises(CommentNotFound):
            standing_of(session, uuid.uuid4())

    def test_tells_what_was_written(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        assert standing_of(session, made.id) == made
        assert (made.site_id, made.status, made.is_featured) == (site.id, "held", False)


class TestSettleReports:
    def test_closes_those_of_one_comment_once(self, session: Session, keys: Keys, site: Site) -> None:
        mine = make_comment(session, keys=keys, is_approved=True)
        other = make_comment(session, keys=keys, number=2, is_approved=True)
        for comment in (mine, other):
            reporter = make_writer(keys, number=3)
            report_comment(session, comment.id, reporter=reporter, reason="spam", note=None, now=THEN)

        settle_reports(session, mine.id, THEN)
        settle_reports(session, mine.id, LATER)

        found = session.execute(select(CommentReport.comment_id, CommentReport.settled_at)).all()
        assert dict(found) == {mine.id: THEN, other.id: None}
