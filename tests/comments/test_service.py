"""Comments are written once, taken back by their writers, and reported once by each reader."""

import uuid
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.comments import service
from pollsvc.comments.checks import all_checks
from pollsvc.comments.counts import counts_of
from pollsvc.comments.entries import NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Comment, CommentReport, CommentVerdict
from pollsvc.comments.policy_models import CommentPolicy
from pollsvc.comments.service import (
    report_comment,
    submit_comment,
    withdraw_comment,
)
from pollsvc.comments.status import CommentNotFound
from pollsvc.consent.service import email_hash
from pollsvc.keys import Keys
from tests.comments.evidence import (
    changes_of,
    comment_of,
    counted,
    field_refused,
    held_rows,
    revisions_of,
    told_of,
)
from tests.comments.test_checks import Faulty
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    RULES,
    THEN,
    decide_comment,
    edit_comment,
    judge_comment,
    make_comment,
    make_writer,
)

INVISIBLE = [
    "*",
    "-",
    "```\n```",
    "[](https://a.example)",
    "> \u2060",
    "[\u200b](https://a.example)",
    "\u2800",
]


def make_policy(session: Session, document: dict[str, object], version: int = 1) -> None:
    """Let a policy decide."""
    session.add(
        CommentPolicy(
            version=version,
            state="live",
            document={"checks": document},
            created_by="test",
            created_at=THEN,
            activated_at=THEN,
        )
    )
    session.flush()


class TestSubmitComment:
    def test_first_comment_of_a_reader_is_held(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, name="Ada", email="Ada@Reader.example", body="Well *said*.")

        stored = comment_of(session, made.id)
        assert (stored.status, stored.version, stored.revision, stored.depth) == ("held", 1, 1, 0)
        assert (stored.name, stored.email) == ("Ada", "Ada@Reader.example")
        assert stored.email_hash == email_hash(keys, "ada@reader.example")
        assert (stored.shown_name, stored.shown_text, stored.shown_html) == (None, None, None)
        assert (stored.decided_by, stored.created_at, stored.edited_at) == ("policy:0", THEN, None)
        assert [each.body for each in revisions_of(session, made.id)] == ["Well *said*."]
        assert revisions_of(session, made.id)[0].because == ["new_commenter"]
        assert counted(session) == {"held": 1}

    def test_reader_whom_the_newsroom_trusts_is_published(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)

        made = make_comment(session, keys=keys, name="<b>", body="Well *said*.")

        stored = comment_of(session, made.id)
        assert (made.status, stored.shown_name, stored.shown_text) == ("published", "<b>", "Well *said*.")
        assert stored.shown_html == "<p>Well <em>said</em>.</p>"
        assert counted(session) == {"published": 2}

    def test_every_check_leaves_its_verdict(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, judge=Judge(keys, [*all_checks(), Faulty()]))

        rows = session.scalars(select(CommentVerdict).where(CommentVerdict.comment_id == made.id)).all()
        assert {row.name for row in rows} == {check.name for check in all_checks()} | {"faulty"}
        assert {row.name for row in rows if row.state == "failed"} == {"faulty"}
        assert {row.revision for row in rows} == {1}
        assert all(row.milliseconds >= 0 for row in rows)

    def test_policy_of_the_newsroom_may_reject(self, session: Session, keys: Keys, site: Site) -> None:
        make_policy(session, {"new_commenter": {"reject": 1}}, version=4)

        made = make_comment(session, keys=keys)

        revision = revisions_of(session, made.id)[0]
        assert (made.status, made.decided_by) == ("rejected", "policy:4")
        assert (revision.policy_version, revision.outcome, revision.because) == (
            4,
            "reject",
            ["new_commenter"],
        )
        assert told_of(session, made.id) == [("comment.rejected", 1)]

    def test_it_is_logged_and_told_without_a_word_of_it(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys)

        [change] = changes_of(session, made.id)
        assert (change.action, change.before, change.after) == ("submit", None, "held")
        assert (change.version, change.revision, change.actor) == (1, 1, "policy:0")
        assert told_of(session, made.id) == [("comment.held", 1)]

    def test_reply_hangs_below_what_it_answers(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)

        below = make_comment(session, keys=keys, number=3, parent=reply, is_approved=True)

        stored = comment_of(session, below.id)
        assert (stored.parent_id, stored.depth) == (reply.id, 2)
        assert stored.ancestors == [str(top.id), str(reply.id)]
        assert [comment_of(session, each.id).replies for each in (top, reply, below)] == [2, 1, 0]
        assert counted(session) == {"published": 3}

    def test_held_reply_counts_for_nobody(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, is_approved=True)

        make_comment(session, keys=keys, number=2, parent=top)

        assert comment_of(session, top.id).replies == 0
        assert counted(session) == {"published": 1, "held": 1}

    def test_account_has_no_address(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, email=None)

        stored = comment_of(session, made.id)
        assert (stored.email, stored.email_hash) == (None, None)

    @pytest.mark.parametrize("body", INVISIBLE)
    def test_text_of_which_nothing_is_seen_is_refused(
        self, session: Session, keys: Keys, site: Site, body: str
    ) -> None:
        before = held_rows(session)

        assert field_refused(lambda: make_comment(session, keys=keys, body=body)) == "body"
        assert held_rows(session) == before

    def test_host_that_no_site_owns_is_refused(self, session: Session, keys: Keys, site: Site) -> None:
        url = "https://elsewhere.example/a"

        assert field_refused(lambda: make_comment(session, keys=keys, article_url=url)) == "article_url"


class TestTheSameWordsAgain:
    def test_are_the_same_comment(self, session: Session, keys: Keys, site: Site) -> None:
        first = make_comment(session, keys=keys)

        again = make_comment(session, keys=keys, article_url=f"{ARTICLE_URL}/?utm_source=mail#top")

        assert again == first
        assert counted(session) == {"held": 1}
        assert len(changes_of(session, first.id)) == len(told_of(session, first.id)) == 1

    def test_that_come_while_they_are_asked_about_are_the_same_too(
        self, session: Session, keys: Keys, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, known, looks = make_comment(session, keys=keys), service._known, count()
        monkeypatch.setattr(service, "_known", lambda *given: known(*given) if next(looks) else None)

        assert make_comment(session, keys=keys) == first
        assert next(looks) == 2

    def test_tell_how_it_stands_by_now(self, session: Session, keys: Keys, site: Site) -> None:
        rejected = decide_comment(session, make_comment(session, keys=keys), "reject")

        assert make_comment(session, keys=keys) == rejected

    @pytest.mark.parametrize(
        "changes",
        [
            {"number": 2, "name": "Reader 1", "body": "Well said, 1."},
            {"body": "Well said, 1!"},
            {"name": "Reader One"},
            {"article_url": f"{ORIGIN}/other"},
        ],
        ids=["by another reader", "in other words", "by another name", "elsewhere"],
    )
    def test_in_another_way_are_another_comment(
        self, session: Session, keys: Keys, site: Site, changes: dict[str, object]
    ) -> None:
        first = make_comment(session, keys=keys)

        assert make_comment(session, keys=keys, **changes).id != first.id  # type: ignore[arg-type]

    def test_below_another_comment_are_another_one(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, is_approved=True)

        assert make_comment(session, keys=keys, parent=top, body="Well said, 1.").id != top.id

    def test_after_they_were_taken_back_or_changed_are_new(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        first = make_comment(session, keys=keys)
        withdraw_comment(session, first.id, writer=make_writer(keys), now=THEN)
        second = make_comment(session, keys=keys)
        edit_comment(session, second, "Better said.", keys=keys)

        third = make_comment(session, keys=keys)

        assert len({first.id, second.id, third.id}) == 3
        assert counted(session) == {"removed": 1, "held": 2}


class TestBetweenLookingAndWriting:
    """A comment is looked at in one transaction and written in the next: what closed meanwhile is closed."""

    @pytest.mark.parametrize("action", ["reject", "spam", "remove"])
    def test_parent_that_was_taken_away_takes_no_reply(
        self, session: Session, keys: Keys, site: Site, action: str
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        judge = Judge(keys)
        new = NewComment(
            article_url=ARTICLE_URL,
            parent_id=top.id,
            writer=make_writer(keys, number=2),
            name="Bob",
            email="bob@reader.example",
            body="No.",
            is_suspect=False,
        )
        session.flush()
        judged = judge_comment(session.connection(), judge, new, RULES, THEN)
        decide_comment(session, top, action)
        session.commit()

        with pytest.raises(Exception, match="was taken away"):
            submit_comment(session, judge, judged, RULES, THEN)

        session.rollback()
        assert session.scalar(select(func.count()).select_from(Comment)) == 1


class TestWithdrawComment:
    def test_own_comment_goes_and_its_text_with_it(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, is_approved=True)

        after = withdraw_comment(session, made.id, writer=make_writer(keys), now=THEN)

        stored = comment_of(session, made.id)
        assert (after.status, after.version, after.decided_by) == ("removed", 3, "writer")
        assert (stored.shown_name, stored.shown_text, stored.shown_html) == (None, None, None)
        assert changes_of(session, made.id)[-1].action == "withdraw"
        assert told_of(session, made.id)[-1] == ("comment.removed", 3)
        assert counted(session) == {"removed": 1}

    def test_once_more_changes_nothing(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)
        writer = make_writer(keys)
        first = withdraw_comment(session, made.id, writer=writer, now=THEN)

        assert withdraw_comment(session, made.id, writer=writer, now=THEN + timedelta(days=1)) == first
        assert len(changes_of(session, made.id)) == 2

    def test_another_readers_comment_is_not_found(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        for comment_id, number in ((made.id, 2), (uuid.uuid4(), 1)):
            with pytest.raises(CommentNotFound):
                withdraw_comment(session, comment_id, writer=make_writer(keys, number=number), now=THEN)

    def test_replies_stay_and_count_no_more_above_it(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        below = make_comment(session, keys=keys, number=3, parent=reply, is_approved=True)

        withdraw_comment(session, reply.id, writer=make_writer(keys, number=2), now=THEN)

        assert [comment_of(session, each.id).replies for each in (top, reply)] == [1, 1]
        assert comment_of(session, below.id).status == "published"
        assert counted(session) == {"published": 2, "removed": 1}

    def test_reports_are_settled(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        report(session, keys, made.id, number=2)

        withdraw_comment(session, made.id, writer=make_writer(keys), now=THEN)

        assert session.scalars(select(CommentReport.settled_at)).all() == [THEN]
        assert comment_of(session, made.id).open_reports == 0


class TestReportComment:
    def test_each_reader_counts_once_for_a_text(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, is_approved=True)

        news = [report(session, keys, made.id, number=number) for number in (2, 3, 2)]

        assert news == [True, True, False]
        assert comment_of(session, made.id).open_reports == 2
        assert counted(session) == {"published": 1}

    def test_what_readers_do_not_see_is_not_reported(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        site.comments = "off"
        session.flush()

        with pytest.raises(CommentNotFound):
            report(session, keys, made.id, number=2)

        assert comment_of(session, made.id).open_reports == 0

    def test_another_text_is_reported_anew(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        report(session, keys, made.id, number=2)
        decide_comment(session, edit_comment(session, made, "Another word.", keys=keys))

        assert report(session, keys, made.id, number=2)
        assert session.scalars(select(CommentReport.revision).order_by(CommentReport.revision)).all() == [
            1,
            2,
        ]
        assert comment_of(session, made.id).open_reports == 1

    def test_what_was_decided_stays_so_for_those_who_reported_it(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        report(session, keys, made.id, number=2)
        decide_comment(session, made)

        assert not report(session, keys, made.id, number=2)
        assert comment_of(session, made.id).open_reports == 0

    def test_what_is_not_published_cannot_be_reported(self, session: Session, keys: Keys, site: Site) -> None:
        held = make_comment(session, keys=keys)
        removed = decide_comment(session, make_comment(session, keys=keys, number=2), "remove")

        for comment_id in (held.id, removed.id, uuid.uuid4()):
            with pytest.raises(CommentNotFound):
                report(session, keys, comment_id, number=3)

    def test_counts_of_an_article_name_every_status(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys, is_approved=True)

        assert counts_of(session, ARTICLE_URL) == {
            "published": 1,
            "held": 0,
            "rejected": 0,
            "spam": 0,
            "removed": 0,
        }
        assert session.scalar(select(func.count()).select_from(Article)) == 1


def report(session: Session, keys: Keys, comment_id: uuid.UUID, *, number: int) -> bool:
    reporter = make_writer(keys, number=number)
    return report_comment(session, comment_id, reporter=reporter, reason="abuse", note=None, now=THEN)
