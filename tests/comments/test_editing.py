"""An edit is looked at like a new comment, and an approval was of the words before."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.admission import (
    CommentRaced,
    CommentsClosed,
    CommentsOff,
    EditWindowOver,
    NotEditable,
    WriterBanned,
)
from pollsvc.comments.checks import all_checks
from pollsvc.comments.counts import find_differences
from pollsvc.comments.editing import edit_comment as write_edit
from pollsvc.comments.editing import judge_edit
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import CommentReport, CommentVerdict
from pollsvc.comments.policy_models import Ban, CommentPolicy
from pollsvc.comments.service import report_comment, withdraw_comment
from pollsvc.comments.status import CommentNotFound, CommentRemoved, Standing
from pollsvc.errors import StaleVersion
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
from tests.factories import (
    ACTOR,
    RULES,
    THEN,
    decide_comment,
    edit_comment,
    make_article,
    make_comment,
    make_writer,
)

LATER = THEN + timedelta(minutes=1)


@pytest.fixture
def trusted(session: Session, keys: Keys, site: Site) -> None:
    """Reader 1 has two comments that the newsroom approved, so that what they write is published."""
    for word in ("First.", "Second."):
        make_comment(session, keys=keys, body=word, is_approved=True)


class TestEditComment:
    def test_approved_comment_is_held_with_its_new_text(
        self, session: Session, keys: Keys, trusted: None
    ) -> None:
        made = make_comment(session, keys=keys, is_approved=True)

        after = edit_comment(session, made, "Better *said*.", keys=keys, now=LATER)

        stored, newest = comment_of(session, made.id), revisions_of(session, made.id)[-1]
        assert (after.status, after.version, after.revision) == ("held", made.version + 1, 2)
        assert (stored.shown_text, stored.shown_html, stored.edited_at) == (None, None, LATER)
        assert (newest.number, newest.body, newest.because) == (2, "Better *said*.", ["approval_taken_back"])
        assert changes_of(session, made.id)[-1].action == "edit"
        assert told_of(session, made.id)[-1] == ("comment.held", after.version)
        assert counted(session) == {"published": 2, "held": 1}

    def test_every_check_looks_again(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        edit_comment(session, made, "Better said.", keys=keys)

        rows = session.execute(select(CommentVerdict.revision, CommentVerdict.name)).all()
        assert sorted(rows) == sorted((number, check.name) for number in (1, 2) for check in all_checks())

    def test_second_edit_brings_no_approval_back(self, session: Session, keys: Keys, trusted: None) -> None:
        made = make_comment(session, keys=keys)
        held = edit_comment(session, decide_comment(session, made), "Buy this.", keys=keys)

        again = edit_comment(session, held, "Buy this!", keys=keys)

        assert again.status == "held"
        assert revisions_of(session, made.id)[-1].because == ["approval_taken_back"]

    def test_comment_that_only_a_policy_published_stays_published(
        self, session: Session, keys: Keys, trusted: None
    ) -> None:
        made = make_comment(session, keys=keys)

        after = edit_comment(session, made, "Better *said*.", keys=keys)

        stored = comment_of(session, made.id)
        assert (made.status, after.status, after.revision) == ("published", "published", 2)
        assert (stored.shown_text, stored.shown_html) == ("Better *said*.", "<p>Better <em>said</em>.</p>")
        assert told_of(session, made.id)[-1] == ("comment.published", 2)
        assert counted(session) == {"published": 3}

    def test_change_of_words_makes_no_form_honest(self, session: Session, keys: Keys, trusted: None) -> None:
        made = make_comment(session, keys=keys, is_suspect=True)

        after = edit_comment(session, made, "Better said.", keys=keys)

        assert (made.status, after.status) == ("held", "held")
        assert revisions_of(session, made.id)[-1].because == ["form"]

    def test_what_the_policy_turns_down_leaves_no_report_open(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        session.add(
            CommentPolicy(
                version=1,
                state="live",
                document={"checks": {"links": {"reject": 0.5}}},
                created_by=ACTOR,
                created_at=THEN,
                activated_at=THEN,
            )
        )
        session.flush()
        made = make_comment(session, keys=keys)
        report_comment(
            session, made.id, reporter=make_writer(keys, number=2), reason="spam", note=None, now=THEN
        )

        edited = edit_comment(session, made, "See https://a.example", keys=keys)

        assert edited.status == "rejected"
        assert comment_of(session, made.id).open_reports == 0
        assert session.scalars(select(CommentReport.settled_at)).one() is not None
        assert find_differences(session) == []

    def test_featured_comment_is_so_no_more(self, session: Session, keys: Keys, trusted: None) -> None:
        made = decide_comment(session, make_comment(session, keys=keys), "feature")

        edit_comment(session, made, "Better said.", keys=keys)

        assert not comment_of(session, made.id).is_featured

    def test_replies_below_it_stay(self, session: Session, keys: Keys, trusted: None) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        middle = make_comment(session, keys=keys, parent=top, body="Indeed.", is_approved=True)
        make_comment(session, keys=keys, number=2, parent=middle, is_approved=True)

        edit_comment(session, middle, "Better said.", keys=keys)

        assert [comment_of(session, each.id).replies for each in (top, middle)] == [1, 1]
        assert counted(session) == {"published": 4, "held": 1}

    def test_same_text_changes_nothing(self, session: Session, keys: Keys, trusted: None) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        session.commit()
        before = held_rows(session)

        assert edit_comment(session, made, "Well said, 1.", keys=keys) == made
        assert held_rows(session) == before

    def test_own_words_do_not_repeat_themselves(self, session: Session, keys: Keys, trusted: None) -> None:
        words = "The council voted on Tuesday to run the ferry until midnight."
        made = make_comment(session, keys=keys, body=words)

        assert edit_comment(session, made, f"{words} At last!", keys=keys).status == "published"


class TestRefusals:
    def test_what_is_over_or_turned_down_or_gone_is_not_edited(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = [make_comment(session, keys=keys, body=f"Word {number}.") for number in range(4)]
        cases: list[tuple[Standing, timedelta, type[Exception]]] = [
            (made[0], RULES.edit_window + timedelta(seconds=1), EditWindowOver),
            (decide_comment(session, made[1], "reject"), timedelta(0), NotEditable),
            (decide_comment(session, made[2], "spam"), timedelta(0), NotEditable),
            (
                withdraw_comment(session, made[3].id, writer=make_writer(keys), now=THEN),
                timedelta(0),
                CommentRemoved,
            ),
        ]
        session.commit()
        before = held_rows(session)

        for standing, after, error in cases:
            with pytest.raises(error):
                edit_comment(session, standing, "Better said.", keys=keys, now=THEN + after)

        assert held_rows(session) == before

    def test_last_moment_of_the_window_counts(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        after = edit_comment(session, made, "Better said.", keys=keys, now=THEN + RULES.edit_window)

        assert after.revision == 2

    @pytest.mark.parametrize("body", ["*", "```\n```", "[](https://a.example)", "\u2800"])
    def test_text_of_which_nothing_is_seen(self, session: Session, keys: Keys, site: Site, body: str) -> None:
        made = make_comment(session, keys=keys)

        assert field_refused(lambda: edit_comment(session, made, body, keys=keys)) == "body"

    @pytest.mark.parametrize(("mode", "error"), [("closed", CommentsClosed), ("off", CommentsOff)])
    def test_article_that_takes_none_any_more(
        self, session: Session, keys: Keys, site: Site, mode: str, error: type[Exception]
    ) -> None:
        made = make_comment(session, keys=keys)
        make_article(session).comments = mode
        session.flush()

        with pytest.raises(error):
            edit_comment(session, made, "Better said.", keys=keys)

    def test_another_readers_comment_is_not_found(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        with pytest.raises(CommentNotFound):
            edit_comment(session, made, "Mine.", keys=keys, number=2)
        with pytest.raises(CommentNotFound):
            judge_edit(
                session,
                Judge(keys),
                uuid.uuid4(),
                writer=make_writer(keys),
                body="Mine.",
                version=1,
                rules=RULES,
                now=THEN,
            )

    def test_older_version_is_told_what_came_after(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)
        decide_comment(session, made)

        with pytest.raises(StaleVersion) as caught:
            edit_comment(session, made, "Better said.", keys=keys)

        assert caught.value.extra["current"] == {
            "status": "published",
            "version": 2,
            # Which of them it was is not the writer's.
            "decided_by": "newsroom",
        }

    def test_decision_while_it_is_looked_at_wins(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)
        edit = judge_edit(
            session,
            Judge(keys),
            made.id,
            writer=make_writer(keys),
            body="Better said.",
            version=1,
            rules=RULES,
            now=THEN,
        )
        decide_comment(session, made, "reject")

        with pytest.raises(StaleVersion):
            write_edit(session, edit, THEN)

        assert len(revisions_of(session, made.id)) == 1
        assert counted(session) == {"rejected": 1}

    @pytest.mark.parametrize(
        ("stop", "refusal"),
        [
            pytest.param({"comments": "closed"}, CommentsClosed, id="closed"),
            pytest.param({"comments": "premoderated"}, CommentRaced, id="all read first"),
            pytest.param({}, WriterBanned, id="banned"),
        ],
    )
    def test_is_not_written_where_it_was_stopped_while_it_was_looked_at(
        self, session: Session, keys: Keys, trusted: None, stop: dict[str, str], refusal: type[Exception]
    ) -> None:
        made, writer = make_comment(session, keys=keys, body="Third."), make_writer(keys)
        edit = judge_edit(
            session,
            Judge(keys),
            made.id,
            writer=writer,
            body="Better said.",
            version=1,
            rules=RULES,
            now=THEN,
        )
        if stop:
            make_article(session).comments = stop["comments"]
        else:
            session.add(Ban(writer_key=writer.key, reason_code="spam", created_by=ACTOR, created_at=THEN))
        session.commit()

        with pytest.raises(refusal):
            write_edit(session, edit, THEN)

        session.rollback()
        assert len(revisions_of(session, made.id)) == 1
        assert counted(session) == {"published": 3}
