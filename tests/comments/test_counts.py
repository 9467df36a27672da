"""Counts equal what the comments say, and a recount finds and mends what does not."""

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.counts import Difference, counts_of, find_differences, published_counts, recount
from pollsvc.comments.models import Comment, CommentCount, Status
from pollsvc.comments.service import report_comment
from pollsvc.comments.status import Standing
from pollsvc.keys import Keys
from tests.comments.evidence import comment_of, counted
from tests.factories import ARTICLE_URL, ORIGIN, THEN, decide_comment, make_article, make_comment, make_writer


@pytest.fixture
def thread(session: Session, keys: Keys, site: Site) -> list[Standing]:
    """Three published comments below each other, of which the middle one was reported; a held one beside them."""
    top = make_comment(session, keys=keys, is_approved=True)
    middle = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
    bottom = make_comment(session, keys=keys, number=3, parent=middle, is_approved=True)
    reporter = make_writer(keys, number=4)
    report_comment(session, middle.id, reporter=reporter, reason="spam", note=None, now=THEN)
    return [top, middle, bottom, make_comment(session, keys=keys, number=5)]


class TestFindDifferences:
    def test_finds_every_kind(self, session: Session, thread: list[Standing]) -> None:
        top, middle, bottom, _ = thread
        assert find_differences(session) == []
        session.execute(update(Comment).where(Comment.id == top.id).values(replies=7))
        session.execute(update(Comment).where(Comment.id == middle.id).values(open_reports=0))
        session.execute(update(Comment).where(Comment.id == bottom.id).values(open_reports=2))
        session.execute(update(CommentCount).where(CommentCount.status == "held").values(n=9))
        session.execute(delete(CommentCount).where(CommentCount.status == "published"))

        found = find_differences(session)

        assert found == [
            Difference("comments", top.article_id, "held", 9, 1),
            Difference("comments", top.article_id, "published", 0, 3),
            Difference("replies", top.id, None, 7, 2),
            Difference("reports", middle.id, None, 0, 1),
            Difference("reports", bottom.id, None, 2, 0),
        ]

    def test_recount_mends_them_and_tells_of_them(self, session: Session, thread: list[Standing]) -> None:
        session.execute(update(Comment).values(replies=7, open_reports=7))
        session.execute(update(CommentCount).values(n=7))
        wrong = find_differences(session)

        assert recount(session) == wrong

        assert recount(session) == []
        assert counted(session) == {"published": 3, "held": 1}
        assert [comment_of(session, each.id).replies for each in thread] == [2, 1, 0, 0]


class TestPublishedCounts:
    def test_tells_what_each_article_shows(
        self, session: Session, keys: Keys, thread: list[Standing]
    ) -> None:
        other, unknown, off = (f"{ORIGIN}/{name}" for name in ("other", "unknown", "off"))
        make_comment(session, keys=keys, number=9, article_url=other)
        make_comment(session, keys=keys, article_url=off, is_approved=True)
        make_article(session, url=off).comments = "off"
        session.flush()

        found = published_counts(session, [ARTICLE_URL, other, unknown, off])

        assert found == {ARTICLE_URL: 3, other: 0, unknown: 0, off: 0}

    def test_of_a_site_without_comments_are_none(
        self, session: Session, site: Site, thread: list[Standing]
    ) -> None:
        site.comments = "off"
        session.flush()

        assert published_counts(session, [ARTICLE_URL]) == {ARTICLE_URL: 0}

    def test_of_all_articles_are_the_sums_of_theirs(
        self, session: Session, keys: Keys, thread: list[Standing]
    ) -> None:
        other = f"{ORIGIN}/other"
        make_comment(session, keys=keys, number=9, article_url=other)
        nothing = dict.fromkeys(map(str, Status), 0)

        assert counts_of(session, other) == nothing | {"held": 1}
        assert counts_of(session, None) == nothing | {"published": 3, "held": 2}
        assert counts_of(session, f"{ORIGIN}/unknown") == nothing

    def test_every_status_is_counted_as_it_changes(
        self, session: Session, keys: Keys, thread: list[Standing]
    ) -> None:
        held = decide_comment(session, thread[3], "spam")
        assert counts_of(session, ARTICLE_URL)["spam"] == 1

        decide_comment(session, held, "remove")

        assert counts_of(session, ARTICLE_URL) == {
            "published": 3,
            "held": 0,
            "rejected": 0,
            "spam": 0,
            "removed": 1,
        }
