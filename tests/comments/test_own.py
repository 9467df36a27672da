"""A writer sees all of their own comments and why each is not shown, and nobody else's."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.own import REASONS, OwnComment, own_comments, read_own
from pollsvc.comments.service import withdraw_comment
from pollsvc.comments.status import Change, change_status
from pollsvc.keys import Keys
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    RULES,
    THEN,
    decide_comment,
    edit_comment,
    make_article,
    make_comment,
    make_writer,
)
from tests.plans import watching


def own(
    session: Session, keys: Keys, *, number: int = 1, url: str | None = None, after: timedelta = timedelta(0)
) -> list[OwnComment]:
    comments = own_comments(make_writer(keys, number=number), url)
    session.expire_all()
    items, _ = read_own(session, comments, before=None, limit=50, rules=RULES, now=THEN + after)
    return list(items)


class TestReadOwn:
    def test_tells_why_each_is_not_shown(self, session: Session, keys: Keys, site: Site) -> None:
        cases = [("reject", "off_topic"), ("reject", None), ("spam", None), ("remove", "illegal")]
        for place, (action, reason) in enumerate(cases):
            made = make_comment(session, keys=keys, body=f"Word {place}.")
            decide_comment(session, made, action, reason_code=reason, note="canary")
        held = make_comment(session, keys=keys, body="Held.")
        automatic = make_comment(session, keys=keys, body="Automatic.")
        change = Change(action="judge", after="rejected", actor="policy:2", reason_code=None)  # type: ignore[arg-type]
        change_status(session, automatic, change, THEN)
        withdrawn = make_comment(session, keys=keys, body="Withdrawn.")
        withdraw_comment(session, withdrawn.id, writer=make_writer(keys), now=THEN)
        make_comment(session, keys=keys, body="Shown.", is_approved=True)

        found = own(session, keys)

        told = [(each.body, each.status, each.reason and each.reason.code) for each in reversed(found)]
        assert told == [
            ("Word 0.", "rejected", "off_topic"),
            ("Word 1.", "rejected", "other"),
            ("Word 2.", "spam", "spam"),
            ("Word 3.", "removed", "illegal"),
            ("Held.", "held", "waiting"),
            ("Automatic.", "rejected", "automatic"),
            ("Withdrawn.", "removed", "withdrawn"),
            ("Shown.", "published", None),
        ]
        assert all(each.reason.text == REASONS[each.reason.code] for each in found if each.reason)
        assert "canary" not in repr(found)
        assert held.id in {each.id for each in found}

    def test_text_is_the_newest_one(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)

        edit_comment(session, made, "Better said.", keys=keys)

        [found] = own(session, keys)
        assert (found.body, found.revision, found.version, found.edited_at) == ("Better said.", 2, 2, THEN)

    def test_nobody_sees_anothers(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys, email="same@reader.example", name="Same")

        assert own(session, keys, number=2) == []

    def test_below_one_article_alone(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys)
        other = make_comment(session, keys=keys, article_url=f"{ORIGIN}/other")

        assert [each.id for each in own(session, keys, url=f"{ORIGIN}/other")] == [other.id]
        assert [each.article_url for each in own(session, keys)] == [f"{ORIGIN}/other", ARTICLE_URL]

    def test_comes_page_by_page_the_newest_first(self, session: Session, keys: Keys, site: Site) -> None:
        made = [make_comment(session, keys=keys, body=f"Word {place}.") for place in range(3)]
        comments = own_comments(make_writer(keys), None)

        first, place = read_own(session, comments, before=None, limit=2, rules=RULES, now=THEN)
        second, end = read_own(session, comments, before=place, limit=2, rules=RULES, now=THEN)

        assert [each.id for each in (*first, *second)] == [each.id for each in reversed(made)]
        assert end is None

    def test_tells_how_long_it_can_be_edited(self, session: Session, keys: Keys, site: Site) -> None:
        for action in ("reject", "remove", "approve", None):
            made = make_comment(session, keys=keys, body=f"To {action}.", number=1)
            if action:
                decide_comment(session, made, action)
        until = THEN + RULES.edit_window

        early, late = (
            own(session, keys, after=timedelta(minutes=14)),
            own(session, keys, after=RULES.edit_window),
        )

        assert [each.can_edit_until for each in early] == [until, until, None, None]
        assert [each.can_edit_until for each in late] == [None] * 4

    @pytest.mark.parametrize("mode", ["closed", "off"])
    @pytest.mark.parametrize("is_of_the_site", [True, False], ids=["site", "article"])
    def test_cannot_be_edited_where_nothing_is_taken(
        self, session: Session, keys: Keys, site: Site, *, mode: str, is_of_the_site: bool
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        make_comment(session, keys=keys, article_url=f"{ORIGIN}/other")
        if is_of_the_site:
            site.comments = mode
        else:
            make_article(session).comments = mode
        session.flush()

        found = {each.article_url: each.can_edit_until for each in own(session, keys)}

        elsewhere = None if is_of_the_site else THEN + RULES.edit_window
        assert found == {ARTICLE_URL: None, f"{ORIGIN}/other": elsewhere}

    def test_can_be_edited_where_all_are_read_first(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys)
        make_article(session).comments = "premoderated"
        session.flush()

        assert [each.can_edit_until for each in own(session, keys)] == [THEN + RULES.edit_window]

    def test_can_be_edited_until_the_article_closes(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys)
        article = make_article(session)
        closes_at = THEN + timedelta(minutes=5)
        article.comments_close_days, article.published_at = 3, closes_at - timedelta(days=3)
        session.flush()

        early, late = own(session, keys), own(session, keys, after=timedelta(minutes=5))

        assert [each.can_edit_until for each in (*early, *late)] == [closes_at, None]

    def test_all_are_found_by_one_question(
        self, session: Session, engine: sa.Engine, keys: Keys, site: Site
    ) -> None:
        for place in range(5):
            make_comment(session, keys=keys, article_url=f"{ORIGIN}/{place}")
        session.flush()
        session.expire_all()
        comments = own_comments(make_writer(keys), None)

        with watching([engine]) as sent:
            found, _ = read_own(session, comments, before=None, limit=50, rules=RULES, now=THEN)

        assert (len(found), len(sent)) == (5, 1)
