"""How an article takes comments: what it says, else what its site says, until its days are over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.discussions import closes_at_of, comments_of, edit_article
from pollsvc.articles.models import Article, Site
from pollsvc.errors import Invalid
from pollsvc.staff.models import AuditEntry
from tests.factories import ACTOR, ARTICLE_URL, THEN, make_site

DAY = timedelta(days=1)


class TestCommentsOf:
    @pytest.mark.parametrize(
        ("of_site", "of_article", "after", "mode"),
        [
            pytest.param({}, None, DAY, "open", id="an article that nobody knows yet"),
            pytest.param({"comments": "premoderated"}, None, DAY, "premoderated", id="as its site says"),
            pytest.param({"comments": "off"}, {}, DAY, "off", id="an article that says nothing"),
            pytest.param({"comments": "off"}, {"comments": "open"}, DAY, "open", id="its own word counts"),
            pytest.param({}, {"comments": "closed"}, DAY, "closed", id="closed"),
            pytest.param({"comments_close_days": 2}, {}, 2 * DAY - timedelta(seconds=1), "open", id="the last second"),
            pytest.param({"comments_close_days": 2}, {}, 2 * DAY, "closed", id="days of its site"),
            pytest.param({"comments_close_days": 2}, {"comments_close_days": 3}, 2 * DAY, "open", id="days of its own"),
            pytest.param({"comments_close_days": 2}, {"published_at": THEN + DAY}, 2 * DAY, "open", id="from its day on"),
            pytest.param({"comments_close_days": 2}, None, 9 * DAY, "open", id="unknown, so new"),
            pytest.param({"comments_close_days": 2, "comments": "off"}, {}, 9 * DAY, "off", id="off stays off"),
            pytest.param({"comments_close_days": 2}, {"comments": "premoderated"}, DAY, "premoderated", id="until then"),
            pytest.param({"comments_close_days": 2}, {"comments": "premoderated"}, 3 * DAY, "closed", id="and no longer"),
        ],
    )  # fmt: skip
    def test_what_holds(
        self, of_site: dict[str, Any], of_article: dict[str, Any] | None, after: timedelta, mode: str
    ) -> None:
        site = Site(**({"comments": "open"} | of_site))
        article = None if of_article is None else Article(created_at=THEN, **of_article)

        assert comments_of(site, article, THEN + after) == mode

    def test_without_days_it_never_closes(self) -> None:
        assert closes_at_of(Site(comments="open"), Article(created_at=THEN)) is None

    def test_whose_days_end_after_the_last_year_never_closes(self) -> None:
        article = Article(published_at=datetime(9999, 12, 31, tzinfo=UTC), comments_close_days=1)

        assert comments_of(Site(comments="open"), article, THEN) == "open"


class TestEditArticle:
    def test_changes_what_was_given_and_logs_it(self, session: Session, now: datetime) -> None:
        make_site(session)
        changes = {"comments": "closed", "published_at": THEN}

        article = edit_article(session, f"{ARTICLE_URL}?utm_source=x", changes, actor=ACTOR, now=now)

        [entry] = audit(session)
        assert (article.url, article.comments, article.published_at) == (ARTICLE_URL, "closed", THEN)
        assert entry.detail == {
            "before": {"comments": None, "published_at": None},
            "after": {"comments": "closed", "published_at": THEN.isoformat()},
        }

    def test_what_is_so_already_leaves_no_row(self, session: Session, now: datetime) -> None:
        make_site(session)
        for _ in range(2):
            edit_article(session, ARTICLE_URL, {"comments": "off"}, actor=ACTOR, now=now)

        assert len(audit(session)) == 1

    def test_none_gives_the_choice_back_to_the_site(self, session: Session, now: datetime) -> None:
        site = make_site(session)
        edit_article(session, ARTICLE_URL, {"comments": "off"}, actor=ACTOR, now=now)

        article = edit_article(session, ARTICLE_URL, {"comments": None}, actor=ACTOR, now=now)

        assert comments_of(site, article, now) == "open"

    def test_host_that_no_site_owns_is_refused(self, session: Session, now: datetime) -> None:
        with pytest.raises(Invalid) as caught:
            edit_article(session, ARTICLE_URL, {"comments": "off"}, actor=ACTOR, now=now)

        assert list(caught.value.fields) == ["article_url"]


def audit(session: Session) -> list[AuditEntry]:
    session.flush()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == "article.edited")))
